import WherryModel

/// What is known of the machine when a bundle's program is built.
struct BundleContext: Sendable {
  /// Absolute.
  var root: String
  /// v1 files to write "0" to.
  var cgroupFiles: [String] = []
  /// v1: name of the hierarchy and the container's directory in it, for mounts of the type cgroup.
  var legacyCgroups: [(name: String, directory: String)] = []
  var hasConsoleSocket = false
  var hasAppArmor = false
  var hasSELinux = false
  /// Devices of the bundle that the host has, under the same path.
  var hostDevices: Set<String> = []
  var seccompFilter: [UInt8]?
}

/// Builds the program of a bundle's container.
struct BundleProgram {
  let bundle: Bundle
  let process: BundleProcess?
  let context: BundleContext
  var program = LaunchProgram()

  static func build(_ bundle: Bundle, _ context: BundleContext) throws(Failure) -> LaunchProgram {
    var builder = BundleProgram(bundle, bundle.process, context)
    try builder.addNamespaces()
    try builder.addRoot()
    try builder.addPrivileges(isInit: true)
    return builder.program
  }

  /// For one more process in a running container, whose namespaces slot 0 leads to.
  static func build(
    _ process: BundleProcess, in bundle: Bundle, entering namespaces: Int64, _ context: BundleContext
  ) throws(Failure) -> LaunchProgram {
    var builder = BundleProgram(bundle, process, context)
    let slot = builder.program.newSlot()
    for file in context.cgroupFiles { builder.program.add("join the cgroup \(file)", .joinCgroup(file: file)) }
    if let score = process.memoryKillerScore {
      builder.program.add(
        "set the memory killer's score", .writeFile(path: "/proc/self/oom_score_adj", text: "\(score)", mayFail: false))
    }
    if namespaces != 0 {
      builder.program.add("enter the container's namespaces", .enter(slot: slot, namespaces: namespaces))
    }
    builder.program.add("be born in the container", .beBornInside)
    try builder.addPrivileges(isInit: false)
    return builder.program
  }

  private init(_ bundle: Bundle, _ process: BundleProcess?, _ context: BundleContext) {
    self.bundle = bundle
    self.process = process
    self.context = context
  }

  static func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(.rejected, code: "bundle.unsupported", message: message, remedy: remedy)
  }

  // MARK: - Namespaces

  static let flags: [Bundle.Namespace.Kind: Int64] = [
    .pid: Namespace.pid, .network: Namespace.network, .mount: Namespace.mount, .ipc: Namespace.ipc,
    .uts: Namespace.hostName, .user: Namespace.user, .cgroup: Namespace.cgroup, .time: Namespace.time,
  ]

  static func flags(of namespaces: some Sequence<Bundle.Namespace>) -> Int64 {
    namespaces.reduce(0) { $0 | (flags[$1.kind] ?? 0) }
  }

  func namespace(_ kind: Bundle.Namespace.Kind) -> Bundle.Namespace? {
    bundle.linux.namespaces.first { $0.kind == kind }
  }
  func isNew(_ kind: Bundle.Namespace.Kind) -> Bool { namespace(kind).map { $0.path == nil } ?? false }

  private mutating func addNamespaces() throws(Failure) {
    for file in context.cgroupFiles { program.add("join the cgroup \(file)", .joinCgroup(file: file)) }
    program.add("meet the runtime", .meetParent(.born))
    if namespace(.user) != nil {
      // Its user outside is not mapped; the first inside is whoever the mapping says.
      program.add("become root of the user namespace", .user(0, group: 0, groups: []))
    }
    // Those of users, pids and times are entered before the birth.
    let order: [Bundle.Namespace.Kind] = [.ipc, .uts, .network, .cgroup, .mount]
    for kind in order {
      guard let path = namespace(kind)?.path, let flag = Self.flags[kind] else { continue }
      let slot = program.newSlot()
      program.add("open the namespace \(path)", .open(path: path, slot: slot))
      program.add("enter the \(kind.rawValue) namespace \(path)", .enter(slot: slot, namespaces: flag))
    }
    if isNew(.cgroup) { program.add("make a cgroup namespace", .unshare(namespaces: Namespace.cgroup)) }
    if isNew(.network) { program.add("bring the loopback up", .loopbackUp) }
    try addNames()
    for (key, value) in bundle.linux.sysctl.sorted(by: { $0.key < $1.key }) {
      program.add("set \(key)", .writeFile(path: try sysctlPath(key), text: value, mayFail: false))
    }
    if let name = bundle.linux.personality {
      guard let number: Int64 = ["LINUX": 0, "LINUX32": 8][name] else {
        throw Self.refusal("the personality \(name) is not known", "use LINUX or LINUX32")
      }
      program.add("set the personality", .personality(number))
    }
    program.add("meet the runtime", .meetParent(.furnished))
  }

  private mutating func addNames() throws(Failure) {
    for (name, what) in [(bundle.hostName, "hostname"), (bundle.domainName, "domainname")] {
      guard let name, !name.isEmpty else { continue }
      guard namespace(.uts) != nil else {
        throw Self.refusal("\(what) is set without a uts namespace", "add the namespace, or it would be the host's")
      }
      program.add("set the \(what)", what == "hostname" ? .hostName(name) : .domainName(name))
    }
  }

  /// Only what belongs to a namespace of the container; anything else is the whole machine's.
  private func sysctlPath(_ key: String) throws(Failure) -> String {
    let dotted = key.contains("/") ? String(key.map { $0 == "/" ? "." : $0 }) : key
    let kind: Bundle.Namespace.Kind? =
      switch KernelSetting.owner(dotted) {
      case .network: .network
      case .ipc: .ipc
      case nil: ["kernel.domainname", "kernel.hostname"].contains(dotted) ? .uts : nil
      }
    guard let kind, namespace(kind) != nil else {
      throw Self.refusal(
        "the sysctl \(key) belongs to no namespace of this container", "leave it out, or set it on the host")
    }
    return "/proc/sys/" + (key.contains("/") ? key : String(key.map { $0 == "." ? "/" : $0 }))
  }

  // MARK: - The process

  private mutating func addPrivileges(isInit: Bool) throws(Failure) {
    guard let process else {
      program.add("wait for the start", .awaitStart)
      return
    }
    if !isInit, process.hasTerminal, context.hasConsoleSocket {
      addTerminal(process, hasConsole: false)
    }
    if let profile = process.appArmorProfile, !profile.isEmpty {
      guard context.hasAppArmor else {
        throw Self.refusal("the profile \(profile) needs AppArmor, which this host has not", "leave it out")
      }
      program.add(AppArmor.step(profile))
    }
    if let label = process.selinuxLabel, !label.isEmpty, context.hasSELinux {
      throw Self.refusal("the SELinux label \(label) cannot be set", "leave it out: SELinux is not supported")
    }
    for limit in process.limits { try addLimit(limit) }
    try addPriorities(process)
    if let umask = process.umask { program.add("set the umask", .umask(Int64(umask))) }
    program.add("open its own /dev/null", .reopenNull)
    // Before anything that the bundle names is entered: /proc/self/fd would lead to what is open here, which lies
    // outside of the root (CVE-2024-21626).
    program.add("close what is open", .closeSlots(waits: isInit))
    // Without no_new_privs only who may administer the system can load a filter, so it comes while this one may.
    let filter = try context.seccompFilter.map { (filter) throws(Failure) -> LaunchOperation in
      LaunchOperation.seccomp(filter: filter, flags: try bundle.linux.seccomp?.flagBits ?? 0)
    }
    if let filter, !process.forbidsNewPrivileges { program.add("load the seccomp filter", filter) }
    let sets = Self.sets(process.capabilities ?? [:])
    program.add("drop capabilities from the bounding set", .boundingSet(sets.bounding))
    program.add("become the user", .user(process.user, group: process.group, groups: process.groups))
    program.add("set capabilities", .capabilitySets(sets))
    if isInit { program.add("wait for the start", .awaitStart) }
    guard !process.arguments.isEmpty else { return }
    program.add("change to the working directory", .changeDirectory(process.workingDirectory))
    if process.forbidsNewPrivileges {
      program.add("forbid new privileges", .noNewPrivileges)
      if let filter { program.add("load the seccomp filter", filter) }
    }
    program.addExecution(process.arguments, environment: process.environment)
  }

  mutating func addTerminal(_ process: BundleProcess, hasConsole: Bool) {
    program.add(
      "make the terminal",
      .terminal(rows: process.rows, columns: process.columns, hasConsole: hasConsole, user: process.user))
  }

  /// What no kernel knows cannot be granted, and is passed over (config.md, "Linux Process").
  private static func sets(_ named: [String: [String]]) -> CapabilitySets {
    func mask(_ key: String) -> UInt64 {
      Capability.mask(Set((named[key] ?? []).compactMap(Capability.normalized))) ?? 0
    }
    return CapabilitySets(
      bounding: mask("bounding"), permitted: mask("permitted"), effective: mask("effective"),
      inheritable: mask("inheritable"), ambient: mask("ambient"))
  }

  private mutating func addLimit(_ limit: BundleProcess.Limit) throws(Failure) {
    let name = limit.type.hasPrefix("RLIMIT_") ? String(limit.type.dropFirst(7)) : ""
    guard name.allSatisfy(\.isUppercase), let number = ProcessLimit.numbers[name.lowercased()] else {
      throw Self.refusal("the limit \(limit.type) is not known", "see getrlimit(2) for their names")
    }
    program.add(
      "limit \(limit.type)",
      .exactLimit(number: number, soft: Int64(bitPattern: limit.soft), hard: Int64(bitPattern: limit.hard)))
  }
}
