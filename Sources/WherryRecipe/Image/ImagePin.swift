import WherryModel

/// Puts an image's digest behind its reference in a recipe's own text: what was built with a version is what the
/// version means for ever. The rest of the text stays as its author wrote it.
package enum ImagePin {
  /// nil when no `Image:` has the reference behind it on the same line.
  package static func pin(_ reference: String, to pinned: String, in text: String) -> String? {
    let bytes = Array(text.utf8)
    let word = Array(reference.utf8)
    var result: [UInt8] = []
    var found = false
    var index = 0
    while index < bytes.count {
      if bytes[index...].starts(with: word), isEnd(bytes, index + word.count), followsKey(bytes, index) {
        result += Array(pinned.utf8)
        index += word.count
        found = true
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return found ? String(decoding: result, as: UTF8.self) : nil
  }

  /// Not in the middle of a longer reference.
  private static func isEnd(_ bytes: [UInt8], _ index: Int) -> Bool {
    guard index < bytes.count else { return true }
    return " \t\r\n\"',}".utf8.contains(bytes[index])
  }

  /// `Image: `, `"image":"` and the like lie before it.
  private static func followsKey(_ bytes: [UInt8], _ index: Int) -> Bool {
    var rest = bytes[..<index]
    func drop(_ set: String) { while let last = rest.last, set.utf8.contains(last) { rest.removeLast() } }
    drop("\"'")
    drop(" \t")
    guard rest.popLast() == UInt8(ascii: ":") else { return false }
    drop(" \t")
    drop("\"'")
    let key = rest.suffix(5).map { $0 | 0x20 }
    guard key.elementsEqual("image".utf8) else { return false }
    rest.removeLast(5)
    return rest.last.map { " \t\r\n\"'{,-".utf8.contains($0) } ?? true
  }
}
