extension LaunchProgram {
  /// Directories that each has for itself.
  static let processScratch = ["/tmp", "/var/tmp"]

  /// The host's own root, read-only all the way down. What stays writable is copied (as mounts) before and attached
  /// again after.
  mutating func addHostRoot(_ spec: WorkloadSpec, _ context: LaunchContext, writable: [String], hidden: [String]) {
    if spec.isPrivileged {
      // What the host unmounts is not held by it.
      add("take mounts from the host only", .propagation(.slaveTree))
    } else {
      // A mount that came in later from the host would come in writable: what is made read-only below is what is there
      // now. The price is that a disk which the host unmounts stays in use for as long as the component runs.
      add("make mounts private", .propagation(.privateTree))
    }
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
    for path in Self.processScratch {
      let operation = mountNew("tmpfs", path, harmless, onlyIfThere: true, options: ["mode=1777", "size=256m"])
      add("mount its own \(path)", operation)
    }
    let shared = mountNew("tmpfs", "/dev/shm", harmless, onlyIfThere: true, options: ["mode=1777", "size=64m"])
    add("mount its own /dev/shm", shared)
    add("mount its own /dev/mqueue", mountNew("mqueue", "/dev/mqueue", harmless, onlyIfThere: true))
    let masks = hidden.map { (path: $0, slot: newSlot()) }
    for (path, slot) in masks { add("hide \(path)", .mask(path: path, slot: slot)) }
    for (slot, mount) in attachments { addAttachment(slot, mount) }
    // Only now: what is attached below a hidden directory needed its mount point made there.
    for (path, slot) in masks { add("seal \(path)", .seal(slot: slot)) }
    addKernelFiles(spec, context)
  }
}
