struct OverlayLayers: Hashable, Sendable {
  var lower: [String]
  var upper: String
  var work: String
}

extension LaunchProgram {
  /// Everything of the host that the container sees is opened before the pivot and attached after it: when targets are
  /// looked up, the only root there is is the container's own, so no link in the image leads out of it.
  mutating func addContainerRoot(
    _ spec: WorkloadSpec, _ context: LaunchContext, layers: OverlayLayers, readOnly: Bool
  ) {
    add("make mounts private", .propagation(.privateTree))
    var attachments: [(slot: Int, mount: WorkloadMount)] = []
    for mount in spec.mounts + context.files {
      let slot = newSlot()
      if let userSlot, !context.files.contains(mount) {
        add(
          "open \(mount.source)", .mappedTree(path: mount.source, slot: slot, users: userSlot, isExact: mount.isExact))
      } else {
        add("open \(mount.source)", .openTree(path: mount.source, slot: slot, isExact: mount.isExact))
      }
      attachments.append((slot, mount))
    }
    addMappedDirectories(spec.root)
    let owner = context.users.map { ["uid=\($0.first)", "gid=\($0.first)"] } ?? []
    if readOnly {
      add(
        "mount a scratch directory",
        mountNew("tmpfs", context.mountPoint, [.noSetuid], options: ["mode=0700", "size=4m"] + owner))
    }
    if let users = context.users { add("make files as its root", .fileUser(users.first)) }
    if readOnly {
      addScratch(context.mountPoint)
      let scratch = OverlayLayers(
        lower: layers.lower, upper: context.mountPoint + "/upper", work: context.mountPoint + "/work")
      addOverlay(scratch, at: context.mountPoint + "/root")
      for path in ["/tmp", "/run", "/var/tmp"] {
        let options = ["mode=\(path == "/run" ? "0755" : "1777")", "size=64m"] + owner
        let operation = mountNew("tmpfs", path, [.noSetuid, .noDevices], onlyIfThere: true, options: options)
        add("mount \(path)", operation)
      }
    } else {
      addOverlay(layers, at: context.mountPoint)
    }
    // What goes below /dev comes after /dev.
    for (slot, mount) in attachments where !mount.target.hasPrefix("/dev/") { addAttachment(slot, mount) }
    addDevices(context.devices, owner: owner, users: context.users)
    for (slot, mount) in attachments where mount.target.hasPrefix("/dev/") { addAttachment(slot, mount) }
    add("mount /sys", mountNew("sysfs", "/sys", [.readOnly, .noSetuid, .noDevices, .noExecution]))
    if context.cgroupFiles.isEmpty, context.unifiedCgroup != nil {
      let operation = mountNew("cgroup2", "/sys/fs/cgroup", [.readOnly, .noSetuid, .noDevices, .noExecution])
      add("mount /sys/fs/cgroup", operation)
    }
    if spec.workingDirectory != "/" {
      // As other runtimes do: an image may name one that no layer has.
      add("make the working directory", .directory(path: spec.workingDirectory, mode: 0o755))
    }
    addKernelFiles(spec, context)
    // An image brings no device nodes and no set-uid programs that work.
    var attributes: MountAttributes = [.noDevices]
    if !spec.isPrivileged { attributes.insert(.noSetuid) }
    if readOnly { attributes.insert(.readOnly) }
    add("protect the root", .setAttributes(path: "/", attributes, recursively: false))
  }

  /// A read-only root still needs an upper directory, for the mount points that the image does not have. In memory it
  /// costs a fifth of the time, no write to the disk, and is gone with the container.
  private mutating func addScratch(_ place: String) {
    for name in ["upper", "work", "root"] {
      add("make the scratch directory \(name)", .directory(path: "\(place)/\(name)", mode: 0o755))
    }
  }

  /// What lies on the disk with the numbers of its users as they are inside: the layers, and what is written over them.
  static func mappedDirectories(_ root: WorkloadRoot) -> [String] {
    guard case .overlay(let lower, let upper, _, let readOnly) = root else { return [] }
    // The directories that hold them: one mount for all layers of a store, and one for the upper and the work
    // directory, which an overlay wants on the same mount.
    let parents = (lower + (readOnly ? [] : [upper])).compactMap { path in
      path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) }
    }
    return Set(parents).sorted()
  }

  /// All are opened before any is mounted: what is mapped already cannot be mapped once more. What is mounted below
  /// them stays, since where the overlay goes may be there.
  private mutating func addMappedDirectories(_ root: WorkloadRoot) {
    guard let userSlot else { return }
    let directories = Self.mappedDirectories(root).map { (path: $0, slot: newSlot()) }
    for (path, slot) in directories {
      let operation = LaunchOperation.mappedTree(path: path, slot: slot, users: userSlot, isFlat: true, isMust: true)
      add("map the users of \(path)", operation)
    }
    for (path, slot) in directories { add("mount \(path) over itself", .attach(slot: slot, target: path, [])) }
  }

  private mutating func addOverlay(_ layers: OverlayLayers, at mountPoint: String) {
    // Named by descriptor: a mount's options must fit one page, and paths may hold colons and commas.
    var lower: [String] = []
    for path in layers.lower { lower.append(slotPath(opening: path)) }
    let options = [
      "lowerdir=" + lower.joined(separator: ":"), "upperdir=" + slotPath(opening: layers.upper),
      "workdir=" + slotPath(opening: layers.work),
    ]
    add("mount the overlay root", .overlay(mountPoint: mountPoint, options: options.joined(separator: ",")))
    add("make the overlay the root", .pivotRoot(mountPoint))
  }

  private mutating func slotPath(opening path: String) -> String {
    let slot = newSlot()
    add("open \(path)", .open(path: path, slot: slot))
    return Self.slotPath(slot)
  }

  /// What every container has in /dev (runtime-spec, config-linux.md, "Default Devices"): character devices, links to
  /// the standard streams, and one to the maker of terminals.
  static let standardDevices: [(name: String, major: Int64, minor: Int64)] = [
    ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
  ]
  static let streamLinks = [
    ("/proc/self/fd", "/dev/fd"), ("/proc/self/fd/0", "/dev/stdin"), ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
  ]
  static let terminalLink = ("pts/ptmx", "/dev/ptmx")

  private mutating func addDevices(_ devices: [DeviceNode], owner: [String], users: ContainerUsers?) {
    let options = ["mode=0755", "size=64k"] + owner
    add("mount /dev", mountNew("tmpfs", "/dev", [.noSetuid, .noExecution], options: options))
    let terminals = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=\(users?.onHost(5) ?? 5)"]
    add("mount /dev/pts", mountNew("devpts", "/dev/pts", [.noSetuid, .noExecution], options: terminals))
    let harmless: MountAttributes = [.noSetuid, .noDevices, .noExecution]
    add("mount /dev/shm", mountNew("tmpfs", "/dev/shm", harmless, options: ["mode=1777", "size=64m"] + owner))
    add("mount /dev/mqueue", mountNew("mqueue", "/dev/mqueue", harmless))
    for (name, major, minor) in Self.standardDevices {
      let mode = NodeMode.character | 0o666
      add("make /dev/\(name)", .node(path: "/dev/\(name)", mode: mode, major: major, minor: minor, group: 0))
    }
    for device in devices {
      // The host's group by its number inside, so that an image's `video` is the host's.
      let group = users.flatMap { users in
        device.group < Int64(ContainerUsers.count) ? Int64(users.onHost(UInt32(device.group))) : nil
      }
      let operation = LaunchOperation.node(
        path: device.path, mode: device.mode, major: device.major, minor: device.minor, group: group ?? device.group,
        user: users.map { Int64($0.first) } ?? 0)
      add("make \(device.path)", operation)
    }
    for (text, path) in Self.streamLinks + [Self.terminalLink] { add("make \(path)", .symlink(to: text, path: path)) }
  }
}
