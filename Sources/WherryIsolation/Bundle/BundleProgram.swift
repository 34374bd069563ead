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
  var seccompFilter: [UInt8]?
}

/// Builds the program of a bundle's container.
struct BundleProgram {
  private let bundle: Bundle
  private let process: BundleProcess?
  private let context: BundleContext
  private var program = LaunchProgram()

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

  private func namespace(_ kind: Bundle.Namespace.Kind) -> Bundle.Namespace? {
    bundle.linux.namespaces.first { $0.kind == kind }
  }
  private func isNew(_ kind: Bundle.Namespace.Kind) -> Bool { namespace(kind).map { $0.path == nil } ?? false }

  private mutating func addNamespaces() throws(Failure) {
    for file in context.cgroupFiles { program.add("join the cgroup \(file)", .joinCgroup(file: file)) }
    program.add("meet the runtime", .meetParent(.born))
    if isNew(.user) {
      // Its user outside is not mapped; the first inside is whoever the mapping says.
      program.add("become root of the user namespace", .user(0, group: 0, groups: []))
    }
    // The user namespace first: it says what may be done to the others. Those of pids and times are the parent's part.
    let order: [Bundle.Namespace.Kind] = [.user, .ipc, .uts, .network, .cgroup, .mount]
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
    let ipc = [
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
      "kernel.shmmni", "kernel.shm_rmid_forced",
    ]
    let kind: Bundle.Namespace.Kind? =
      if dotted.hasPrefix("net.") { .network } else if dotted.hasPrefix("fs.mqueue.") || ipc.contains(dotted) {
        .ipc
      } else if ["kernel.domainname", "kernel.hostname"].contains(dotted) { .uts } else { nil }
    guard let kind, namespace(kind) != nil, !dotted.split(separator: ".", omittingEmptySubsequences: false).contains("")
    else {
      throw Self.refusal(
        "the sysctl \(key) belongs to no namespace of this container", "leave it out, or set it on the host")
    }
    return "/proc/sys/" + (key.contains("/") ? key : String(key.map { $0 == "." ? "/" : $0 }))
  }

  // MARK: - The root

  private var ownsMounts: Bool { namespace(.mount) != nil }

  private mutating func addRoot() throws(Failure) {
    let slave = MountOptions.propagation(named: "rslave") ?? 0
    let isSlave = ["slave", "rslave"].contains(bundle.linux.rootPropagation ?? "")
    var final: Int64?
    if let word = bundle.linux.rootPropagation, !word.isEmpty {
      final = MountOptions.propagation(named: word)
      guard final != nil else {
        throw Self.refusal("rootfsPropagation \(word) is not known", "use shared, slave, private or unbindable")
      }
    }
    if isNew(.mount) {
      program.add(
        "keep mounts from the host",
        isSlave ? .treePropagation(path: "/", flags: slave) : .propagation(.privateTree))
    }
    if ownsMounts { program.add("make the root a mount", .rootMount(context.root)) }
    let attachments = try openSources()
    if ownsMounts {
      program.add("make it the root", .pivotRoot(context.root))
    } else {
      program.add("make it the root", .changeRoot(context.root))
    }
    for (index, mount) in bundle.mounts.enumerated() { addMount(mount, index, attachments) }
    try addDevices(attachments)
    if let process, process.hasTerminal, context.hasConsoleSocket {
      program.add("make the terminal", .terminal(rows: process.rows, columns: process.columns, hasConsole: true))
    }
    if let directory = process?.workingDirectory, directory != "/" {
      program.add("make the working directory", .directory(path: directory, mode: 0o755))
    }
    for path in bundle.linux.readOnlyPaths { program.add("make \(path) read-only", .readOnly(path: path)) }
    for path in bundle.linux.maskedPaths { program.add("mask \(path)", .mask(path: path, slot: nil)) }
    if bundle.root?.isReadOnly == true, ownsMounts {
      program.add("make the root read-only", .setAttributes(path: "/", .readOnly, recursively: false))
    }
    if let final { program.add("set the root's propagation", .treePropagation(path: "/", flags: final)) }
  }

  /// What the container gets of the host is opened while the host's root is still there.
  private struct Attachments {
    /// By the place in the bundle's list.
    var mounts: [Int: Int] = [:]
    var cgroups: [(name: String, slot: Int)] = []
    var devices: [String: Int] = [:]
  }

  private mutating func openSources() throws(Failure) -> Attachments {
    var attachments = Attachments()
    for (index, mount) in bundle.mounts.enumerated() {
      let options = MountOptions(mount.options)
      if mount.type == "cgroup", !options.isBind, !context.legacyCgroups.isEmpty {
        for (name, directory) in context.legacyCgroups {
          let slot = program.newSlot()
          program.add("open the cgroup \(directory)", .openTree(path: directory, slot: slot))
          attachments.cgroups.append((name, slot))
        }
        continue
      }
      guard options.isBind || mount.type == "bind" else {
        attachments.mounts[index] = try makeTree(mount, options)
        continue
      }
      guard let source = mount.source, !source.isEmpty else {
        throw Self.refusal("the mount on \(mount.destination) has no source", "name what is to be bound there")
      }
      let slot = program.newSlot()
      program.add(
        "open \(source)", .openTree(path: source, slot: slot, alone: options.isBind && !options.isRecursiveBind))
      attachments.mounts[index] = slot
    }
    if namespace(.user) != nil {
      // No device nodes can be made there; the host's are attached.
      for device in LaunchProgram.standardDevices {
        let slot = program.newSlot()
        program.add("open /dev/\(device.name)", .openTree(path: "/dev/\(device.name)", slot: slot))
        attachments.devices["/dev/\(device.name)"] = slot
      }
    }
    return attachments
  }

  private mutating func addMount(_ mount: Bundle.Mount, _ index: Int, _ attachments: Attachments) {
    let options = MountOptions(mount.options)
    let words = "mount \(mount.source ?? mount.type ?? "") on \(mount.destination)"
    if let slot = attachments.mounts[index] {
      let isBind = options.isBind || mount.type == "bind"
      let change = MountChange(
        cleared: isBind ? options.cleared : [], propagation: options.propagation & ~0x4000,
        isFlat: !options.isRecursive)
      program.add(
        words, .attach(slot: slot, target: mount.destination, isBind ? options.attributes : [], change: change))
      return
    }
    if mount.type == "cgroup" { addLegacyCgroups(mount, options, attachments) }
  }

  /// A file system of its own. It is made before the root is changed, for two reasons: in a user namespace the kernel
  /// makes a procfs or sysfs only while one is to be seen (mount_namespaces(7)), and mounts are listed in the order in
  /// which they were made, which is to be the bundle's.
  private mutating func makeTree(_ mount: Bundle.Mount, _ options: MountOptions) throws(Failure) -> Int {
    let type = mount.type == "cgroup" ? "cgroup2" : mount.type ?? "none"
    guard type != "none" else {
      throw Self.refusal("the mount on \(mount.destination) has no type", "name one, or the option bind")
    }
    let slot = program.newSlot()
    let data = (mount.source.map { $0.isEmpty ? [] : ["source=\($0)"] } ?? []) + options.data
    program.add(
      "make a \(type) for \(mount.destination)",
      .newTree(type: type, slot: slot, options.attributes, options: data))
    return slot
  }

  /// As hosts have it: a tmpfs with a directory for each hierarchy, which shows the container's own part.
  private mutating func addLegacyCgroups(
    _ mount: Bundle.Mount, _ options: MountOptions, _ attachments: Attachments
  ) {
    program.add(
      "mount a directory for cgroups on \(mount.destination)",
      .mount(
        type: "tmpfs", target: mount.destination, options.attributes.subtracting(.readOnly), onlyIfThere: false,
        options: ["mode=0755", "size=64k"], followsLinks: true))
    for (name, slot) in attachments.cgroups {
      program.add(
        "mount the cgroup \(name)",
        .attach(
          slot: slot, target: "\(mount.destination)/\(name)", options.attributes, change: MountChange(isFlat: true)))
    }
    if options.attributes.contains(.readOnly) {
      program.add(
        "make \(mount.destination) read-only",
        .setAttributes(path: mount.destination, .readOnly, recursively: false))
    }
  }

  /// Those of the specification (config-linux.md, "Default Devices"), and the bundle's.
  private mutating func addDevices(_ attachments: Attachments) throws(Failure) {
    let own = Set(bundle.linux.devices.map(\.path))
    // What is bound over the whole of /dev is the host's, and nothing is made in it.
    let isForeign = bundle.mounts.contains { $0.destination == "/dev" && MountOptions($0.options).isBind }
    if !isForeign {
      for device in LaunchProgram.standardDevices where !own.contains("/dev/\(device.name)") {
        let path = "/dev/\(device.name)"
        if let slot = attachments.devices[path] {
          program.add("attach \(path)", .attach(slot: slot, target: path, []))
        } else {
          let mode = NodeMode.character | 0o666
          program.add(
            "make \(path)", .node(path: path, mode: mode, major: device.major, minor: device.minor, group: 0))
        }
      }
      var links = LaunchProgram.streamLinks
      if bundle.mounts.contains(where: { $0.destination == "/dev/pts" }) { links.append(LaunchProgram.terminalLink) }
      for (text, path) in links { program.add("make \(path)", .symlink(to: text, path: path)) }
    }
    for device in bundle.linux.devices {
      let types: [String: Int64] = ["c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000]
      program.add(
        "make \(device.path)",
        .node(
          path: device.path, mode: (types[device.type] ?? 0) | device.mode & 0o7777, major: device.major,
          minor: device.minor, group: Int64(device.group), user: Int64(device.user)))
    }
  }

  // MARK: - The process

  private mutating func addPrivileges(isInit: Bool) throws(Failure) {
    guard let process else {
      program.add("wait for the start", .awaitStart)
      return
    }
    if !isInit, process.hasTerminal, context.hasConsoleSocket {
      program.add("make the terminal", .terminal(rows: process.rows, columns: process.columns, hasConsole: false))
    }
    if let profile = process.appArmorProfile, !profile.isEmpty {
      guard context.hasAppArmor else {
        throw Self.refusal("the profile \(profile) needs AppArmor, which this host has not", "leave it out")
      }
      program.add(
        "choose the AppArmor profile \(profile)",
        .writeFile(path: "/proc/self/attr/apparmor/exec", text: "exec \(profile)", mayFail: false))
    }
    if let label = process.selinuxLabel, !label.isEmpty, context.hasSELinux {
      throw Self.refusal("the SELinux label \(label) cannot be set", "leave it out: SELinux is not supported")
    }
    for limit in process.limits { try addLimit(limit) }
    if let umask = process.umask { program.add("set the umask", .umask(Int64(umask))) }
    program.add("open its own /dev/null", .reopenNull)
    // Before anything that the bundle names is entered: /proc/self/fd would lead to what is open here, which lies
    // outside of the root (CVE-2024-21626).
    program.add("close what is open", .closeSlots(waits: isInit))
    // Without no_new_privs only who may administer the system can load a filter, so it comes while this one may.
    let filter = context.seccompFilter
    if let filter, !process.forbidsNewPrivileges { program.add("load the seccomp filter", .seccomp(filter: filter)) }
    let sets = Self.sets(process.capabilities ?? [:])
    program.add("drop capabilities from the bounding set", .boundingSet(sets.bounding))
    program.add("become the user", .user(process.user, group: process.group, groups: process.groups))
    program.add("set capabilities", .capabilitySets(sets))
    if isInit { program.add("wait for the start", .awaitStart) }
    guard !process.arguments.isEmpty else { return }
    program.add("change to the working directory", .changeDirectory(process.workingDirectory))
    if process.forbidsNewPrivileges {
      program.add("forbid new privileges", .noNewPrivileges)
      if let filter { program.add("load the seccomp filter", .seccomp(filter: filter)) }
    }
    program.addExecution(process.arguments, environment: process.environment)
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

  /// The numbers are equal on the architectures that Swift runs on (asm-generic/resource.h).
  static let limitNumbers: [String: Int64] = [
    "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
  ]

  private mutating func addLimit(_ limit: BundleProcess.Limit) throws(Failure) {
    guard let number = Self.limitNumbers[limit.type] else {
      throw Self.refusal("the limit \(limit.type) is not known", "see getrlimit(2) for their names")
    }
    program.add(
      "limit \(limit.type)",
      .exactLimit(number: number, soft: Int64(bitPattern: limit.soft), hard: Int64(bitPattern: limit.hard)))
  }
}
