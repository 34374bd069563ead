import WherryModel

/// What both kinds of component have in common.
extension LaunchProgram {
  /// Which paths under /proc and /sys say more about the machine than a workload needs to know, or change it: Docker's
  /// list, with the thermal and interrupt files that side channels read.
  static let maskedPaths = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing",
  ]
  static let readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

  static func build(_ spec: WorkloadSpec, _ context: LaunchContext) -> LaunchProgram {
    var program = LaunchProgram()
    program.addSettings(spec, context)
    program.addMembership(spec, context)
    switch spec.root {
    case .host(let writable, let hidden): program.addHostRoot(spec, context, writable: writable, hidden: hidden)
    case .overlay(let lower, let upper, let work, let readOnly):
      program.addContainerRoot(
        spec, context, layers: OverlayLayers(lower: lower, upper: upper, work: work), readOnly: readOnly)
    }
    program.addPrivileges(spec, context, userSlot: program.userSlot)
    program.addExecution(spec.arguments, environment: spec.environment)
    return program
  }

  /// For one more process in a running workload, before the steps of `probeEntry`: the shim joins the pid namespace,
  /// because that counts for children only.
  static func probeSettings(pid: Int32, cgroup: String?) -> [Step] {
    var program = LaunchProgram()
    program.add("clone", .clone(namespaces: 0))
    program.add("join the pid namespace", .target(pid: pid))
    if let cgroup { program.add("be born in the cgroup", .cloneInto(cgroup: cgroup)) }
    return program.steps
  }

  static func probeEntry(_ spec: WorkloadSpec, _ context: LaunchContext) -> [Step] {
    var program = LaunchProgram()
    for file in context.cgroupFiles { program.add("join the cgroup \(file)", .joinCgroup(file: file)) }
    var namespaces = Namespace.mount | Namespace.network | Namespace.ipc | Namespace.hostName | Namespace.cgroup
    if spec.clocks != nil { namespaces |= Namespace.time }
    program.add("enter the workload's namespaces", .enter(slot: 0, namespaces: namespaces))
    return program.steps
  }

  /// After the entry and, should it have one, the making of its terminal.
  static func probePrivileges(_ spec: WorkloadSpec, _ context: LaunchContext) -> [Step] {
    var program = LaunchProgram()
    program.addPrivileges(spec, context, userSlot: context.users == nil ? nil : 0)
    return program.steps
  }

  private mutating func addSettings(_ spec: WorkloadSpec, _ context: LaunchContext) {
    var namespaces = Namespace.mount | Namespace.pid | Namespace.ipc | Namespace.hostName
    if spec.network == .none { namespaces |= Namespace.network }
    add("clone", .clone(namespaces: namespaces))
    if let cgroup = context.unifiedCgroup { add("be born in the cgroup", .cloneInto(cgroup: cgroup)) }
    if let file = context.memoryEvents { add("watch the memory", .watchMemory(file: file)) }
    if let file = context.processesFile { add("list the processes", .listProcesses(file: file)) }
    if let clocks = spec.clocks { add("set its clocks", .clocks(clocks)) }
    if let path = context.inputPath { add("open its input", .input(path: path)) }
    add("write the log", .log(path: spec.logPath, bytesMaximum: spec.logBytesMaximum))
  }

  private mutating func addMembership(_ spec: WorkloadSpec, _ context: LaunchContext) {
    // The agent may be protected from the memory killer; what it starts is not.
    add("set the memory killer's score", .writeFile(path: "/proc/self/oom_score_adj", text: "0", mayFail: true))
    for file in context.cgroupFiles { add("join the cgroup \(file)", .joinCgroup(file: file)) }
    if spec.resources.pids == nil, let pids = spec.pidsWanted {
      // Not among the limits of the cgroup's making, of which each is a must.
      for file in context.pidsFiles {
        add("limit the processes in \(file)", .writeFile(path: file, text: "\(pids)", mayFail: true))
      }
    }
    if let users = context.users {
      let slot = newSlot()
      add("open the user namespace", .open(path: users.namespacePath, slot: slot))
      userSlot = slot
    }
    // Not at the clone: a cgroup namespace is rooted where its maker is, and that would be the shim's cgroup.
    add("make a cgroup namespace", .unshare(namespaces: Namespace.cgroup))
    if let path = context.networkNamespace {
      let slot = newSlot()
      add("open the network namespace", .open(path: path, slot: slot))
      add("enter the network namespace", .enter(slot: slot, namespaces: Namespace.network))
    }
    if spec.network == .none { add("bring the loopback up", .loopbackUp) }
    if !spec.hostName.isEmpty { add("set the host name", .hostName(spec.hostName)) }
    add("limit core files", .limit(.coreBytes, soft: 0, hard: 0))
    add("limit open files", .limit(.openFiles, soft: 1024, hard: 1 << 19))
    for (name, limit) in spec.limits.sorted(by: { $0.key < $1.key }) {
      // RLIM_INFINITY is all ones.
      let (soft, hard) = (Int64(bitPattern: limit.soft ?? .max), Int64(bitPattern: limit.hard ?? .max))
      add(
        "limit \(name) to \(limit.description)",
        .exactLimit(number: ProcessLimit.numbers[name] ?? 0, soft: soft, hard: hard))
    }
  }

  mutating func addKernelFiles(_ spec: WorkloadSpec, _ context: LaunchContext) {
    add("mount /proc", mountNew("proc", "/proc", [.noSetuid, .noDevices, .noExecution]))
    if spec.network != .host {
      // Inside its own network namespace any user may serve port 80, as under Docker.
      let path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
      add("open the low ports", .writeFile(path: path, text: "0", mayFail: true))
    }
    for (name, text) in spec.sysctls.sorted(by: { $0.key < $1.key }) {
      add("set \(name)", .writeFile(path: KernelSetting.path(name), text: text, mayFail: false))
    }
    guard !spec.isPrivileged else { return }
    for path in Self.maskedPaths + context.thermalPaths { add("mask \(path)", .mask(path: path, slot: nil)) }
    for path in Self.readOnlyPaths { add("make \(path) read-only", .readOnly(path: path)) }
  }

  mutating func addAttachment(_ slot: Int, _ mount: WorkloadMount) {
    let attributes: MountAttributes = mount.readOnly ? [.readOnly, .noSetuid, .noDevices] : [.noSetuid, .noDevices]
    add("mount \(mount.source) on \(mount.target)", .attach(slot: slot, target: mount.target, attributes))
  }

  func mountNew(
    _ type: String, _ target: String, _ attributes: MountAttributes, onlyIfThere: Bool = false, options: [String] = []
  ) -> LaunchOperation {
    .mount(type: type, target: target, attributes, onlyIfThere: onlyIfThere, options: options)
  }

  private mutating func addPrivileges(_ spec: WorkloadSpec, _ context: LaunchContext, userSlot: Int?) {
    let kept = spec.isPrivileged ? UInt64.max : Capability.mask(spec.capabilities) ?? 0
    add("open its own /dev/null", .reopenNull)
    if let users = context.users, let userSlot {
      // While they are still the host's root's to give.
      let (user, group) = (users.onHost(context.user.user), users.onHost(context.user.group))
      add("give it its output", .ownStreams(user: user, group: group))
      // The last of the namespaces, so that it owns none of the others. By itself: with others at once setns(2) would
      // ask for rights over them that are gone by then.
      add("enter its user namespace", .enter(slot: userSlot, namespaces: Namespace.user))
    }
    if case .host(let writable, _) = spec.root, !spec.isPrivileged {
      let mounts = spec.mounts.filter { !$0.readOnly }.map(\.target)
      // While it is root: the directories on the way need not be its user's. /proc has a process's own settings.
      add("forbid writing elsewhere", .landlock(writable: Self.processScratch + ["/dev", "/proc"] + writable + mounts))
    }
    add("drop capabilities from the bounding set", .boundingSet(kept))
    add("become the user", .user(context.user.user, group: context.user.group, groups: context.user.groups))
    if context.user.user == 0 {
      add("set capabilities", .capabilities(effective: kept, ambient: 0))
    } else {
      // As under Docker another user than root has none, but those that a recipe adds it does mean.
      let added = Capability.mask(spec.capabilities.subtracting(Capability.containerDefault)) ?? 0
      add("set capabilities", .capabilities(effective: added, ambient: added))
    }
    // Before anything that a recipe or an image names is entered: /proc/self/fd would lead to what is open here, which
    // lies outside of the root (CVE-2024-21626).
    add("close what is open", .closeSlots())
    // As the user, so that root's rights do not reach into a directory that the user may not enter.
    add("change to the working directory", .changeDirectory(spec.workingDirectory))
    guard !spec.isPrivileged else { return }
    if let profile = context.appArmorProfile { add(AppArmor.step(profile)) }
    add("forbid new privileges", .noNewPrivileges)
    if let filter = context.seccompFilter { add("load the seccomp filter", .seccomp(filter: filter)) }
  }

  /// Where a program of that name may be.
  static func candidates(_ name: String, _ environment: [String]) -> [String] {
    guard !name.contains("/") else { return [name] }
    let path = environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) }
    let directories = (path ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").split(separator: ":")
    return directories.map { "\($0)/\(name)" }
  }

  mutating func addExecution(_ arguments: [String], environment: [String]) {
    let name = arguments.first ?? ""
    let candidates = Self.candidates(name, environment)
    add("execute \(name)", .execute(candidates: candidates, arguments: arguments, environment: environment))
  }
}
