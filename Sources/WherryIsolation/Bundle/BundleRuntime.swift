import CIsolation
import Glibc
import WherryJSON
import WherryModel

/// The operations of an OCI runtime (runtime-spec, runtime.md). Each is a process of its own that ends when it is done;
/// what lives on is the container and its record.
package struct BundleRuntime {
  package enum Status: String, Sendable { case creating, created, running, paused, stopped }

  let store: BundleStore
  let warn: (String) -> Void

  package init(root: String, warn: @escaping (String) -> Void) {
    store = BundleStore(root: root)
    self.warn = warn
  }

  // MARK: - Looking

  func status(_ record: BundleRecord) -> Status {
    guard record.pid > 0 else { return .creating }
    guard ProcessTable.startTime(of: record.pid) == record.startTime else { return .stopped }
    if store.isWaiting(record.id) { return .created }
    if store.isBeingCreated(record.id) { return .creating }
    return BundleCgroup(path: record.cgroupPath).isFrozen ? .paused : .running
  }

  /// runtime-spec, runtime.md, "State".
  package func json(_ record: BundleRecord, _ status: Status) -> JSON {
    var annotations: [String: JSON] = [:]
    for (key, value) in record.annotations { annotations[key] = .string(value) }
    return [
      "ociVersion": .string(record.version), "id": .string(record.id), "status": .string(status.rawValue),
      "pid": .integer(status == .stopped ? 0 : Int64(record.pid)),
      "bundle": .string(record.bundle), "annotations": .object(annotations),
    ]
  }

  package func state(_ id: String) throws(Failure) -> JSON {
    let record = try store.load(id)
    return json(record, status(record))
  }

  package func list() -> [(record: BundleRecord, status: Status)] {
    store.all().compactMap { id in (try? store.load(id)).map { ($0, status($0)) } }
  }

  /// The container's own, from which `exec` begins.
  package func process(of id: String) throws(Failure) -> BundleProcess {
    _ = try store.load(id)
    return try store.bundle(of: id).process ?? BundleProcess()
  }

  package func processes(_ id: String) throws(Failure) -> [Int32] {
    BundleCgroup(path: try store.load(id).cgroupPath).processes
  }

  // MARK: - Start

  package func start(_ id: String) throws(Failure) {
    var record = try store.load(id)
    guard let lock = store.lock(id) else {
      throw Failure(
        .rejected, code: "bundle.status", message: "\(id) is being started by somebody else",
        remedy: "wait for that one")
    }
    defer { close(lock) }
    record = try store.load(id)
    let status = status(record)
    guard status == .created else { throw Self.wrong(status, id, "started", "only one that is created can be") }
    let bundle = try store.bundle(of: id)
    guard let process = bundle.process, !process.arguments.isEmpty else {
      throw BundleProgram.refusal("\(id) has no process to start", "give process.args in config.json")
    }
    do throws(Failure) { try runStartHooks(bundle, process, record) } catch {
      end(record)
      throw error
    }
    try release(id)
    // What comes too late to stop it is told, and no more.
    for hook in bundle.hooks.poststart {
      do throws(Failure) { try BundleHooks(state: json(record, .running)).run([hook], "poststart") } catch {
        warn("\(error)")
      }
    }
  }

  /// They are the container's own programs, so each is one more process of it, with its rights and no others: `exec`,
  /// in a process of its own, since a namespace of pids is entered for good.
  private func runStartHooks(
    _ bundle: Bundle, _ process: BundleProcess, _ record: BundleRecord
  ) throws(Failure) {
    for hook in bundle.hooks.startContainer {
      let path = "\(store.directory(record.id))/hook.json"
      let error = Files.write(process.running(hook).canonicalBytes, to: path)
      defer { unlink(path) }
      guard error == 0 else { throw BundleStore.failure("write", path, error) }
      let command = Bundle.Hook(
        path: "/proc/self/exe", arguments: ["wherry-oci", "--root", store.root, "exec", "--process", path, record.id],
        environment: [], timeoutSeconds: hook.timeoutSeconds)
      try BundleHooks(state: json(record, .created), named: hook.path).run([command], "startContainer")
    }
  }

  /// Connects, says go, and hears until the program is executed or has failed to be.
  private func release(_ id: String) throws(Failure) {
    let socket = wherry_connect(store.directory(id), BundleStore.socketName)
    guard socket >= 0 else {
      throw Failure(
        .start, code: "bundle.start", message: "\(id) cannot be reached: \(sentence(ofErrno: errno))",
        remedy: "see whether its process still is there: `wherry-oci state \(id)`")
    }
    defer { close(socket) }
    unlink("\(store.directory(id))/\(BundleStore.socketName)")
    var word: UInt8 = 1
    guard send(socket, &word, 1, Int32(MSG_NOSIGNAL)) == 1 else {
      throw Failure(
        .start, code: "bundle.start", message: "\(id) has ended before it was started", remedy: "create it again")
    }
    if let failure = BundleBirth.report(from: socket) { throw failure }
  }

  static func hookNamespaces(of bundle: Bundle) -> Int64 {
    // A process enters a namespace of pids with its children only, and hooks have none.
    BundleProgram.flags(of: bundle.linux.namespaces.filter { ![.pid, .time].contains($0.kind) })
  }

  static func wrong(_ status: Status, _ id: String, _ verb: String, _ remedy: String) -> Failure {
    Failure(
      .rejected, code: "bundle.status", message: "\(id) is \(status.rawValue) and cannot be \(verb)", remedy: remedy)
  }

  // MARK: - Ending

  package func kill(_ id: String, signal number: Int32, all: Bool) throws(Failure) {
    let record = try store.load(id)
    let status = status(record)
    if all, status == .stopped { return BundleCgroup(path: record.cgroupPath).signal(number) }
    guard [.created, .running, .paused].contains(status) else {
      throw Self.wrong(status, id, "signalled", "only one that is created or running can be")
    }
    if all { return BundleCgroup(path: record.cgroupPath).signal(number) }
    let descriptor = wherry_pidfd_open(record.pid)
    defer { if descriptor >= 0 { close(descriptor) } }
    // Between the look and the call the number may have passed on to another process.
    guard descriptor >= 0, ProcessTable.startTime(of: record.pid) == record.startTime else { return }
    let error = wherry_pidfd_send_signal(descriptor, number)
    guard error == 0 || error == ESRCH else {
      throw Failure(
        .start, code: "bundle.signal", message: "signal \(number) cannot be sent to \(id): \(sentence(ofErrno: error))",
        remedy: "name a signal as KILL, SIGKILL or 9")
    }
  }

  /// Everything of it, at once.
  func end(_ record: BundleRecord) {
    let cgroup = BundleCgroup(path: record.cgroupPath)
    if record.pid > 0, ProcessTable.startTime(of: record.pid) == record.startTime {
      let descriptor = wherry_pidfd_open(record.pid)
      if descriptor >= 0 {
        _ = wherry_pidfd_send_signal(descriptor, SIGKILL)
        if cgroup.isFrozen { try? cgroup.freeze(false) }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, 10_000)
        close(descriptor)
      }
    }
    if !record.cgroupPath.isEmpty { cgroup.signal(SIGKILL) }
  }

  package func delete(_ id: String, force: Bool) throws(Failure) {
    let record: BundleRecord
    do throws(Failure) { record = try store.load(id) } catch {
      guard force, error.code == "bundle.unknown" || error.code == "bundle.store" else { throw error }
      if error.code == "bundle.unknown" { return }
      let path = (try? store.bundle(of: id)).map { Self.cgroupPath($0, id) }
      record = store.unknown(id, cgroupPath: path ?? "")
    }
    let status = status(record)
    if status != .stopped {
      guard force else { throw Self.wrong(status, id, "deleted", "end it first, or use --force") }
      end(record)
    }
    remove(record, bundle: try? store.bundle(of: id))
  }

  /// What `create` made, and then what the bundle wants done after that.
  func remove(_ record: BundleRecord, bundle: Bundle?, hasHooks: Bool = true) {
    if !record.cgroupPath.isEmpty { removeCgroup(BundleCgroup(path: record.cgroupPath)) }
    if let bundle, record.pid > 0 { unmountLeftovers(of: bundle, in: record.bundle) }
    store.remove(record.id)
    for hook in hasHooks ? bundle?.hooks.poststop ?? [] : [] {
      do throws(Failure) { try BundleHooks(state: json(record, .stopped)).run([hook], "poststop") } catch {
        warn("\(error)")
      }
    }
  }

  /// Mounts of a container without a mount namespace were made where everybody sees them. Looked up as it was done from
  /// inside: a link in the image leads to nothing of the host's.
  private func unmountLeftovers(of bundle: Bundle, in directory: String) {
    guard !bundle.linux.namespaces.contains(where: { $0.kind == .mount }), let root = bundle.root else { return }
    let place = BundleBirth.absolute(root.path, in: directory)
    let paths = bundle.mounts.map(\.destination) + bundle.linux.readOnlyPaths + bundle.linux.maskedPaths
    let own = bundle.process?.hasTerminal == true ? ["/dev/console"] : []
    for path in (paths + own).reversed() { wherry_unmount_within(place, path) }
  }

  /// Processes leave it a moment after they end.
  private func removeCgroup(_ cgroup: BundleCgroup) {
    for _ in 0..<200 {
      if cgroup.remove() { return }
      cgroup.signal(SIGKILL)
      usleep(10_000)
    }
    warn("the cgroup \(cgroup.path) could not be removed: something in it does not end")
  }

  package func freeze(_ id: String, _ isFrozen: Bool) throws(Failure) {
    let record = try store.load(id)
    let status = status(record)
    guard [.created, .running, .paused].contains(status) else {
      throw Self.wrong(status, id, isFrozen ? "paused" : "resumed", "only one that is running can be")
    }
    try BundleCgroup(path: record.cgroupPath).freeze(isFrozen)
  }

  package func update(_ id: String, _ resources: JSON) throws(Failure) {
    let cgroup = BundleCgroup(path: try store.load(id).cgroupPath)
    try cgroup.apply(resources, devices: false)
    // On v2 a second filter could only take more away.
    if cgroup.directory(of: "devices") != nil { try cgroup.apply(resources, devices: true) }
  }
}
