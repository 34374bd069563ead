import Glibc

/// What an archive's entries may be, by what the archive is for.
struct UnpackRules {
  /// Owner, group, set-id bits and extended attributes; needs to be root.
  let keepsOwners: Bool
  /// `.wh.` names and device nodes mean something.
  let isLayer: Bool

  /// A container's root is the tree itself: links in it may name anything, since nobody follows them from outside.
  static func layer(isPrivileged: Bool) -> UnpackRules { UnpackRules(keepsOwners: isPrivileged, isLayer: true) }

  /// An artifact's files are used by processes that see the host's root, so no link in it may lead out.
  static let artifact = UnpackRules(keepsOwners: false, isLayer: false)

  var modeMask: mode_t { keepsOwners ? 0o7777 : 0o777 }

  /// Device nodes that every container has anyway: null, zero, full, random, urandom, tty, console, ptmx.
  private static let devices: Set<[UInt32]> = [[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2]]

  static func isHarmlessDevice(_ type: mode_t, major: UInt32, minor: UInt32) -> Bool {
    type == S_IFCHR && devices.contains([major, minor])
  }

  /// File capabilities and users' own attributes are content. Others are the host's business.
  static func keepsAttribute(_ name: String) -> Bool { name == "security.capability" || name.hasPrefix("user.") }

  /// With these a layer could make overlayfs look elsewhere than where the layer stands.
  static func isOverlayAttribute(_ name: String) -> Bool {
    name.hasPrefix("trusted.overlay.") || name.hasPrefix("user.overlay.")
  }

  /// Whether a link with this text, made `depth` directories below the root, stays inside whatever other links do:
  /// it climbs first, no higher than the root, and then only descends.
  static func staysInside(_ target: [CChar], depth: Int) -> Bool {
    guard target.first != 0x2f, !target.isEmpty else { return false }
    var climbs = 0
    var descends = false
    for part in target.split(separator: 0x2f) where !part.elementsEqual([0x2e]) {
      if part.elementsEqual([0x2e, 0x2e]) {
        climbs += 1
        if descends || climbs > depth { return false }
      } else {
        descends = true
      }
    }
    return true
  }
}
