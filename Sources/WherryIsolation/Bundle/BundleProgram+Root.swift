import WherryModel

/// What the container sees of files: its root, what is mounted there, and its devices.
extension BundleProgram {
  private var ownsMounts: Bool { namespace(.mount) != nil }

  mutating func addRoot() throws(Failure) {
    let slave = MountOptions.propagation(named: "rslave") ?? 0
    let isSlave = ["slave", "rslave"].contains(bundle.linux.rootPropagation ?? "")
    var final: Int64?
    if let word = bundle.linux.rootPropagation, !word.isEmpty {
      final = MountOptions.propagation(named: word)
      guard final != nil else {
        throw Self.refusal("rootfsPropagation \(word) is not known", "use shared, slave, private or unbindable")
      }
    }
    // While mounts are the host's peers still: what a bind is to learn of the host's later mounts is decided by where
    // it was taken from.
    let attachments = try openSources()
    if isNew(.mount) {
      program.add(
        "keep mounts from the host",
        isSlave ? .treePropagation(path: "/", flags: slave) : .propagation(.privateTree))
    }
    if ownsMounts { program.add("make the root a mount", .rootMount(context.root)) }
    if ownsMounts {
      program.add("make it the root", .pivotRoot(context.root))
    } else {
      program.add("make it the root", .changeRoot(context.root))
    }
    for (index, mount) in bundle.mounts.enumerated() { try addMount(mount, index, attachments) }
    try addDevices(attachments)
    if let process, process.hasTerminal, context.hasConsoleSocket {
      addTerminal(process, hasConsole: true)
    }
    if let directory = process?.workingDirectory, directory != "/" {
      program.add("make the working directory", .directory(path: directory, mode: 0o755))
    }
    for path in bundle.linux.readOnlyPaths { program.add("make \(path) read-only", .readOnly(path: path)) }
    for path in bundle.linux.maskedPaths { program.add("mask \(path)", .mask(path: path, slot: nil)) }
    if bundle.root?.isReadOnly == true, ownsMounts {
      program.add("make the root read-only", .setAttributes(path: "/", .readOnly, recursively: false))
    }
    if let final {
      // The root's alone: each mount has its own.
      program.add(
        "set the root's propagation", .treePropagation(path: "/", flags: final & ~MountOptions.recursive))
    }
  }

  /// What a bind is that says nothing of it.
  private var usualPropagation: Int64 {
    switch bundle.linux.rootPropagation ?? "" {
    case "shared", "rshared": 0
    case "slave", "rslave": MountOptions.propagation(named: "rslave") ?? 0
    default: Propagation.privateTree.rawValue
    }
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
      try check(mount, options)
      guard mount.isBind else {
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
    if namespace(.user) != nil { attachments.devices = try openDevices() }
    return attachments
  }

  /// In a user namespace no device nodes can be made; the host's are attached.
  private mutating func openDevices() throws(Failure) -> [String: Int] {
    var slots: [String: Int] = [:]
    let own = bundle.linux.devices.filter { $0.type != "p" }.map(\.path)
    for path in own where !context.hostDevices.contains(path) {
      throw Self.refusal(
        "the device \(path) cannot be made in a user namespace, and the host has no such device under that path",
        "name one that it has, or bind it")
    }
    for path in LaunchProgram.standardDevices.map({ "/dev/\($0.name)" }) + own where slots[path] == nil {
      slots[path] = program.newSlot()
      program.add("open \(path)", .openTree(path: path, slot: slots[path] ?? 0))
    }
    return slots
  }

  /// What would otherwise be passed over without a word.
  private func check(_ mount: Bundle.Mount, _ options: MountOptions) throws(Failure) {
    // These change nothing in a file system that is there already, nor does what it takes when it is made (`mode=755`):
    // mount(2), "MS_BIND".
    let usual: Set<String> = ["async", "loud", "noiversion", "nolazytime", "nomand", "silent"]
    let refused = options.data.first { word in
      ["idmap", "ridmap"].contains(word) || mount.isBind && !usual.contains(word) && !word.contains("=")
    }
    if let word = refused {
      throw Self.refusal(
        "the option \(word) of the mount on \(mount.destination) is not supported"
          + (mount.isBind ? " for what is bound" : ""), "leave it out")
    }
    if options.isCopiedUp, mount.isBind || mount.type != "tmpfs" {
      throw Self.refusal(
        "the option tmpcopyup of the mount on \(mount.destination) is for tmpfs alone", "leave it out")
    }
  }

  private mutating func addMount(
    _ mount: Bundle.Mount, _ index: Int, _ attachments: Attachments
  ) throws(Failure) {
    let options = MountOptions(mount.options)
    let words = "mount \(mount.source ?? mount.type ?? "") on \(mount.destination)"
    guard let slot = attachments.mounts[index] else {
      if mount.type == "cgroup" { addLegacyCgroups(mount, options, attachments) }
      return
    }
    if options.isCopiedUp {
      let keepsMode = options.data.contains { $0.hasPrefix("mode=") }
      program.add(
        "copy what is in \(mount.destination)",
        .copyUp(slot: slot, target: mount.destination, keepsMode: keepsMode))
    }
    let propagation = options.propagation ?? (mount.isBind ? usualPropagation : 0)
    let change = MountChange(
      cleared: mount.isBind ? options.cleared : [], propagation: propagation, isFlat: !options.isRecursive)
    // What is copied up can be written until then.
    let attributes = mount.isBind || options.isCopiedUp ? options.attributes : []
    program.add(words, .attach(slot: slot, target: mount.destination, attributes, change: change))
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
    let attributes = options.isCopiedUp ? options.attributes.subtracting(.readOnly) : options.attributes
    program.add(
      "make a \(type) for \(mount.destination)",
      .newTree(type: type, slot: slot, attributes, options: data))
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
          slot: slot, target: "\(mount.destination)/\(name)", options.attributes,
          change: MountChange(propagation: Propagation.privateTree.rawValue, isFlat: true)))
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
    var links: [(String, String)] = []
    if !isForeign {
      for device in LaunchProgram.standardDevices where !own.contains("/dev/\(device.name)") {
        let path = "/dev/\(device.name)"
        if let slot = attachments.devices[path] {
          attachDevice(path, slot)
        } else {
          let mode = NodeMode.character | 0o666
          program.add(
            "make \(path)", .node(path: path, mode: mode, major: device.major, minor: device.minor, group: 0))
        }
      }
      links = LaunchProgram.streamLinks
      if bundle.mounts.contains(where: { $0.destination == "/dev/pts" }) { links.append(LaunchProgram.terminalLink) }
      for (text, path) in links { program.add("make \(path)", .symlink(to: text, path: path)) }
    }
    // Who hands on all devices of the host names the maker of terminals too; the container has one of its own.
    for device in bundle.linux.devices where !links.contains(where: { $0.1 == device.path }) {
      if let slot = attachments.devices[device.path] {
        attachDevice(device.path, slot)
        continue
      }
      let types: [String: Int64] = ["c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000]
      program.add(
        "make \(device.path)",
        .node(
          path: device.path, mode: (types[device.type] ?? 0) | device.mode & 0o7777, major: device.major,
          minor: device.minor, group: Int64(device.group), user: Int64(device.user)))
    }
  }

  private mutating func attachDevice(_ path: String, _ slot: Int) {
    let change = MountChange(propagation: Propagation.privateTree.rawValue)
    program.add("attach \(path)", .attach(slot: slot, target: path, [], change: change))
  }
}

extension Bundle.Mount {
  fileprivate var isBind: Bool { type == "bind" || MountOptions(options).isBind }
}
