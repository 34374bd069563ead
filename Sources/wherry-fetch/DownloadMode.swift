import Glibc
import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem
import WherryTransfer

/// `wherry-fetch download`: brings blobs into the store. Blobs that are there cause no request at all.
struct DownloadMode {
  private let job: DownloadJob

  init(job cursor: JSONCursor) throws(Failure) {
    job = try Job.worker.decode { () throws(JSONShapeError) in try DownloadJob(cursor) }
  }

  func run() throws(Failure) {
    let store = try ContentStore(root: job.store)
    try job.identity?.assume(by: Job.worker.program, remedy: "start the agent as root")
    Confinement.endWithParent()
    Confinement.forbidNewPrivileges()

    var missing: [DownloadJob.Item] = []
    var present: Int64 = 0
    var seen: Set<Digest> = []
    for item in job.items where seen.insert(item.digest).inserted {
      if store.size(of: item.digest) == item.size {
        present += item.size
        WorkerOutput.event(["finished": .string(item.digest.description)])
      } else {
        missing.append(item)
      }
    }
    guard !missing.isEmpty else { return }
    try checkSpace(missing, store: store)
    try fetch(missing, into: store, present: present)
  }

  /// Nothing is begun that the disk cannot hold to its end.
  private func checkSpace(_ items: [DownloadJob.Item], store: ContentStore) throws(Failure) {
    var needed: Int64 = 0
    for item in items {
      var status = stat()
      let have = lstat(store.partialPath(of: item.digest), &status) == 0 ? Int64(status.st_blocks) * 512 : 0
      needed =
        needed.addingReportingOverflow(max(0, item.size - have)).overflow ? .max : needed + max(0, item.size - have)
    }
    guard let usable = DiskSpace(path: job.store)?.usable(leaving: job.headroom), needed > usable else { return }
    for item in items { unlink(store.partialPath(of: item.digest)) }
    throw Failure(
      .space, code: "space.full",
      message: "\(needed) bytes are to be fetched to \(job.store), where \(usable) may be used",
      remedy: "free some space, or remove components that are no longer needed")
  }

  private func fetch(_ items: [DownloadJob.Item], into store: ContentStore, present: Int64) throws(Failure) {
    let downloader = Downloader(policy: job.policy)
    let authorization = DownloadAuthorization(job)
    downloader.authorize = { (item, answer) throws(TransferError) in
      try authorization.headers(for: item, answering: answer)
    }
    let downloads = items.map { item in
      DownloadItem(
        url: item.url, mirrors: item.mirrors, digest: item.digest, size: item.size,
        partialPath: store.partialPath(of: item.digest), label: item.label,
        configuration: item.isFromService ? job.device : job.elsewhere)
    }
    do throws(TransferError) {
      try downloader.run(downloads) { (event) throws(TransferError) in
        switch event {
        case .progress(let done, let total, let active):
          let transfers = active.map { transfer -> JSON in
            [
              "label": .string(transfer.label), "done": .integer(transfer.bytesDone),
              "total": .integer(transfer.bytesTotal),
            ]
          }
          WorkerOutput.event([
            "progress": [
              "done": .integer(done + present), "total": .integer(total + present), "active": .array(transfers),
            ]
          ])
        case .verified(let digest, let partial):
          do throws(Failure) { try store.commit(partial: partial, digest: digest) } catch {
            throw TransferError(
              error.failureClass == .space ? .spaceFull : .localFile, error.message, remedy: error.remedy)
          }
          WorkerOutput.event(["finished": .string(digest.description)])
        }
      }
    } catch { throw error.failure }
  }
}
