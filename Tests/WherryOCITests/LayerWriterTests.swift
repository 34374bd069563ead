import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

@Suite struct LayerWriterTests {
  private let directory = TemporaryDirectory()

  private func entries() -> [LayerEntry] {
    TestFile.write(Array("#!/bin/sh\n".utf8), to: directory.file("run"))
    TestFile.write([UInt8](repeating: 9, count: 200_000), to: directory.file("big"))
    return [
      LayerEntry(path: "srv", content: .directory, mode: 0o755),
      LayerEntry(path: "srv/run", content: .file(path: directory.file("run"), size: 10), mode: 0o4755, user: 1000),
      LayerEntry(path: "srv/big", content: .file(path: directory.file("big"), size: 200_000), mode: 0o600),
      LayerEntry(path: "srv/grüße " + String(repeating: "x", count: 200), content: .text("hi"), mode: 0o644),
      LayerEntry(path: "srv/empty", content: .text(""), mode: 0o644, user: 0, group: 3_000_000),
      LayerEntry(path: "srv/link", content: .link("../" + String(repeating: "y", count: 150)), mode: 0o777),
    ]
  }

  @Test func whatIsWrittenIsWhatTarReads() throws {
    let layer = try LayerWriter.write(entries(), to: directory.file("layer.tar.gz"))
    let bytes = try #require(TestFile.read(directory.file("layer.tar.gz")))
    #expect(layer.digest == SHA256.digest(of: bytes) && layer.size == Int64(bytes.count))
    // Without a time in gzip's header (RFC 1952, 2.3).
    #expect(bytes.starts(with: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]))
    let options = ["--numeric-owner", "--utc", "--quoting-style=literal"]
    let tar = try #require(ChildProcess.run("/usr/bin/tar", ["-tvzf", directory.file("layer.tar.gz")] + options))
    #expect(tar.code == 0, "\(tar.output)")
    let listing = tar.output
    let lines = listing.split(separator: "\n").map { $0.split(separator: " ", omittingEmptySubsequences: true) }
    #expect(
      lines.map { String($0[0]) } == [
        "drwxr-xr-x", "-rwsr-xr-x", "-rw-------", "-rw-r--r--", "-rw-r--r--", "lrwxrwxrwx",
      ])
    #expect(lines.map { String($0[1]) } == ["0/0", "1000/0", "0/0", "0/0", "0/3000000", "0/0"])
    #expect(lines.map { Int($0[2]) } == [0, 10, 200_000, 2, 0, 0])
    #expect(lines.allSatisfy { $0[3] == "1970-01-01" })
    #expect(listing.contains("srv/grüße xxx") && listing.contains("srv/link -> ../yyy"))
  }

  @Test func theSameEntriesGiveTheSameBytes() throws {
    let first = try LayerWriter.write(entries(), to: directory.file("one"))
    utimes(directory.file("run"), [timeval(tv_sec: 1_000, tv_usec: 0), timeval(tv_sec: 1_000, tv_usec: 0)])
    let second = try LayerWriter.write(entries(), to: directory.file("two"))
    #expect(first == second)
    #expect(TestFile.read(directory.file("one")) == TestFile.read(directory.file("two")))
    var changed = entries()
    changed[0].mode = 0o700
    #expect(try LayerWriter.write(changed, to: directory.file("three")).diffID != first.diffID)
  }

  @Test func theDigestOfTheUncompressedBytesIsTheDiffID() throws {
    let layer = try LayerWriter.write(entries(), to: directory.file("layer.tar.gz"))
    let plain = directory.file("layer.tar")
    let gzip = ChildProcess("/bin/gzip", ["-dc", directory.file("layer.tar.gz")], outputPath: plain)
    #expect(try #require(gzip).wait() == 0)
    #expect(layer.diffID == SHA256.digest(of: try #require(TestFile.read(plain))))
  }

  @Test func aFileThatIsShorterThanSaidOrGoneIsToldOf() {
    TestFile.write([1], to: directory.file("short"))
    for (name, size) in [("short", Int64(2)), ("gone", 1)] {
      let entry = LayerEntry(path: name, content: .file(path: directory.file(name), size: size), mode: 0o644)
      let failure = #expect(throws: Failure.self) { try LayerWriter.write([entry], to: directory.file("layer")) }
      #expect(failure?.message.contains(directory.file(name)) == true)
    }
    let nowhere = #expect(throws: Failure.self) { try LayerWriter.write([], to: directory.file("no/layer")) }
    #expect(nowhere?.code == "layer.write")
  }
}
