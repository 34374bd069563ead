import Glibc

/// The checkout as text, read once.
struct SourceTree {
  struct File {
    /// Relative to the checkout.
    let path: String
    let lines: [Substring]
    /// `Sources/<target>/…`
    var target: String {
      let parts = path.split(separator: "/", maxSplits: 2)
      return parts.count > 1 && parts[0] == "Sources" ? String(parts[1]) : ""
    }
  }

  let files: [File]

  /// The checkout that this file was compiled from.
  static let root: String = {
    var parts = #filePath.split(separator: "/").map(String.init)
    parts.removeLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  init(under folders: [String], endings: [String]) {
    var files: [File] = []
    for folder in folders { Self.collect(folder, endings: endings, into: &files) }
    self.files = files.sorted { $0.path < $1.path }
  }

  private static func collect(_ path: String, endings: [String], into files: inout [File]) {
    guard let directory = opendir(root + "/" + path) else {
      if endings.contains(where: path.hasSuffix), let text = read(path) {
        files.append(File(path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
      }
      return
    }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard !name.hasPrefix(".") else { continue }
      collect(path + "/" + name, endings: endings, into: &files)
    }
  }

  static func read(_ path: String) -> String? {
    guard let file = fopen(root + "/" + path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func exists(_ path: String) -> Bool { access(root + "/" + path, F_OK) == 0 }
}
