import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// What comes out of a compressed layer, whatever was put together by whom, and what is refused and why.
@Suite struct LayerStreamTests {
  private let directory = TemporaryDirectory()
  /// More than the stream reads and gives out at once, and not compressed to nothing.
  private static let content: [UInt8] = {
    var random = SeededGenerator(seed: 7)
    return (0..<700_000).map { $0 % 3 == 0 ? UInt8.random(in: 0...255, using: &random) : UInt8($0 >> 9 & 0xff) }
  }()

  private struct Outcome {
    var bytes: [UInt8] = []
    var failure: Failure?
    var reason: String { failure?.message ?? "" }
  }

  private func read(
    _ blob: [UInt8], _ compression: LayerCompression, bytesMaximum: Int64 = 16 << 20
  ) throws -> Outcome {
    TestFile.write(blob, to: directory.file("blob"))
    let descriptor = open(directory.file("blob"), O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let problem = UnpackProblem(label: "com.example.web layer 1/1", bytesAllowed: bytesMaximum)
    let stream = try LayerStream(
      descriptor: descriptor, compression: compression, bytesMaximum: bytesMaximum, problem: problem)
    var outcome = Outcome()
    while let piece = stream.next() { outcome.bytes += piece }
    do throws(Failure) {
      let digest = try stream.finish()
      #expect(digest == SHA256.digest(of: outcome.bytes))
      #expect(stream.count == Int64(outcome.bytes.count))
    } catch { outcome.failure = error }
    return outcome
  }

  private func packed(_ bytes: some Collection<UInt8>, _ compression: LayerCompression) throws -> [UInt8] {
    try TestLayer(Array(bytes), compression).blob
  }

  private func expectRefusal(
    _ blob: [UInt8], _ compression: LayerCompression, _ reason: String, code: String = "layer.corrupt",
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try read(blob, compression)
    #expect(outcome.failure?.code == code, sourceLocation: location)
    #expect(outcome.failure?.failureClass == .verify, sourceLocation: location)
    #expect(outcome.reason.contains(reason), "\(outcome.reason)", sourceLocation: location)
    #expect(outcome.reason.contains("com.example.web layer 1/1"), sourceLocation: location)
    #expect(outcome.failure?.remedy.isEmpty == false, sourceLocation: location)
  }

  // MARK: Both

  @Test(arguments: [LayerCompression.none, .gzip, .zstd]) func itIsWhatWasPacked(_ compression: LayerCompression) throws
  {
    for count in [0, 1, 256 << 10, Self.content.count] {
      let bytes = Array(Self.content.prefix(count))
      let outcome = try read(packed(bytes, compression), compression)
      #expect(outcome.failure == nil, "\(outcome.reason)")
      #expect(outcome.bytes == bytes)
    }
  }

  @Test(arguments: [LayerCompression.gzip, .zstd])
  func severalMembersAreOneStream(_ compression: LayerCompression) throws {
    let parts = [Self.content.prefix(5), Self.content[5..<5], Self.content[5..<300_000], Self.content[300_000...]]
    let blob = try parts.flatMap { try packed($0, compression) }
    let outcome = try read(blob, compression)
    #expect(outcome.failure == nil, "\(outcome.reason)")
    #expect(outcome.bytes == Self.content)
  }

  @Test(arguments: [LayerCompression.gzip, .zstd]) func somethingElseAfterTheEndIsRefused(
    _ compression: LayerCompression
  ) throws {
    let blob = try packed(Self.content, compression)
    for rest in [Array("and more".utf8), [1], [0, 0, 1, 0]] {
      try expectRefusal(blob + rest, compression, "something else follows its \(compression.rawValue) data")
    }
  }

  @Test(arguments: [LayerCompression.gzip, .zstd]) func whatIsCutOffEndsTooEarly(_ compression: LayerCompression) throws
  {
    let blob = try packed(Self.content.prefix(300_000), compression)
    let places = [0, 4, 11, blob.count / 2, blob.count - 9, blob.count - 4, blob.count - 1]
    for count in places {
      try expectRefusal(Array(blob.prefix(count)), compression, "its \(compression.rawValue) data ends too early")
    }
  }

  @Test(arguments: [LayerCompression.gzip, .zstd]) func anotherFormatIsNamed(_ compression: LayerCompression) throws {
    let other = try packed(Self.content, compression == .gzip ? .zstd : .gzip)
    for blob in [other, Array("hello".utf8), [0], [UInt8](repeating: 0, count: 1_024)] {
      try expectRefusal(blob, compression, "is not compressed with \(compression.rawValue), as it is declared to be")
    }
  }

  @Test(arguments: [LayerCompression.gzip, .zstd]) func aWrongChecksumIsFound(_ compression: LayerCompression) throws {
    var blob = try packed(Self.content, compression)
    // Of gzip the CRC, before the length; of zstd the four bytes of its checksum.
    blob[blob.count - (compression == .gzip ? 6 : 2)] ^= 1
    try expectRefusal(blob, compression, "the checksum of its \(compression.rawValue) data is wrong")
  }

  @Test(arguments: [LayerCompression.none, .gzip, .zstd])
  func itEndsAtTheLimitHoweverMuchComes(_ compression: LayerCompression) throws {
    let blob = try packed([UInt8](repeating: 0, count: 8 << 20), compression)
    let outcome = try read(blob, compression, bytesMaximum: 1 << 20)
    #expect(outcome.failure?.code == "layer.tooLarge" || outcome.failure?.code == "space.full")
    #expect(outcome.bytes.count <= 1 << 20)
  }

  /// Seeded. Whatever becomes of the bytes, it ends, and in nothing but a value or a refusal.
  @Test(arguments: [LayerCompression.gzip, .zstd]) func damageEndsInOneRefusal(_ compression: LayerCompression) throws {
    let bytes = Array(Self.content.prefix(40_000))
    let blob = try packed(bytes, compression)
    var random = SeededGenerator(seed: 11)
    for _ in 0..<300 {
      var damaged = blob
      damaged[Int.random(in: 0..<blob.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      let outcome = try read(damaged, compression)
      // A header has bytes that mean nothing to the content.
      #expect(
        outcome.failure?.code == "layer.corrupt" || outcome.failure?.code == "layer.tooLarge" || outcome.bytes == bytes)
    }
  }

  // MARK: gzip

  @Test func zerosAfterTheLastMemberAreNoMore() throws {
    let outcome = try read(packed(Self.content, .gzip) + [UInt8](repeating: 0, count: 200_000), .gzip)
    #expect(outcome.failure == nil, "\(outcome.reason)")
    #expect(outcome.bytes == Self.content)
  }

  @Test func aWrongLengthIsFound() throws {
    var blob = try packed(Self.content, .gzip)
    blob[blob.count - 1] ^= 1
    try expectRefusal(blob, .gzip, "the checksum of its gzip data is wrong")
  }

  /// What follows a member's header, which has a name if gzip gave it one.
  private static func body(_ member: [UInt8]) -> [UInt8] {
    let rest = member.dropFirst(10)
    return member[3] & 8 == 0 ? Array(rest) : Array(rest.drop { $0 != 0 }.dropFirst())
  }

  /// Trailer and next header in every position to the end of what is read at once, and each field of a header.
  @Test func aMemberMayEndAndBeginAnywhereInWhatIsReadAtOnce() throws {
    let (first, second) = (Array(Self.content.prefix(1_000)), Array(Self.content.suffix(1_000)))
    let body = Self.body(try packed(first, .gzip))
    let fields: [UInt8] = [3, 0, 65, 66, 67] + Array("name".utf8) + [0] + Array("comment".utf8) + [0]
    let next: [UInt8] = [0x1f, 0x8b, 8, 4 | 8 | 16, 0, 0, 0, 0, 0, 255] + fields + Self.body(try packed(second, .gzip))
    for overlap in 0..<50 {
      let name = [UInt8](repeating: 110, count: (128 << 10) + 20 - overlap - 10 - 1 - body.count)
      let header: [UInt8] = [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255] + name + [0]
      let outcome = try read(header + body + next, .gzip)
      #expect(outcome.failure == nil, "overlap \(overlap): \(outcome.reason)")
      #expect(outcome.bytes == first + second, "overlap \(overlap)")
    }
  }

  // MARK: zstd

  private static let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]

  /// One raw block, of a frame that says that so much memory is needed for it.
  private static func frame(windowBits: UInt8, _ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    return [0x28, 0xb5, 0x2f, 0xfd, 0, (windowBits - 10) << 3, 1 | UInt8(bytes.count) << 3, 0, 0] + bytes
  }

  @Test func skippableFramesAreSkipped() throws {
    let skippable = Self.skippable
    let blob = try skippable + packed(Self.content.prefix(9), .zstd) + skippable + packed(Self.content[9...], .zstd)
    let outcome = try read(blob + skippable, .zstd)
    #expect(outcome.failure == nil, "\(outcome.reason)")
    #expect(outcome.bytes == Self.content)
    try expectRefusal(blob + skippable.dropLast(), .zstd, "its zstd data ends too early")
  }

  @Test func memoryForAWindowIsBounded() throws {
    #expect(try read(Self.frame(windowBits: 25, "hello"), .zstd).bytes == Array("hello".utf8))
    try expectRefusal(
      Self.frame(windowBits: 26, "hello"), .zstd, "more than 32 MiB of memory", code: "layer.tooLarge")
    try expectRefusal(
      Self.frame(windowBits: 41, "hello"), .zstd, "more than 32 MiB of memory", code: "layer.tooLarge")
  }
}
