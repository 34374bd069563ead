import Testing
import WherryJSON
import WherryModel
import WherryWire

/// A device counts up what the service goes on from, so neither may reach the end of its integers.
struct GenerationBoundsTests {
  @Test("generations and sequences end at 2^53", arguments: [0, 1, 1 << 53] as [Int64])
  func within(value: Int64) throws {
    let cursor = JSONCursor(.integer(value))
    #expect(try cursor.generation() == Generation(value))
    #expect(try cursor.sequence() == value)
  }

  @Test(
    "beyond that they are refused with the value",
    arguments: [-1, 1 << 53 + 1, Int64.max - 1, .max, .min] as [Int64])
  func beyond(value: Int64) {
    let cursor = JSONCursor(.integer(value), path: "/n")
    let generation = #expect(throws: JSONShapeError.self) { try cursor.generation() }
    #expect(generation?.description == "/n: the generation \(value) is not between 0 and 2^53")
    let sequence = #expect(throws: JSONShapeError.self) { try cursor.sequence() }
    #expect(sequence?.description == "/n: the sequence \(value) is not between 0 and 2^53")
  }

  @Test("the last generation is followed by itself")
  func next() {
    #expect(Generation(1).next == Generation(2))
    #expect(Generation(Generation.maximum.rawValue - 1).next == Generation.maximum)
    #expect(Generation.maximum.next == Generation.maximum)
    #expect(Generation(.max).next == Generation(.max))
  }
}
