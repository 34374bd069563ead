/// What was probably meant by a word that is not known.
package enum Spelling {
  /// The known key that was probably meant: few letters away, whatever the case.
  package static func nearest(to key: String, among known: [String]) -> String? {
    guard key.utf8.count <= 64 else { return nil }
    let word = Array(key.lowercased().utf8)
    var best: (distance: Int, key: String)?
    for candidate in known {
      let distance = distance(word, Array(candidate.lowercased().utf8))
      if distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    guard let best, best.distance <= max(1, word.count / 3) else { return nil }
    return best.key
  }

  /// Edits between two words: insert, remove, replace, or swap of neighbours (optimal string alignment).
  static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var older: [Int] = []
    var previous = Array(0...right.count)
    for (row, letter) in left.enumerated() {
      var current = [row + 1]
      for (column, other) in right.enumerated() {
        var best = min(previous[column + 1] + 1, current[column] + 1, previous[column] + (letter == other ? 0 : 1))
        if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
          best = min(best, older[column - 1] + 1)
        }
        current.append(best)
      }
      older = previous
      previous = current
    }
    return previous[right.count]
  }
}
