import Glibc

/// Where the files of a tar archive lie, so that parts of it can be read without unpacking it. Names are only looked
/// up, never made into paths.
struct RegistryTar {
  private(set) var files: [String: RegistryFile] = [:]

  private static let entriesMaximum = 100_000
  private static let nameBytesMaximum = 4_096
  private static let extensionBytesMaximum: Int64 = 1 << 20
  private static let block: Int64 = 512

  /// What the next entry is, said by entries before it (POSIX pax, GNU tar).
  private struct Override {
    var name: String?
    var link: String?
    var size: Int64?
  }

  init(path: String) throws {
    guard let file = RegistryFile(whole: path) else { throw ClientError.failed("\(path) is no file that can be read") }
    let reader = try RegistryFileReader(file)
    var links: [String: String] = [:]
    var next = Override()
    var offset: Int64 = 0
    for _ in 0..<Self.entriesMaximum {
      guard offset + Self.block <= file.size else { break }
      let header = TarHeader(try reader.read(at: offset, count: Int(Self.block)))
      if header.isEnd { break }
      guard header.isSound else { throw Self.malformed(path, header, isFirst: offset == 0) }
      let size = header.isExtension ? header.size : header.hasContent ? next.size ?? header.size : 0
      let start = offset + Self.block
      guard size >= 0, size <= file.size - start else { throw Self.cut(path) }
      switch header.kind {
      case "L", "K", "x":
        guard size <= Self.extensionBytesMaximum else { throw Self.cut(path) }
        let bytes = try reader.read(at: start, count: Int(size))
        if header.kind == "x" { Self.read(pax: bytes, into: &next) }
        if header.kind == "L" { next.name = TarHeader.text(bytes[...]) }
        if header.kind == "K" { next.link = TarHeader.text(bytes[...]) }
      case "g": break
      default:
        let name = Self.normal(next.name ?? header.name)
        if header.isFile { files[name] = RegistryFile(path: path, offset: start, size: size) }
        if header.kind == "2" { links[name] = Self.beside(name, next.link ?? header.link) }
        if header.kind == "1" { links[name] = Self.normal(next.link ?? header.link) }
        next = Override()
      }
      offset = start + (size + Self.block - 1) / Self.block * Self.block
    }
    resolve(links)
  }

  /// Older archives of docker name a layer that two images share by a link.
  private mutating func resolve(_ links: [String: String]) {
    for (name, target) in links where files[name] == nil {
      var place = target
      for _ in 0..<8 {
        if let file = files[place] {
          files[name] = file
          break
        }
        guard let further = links[place] else { break }
        place = further
      }
    }
  }

  // MARK: - Names

  private static func normal(_ name: String) -> String {
    name.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
  }

  /// A symbolic link is seen from its own directory.
  private static func beside(_ name: String, _ target: String) -> String {
    var parts = name.split(separator: "/").dropLast().map(String.init)
    for part in target.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
    }
    return parts.joined(separator: "/")
  }

  /// `27 path=blobs/sha256/…\n`, again and again.
  private static func read(pax bytes: [UInt8], into next: inout Override) {
    var rest = bytes[...]
    while let blank = rest.firstIndex(of: 32), let length = Int(TarHeader.text(rest[..<blank])),
      length > blank - rest.startIndex, length <= rest.count
    {
      let record = rest[(blank + 1)..<(rest.startIndex + length)].prefix { $0 != 10 }
      rest = rest[(rest.startIndex + length)...]
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let value = TarHeader.text(record[(equals + 1)...])
      switch TarHeader.text(record[..<equals]) {
      case "path": next.name = String(value.prefix(nameBytesMaximum))
      case "linkpath": next.link = String(value.prefix(nameBytesMaximum))
      case "size": next.size = Int64(value) ?? -1
      default: break
      }
    }
  }

  // MARK: - Refusals

  private static func malformed(_ path: String, _ header: TarHeader, isFirst: Bool) -> ClientError {
    if header.isCompressed {
      return .failed("\(path) is compressed; decompress it first, for example with `gunzip` or `zstd -d`")
    }
    let state = isFirst ? "no tar archive" : "damaged: the header of an entry is none"
    return .failed("\(path) is \(state); save the image anew")
  }

  private static func cut(_ path: String) -> ClientError {
    .failed("\(path) ends within an entry, or an entry's size makes no sense; save the image anew")
  }
}

/// 512 bytes before each entry (POSIX ustar).
struct TarHeader {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    precondition(bytes.count == 512, "a tar header has 512 bytes, not \(bytes.count)")
    self.bytes = bytes
  }

  var isEnd: Bool { bytes.allSatisfy { $0 == 0 } }
  var isCompressed: Bool { bytes.starts(with: [0x1f, 0x8b]) || bytes.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) }
  var kind: Character { Character(Unicode.Scalar(bytes[156])) }
  /// Old archives mark files by a NUL.
  var isFile: Bool { ["0", "\0", "7"].contains(kind) }
  /// Says something of the entries that follow.
  var isExtension: Bool { ["L", "K", "x", "g"].contains(kind) }
  /// Of links, directories and nodes the size says nothing.
  var hasContent: Bool { !["1", "2", "3", "4", "5", "6"].contains(kind) }
  var name: String {
    // GNU's own format has other things there, and its magic a blank at the end.
    let prefix = bytes[257..<263].elementsEqual("ustar\0".utf8) ? Self.text(bytes[345..<500]) : ""
    let name = Self.text(bytes[0..<100])
    return prefix.isEmpty ? name : prefix + "/" + name
  }
  var link: String { Self.text(bytes[157..<257]) }
  /// -1 when it is no number.
  var size: Int64 { Self.number(bytes[124..<136]) ?? -1 }

  /// The sum of all bytes, with the sum's own counted as blanks.
  var isSound: Bool {
    var sum: Int64 = 8 * 32
    for (index, byte) in bytes.enumerated() where !(148..<156).contains(index) { sum += Int64(byte) }
    return Self.number(bytes[148..<156]) == sum
  }

  static func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Octal digits, or big-endian bytes after a first one of 0x80 (GNU).
  private static func number(_ bytes: ArraySlice<UInt8>) -> Int64? {
    if bytes.first == 0x80 {
      guard bytes.dropFirst().dropLast(7).allSatisfy({ $0 == 0 }) else { return nil }
      return bytes.suffix(7).reduce(0) { $0 << 8 | Int64($1) }
    }
    let digits = text(bytes).filter { $0 != " " }
    return Int64(digits.isEmpty ? "0" : digits, radix: 8)
  }
}
