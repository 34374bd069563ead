/// The options of a mount as mount(8) and the runtime specification have them (config.md, "Linux mount options"),
/// sorted by what the kernel takes them as.
struct MountOptions: Hashable, Sendable {
  var attributes: MountAttributes = []
  var cleared: MountAttributes = []
  /// MS_… flags; nil = nothing was said.
  var propagation: Int64?
  var isBind = false
  /// Also what is mounted below the source.
  var isRecursiveBind = false
  /// Attributes hold all the way down.
  var isRecursive = false
  /// Begins with what is in the directory that it is mounted over.
  var isCopiedUp = false
  /// For the file system itself: `size=64m`, `sync`.
  var data: [String] = []

  static let recursive: Int64 = 0x4000
  private static let propagations: [String: Int64] = [
    "private": 1 << 18, "rprivate": 1 << 18 | recursive, "slave": 1 << 19, "rslave": 1 << 19 | recursive,
    "shared": 1 << 20, "rshared": 1 << 20 | recursive, "unbindable": 1 << 17, "runbindable": 1 << 17 | recursive,
  ]
  private static let set: [String: MountAttributes] = [
    "ro": .readOnly, "nosuid": .noSetuid, "nodev": .noDevices, "noexec": .noExecution, "noatime": .noAccessTimes,
    "strictatime": .strictAccessTimes, "relatime": [], "nodiratime": .noDirectoryAccessTimes,
    "nosymfollow": .noSymbolicLinks,
  ]
  private static let clear: [String: MountAttributes] = [
    "rw": .readOnly, "suid": .noSetuid, "dev": .noDevices, "exec": .noExecution,
    "diratime": .noDirectoryAccessTimes, "symfollow": .noSymbolicLinks, "atime": .accessTimesMask,
    "norelatime": [], "nostrictatime": [],
  ]
  /// Mean nothing to the kernel, or are said to it in another way here.
  private static let ignored: Set<String> = [
    "defaults", "remount", "nouser", "user", "auto", "noauto", "",
  ]

  init(_ options: [String]) {
    for option in options {
      if let flags = Self.propagations[option] {
        propagation = flags
      } else if option == "bind" || option == "rbind" {
        isBind = true
        isRecursiveBind = option == "rbind"
      } else if option == "tmpcopyup" {
        isCopiedUp = true
      } else if !Self.ignored.contains(option), !take(option) {
        if option.hasPrefix("r"), take(String(option.dropFirst())) { isRecursive = true } else { data.append(option) }
      }
    }
  }

  private mutating func take(_ option: String) -> Bool {
    if let attribute = Self.set[option] {
      cleared.subtract(attribute)
      attributes.formUnion(attribute)
      // Access times are one field: whoever sets it clears what was there.
      if ["noatime", "strictatime", "relatime"].contains(option) {
        attributes.subtract(MountAttributes.accessTimesMask.subtracting(attribute))
        cleared.formUnion(.accessTimesMask)
      }
      return true
    }
    guard let attribute = Self.clear[option] else { return false }
    attributes.subtract(attribute)
    cleared.formUnion(attribute)
    return true
  }

  /// Flags of the root's `rootfsPropagation`; nil = no such word.
  static func propagation(named name: String) -> Int64? { propagations[name] }
}
