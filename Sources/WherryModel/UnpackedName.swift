/// The name of the directory that an artifact with `Unarchive` is unpacked to.
package enum UnpackedName {
  /// `model.tar.gz` → `model`; Greengrass unpacks to the name without its ending. Of a strange file name it may be `.`
  /// or `..`, which `isUsable` refuses.
  package static func of(_ fileName: String) -> String {
    for ending in [".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz"] where fileName.lowercased().hasSuffix(ending) {
      let stem = String(fileName.dropLast(ending.count))
      return stem.isEmpty ? fileName : stem
    }
    guard let dot = fileName.lastIndex(of: "."), dot != fileName.startIndex else { return fileName }
    return String(fileName[..<dot])
  }

  /// What is being unpacked has this after its name until it is whole.
  package static let partialEnding = ".partial"

  /// A directory of this name can be made, and so can its partial one.
  package static func isUsable(_ name: String) -> Bool {
    !["", ".", ".."].contains(name) && name.utf8.count + partialEnding.utf8.count <= 255
      && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
  }
}
