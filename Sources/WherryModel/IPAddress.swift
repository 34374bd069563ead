package enum IPFamily: Hashable, Sendable, CaseIterable {
  case v4
  case v6

  package var byteCount: Int { self == .v4 ? 4 : 16 }
}

/// An address of IPv4 or IPv6, without a zone.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// In the order of the network: 4 or 16.
  package let bytes: [UInt8]

  /// - Precondition: 4 or 16 of them.
  package init(bytes: [UInt8]) {
    precondition(bytes.count == 4 || bytes.count == 16)
    self.bytes = bytes
  }

  package var family: IPFamily { bytes.count == 4 ? .v4 : .v6 }

  /// Four decimal numbers, or what RFC 4291 (2.2) says; nothing else that inet_aton(3) would take.
  package init?(_ text: some StringProtocol) {
    guard text.utf8.count <= 45, let bytes = text.contains(":") ? Self.sixteen(text) : Self.four(text) else {
      return nil
    }
    self.bytes = bytes
  }

  /// Without leading zeros, which some read as octal.
  private static func four(_ text: some StringProtocol) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { part in UInt8(part).flatMap { "\($0)" == part ? $0 : nil } }
    return parts.count == 4 && bytes.count == 4 ? bytes : nil
  }

  private static func sixteen(_ text: some StringProtocol) -> [UInt8]? {
    let characters = Array(text.utf8)
    let colon = UInt8(ascii: ":")
    let gap = characters.indices.dropLast().first { characters[$0] == colon && characters[$0 + 1] == colon }
    guard let gap else {
      let bytes = groups(characters[...])
      return bytes?.count == 16 ? bytes : nil
    }
    guard let head = groups(characters[..<gap], endsHere: false), let tail = groups(characters[(gap + 2)...]),
      head.count + tail.count <= 14
    else { return nil }
    return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
  }

  /// Groups of up to four digits; the last two may be written as an address of IPv4.
  private static func groups(_ characters: ArraySlice<UInt8>, endsHere: Bool = true) -> [UInt8]? {
    guard !characters.isEmpty else { return [] }
    let parts = characters.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var bytes: [UInt8] = []
    for (index, part) in parts.enumerated() {
      let word = String(decoding: part, as: UTF8.self)
      if endsHere, index == parts.count - 1, word.contains(".") {
        guard let last = four(word) else { return nil }
        bytes += last
        continue
      }
      guard (1...4).contains(part.count), part.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
        let group = UInt16(word, radix: 16)
      else { return nil }
      bytes += [UInt8(group >> 8), UInt8(group & 0xff)]
    }
    return bytes
  }

  /// As RFC 5952 wants it: in small letters, the longest run of two or more empty groups left out.
  package var description: String {
    guard family == .v6 else { return bytes.map { "\($0)" }.joined(separator: ".") }
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var longest = 0..<0
    var start = 0
    for index in 0...8 where index == 8 || groups[index] != 0 {
      if index - start > max(1, longest.count) { longest = start..<index }
      start = index + 1
    }
    func text(_ part: some Sequence<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    guard !longest.isEmpty else { return text(groups) }
    return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
  }
}

/// `10.88.1.0/24`, `fd00:1::/64`
package struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
  /// Its first address.
  package let address: IPAddress
  package let prefixLength: Int

  /// Nil when the prefix is too long, or the address has bits set beyond it.
  package init?(_ address: IPAddress, prefixLength: Int) {
    self.address = address
    self.prefixLength = prefixLength
    guard (0...8 * address.family.byteCount).contains(prefixLength), first(of: address) == address else { return nil }
  }

  /// An address alone is the network of itself.
  package init?(_ text: some StringProtocol) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count <= 2, let address = IPAddress(halves[0]) else { return nil }
    var length = 8 * address.family.byteCount
    if halves.count == 2 {
      guard let number = Int(halves[1]), "\(number)" == halves[1] else { return nil }
      length = number
    }
    self.init(address, prefixLength: length)
  }

  package var family: IPFamily { address.family }

  /// Ones where the prefix is.
  package var mask: [UInt8] {
    (0..<family.byteCount).map { index in
      let ones = min(8, max(0, prefixLength - 8 * index))
      return ones == 0 ? 0 : 0xff << UInt8(8 - ones)
    }
  }

  package func contains(_ other: IPAddress) -> Bool { other.family == family && first(of: other) == address }

  private func first(of other: IPAddress) -> IPAddress {
    IPAddress(bytes: zip(other.bytes, mask).map { $0 & $1 })
  }

  package var description: String {
    prefixLength == 8 * family.byteCount ? address.description : "\(address)/\(prefixLength)"
  }
}
