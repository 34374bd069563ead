import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// The file of an archive, whose owner may be the attacker.
@Suite struct VerifiedFileTests {
  private let directory = TemporaryDirectory()
  private static let content: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
  private var path: String { directory.file("archive") }
  private let problem = UnpackProblem(label: "com.example.model m.zip", bytesAllowed: 0)

  private func open(
    _ content: [UInt8] = Self.content, digest: Digest? = nil, size: Int? = nil
  ) throws(Failure) -> (file: VerifiedFile, descriptor: Int32) {
    TestFile.write(content, to: path)
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    do throws(Failure) {
      let file = try VerifiedFile(
        descriptor: descriptor, size: Int64(size ?? content.count), digest: digest ?? SHA256.digest(of: content),
        problem: problem)
      return (file, descriptor)
    } catch {
      close(descriptor)
      throw error
    }
  }

  private func rest(of file: VerifiedFile) -> [UInt8]? {
    var bytes: [UInt8] = []
    while let piece = file.next() {
      if piece.isEmpty { return bytes }
      bytes.append(contentsOf: piece)
    }
    return nil
  }

  /// In place, as its owner can while somebody else has it open.
  private func overwrite(_ offset: Int, _ byte: UInt8) {
    let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC)
    var byte = byte
    #expect(pwrite(descriptor, &byte, 1, off_t(offset)) == 1)
    close(descriptor)
  }

  @Test func itIsReadFromAnyPlaceInAnyOrder() throws {
    let (file, descriptor) = try open()
    defer { close(descriptor) }
    #expect(rest(of: file) == Self.content)
    let places: [(Int64, Int32, Int)] = [
      (0, SEEK_SET, 0), (-10, SEEK_END, 299_990), (-200_000, SEEK_CUR, 100_000), (65_536, SEEK_SET, 65_536),
    ]
    for (offset, origin, place) in places {
      #expect(file.seek(offset, from: origin) == Int64(place))
      #expect(rest(of: file) == Array(Self.content[place...]))
    }
    #expect(file.seek(0, from: SEEK_SET) == 0)
    #expect(file.skip(123_456) == 123_456)
    #expect(rest(of: file) == Array(Self.content[123_456...]))
    #expect(file.skip(1) == 0)
    #expect(file.seek(-1, from: SEEK_SET) == nil && file.seek(1, from: SEEK_END) == nil)
    #expect(file.failure == nil)
  }

  @Test func anEmptyOneIsAtItsEnd() throws {
    let (file, descriptor) = try open([])
    defer { close(descriptor) }
    #expect(rest(of: file) == [])
  }

  @Test func otherContentIsRefusedBeforeAByteIsHandedOut() {
    for (content, digest, size) in [
      (Self.content, SHA256.digest(of: "other"), 300_000), (Self.content, SHA256.digest(of: Self.content), 299_999),
      (Self.content, SHA256.digest(of: Self.content), 300_001),
      (Self.content + [0], SHA256.digest(of: Self.content), 300_000),
    ] {
      let failure = #expect(throws: Failure.self) { try open(content, digest: digest, size: size) }
      #expect(failure?.code == "blob.digestMismatch" && failure?.failureClass == .verify)
      #expect(failure?.message.contains("com.example.model m.zip") == true)
      #expect(failure?.remedy.isEmpty == false)
    }
  }

  @Test func whatIsChangedAfterItWasVerifiedIsNotHandedOut() throws {
    let (file, descriptor) = try open()
    defer { close(descriptor) }
    overwrite(200_000, 0xff ^ Self.content[200_000])
    var handedOut = 0
    while let piece = file.next(), !piece.isEmpty { handedOut += piece.count }
    #expect(handedOut < 200_000)
    #expect(file.failure?.code == "blob.digestMismatch")
    // And it stays so, even when the right bytes are back.
    overwrite(200_000, Self.content[200_000])
    #expect(file.seek(0, from: SEEK_SET) == 0)
    #expect(file.next() == nil)
  }

  @Test func whatIsCutAfterItWasVerifiedIsNotAnEarlierEnd() throws {
    let (file, descriptor) = try open()
    defer { close(descriptor) }
    #expect(truncate(path, 100_000) == 0)
    #expect(rest(of: file) == nil)
    #expect(file.failure?.code == "blob.digestMismatch")
  }
}
