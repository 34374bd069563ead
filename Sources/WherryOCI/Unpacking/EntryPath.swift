import WherryModel

/// Where an archive's entry wants to be, taken apart and found harmless by itself: relative, no `..`. The bytes are
/// kept as they are; file names need not be UTF-8.
struct EntryPath: Hashable {
  /// NUL-terminated, for system calls; empty when the entry is right below the root.
  let parent: [CChar]
  /// NUL-terminated; empty for the root itself.
  let name: [CChar]
  let depth: Int

  /// A file system takes no longer names and the kernel no longer paths; the depth is beyond any real tree.
  private static let nameBytesMaximum = 255
  private static let pathBytesMaximum = 4_000
  static let depthMaximum = 255

  enum Refusal: Error, Hashable {
    case absolute, climbs, tooLong, tooDeep

    var reason: String {
      switch self {
      case .absolute: "an absolute name"
      case .climbs: "a name with \"..\""
      case .tooLong: "a name that is too long"
      case .tooDeep: "more than \(EntryPath.depthMaximum) directories in its name"
      }
    }
  }

  init(_ text: UnsafePointer<CChar>) throws(Refusal) {
    try self.init(bytes: UnsafeBufferPointer(start: text, count: Self.length(text)))
  }

  private static func length(_ text: UnsafePointer<CChar>) -> Int {
    var count = 0
    while count <= pathBytesMaximum, text[count] != 0 { count += 1 }
    return count
  }

  /// One pass and one array for each half: an image has tens of thousands of entries.
  init(bytes: UnsafeBufferPointer<CChar>) throws(Refusal) {
    let slash = CChar(0x2f)
    let dot = CChar(0x2e)
    guard bytes.count <= Self.pathBytesMaximum else { throw .tooLong }
    guard bytes.first != slash else { throw .absolute }
    var whole: [CChar] = []
    whole.reserveCapacity(bytes.count + 1)
    var depth = 0
    var nameStart = 0
    var start = 0
    while start < bytes.count {
      var end = start
      while end < bytes.count, bytes[end] != slash { end += 1 }
      let part = bytes[start..<end]
      start = end + 1
      if part.isEmpty || (part.count == 1 && part.first == dot) { continue }
      guard part.count != 2 || part.first != dot || part.last != dot else { throw .climbs }
      guard part.count <= Self.nameBytesMaximum else { throw .tooLong }
      if depth > 0 { whole.append(slash) }
      nameStart = whole.count
      whole.append(contentsOf: part)
      depth += 1
    }
    guard depth <= Self.depthMaximum else { throw .tooDeep }
    self.depth = depth
    name = depth == 0 ? [] : Self.terminated(whole[nameStart...])
    parent = nameStart == 0 ? [] : Self.terminated(whole[..<(nameStart - 1)])
  }

  private static func terminated(_ part: ArraySlice<CChar>) -> [CChar] {
    var text: [CChar] = []
    text.reserveCapacity(part.count + 1)
    text.append(contentsOf: part)
    text.append(0)
    return text
  }

  /// The same place with another last part.
  private init(parent: [CChar], name: [CChar], depth: Int) {
    self.parent = parent
    self.name = name
    self.depth = depth
  }

  var isRoot: Bool { name.isEmpty }

  /// The directory that this lies in.
  var container: EntryPath {
    guard let end = parent.lastIndex(of: 0x2f) else {
      return EntryPath(parent: [], name: parent, depth: max(0, depth - 1))
    }
    return EntryPath(
      parent: Array(parent[..<end]) + [0], name: Array(parent[parent.index(after: end)...]), depth: depth - 1)
  }

  func renamed(_ name: [CChar]) -> EntryPath { EntryPath(parent: parent, name: name, depth: depth) }

  /// For people.
  var text: String {
    let whole = parent.isEmpty ? name : parent.dropLast() + [0x2f] + name
    return String(decoding: whole.prefix { $0 != 0 }.prefix(200).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
