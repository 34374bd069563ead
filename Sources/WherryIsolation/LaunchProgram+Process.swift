extension LaunchProgram {
  /// The host's own root, read-only all the way down. What stays writable is copied (as mounts) before and attached
  /// again after.
  mutating func addHostRoot(_ spec: WorkloadSpec, writable: [String], hidden: [String]) {
    // A slave: a disk that the host unmounts must not be held by a component.
    add("take mounts from the host only", .propagation(.slaveTree))
    var attachments: [(slot: Int, mount: WorkloadMount)] = []
    let own = writable.map { WorkloadMount(source: $0, target: $0) }
    for mount in own + spec.mounts {
      let slot = newSlot()
      add("open \(mount.source)", .openTree(path: mount.source, slot: slot))
      attachments.append((slot, mount))
    }
    if !spec.isPrivileged {
      add("make the host read-only", .setAttributes(path: "/", [.readOnly], recursively: true))
    }
    let harmless: MountAttributes = [.noSetuid, .noDevices]
    for path in ["/tmp", "/var/tmp"] {
      let operation = mountNew("tmpfs", path, harmless, onlyIfThere: true, options: ["mode=1777", "size=256m"])
      add("mount its own \(path)", operation)
    }
    let shared = mountNew("tmpfs", "/dev/shm", harmless, onlyIfThere: true, options: ["mode=1777", "size=64m"])
    add("mount its own /dev/shm", shared)
    add("mount its own /dev/mqueue", mountNew("mqueue", "/dev/mqueue", harmless, onlyIfThere: true))
    for path in hidden { add("hide \(path)", .mask(path: path, sealedLater: true)) }
    for (slot, mount) in attachments {
      addAttachment(slot, mount)
    }
    // Only now: what is attached below a hidden directory needed its mount point made there.
    for path in hidden { add("seal \(path)", .setAttributes(path: path, [.readOnly], recursively: false)) }
    addKernelFiles(spec)
  }
}
