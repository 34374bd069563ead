/// A request to the kernel over netlink (netlink(7)), written byte by byte: no `ip` or `nft` process is started.
struct NetlinkMessage {
  private static let headerBytes = 16

  /// For errors: "create the bridge wh-1".
  let purpose: String
  private(set) var bytes: [UInt8]

  /// `body` is the fixed structure that follows the header.
  init(_ purpose: String, type: UInt16, flags: UInt16, body: [UInt8]) {
    self.purpose = purpose
    bytes = [UInt8](repeating: 0, count: 4) + Self.native(type) + Self.native(flags | NetlinkFlag.request)
    bytes += [UInt8](repeating: 0, count: 8) + body
  }

  static func native(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
  static func big(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

  /// Whether the answer is a list.
  var isDump: Bool { bytes[7] == UInt8(NetlinkFlag.dump >> 8) }

  mutating func put(_ type: UInt16, _ value: [UInt8]) {
    bytes += Self.native(UInt16(4 + value.count)) + Self.native(type) + value
    pad()
  }

  mutating func put(_ type: UInt16, _ value: UInt32) { put(type, Self.native(value)) }
  /// Netfilter's integers are big-endian.
  mutating func putBig(_ type: UInt16, _ value: UInt32) { put(type, Self.big(value)) }
  mutating func put(_ type: UInt16, _ text: String) { put(type, Array(text.utf8) + [0]) }

  mutating func nest(_ type: UInt16, _ build: (inout NetlinkMessage) -> Void) {
    let start = bytes.count
    bytes += [0, 0] + Self.native(type | NetlinkFlag.nested)
    build(&self)
    replace(at: start, Self.native(UInt16(bytes.count - start)))
  }

  /// A structure in the middle of attributes, without an attribute header of its own.
  mutating func append(_ structure: [UInt8]) { bytes += structure }

  /// The finished message.
  func numbered(_ sequence: UInt32, wantsAcknowledgement: Bool) -> [UInt8] {
    var message = self
    message.replace(at: 0, Self.native(UInt32(bytes.count)))
    if wantsAcknowledgement { message.bytes[6] |= UInt8(NetlinkFlag.acknowledge) }
    message.replace(at: 8, Self.native(sequence))
    return message.bytes
  }

  private mutating func pad() {
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  private mutating func replace(at offset: Int, _ value: [UInt8]) {
    for (index, byte) in value.enumerated() { bytes[offset + index] = byte }
  }
}

/// linux/netlink.h
enum NetlinkFlag {
  static let request: UInt16 = 0x1
  static let acknowledge: UInt16 = 0x4
  static let dump: UInt16 = 0x300
  static let replace: UInt16 = 0x100
  static let exclusive: UInt16 = 0x200
  static let create: UInt16 = 0x400
  static let append: UInt16 = 0x800
  /// In an attribute's type.
  static let nested: UInt16 = 0x8000
}

/// A kernel's answer, or one attribute in it: bytes with a cursor that never leaves them.
struct NetlinkReader {
  let content: ArraySlice<UInt8>

  init(_ content: ArraySlice<UInt8>) { self.content = content }

  func integer<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T? {
    guard content.count >= offset + MemoryLayout<T>.size else { return nil }
    var value: T = 0
    withUnsafeMutableBytes(of: &value) { target in
      for index in target.indices { target[index] = content[content.startIndex + offset + index] }
    }
    return value
  }

  /// The attributes after a structure of `skipped` bytes.
  func attributes(after skipped: Int) -> [UInt16: ArraySlice<UInt8>] {
    var attributes: [UInt16: ArraySlice<UInt8>] = [:]
    var rest = content.dropFirst(skipped)
    while rest.count >= 4 {
      let reader = NetlinkReader(rest)
      guard let length = reader.integer(UInt16.self, at: 0).map(Int.init), length >= 4, length <= rest.count,
        let type = reader.integer(UInt16.self, at: 2)
      else { break }
      attributes[type & ~NetlinkFlag.nested] = rest.dropFirst(4).prefix(length - 4)
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return attributes
  }
}
