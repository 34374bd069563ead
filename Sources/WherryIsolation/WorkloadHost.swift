import CIsolation
import Glibc
import WherryModel

/// Starts, adopts and removes workloads: everything of one agent in the kernel.
package final class WorkloadHost {
  package let configuration: HostConfiguration
  let layout: CgroupLayout
  private var filters: SeccompFilter
  private var openNetwork: AgentNetwork?
  /// Shims that this process spawned and has not reaped.
  private var shims: [String: ShimProcess] = [:]
  /// Those of released workloads, on their way out.
  private var leaving: [ShimProcess] = []

  package init(_ configuration: HostConfiguration) throws(Failure) {
    self.configuration = configuration
    mountPoint = configuration.stateDirectory + "/root"
    layout = CgroupLayout.detect(root: configuration.cgroupRoot)
    filters = SeccompFilter(directory: configuration.stateDirectory + "/seccomp")
    guard access(configuration.shimPath, X_OK) == 0 else {
      throw Failure(
        .start, code: "host.shim", message: "there is no wherry-shim program at \(configuration.shimPath)",
        remedy: "install wherry-shim beside wherry-agent, or set shim in agent.conf")
    }
    guard layout.unified != nil || !layout.legacy.isEmpty else {
      throw Failure(
        .start, code: "host.cgroup", message: "there is no cgroup file system under \(configuration.cgroupRoot)",
        remedy: "mount one: mount -t cgroup2 none /sys/fs/cgroup")
    }
    let error =
      [workloadsDirectory, mountPoint].lazy.map { Files.makeDirectories($0, mode: 0o700) }.first { $0 != 0 } ?? 0
    guard error == 0 else {
      throw Failure(
        .start, code: "host.stateDirectory",
        message: "the state directory \(workloadsDirectory) cannot be made: \(sentence(ofErrno: error))",
        remedy: "run the agent as root, or set run in agent.conf to a directory that it may write")
    }
    // On the way to a mount no link is followed; one in the configured path (/var/run) is meant.
    if let real = realpath(mountPoint, nil) {
      mountPoint = String(cString: real)
      free(real)
    }
  }

  private var workloadsDirectory: String { configuration.stateDirectory + "/workloads" }

  /// Where overlays are mounted, each in its own mount namespace, so one directory does for all. Removing one that was
  /// a mount point makes the kernel wait.
  private var mountPoint: String

  private func directory(of id: String) -> WorkloadDirectory { WorkloadDirectory(path: "\(workloadsDirectory)/\(id)") }

  private var parentCgroup: String { "wherry/\(configuration.agentID)" }

  func cgroup(of id: String) -> Cgroup { Cgroup(layout: layout, path: "\(parentCgroup)/\(id)") }

  private func network() throws(Failure) -> AgentNetwork {
    if let openNetwork { return openNetwork }
    guard let subnet = configuration.subnet else {
      throw Failure(
        .start, code: "network.subnet", message: "this agent has no subnet for its bridge",
        remedy: "set subnet in agent.conf, for example 10.88.0.0/24")
    }
    let network = try AgentNetwork(
      agentID: configuration.agentID, stateDirectory: configuration.stateDirectory, subnet: subnet,
      publishAddress: configuration.publishAddress)
    openNetwork = network
    return network
  }

  /// Returns as soon as the shim is spawned: `.started` or `.failedToStart` comes over the link.
  /// `identity` is stored beside the workload for `adopt()`. Release a workload before starting the same id again.
  package func start(_ spec: WorkloadSpec, identity: String) throws(Failure) -> WorkloadLink {
    try WorkloadCheck.check(spec)
    let directory = directory(of: spec.id)
    if let running = directory.connect() {
      close(running)
      throw Failure(
        .start, code: "workload.running", message: "\(spec.id) is running already",
        remedy: "stop and release it before it is started again")
    }
    release(spec.id)
    do throws(Failure) {
      return try startFresh(spec, identity: identity, in: directory)
    } catch {
      release(spec.id)
      throw error
    }
  }

  private func startFresh(
    _ spec: WorkloadSpec, identity: String, in directory: WorkloadDirectory
  ) throws(Failure) -> WorkloadLink {
    try write(spec, directory.path, Files.makeDirectories(directory.path, mode: 0o700))
    try write(spec, directory.path, Files.write(Array(identity.utf8), to: directory.file("identity")))
    let cgroup = cgroup(of: spec.id)
    try cgroup.create(spec.resources)
    let context = try context(of: spec, cgroup: cgroup, in: directory)
    let prelude = LaunchProgram.probePrelude(spec, context)
    let probe = WorkloadDirectory.Probe(
      environment: spec.environment, prelude: LaunchProgram.encode(prelude), preludeCount: prelude.count)
    try write(spec, directory.path, directory.write(probe))
    if let slash = spec.logPath.lastIndex(of: "/") { Files.makeDirectories(String(spec.logPath[..<slash])) }
    let listener = wherry_listen(directory.path, "ctl.sock")
    guard listener >= 0 else { throw Self.cannot("listen on ctl.sock in \(directory.path)", spec.id, errno) }
    defer { close(listener) }
    return try spawn(
      spec.id, LaunchProgram.build(spec, context).bytes, directory: directory, listener: listener, cgroup: cgroup)
  }

  private func spawn(
    _ id: String, _ program: [UInt8], directory: WorkloadDirectory?, listener: Int32, cgroup: Cgroup?
  ) throws(Failure) -> WorkloadLink {
    let file = wherry_memory_file("wherry-program")
    guard file >= 0 else { throw Self.cannot("make a memory file", id, errno) }
    defer { close(file) }
    let error = Files.write(program, to: file)
    guard error == 0 else { throw Self.cannot("write the launch program", id, error) }
    var pid: Int32 = 0
    let link = wherry_spawn_shim(configuration.shimPath, directory?.path ?? "-", file, listener, &pid)
    guard link >= 0 else { throw Self.cannot("start \(configuration.shimPath)", id, errno) }
    let shim = ShimProcess(pid: pid)
    if directory != nil { shims[id] = shim }
    return WorkloadLink(id: id, descriptor: link, directory: directory, cgroup: cgroup, shim: shim)
  }

  private func context(
    of spec: WorkloadSpec, cgroup: Cgroup, in directory: WorkloadDirectory
  ) throws(Failure) -> LaunchContext {
    let preparation = WorkloadPreparation(spec: spec, directory: directory)
    var context = LaunchContext(user: try preparation.user(), mountPoint: mountPoint)
    context.unifiedCgroup = cgroup.unifiedDirectory
    context.cgroupFiles = layout.joinFiles(of: cgroup.path)
    context.processesFile = layout.directories(of: cgroup.path).first.map { $0 + "/cgroup.procs" }
    context.memoryEvents = layout.memoryEvents(of: cgroup.path)
    if !spec.isPrivileged {
      guard let filter = filters.filter(for: SeccompProfile(capabilities: spec.capabilities)) else {
        throw Failure(
          .start, code: "workload.seccomp", message: "no seccomp filter can be compiled for \(spec.id)",
          remedy: "install libseccomp 2.5 or newer")
      }
      context.seccompFilter = filter
    }
    var address: String?
    if case .bridge(let attachment) = spec.network {
      let lease = try network().attach(workload: spec.id, ports: attachment.ports)
      context.networkNamespace = lease.namespacePath
      address = lease.address
    }
    context.devices = try preparation.devices()
    context.files = try preparation.files(address: address)
    return context
  }

  /// One more process inside a running workload, under the same limits: health checks. Its output is dropped.
  package func execute(in id: String, arguments: [String], environment: [String] = []) throws(Failure) -> WorkloadLink {
    let directory = directory(of: id)
    guard let probe = directory.readProbe(), let pid = directory.pids?.workload, !arguments.isEmpty else {
      throw Failure(.start, code: "workload.notRunning", message: "\(id) is not running, so nothing can run inside it")
    }
    let settings = LaunchProgram.probeSettings(pid: pid, cgroup: cgroup(of: id).unifiedDirectory)
    var execution = LaunchProgram()
    execution.addExecution(arguments, environment: probe.environment + environment)
    let body = LaunchProgram.encode(settings) + probe.prelude + LaunchProgram.encode(execution.steps)
    let count = settings.count + probe.preludeCount + execution.steps.count
    let program = LaunchProgram.assemble(body: body, count: count)
    return try spawn(id, program, directory: nil, listener: -1, cgroup: nil)
  }

  /// After an agent restart: everything that this agent ID has started and not released. What nobody keeps any more
  /// is killed and removed on the way.
  package func adopt() -> [AdoptedWorkload] {
    let ids = Files.names(in: workloadsDirectory)
    let adopted = ids.map(adopt)
    for id in strayCgroups where !ids.contains(id) { cgroup(of: id).remove() }
    if Files.exists(configuration.stateDirectory + "/network") {
      (try? network())?.reconcile(alive: Set(adopted.filter { $0.link != nil }.map(\.id)))
    }
    return adopted
  }

  private func adopt(_ id: String) -> AdoptedWorkload {
    let directory = directory(of: id)
    let identity = directory.identity
    if let descriptor = directory.connect() {
      let link = WorkloadLink(
        id: id, descriptor: descriptor, directory: directory, cgroup: cgroup(of: id), shim: shims[id])
      return AdoptedWorkload(id: id, identity: identity, link: link, exit: nil, failure: nil)
    }
    // Its shim may be gone and the rest not; the end, if any, was written before.
    cgroup(of: id).kill()
    switch directory.readEnd() {
    case .exited(let exit): return AdoptedWorkload(id: id, identity: identity, link: nil, exit: exit, failure: nil)
    case .some(let failure):
      return AdoptedWorkload(id: id, identity: identity, link: nil, exit: nil, failure: failure)
    case nil: return AdoptedWorkload(id: id, identity: identity, link: nil, exit: nil, failure: nil)
    }
  }

  private var strayCgroups: Set<String> {
    var names: Set<String> = []
    for parent in layout.directories(of: parentCgroup) {
      for name in Files.names(in: parent) where Files.exists("\(parent)/\(name)/cgroup.procs") { names.insert(name) }
    }
    return names
  }

  /// Removes state directory, cgroup and network of a workload (kills it if it is still alive).
  package func release(_ id: String) {
    let directory = directory(of: id)
    guard WorkloadCheck.isName(id) else { return }
    if let descriptor = directory.connect() {
      cgroup(of: id).kill()
      // A shim that is stopped, or whose disk does not answer, is not waited for. That we are connected to it says
      // that the number is still its own.
      if !waitForEnd(descriptor), let shim = directory.pids?.shim { kill(shim, SIGKILL) }
      close(descriptor)
    }
    leaving.removeAll { $0.reapIfEnded() }
    if let shim = shims.removeValue(forKey: id), !shim.reapIfEnded() { leaving.append(shim) }
    cgroup(of: id).remove()
    if openNetwork != nil || Files.exists("\(configuration.stateDirectory)/network/\(id)") {
      (try? network())?.detach(workload: id)
    }
    Files.removeTree(directory.path)
  }

  /// Until the shim hangs up; it has two seconds to write the last lines.
  private func waitForEnd(_ descriptor: Int32) -> Bool {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var buffer = wherry_message()
    for _ in 0..<200 {
      guard poll(&watched, 1, 10) != 0 else { continue }
      if recv(descriptor, &buffer, MemoryLayout<wherry_message>.size, 0) == 0 { return true }
    }
    return false
  }

  /// Everything of this agent: kill, unmount, remove cgroups, veths, bridge, nft table.
  package func tearDown() {
    let ids = Set(Files.names(in: workloadsDirectory)).union(strayCgroups)
    // All at once first, so that the waits below overlap.
    for id in ids { cgroup(of: id).kill() }
    for id in ids.sorted() { release(id) }
    for shim in leaving { shim.end() }
    leaving = []
    if configuration.subnet != nil { (try? network())?.tearDown() }
    for path in [parentCgroup, "wherry"] {
      // The last agent takes the common parent with it.
      for directory in layout.directories(of: path) { rmdir(directory) }
    }
    Files.removeTree(workloadsDirectory)
    Files.removeTree(configuration.stateDirectory + "/seccomp")
    rmdir(mountPoint)
  }

  package func statistics(_ id: String) -> WorkloadStatistics? {
    let statistics = cgroup(of: id).statistics
    return statistics == WorkloadStatistics() ? nil : statistics
  }

  /// The address of a running workload on the bridge; nil without one.
  package func address(of id: String) -> String? { openNetwork?.lease(of: id)?.address }

  private func write(_ spec: WorkloadSpec, _ path: String, _ error: Int32) throws(Failure) {
    if error != 0 { throw Self.cannot("write \(path)", spec.id, error) }
  }

  private static func cannot(_ action: String, _ id: String, _ error: Int32) -> Failure {
    Failure(
      error == ENOSPC ? .space : .start, code: "workload.start",
      message: "\(id) cannot be started: could not \(action): \(sentence(ofErrno: error))",
      remedy: error == ENOSPC ? "free some space on that file system" : "")
  }
}
