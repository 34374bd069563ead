import CCurl
import Glibc
import WherryModel

/// Fetches many blobs, some at a time, in one thread: resumes, verifies, retries. It stops at the first item that
/// cannot be had; what the others brought stays for the next run, except on a full disk.
package final class Downloader {
  private let policy: DownloadPolicy
  private let multi: UnsafeMutableRawPointer
  private var idle: [EasyHandle] = []
  private var active: [UnsafeMutableRawPointer: (handle: EasyHandle, download: Download)] = [:]
  private var waiting: [(download: Download, at: Int64)] = []
  private var queue: [DownloadItem] = []
  private var doneBefore: Int64 = 0
  private var total: Int64 = 0
  private var lastReported: Int64 = -1
  private let health = MirrorHealth()

  /// Credentials for an item whose server answered 401.
  package var authorize: Authorizing = { _, _ in nil }

  package init(policy: DownloadPolicy = DownloadPolicy()) {
    self.policy = policy
    // Makes libcurl's global initialisation happen first.
    idle = [EasyHandle()]
    guard let multi = curl_multi_init() else { preconditionFailure("libcurl is out of memory") }
    self.multi = multi
  }

  deinit {
    for (raw, _) in active { curl_multi_remove_handle(multi, raw) }
    curl_multi_cleanup(multi)
  }

  /// - Parameter onEvent: `verified` comes when the blob may be moved into the store; it may throw to end the run.
  package func run(
    _ items: [DownloadItem], onEvent: (DownloadEvent) throws(TransferError) -> Void
  ) throws(TransferError) {
    // Two writers of one partial file would wait for each other's lock for ever.
    var seen: Set<String> = []
    let items = items.filter { seen.insert($0.partialPath).inserted }
    queue = items.reversed()
    total = items.reduce(0) { $0 + $1.size }
    doneBefore = 0
    defer { cancel() }
    do throws(TransferError) {
      while !queue.isEmpty || !active.isEmpty || !waiting.isEmpty {
        try startWaiting(onEvent)
        guard !active.isEmpty || !waiting.isEmpty else { continue }
        try pump(onEvent)
      }
      try report(onEvent)
    } catch {
      if error.code == .spaceFull { for item in items { unlink(item.partialPath) } }
      throw error
    }
  }

  private func startWaiting(_ onEvent: (DownloadEvent) throws(TransferError) -> Void) throws(TransferError) {
    let now = Self.milliseconds()
    while let index = waiting.firstIndex(where: { $0.at <= now }) {
      let download = waiting.remove(at: index).download
      try start(download, download.firstHop)
    }
    while active.count + waiting.count < max(1, policy.parallel), let item = queue.popLast() {
      let download = try Download(item, policy: policy, health: health)
      if download.file.isComplete {
        try take(download.verify(), of: download, onEvent)
      } else {
        try start(download, download.firstHop)
      }
    }
  }

  private func start(_ download: Download, _ hop: Hop) throws(TransferError) {
    let handle = idle.popLast() ?? EasyHandle()
    try download.start(hop, on: handle)
    active[handle.raw] = (handle, download)
    shareRate()
    curl_multi_add_handle(multi, handle.raw)
  }

  /// Each transfer gets the same part of the limit; one that is alone gets all of it.
  private func shareRate() {
    guard let rate = policy.bytesPerSecondMaximum else { return }
    for (handle, _) in active.values {
      handle.set(CURLOPT_MAX_RECV_SPEED_LARGE, offset: max(1, rate / Int64(active.count)))
    }
  }

  private func pump(_ onEvent: (DownloadEvent) throws(TransferError) -> Void) throws(TransferError) {
    var running: Int32 = 0
    curl_multi_perform(multi, &running)
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let raw = message.pointee.easy_handle,
        let (handle, download) = active.removeValue(forKey: raw)
      else { continue }
      let code = message.pointee.data.result
      curl_multi_remove_handle(multi, raw)
      shareRate()
      defer { idle.append(handle) }
      try take(download.conclude(code, authorize: authorize), of: download, onEvent)
    }
    try report(onEvent)
    let next = waiting.map(\.at).min().map { max(0, $0 - Self.milliseconds()) } ?? 1_000
    // Not when a transfer has just been added, which wants to be driven at once, nor when nothing is left to wait for.
    if running > 0 || (active.isEmpty && !waiting.isEmpty) {
      curl_multi_poll(multi, nil, 0, Int32(min(1_000, next)), nil)
    }
  }

  private func take(
    _ step: Download.Step, of download: Download, _ onEvent: (DownloadEvent) throws(TransferError) -> Void
  ) throws(TransferError) {
    switch step {
    case .finished:
      doneBefore += download.item.size
      try onEvent(.verified(download.item.digest, partialPath: download.item.partialPath))
    case .again(let pause): waiting.append((download, Self.milliseconds() + pause))
    case .now(let hop): try start(download, hop)
    }
  }

  private func report(_ onEvent: (DownloadEvent) throws(TransferError) -> Void) throws(TransferError) {
    var done = doneBefore
    for (_, entry) in active { done += entry.download.file.length }
    for entry in waiting { done += entry.download.file.length }
    // At most about a thousand lines however large the whole is.
    guard lastReported < 0 || done == total || abs(done - lastReported) >= max(total / 1_000, 65_536) else { return }
    guard done != lastReported else { return }
    lastReported = done
    let underWay = active.values.map(\.download) + waiting.map(\.download)
    let transfers = underWay.map { download in
      Transfer(label: download.item.label, bytesDone: download.file.length, bytesTotal: download.item.size)
    }
    let first = transfers.sorted { $0.label < $1.label }.prefix(Transfer.countMaximum)
    try onEvent(.progress(done: done, total: total, active: Array(first)))
  }

  private func cancel() {
    for (raw, entry) in active {
      curl_multi_remove_handle(multi, raw)
      idle.append(entry.handle)
    }
    active = [:]
    waiting = []
    queue = []
  }

  private static func milliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
  }
}

extension HTTPClient {
  /// One blob, resumed and verified; the bytes are at the item's partial path when this returns.
  package func download(_ item: DownloadItem, policy: DownloadPolicy = DownloadPolicy()) throws(TransferError) {
    var item = item
    item.configuration = configuration
    try Downloader(policy: policy).run([item]) { _ in }
  }
}
