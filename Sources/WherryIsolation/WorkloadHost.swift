import CIsolation
import Glibc
import WherryModel

/// Starts, adopts and removes workloads: everything of one agent in the kernel.
package final class WorkloadHost {
  package let configuration: HostConfiguration
  let layout: CgroupLayout
  private var filters: SeccompFilter
  var openNetwork: AgentNetwork?
  let userNamespaces = UserNamespaces()
  package let pressure = PressureWatch()
  /// Why a container was given the host's users although it should have had its own.
  private(set) var userNamespaceObstacle: String?
  /// Nil = this host has no AppArmor, or nobody asked yet.
  private var hasOwnAppArmorProfile: Bool?
  /// Shims that this process spawned and has not reaped.
  var shims: [String: ShimProcess] = [:]
  /// Shims that nobody asks for any more, and those of probes.
  let reaper = ProcessReaper()
  /// To every workload that was started or adopted and not let go of.
  var links: [String: WatchedLink] = [:]
  /// What was let go of and is still on its way out (`+Release`).
  var leaving: [String: LeavingWorkload] = [:]

  struct WatchedLink {
    weak var link: WorkloadLink?
  }

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

  /// What workloads do not have of this host although they should, and why, a sentence each.
  package var concessions: [String] {
    [
      userNamespaceObstacle.map { "containers have the host's users: \($0)" },
      hasOwnAppArmorProfile == false ? "containers have no AppArmor profile: none is loaded" : nil,
      openNetwork?.ipv6Obstacle.map { "workloads have no IPv6: \($0)" },
    ].compactMap { $0 }
  }

  var workloadsDirectory: String { configuration.stateDirectory + "/workloads" }

  /// Where overlays are mounted, each in its own mount namespace, so one directory does for all. Removing one that was
  /// a mount point makes the kernel wait.
  private(set) var mountPoint: String

  func directory(of id: String) -> WorkloadDirectory { WorkloadDirectory(path: "\(workloadsDirectory)/\(id)") }

  var parentCgroup: String { "wherry/\(configuration.agentID)" }

  func cgroup(of id: String) -> Cgroup { Cgroup(layout: layout, path: "\(parentCgroup)/\(id)") }

  func network() throws(Failure) -> AgentNetwork {
    if let openNetwork { return openNetwork }
    guard let settings = configuration.network else {
      throw Failure(
        .start, code: "network.subnet", message: "this agent has no subnet for its bridge",
        remedy: "set subnet in agent.conf, for example 10.88.0.0/24")
    }
    let network = try AgentNetwork(
      agentID: configuration.agentID, stateDirectory: configuration.stateDirectory, settings)
    openNetwork = network
    return network
  }

  /// What a start waits for the end of what had the same id before. That is usually over at once, and who asks
  /// `isLeaving` first never waits.
  private static let startPatienceMilliseconds: Int64 = 100

  /// Returns as soon as the shim is spawned: `.started` or `.failedToStart` comes over the link.
  /// `identity` is stored beside the workload for `adopt()`. Let go of a workload before starting the same id again.
  /// `streams`: input, output and errors, -1 = none, in place of a log.
  package func start(
    _ spec: WorkloadSpec, identity: String, streams: [Int32]? = nil
  ) throws(Failure) -> WorkloadLink {
    try WorkloadCheck.check(spec)
    try refuseIfAlive(spec.id)
    if !isLeaving(spec.id) { letGo(spec.id) }
    settle([spec.id], withinMilliseconds: Self.startPatienceMilliseconds)
    guard !isLeaving(spec.id) else {
      throw Failure(
        .start, code: "workload.leaving",
        message: "\(spec.id) cannot be started: something that it had started before is still ending in the kernel",
        remedy: "see which of its processes hang (state D in `ps`), and what they wait for")
    }
    let directory = directory(of: spec.id)
    do throws(Failure) {
      return try startFresh(spec, identity: identity, in: directory, streams)
    } catch {
      letGo(spec.id)
      throw error
    }
  }

  private func refuseIfAlive(_ id: String) throws(Failure) {
    let remedy = "stop and release it before it is started again"
    switch directory(of: id).reach() {
    case .gone: return
    case .connected(let running):
      close(running)
      throw Failure(.start, code: "workload.running", message: "\(id) is running already", remedy: remedy)
    case .unreachable(let error):
      throw Failure(
        .start, code: "workload.running",
        message: "\(id) may be running already: its shim cannot be asked (\(sentence(ofErrno: error)))", remedy: remedy)
    }
  }

  private func startFresh(
    _ spec: WorkloadSpec, identity: String, in directory: WorkloadDirectory, _ streams: [Int32]?
  ) throws(Failure) -> WorkloadLink {
    try write(spec, directory.path, Files.makeDirectories(directory.path, mode: 0o700))
    try write(spec, directory.path, directory.prepare(identity: identity))
    let listener = wherry_listen(directory.path, "ctl.sock")
    guard listener >= 0 else { throw Self.cannot("listen on ctl.sock in \(directory.path)", spec.id, errno) }
    defer { close(listener) }
    let file = try programFile(spec.id)
    defer { close(file) }
    // It gets itself ready while everything else is made, and ends with nothing done when this end is closed.
    let (descriptor, shim) = try spawnShim(spec.id, directory.path, file, listener, streams)
    shims[spec.id] = shim
    let link = workloadLink(spec.id, descriptor: descriptor, directory)
    do throws(Failure) {
      try prepare(spec, in: directory, program: file)
      link.go()
      // Last: whatever moment the agent dies at, the next one knows whether there was a shim.
      try write(spec, directory.path, directory.markLaunched())
    } catch {
      link.kill()
      link.close()
      throw error
    }
    pressure.add(spec.id, cgroup(of: spec.id))
    return link
  }

  /// Makes what the workload is to be started in, and writes down for the shim how.
  private func prepare(_ spec: WorkloadSpec, in directory: WorkloadDirectory, program file: Int32) throws(Failure) {
    let cgroup = cgroup(of: spec.id)
    try cgroup.create(try WorkloadPreparation(spec: spec, directory: directory).resources())
    let context = try context(of: spec, cgroup: cgroup, in: directory)
    let (entry, privileges) = (LaunchProgram.probeEntry(spec, context), LaunchProgram.probePrivileges(spec, context))
    let probe = WorkloadDirectory.Probe(
      environment: spec.environment,
      entry: WorkloadDirectory.Probe.Steps(bytes: LaunchProgram.encode(entry), count: entry.count),
      privileges: WorkloadDirectory.Probe.Steps(bytes: LaunchProgram.encode(privileges), count: privileges.count),
      user: context.users?.onHost(context.user.user) ?? context.user.user)
    try write(spec, directory.path, directory.write(probe))
    if let slash = spec.logPath.lastIndex(of: "/") { Files.makeDirectories(String(spec.logPath[..<slash])) }
    try write(LaunchProgram.build(spec, context).bytes, to: file, spec.id)
  }

  /// Without a directory: one more process in a running workload, with nothing to write down.
  func spawn(
    _ id: String, _ program: [UInt8], directory: WorkloadDirectory? = nil, listener: Int32, keepsStreams: Bool = false
  ) throws(Failure) -> WorkloadLink {
    let file = try programFile(id)
    defer { close(file) }
    try write(program, to: file, id)
    let (descriptor, shim) = try spawnShim(id, directory?.path ?? (keepsStreams ? "=" : "-"), file, listener, nil)
    let link = WorkloadLink(
      id: id, descriptor: descriptor, directory: directory, cgroup: nil, shim: shim, reaper: reaper)
    link.go()
    return link
  }

  private func programFile(_ id: String) throws(Failure) -> Int32 {
    let file = wherry_memory_file("wherry-program")
    guard file >= 0 else { throw Self.cannot("make a memory file", id, errno) }
    return file
  }

  private func write(_ program: [UInt8], to file: Int32, _ id: String) throws(Failure) {
    let error = Files.write(program, to: file)
    guard error == 0 else { throw Self.cannot("write the launch program", id, error) }
  }

  private func spawnShim(
    _ id: String, _ place: String, _ program: Int32, _ listener: Int32, _ streams: [Int32]?
  ) throws(Failure) -> (link: Int32, shim: ShimProcess) {
    var pid: Int32 = 0
    let link =
      streams.map { wherry_spawn_shim(configuration.shimPath, place, program, listener, $0, &pid) }
      ?? wherry_spawn_shim(configuration.shimPath, place, program, listener, nil, &pid)
    guard link >= 0 else { throw Self.cannot("start \(configuration.shimPath)", id, errno) }
    return (link, ShimProcess(pid: pid))
  }

  /// Known to this host until the workload is let go of. `descriptor` -1 = its shim could not be reached.
  private func workloadLink(_ id: String, descriptor: Int32, _ directory: WorkloadDirectory) -> WorkloadLink {
    let link = WorkloadLink(
      id: id, descriptor: descriptor, directory: directory, cgroup: cgroup(of: id), shim: shims[id], reaper: reaper)
    links[id] = WatchedLink(link: link)
    return link
  }

  private func context(
    of spec: WorkloadSpec, cgroup: Cgroup, in directory: WorkloadDirectory
  ) throws(Failure) -> LaunchContext {
    let preparation = WorkloadPreparation(spec: spec, directory: directory)
    var context = LaunchContext(user: try preparation.user(), mountPoint: mountPoint)
    context.users = try users(of: spec, context.user, in: directory)
    context.thermalPaths = Self.thermalPaths
    context.unifiedCgroup = cgroup.unifiedDirectory
    context.cgroupFiles = layout.joinFiles(of: cgroup.path, for: spec.resources)
    context.processesFile = layout.directories(of: cgroup.path).first.map { $0 + "/cgroup.procs" }
    context.memoryEvents = layout.memoryEvents(of: cgroup.path)
    context.appArmorProfile = appArmorProfile(of: spec)
    if context.appArmorProfile != nil, !AppArmor.isThere {
      throw Failure(
        .start, code: "workload.appArmor",
        message: "\(spec.id) asks for an AppArmor profile, and this host has no AppArmor",
        remedy: "leave AppArmor out of the recipe, or boot a kernel with it")
    }
    if !spec.isPrivileged, spec.seccomp?.isUnconfined != true {
      let profile = SeccompProfile(
        capabilities: spec.capabilities, allowed: spec.seccomp?.allowed ?? [], denied: spec.seccomp?.denied ?? [])
      guard let filter = filters.filter(for: profile) else {
        throw Failure(
          .start, code: "workload.seccomp", message: "no seccomp filter can be compiled for \(spec.id)",
          remedy: "install libseccomp 2.5 or newer")
      }
      context.seccompFilter = filter
    }
    var lease: NetworkLease?
    if case .bridge(let attachment) = spec.network {
      var egress = attachment.egress
      if egress?.isEmpty == false { egress?.append(contentsOf: preparation.nameServers) }
      lease = try network().attach(
        workload: spec.id, ports: attachment.ports, names: attachment.names, egress: egress)
      context.networkNamespace = lease?.namespacePath
    }
    context.devices = try preparation.devices()
    if spec.hasInput {
      let path = directory.file(WorkloadDirectory.inputName)
      try write(spec, path, mkfifo(path, 0o600) == 0 || errno == EEXIST ? 0 : errno)
      context.inputPath = path
    }
    let neighbours = openNetwork?.allLeases ?? []
    let hosts = HostsFile.text(hostName: spec.hostName, own: lease, neighbours: neighbours)
    context.files = try preparation.files(hosts: hosts, owner: context.users?.first)
    if lease != nil { tellNeighbours(of: spec.id) }
    return context
  }

  /// Nil = none.
  private func appArmorProfile(of spec: WorkloadSpec) -> String? {
    if let profile = spec.appArmorProfile { return profile == AppArmor.unconfined ? nil : profile }
    guard case .overlay = spec.root, !spec.isPrivileged else { return nil }
    // Asked until it is there: whoever loads it may come later.
    if hasOwnAppArmorProfile != true, AppArmor.isThere {
      hasOwnAppArmorProfile = AppArmor.isLoaded(AppArmor.ownProfile)
    }
    return hasOwnAppArmorProfile == true ? AppArmor.ownProfile : nil
  }

  /// Who is on the bridge has changed. `id`: by that workload, which knows.
  func tellNeighbours(of id: String? = nil) {
    let leases = openNetwork?.allLeases ?? []
    for lease in leases where lease.workload != id {
      let text = HostsFile.text(hostName: lease.names.first ?? "", own: lease, neighbours: leases)
      HostsFile.rewrite(directory(of: lease.workload).file("hosts"), text)
    }
  }

  /// How often each processor was too hot, which tells what others compute.
  private static let thermalPaths = Files.names(in: "/sys/devices/system/cpu").filter { name in
    name.hasPrefix("cpu") && name.dropFirst(3).allSatisfy(\.isNumber)
  }.map { "/sys/devices/system/cpu/\($0)/thermal_throttle" }.filter(Files.exists).sorted()

  /// Nil = the host's.
  private func users(
    of spec: WorkloadSpec, _ user: ResolvedUser, in directory: WorkloadDirectory
  ) throws(Failure) -> ContainerUsers? {
    guard spec.users == .own, configuration.userNamespaces != .off else { return nil }
    let obstacle = userNamespaces.obstacle(LaunchProgram.mappedDirectories(spec.root))
    if configuration.userNamespaces == .auto { userNamespaceObstacle = obstacle }
    if let obstacle {
      guard configuration.userNamespaces == .require else { return nil }
      throw UserNamespaces.unavailable(spec.id, obstacle)
    }
    guard ([user.user, user.group] + user.groups).allSatisfy({ $0 < ContainerUsers.count }) else {
      throw Failure(
        .start, code: "workload.user",
        message: "\(spec.id) is to run as \(user.user):\(user.group), and a container has the users 0 to 65535",
        remedy: "name a smaller number, or set UserNamespace: host in the recipe")
    }
    let users = try userNamespaces.take(spec.id, agentID: configuration.agentID)
    try write(spec, directory.path, directory.write(usersFirst: users.first))
    return users
  }

  /// After an agent restart: everything that this agent ID has started and not released. What nobody keeps any more,
  /// and what an agent died over before there was a shim, is killed and removed on the way.
  package func adopt() -> [AdoptedWorkload] {
    resumeLeaving()
    var adopted: [AdoptedWorkload] = []
    for id in storedWorkloads {
      guard let workload = adopt(id) else {
        letGo(id)
        continue
      }
      if workload.link != nil { pressure.add(id, cgroup(of: id)) }
      adopted.append(workload)
    }
    let known = Set(adopted.map(\.id))
    for id in strayCgroups.sorted() where !known.contains(id) && !isLeaving(id) { letGo(id) }
    if Files.exists(configuration.stateDirectory + "/network") {
      (try? network())?.reconcile(alive: Set(adopted.filter { $0.link != nil }.map(\.id)))
      tellNeighbours()
    }
    return adopted
  }

  /// Nil = it was never launched.
  private func adopt(_ id: String) -> AdoptedWorkload? {
    let directory = directory(of: id)
    if let first = directory.usersFirst { userNamespaces.adopt(id, first: first) }
    func adopted(_ link: WorkloadLink?, exit: WorkloadExit? = nil, failure: WorkloadEvent? = nil) -> AdoptedWorkload {
      AdoptedWorkload(
        id: id, identity: directory.identity, startedAt: directory.startedAt, link: link, exit: exit, failure: failure)
    }
    switch directory.reach() {
    case .connected(let descriptor): return adopted(workloadLink(id, descriptor: descriptor, directory))
    // Alive as far as anybody knows; its link goes on trying.
    case .unreachable: return adopted(workloadLink(id, descriptor: -1, directory))
    case .gone: break
    }
    // Its shim may be gone and the rest not; the end, if any, was written before.
    cgroup(of: id).kill()
    switch directory.readEnd() {
    case .exited(let exit): return adopted(nil, exit: exit)
    case .some(let failure): return adopted(nil, failure: failure)
    case nil: return directory.isLaunched ? adopted(nil) : nil
    }
  }

  package func statistics(_ id: String) -> WorkloadStatistics? {
    let statistics = cgroup(of: id).statistics
    return statistics == WorkloadStatistics() ? nil : statistics
  }

  /// Holds everything in it still, or lets it go on. It stays as it is over restarts of the agent.
  package func setPaused(_ id: String, _ isPaused: Bool) throws(Failure) {
    let error = cgroup(of: id).setFrozen(isPaused)
    guard error != 0 else { return }
    throw Failure(
      .start, code: "workload.pause",
      message: error == ENOTSUP
        ? "this host cannot hold \(id) still: it has no cgroup v2"
        : "\(id) cannot be held still: \(sentence(ofErrno: error))",
      remedy: error == ENOTSUP ? "boot with cgroup v2, or stop the component" : "see whether it is running")
  }

  package func isPaused(_ id: String) -> Bool { cgroup(of: id).isFrozen }

  /// The address of a running workload on the bridge; nil without one.
  package func address(of id: String) -> String? { openNetwork?.lease(of: id)?.address }

  private func write(_ spec: WorkloadSpec, _ path: String, _ error: Int32) throws(Failure) {
    if error != 0 { throw Self.cannot("write \(path)", spec.id, error) }
  }

  static func cannot(_ action: String, _ id: String, _ error: Int32) -> Failure {
    Failure(
      error == ENOSPC ? .space : .start, code: "workload.start",
      message: "\(id) cannot be started: could not \(action): \(sentence(ofErrno: error))",
      remedy: error == ENOSPC ? "free some space on that file system" : "")
  }
}
