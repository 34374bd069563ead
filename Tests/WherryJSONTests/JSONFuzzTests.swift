import Testing
import WherryJSON
import WherryTestSupport

struct JSONFuzzTests {
  private static func value(depth: Int, using random: inout SeededGenerator) -> JSON {
    switch Int.random(in: 0..<(depth == 0 ? 5 : 7), using: &random) {
    case 0: .null
    case 1: .bool(.random(using: &random))
    case 2: .integer(Int64(bitPattern: random.next()) >> Int64.random(in: 0...63, using: &random))
    case 3: .number(number(using: &random))
    case 4: .string(text(using: &random))
    case 5: .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(depth: depth - 1, using: &random) })
    default:
      .object(
        Dictionary(
          (0..<Int.random(in: 0...4, using: &random)).map { _ in
            (text(using: &random), value(depth: depth - 1, using: &random))
          }, uniquingKeysWith: { $1 }))
    }
  }

  private static func number(using random: inout SeededGenerator) -> Double {
    let number = Double(bitPattern: random.next())
    return number.isFinite ? number : 0.1
  }

  private static func text(using random: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0...8, using: &random) {
      let scalar = Unicode.Scalar(
        UInt32.random(in: 0...0x2FFFF, using: &random) >> UInt32.random(in: 0...12, using: &random))
      text.unicodeScalars.append(scalar ?? "\"")
    }
    return text
  }

  @Test("what is written is read back, value for value and byte for byte", arguments: 0..<20)
  func roundTrips(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let json = Self.value(depth: 5, using: &random)
      let text = json.canonical
      let read = try JSON(parsing: text)
      #expect(read.canonical == text, "seed \(seed)")
    }
  }

  @Test("damaged text is either refused or read as something that can be written again", arguments: 0..<20)
  func damage(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let bytes = Damage.apply(to: Self.value(depth: 4, using: &random).canonicalBytes, using: &random)
      guard let json = try? JSON(parsing: bytes) else { continue }
      #expect(try JSON(parsing: json.canonicalBytes).canonical == json.canonical, "seed \(seed)")
    }
  }

  @Test("pure noise is survived", arguments: 0..<10)
  func noise(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let alphabet = Array("{}[]\",:0123456789.eE+-\\untrfalse \u{e9}".utf8)
    for _ in 0..<2_000 {
      let count = Int.random(in: 0...60, using: &random)
      let bytes = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      _ = try? JSON(parsing: bytes)
    }
  }
}
