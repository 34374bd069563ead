import Glibc
import WherryOCI
import WherryRecipe

/// The files of an image definition, layer by layer: a layer ends before each entry that brings files, so that what
/// changes often and stands last is all that devices fetch again.
struct ImageContent {
  private static let entriesMaximum = 1_000_000
  private static let depthMaximum = 64

  /// Of the definition.
  let directory: String
  /// Into an empty image the directories above a target are put as well; into another they may be there already, with
  /// modes of their own.
  let hasBase: Bool
  let architecture: String

  func layers(of entries: [ImageDefinition.Entry]) throws -> [[LayerEntry]] {
    var layers: [Layer] = []
    var current = Layer()
    var known: Set<String> = []
    var hasFiles = false
    for entry in entries {
      if case .path = entry.source {
        if hasFiles {
          layers.append(current)
          current = Layer()
        }
        hasFiles = true
      }
      try add(entry, to: &current, known: &known)
    }
    if !current.entries.isEmpty { layers.append(current) }
    for layer in layers { try layer.refuseFilesInFiles() }
    return layers.map(\.entries).filter { !$0.isEmpty }
  }

  /// What one layer is to hold, each path once.
  private struct Layer {
    var entries: [LayerEntry] = []
    private var places: [String: Int] = [:]

    /// Of two entries with one path the later one counts; a directory stays as it was said.
    mutating func put(_ entry: LayerEntry, isExplicit: Bool = true) {
      guard let place = places[entry.path] else {
        places[entry.path] = entries.count
        entries.append(entry)
        return
      }
      if entry.content == .directory, entries[place].content == .directory, !isExplicit { return }
      entries[place] = entry
    }

    /// A directory that something else is put into; what has its path already stays.
    mutating func putParent(_ path: String) {
      if places[path] == nil { put(LayerEntry(path: path, content: .directory, mode: 0o755)) }
    }

    func refuseFilesInFiles() throws {
      for entry in entries {
        var path = entry.path[...]
        while let slash = path.lastIndex(of: "/") {
          path = path[..<slash]
          guard let place = places[String(path)], entries[place].content != .directory else { continue }
          throw ClientError.failed("Files put /\(entry.path) into /\(path), which they make no directory; mend a To")
        }
      }
    }
  }

  private func add(_ entry: ImageDefinition.Entry, to layer: inout Layer, known: inout Set<String>) throws {
    let target = entry.target.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    if !hasBase { addParents(of: target, to: &layer, known: &known) }
    func made(_ content: LayerEntry.Content, _ mode: UInt32) -> LayerEntry {
      LayerEntry(path: target, content: content, mode: entry.mode ?? mode, user: entry.user, group: entry.group)
    }
    switch entry.source {
    case .directory:
      known.insert(target)
      layer.put(made(.directory, 0o755))
    case .text(let text): layer.put(made(.text(text), 0o644))
    case .link(let destination): layer.put(made(.link(destination), 0o777))
    case .path(let path):
      let source = path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
      let place = source.components(replacing: "{architecture}", by: architecture)
      try walk(Walk(entry: entry, source: place, target: target), depth: 0, into: &layer, known: &known)
    }
  }

  private func addParents(of target: String, to layer: inout Layer, known: inout Set<String>) {
    var path = ""
    for part in target.split(separator: "/").dropLast() {
      path += (path.isEmpty ? "" : "/") + part
      if known.insert(path).inserted { layer.putParent(path) }
    }
  }

  // MARK: - Directories

  private struct Walk {
    let entry: ImageDefinition.Entry
    /// Below the definition's directory.
    let source: String
    let target: String
    /// Below what From names.
    var relative = ""

    func child(_ name: String) -> Walk {
      func join(_ path: String) -> String { path.isEmpty ? name : path + "/" + name }
      return Walk(entry: entry, source: join(source), target: join(target), relative: join(relative))
    }

    var isExcluded: Bool {
      entry.excluded.contains { pattern in
        let name = relative.split(separator: "/").last.map(String.init) ?? ""
        return pattern.contains("/") ? fnmatch(pattern, relative, FNM_PATHNAME) == 0 : fnmatch(pattern, name, 0) == 0
      }
    }
  }

  private func walk(_ walk: Walk, depth: Int, into layer: inout Layer, known: inout Set<String>) throws {
    let path = walk.source.isEmpty ? directory : "\(directory)/\(walk.source)"
    var status = stat()
    guard lstat(path, &status) == 0 else { throw ClientError.failed("\(path) cannot be read: \(Self.reason())") }
    guard layer.entries.count < Self.entriesMaximum, depth <= Self.depthMaximum else {
      throw ClientError.failed(
        "\(path): more than \(Self.entriesMaximum) files or \(Self.depthMaximum) directories deep; Exclude some")
    }
    let entry = walk.entry
    func made(_ content: LayerEntry.Content, _ mode: UInt32) -> LayerEntry {
      LayerEntry(path: walk.target, content: content, mode: mode, user: entry.user, group: entry.group)
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      guard !walk.target.isEmpty else {
        throw ClientError.failed("\(path) is a file; name its place in the image with To")
      }
      let mode: UInt32 = status.st_mode & S_IXUSR != 0 ? 0o755 : 0o644
      layer.put(made(.file(path: path, size: Int64(status.st_size)), entry.mode ?? mode))
    case S_IFLNK: layer.put(made(.link(try Self.destination(of: path)), 0o777))
    case S_IFDIR:
      let isTop = walk.relative.isEmpty
      if !walk.target.isEmpty, !isTop || entry.isExplicit || (!hasBase && !known.contains(walk.target)) {
        known.insert(walk.target)
        // Who may read a directory's names may enter it.
        layer.put(
          made(.directory, entry.mode.map { $0 | ($0 & 0o444) >> 2 } ?? 0o755), isExplicit: entry.isExplicit)
      }
      for name in try Self.names(in: path) {
        let child = walk.child(name)
        if !child.isExcluded { try self.walk(child, depth: depth + 1, into: &layer, known: &known) }
      }
    default:
      throw ClientError.failed("\(path) is neither a file nor a directory nor a symbolic link; Exclude it")
    }
  }

  private static func reason() -> String { String(cString: strerror(errno)) }

  private static func destination(of path: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: 4_096)
    let count = readlink(path, &buffer, buffer.count)
    let bytes = buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
    guard !bytes.isEmpty, count < buffer.count, let text = String(validating: bytes, as: UTF8.self) else {
      throw ClientError.failed("the symbolic link \(path) cannot be read, or leads to what is no UTF-8; Exclude it")
    }
    return text
  }

  /// Sorted by their bytes, so that the layer is the same whatever the file system's order is.
  private static func names(in path: String) throws -> [String] {
    guard let stream = opendir(path) else { throw ClientError.failed("\(path) cannot be read: \(reason())") }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
      }
      guard let name else { throw ClientError.failed("\(path) holds a name that is no UTF-8; rename or move it") }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

extension String {
  fileprivate func components(replacing word: String, by other: String) -> String {
    var result = ""
    var rest = self[...]
    while let range = rest.firstRange(of: word) {
      result += rest[..<range.lowerBound] + other
      rest = rest[range.upperBound...]
    }
    return result + rest
  }
}
