import CIsolation
import Glibc
import WherryJSON
import WherryModel

extension BundleRuntime {
  /// Versions of the specification whose bundles this reads.
  private static func isKnown(_ version: String) -> Bool { version.hasPrefix("1.") }

  /// - Returns: the container's process, which is a child of the calling one.
  ///
  /// When it comes back the container's process is there, in everything that is its own, and waits to be started.
  @discardableResult
  package func create(_ request: BundleRequest, bundle path: String) throws(Failure) -> Int32 {
    try BundleStore.checkID(request.id)
    guard let place = Self.resolved(path) else {
      throw BundleProgram.refusal(
        "the bundle \(path) cannot be entered: \(sentence(ofErrno: errno))", "name a directory with a config.json")
    }
    let (bundle, bytes) = try BundleStore.bundle(at: place + "/config.json")
    guard Self.isKnown(bundle.version) else {
      throw BundleProgram.refusal("the specification's version \(bundle.version) is not known", "use one of 1.x")
    }
    guard let root = bundle.root, let rootPath = Self.resolved(BundleBirth.absolute(root.path, in: place)) else {
      throw BundleProgram.refusal(
        "\(place) has no root file system at \"\(bundle.root?.path ?? "")\"", "mend root.path in config.json")
    }
    if bundle.process?.hasTerminal == true, request.consoleSocket == nil {
      throw BundleProgram.refusal("a terminal is asked for, and no --console-socket is there", "give one")
    }
    try store.claim(request.id)
    var record = BundleRecord(
      id: request.id, bundle: place, version: bundle.version, pid: 0, startTime: 0,
      cgroupPath: "", created: Int64(time(nil)), annotations: bundle.annotations)
    var hasHooks = false
    do throws(Failure) {
      try store.save(configuration: bytes, of: request.id)
      try store.save(record)
      try begin(bundle, root: rootPath, request, &record, &hasHooks)
    } catch {
      end(record)
      // What hooks did is for other hooks to undo (runtime.md, "Lifecycle").
      remove(record, bundle: bundle, hasHooks: hasHooks)
      throw error
    }
    return record.pid
  }

  private static func resolved(_ path: String) -> String? {
    guard let found = realpath(path, nil) else { return nil }
    defer { free(found) }
    return String(cString: found)
  }

  static func cgroupPath(_ bundle: Bundle, _ id: String) -> String {
    guard let path = bundle.linux.cgroupsPath, !path.isEmpty else { return "/wherry-oci/\(id)" }
    return path
  }

  private func begin(
    _ bundle: Bundle, root: String, _ request: BundleRequest, _ record: inout BundleRecord, _ hasHooks: inout Bool
  ) throws(Failure) {
    let path = Self.cgroupPath(bundle, request.id)
    let cgroup = BundleCgroup(path: path)
    var context = try BundleBirth.context(bundle, root: root, cgroup)
    context.hasConsoleSocket = request.consoleSocket != nil
    let program = try BundleProgram.build(bundle, context)
    // What is in it already, or below it, is somebody else's, and would end with the container.
    guard !cgroup.isRoot, !cgroup.isInhabited else {
      throw BundleProgram.refusal(
        "the cgroup \(cgroup.path) holds processes that are not the container's", "name another cgroupsPath")
    }
    record.cgroupPath = path
    try cgroup.create()
    if let resources = bundle.linux.resources { try cgroup.apply(resources, devices: false) }
    let ties = try BundleBirth.Ties()
    if let path = request.consoleSocket, bundle.process?.hasTerminal == true {
      ties.console = try BundleBirth.connectConsole(path)
    }
    ties.start = wherry_listen(store.directory(request.id), BundleStore.earlySocketName)
    guard ties.start >= 0 else {
      throw Failure(
        .internalError, code: "bundle.store", message: "no socket can be made: \(sentence(ofErrno: errno))",
        remedy: "choose another --root")
    }
    try ties.open(cgroup: cgroup.unifiedDirectory)
    record.pid = try giveBirth(program, bundle, ties, keepsKeyring: request.keepsKeyring)
    record.startTime = ProcessTable.startTime(of: record.pid) ?? 0
    try store.save(record)
    ties.leaveToChild()
    try accompany(bundle, record, ties, &hasHooks)
    if let resources = bundle.linux.resources { try cgroup.apply(resources, devices: true) }
    if let path = request.pidFile { try BundleBirth.writePIDFile(path, record.pid) }
    try store.setWaiting(request.id)
  }

  /// What the child cannot do for itself, in the order in which it asks.
  private func accompany(
    _ bundle: Bundle, _ record: BundleRecord, _ ties: BundleBirth.Ties, _ hasHooks: inout Bool
  ) throws(Failure) {
    while true {
      switch ties.meeting() {
      case .born:
        try mapUsers(bundle, record.pid)
        if let score = bundle.process?.memoryKillerScore {
          let error = Files.write(
            Array("\(score)".utf8), to: "/proc/\(record.pid)/oom_score_adj", flags: O_WRONLY)
          guard error == 0 else {
            throw Failure(
              .start, code: "bundle.memoryKiller",
              message: "the memory killer's score cannot be \(score): \(sentence(ofErrno: error))",
              remedy: "choose one from -1000 to 1000; lower than now takes CAP_SYS_RESOURCE")
          }
        }
      case .furnished:
        hasHooks = true
        try runCreationHooks(bundle, record)
      case .ready: return
      case nil:
        throw BundleBirth.report(from: ties.report[0])
          ?? Failure(
            .start, code: "bundle.lost", message: "the container ended before it was ready",
            remedy: "look into the kernel log: memory may be short")
      }
      ties.goOn()
    }
  }

  private func mapUsers(_ bundle: Bundle, _ pid: Int32) throws(Failure) {
    guard bundle.linux.namespaces.contains(where: { $0.kind == .user && $0.path == nil }) else { return }
    for (mappings, file) in [(bundle.linux.userMappings, "uid_map"), (bundle.linux.groupMappings, "gid_map")] {
      let text = mappings.map { "\($0.container) \($0.host) \($0.size)\n" }.joined()
      let error = Files.write(Array(text.utf8), to: "/proc/\(pid)/\(file)", flags: O_WRONLY)
      guard error == 0, !text.isEmpty else {
        throw Failure(
          .start, code: "bundle.mapping",
          message: "the \(file) of the container is refused: \(sentence(ofErrno: error))",
          remedy: "mend linux.uidMappings and linux.gidMappings in config.json")
      }
    }
  }

  private func runCreationHooks(_ bundle: Bundle, _ record: BundleRecord) throws(Failure) {
    // Who still uses these, which the specification has given up, takes the container for one that is created.
    try BundleHooks(state: json(record, .created)).run(bundle.hooks.prestart, "prestart")
    let hooks = BundleHooks(state: json(record, .creating))
    try hooks.run(bundle.hooks.createRuntime, "createRuntime")
    guard !bundle.hooks.createContainer.isEmpty else { return }
    let descriptor = wherry_pidfd_open(record.pid)
    defer { if descriptor >= 0 { close(descriptor) } }
    let inside = BundleHooks(
      state: hooks.state, process: descriptor, namespaces: Self.hookNamespaces(of: bundle))
    try inside.run(bundle.hooks.createContainer, "createContainer")
  }

  // MARK: - One more process

  /// - Returns: its pid, a child of the calling process.
  package func execute(_ process: BundleProcess, _ request: BundleRequest) throws(Failure) -> Int32 {
    let record = try store.load(request.id)
    let status = status(record)
    guard status == .created || status == .running else {
      throw Self.wrong(status, request.id, "entered", "only one that is running can be")
    }
    let bundle = try store.bundle(of: request.id)
    let cgroup = BundleCgroup(path: record.cgroupPath)
    var context = try BundleBirth.context(bundle, root: "/", cgroup)
    context.hasConsoleSocket = request.consoleSocket != nil
    guard bundle.linux.namespaces.contains(where: { $0.kind == .mount }) else {
      throw BundleProgram.refusal(
        "\(request.id) has no mounts of its own, so a further process would be in the host's root",
        "give it a mount namespace")
    }
    let namespaces = BundleProgram.flags(of: bundle.linux.namespaces)
    let program = try BundleProgram.build(process, in: bundle, entering: namespaces, context)
    let ties = try BundleBirth.Ties()
    if let path = request.consoleSocket, process.hasTerminal {
      ties.console = try BundleBirth.connectConsole(path)
    }
    let membership = Files.text("/proc/\(record.pid)/cgroup") ?? ""
    try ties.open(cgroup: cgroup.directoryForMore(membership: membership))
    let target = wherry_pidfd_open(record.pid)
    defer { if target >= 0 { close(target) } }
    let helper = try giveBirth(
      program, namespaces: 0, ties: ties, slot: target, keepsKeyring: request.keepsKeyring)
    ties.leaveToChild()
    let pid = ties.bornInside()
    ProcessTable.wait(for: helper)
    if let failure = BundleBirth.report(from: ties.report[0]) {
      if let pid { ProcessTable.wait(for: pid) }
      throw failure
    }
    guard let pid else {
      throw Failure(
        .start, code: "bundle.lost", message: "the process ended before it was in the container",
        remedy: "look into the kernel log: memory may be short")
    }
    if let path = request.pidFile { try BundleBirth.writePIDFile(path, pid) }
    return pid
  }
}
