import WherryCrypto
import WherryModel
import WherryTestSupport

/// Writes tar archives (POSIX ustar with GNU or PAX extensions where asked), the ones no honest program writes too.
struct TarBuilder {
  private(set) var bytes: [UInt8] = []

  struct Entry {
    var path: String
    var type: Character = "0"
    var content: [UInt8] = []
    var linkTarget = ""
    var mode = 0o644
    var user = 0
    var group = 0
    var modified = 1_700_000_000
    var device = (major: 0, minor: 0)
    /// What the header says; nil = the truth.
    var declaredSize: Int?
    /// PAX records that come before the entry.
    var pax: [(String, [UInt8])] = []
  }

  mutating func add(_ entry: Entry) {
    if !entry.pax.isEmpty { addExtended(entry.pax) }
    addHeader(entry)
    addPadded(entry.content)
  }

  mutating func file(_ path: String, _ text: String = "", mode: Int = 0o644) {
    add(Entry(path: path, content: Array(text.utf8), mode: mode))
  }

  mutating func directory(_ path: String, mode: Int = 0o755) { add(Entry(path: path, type: "5", mode: mode)) }

  mutating func symlink(_ path: String, to target: String) { add(Entry(path: path, type: "2", linkTarget: target)) }

  mutating func hardLink(_ path: String, to target: String) { add(Entry(path: path, type: "1", linkTarget: target)) }

  /// With the two zero blocks that end an archive.
  var archive: [UInt8] { bytes + [UInt8](repeating: 0, count: 1_024) }

  private mutating func addExtended(_ records: [(String, [UInt8])]) {
    var body: [UInt8] = []
    for (key, value) in records {
      let rest = Array(" \(key)=".utf8) + value + [10]
      var length = rest.count + 1
      while "\(length)".utf8.count + rest.count != length { length += 1 }
      body += Array("\(length)".utf8) + rest
    }
    addHeader(Entry(path: "pax", type: "x", content: body))
    addPadded(body)
  }

  private mutating func addPadded(_ content: [UInt8]) {
    bytes += content
    bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  private mutating func addHeader(_ entry: Entry) {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: [UInt8], at offset: Int, width: Int) {
      for (index, byte) in text.prefix(width).enumerated() { header[offset + index] = byte }
    }
    func octal(_ value: Int, digits: Int) -> [UInt8] {
      let text = String(value, radix: 8)
      return Array((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8)
    }
    put(Array(entry.path.utf8), at: 0, width: 100)
    put(octal(entry.mode, digits: 7), at: 100, width: 7)
    put(octal(entry.user, digits: 7), at: 108, width: 7)
    put(octal(entry.group, digits: 7), at: 116, width: 7)
    put(octal(entry.declaredSize ?? entry.content.count, digits: 11), at: 124, width: 11)
    put(octal(entry.modified, digits: 11), at: 136, width: 11)
    put(Array("        ".utf8), at: 148, width: 8)
    put(Array(String(entry.type).utf8), at: 156, width: 1)
    put(Array(entry.linkTarget.utf8), at: 157, width: 100)
    put(Array("ustar".utf8) + [0] + Array("00".utf8), at: 257, width: 8)
    put(octal(entry.device.major, digits: 7), at: 329, width: 7)
    put(octal(entry.device.minor, digits: 7), at: 337, width: 7)
    let sum = header.reduce(0) { $0 + Int($1) }
    put(octal(sum, digits: 6) + [0, 32], at: 148, width: 8)
    bytes += header
  }
}

/// A layer as an image has it.
struct TestLayer {
  let blob: [UInt8]
  let compression: LayerCompression
  let diffID: Digest
  var digest: Digest { SHA256.digest(of: blob) }

  init(_ tar: [UInt8], _ compression: LayerCompression = .none) throws {
    self.compression = compression
    diffID = SHA256.digest(of: tar)
    blob = try Self.compress(tar, compression)
  }

  private static func compress(_ bytes: [UInt8], _ compression: LayerCompression) throws -> [UInt8] {
    let name: String
    switch compression {
    case .none: return bytes
    case .gzip: name = "gzip"
    case .zstd: name = "zstd"
    }
    let directory = TemporaryDirectory()
    TestFile.write(bytes, to: directory.file("in"))
    guard let program = ChildProcess.find(name),
      let child = ChildProcess(program, ["-q", "-c", directory.file("in")], outputPath: directory.file("out")),
      child.wait() == 0, let packed = TestFile.read(directory.file("out"))
    else { throw Failure(.internalError, code: "test.tool", message: "\(name) is not installed or failed") }
    return packed
  }
}
