import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// `wherry-fetch download` on a disk that becomes full while it works.
@Suite struct FetchDiskFullTests {
  private let directory = TemporaryDirectory()
  private static let blobs: [[UInt8]] = (0..<3).map { number in
    (0..<600_000).map { UInt8(truncatingIfNeeded: ($0 + number) &* 31 ^ ($0 >> 8)) }
  }

  private static func digest(_ number: Int) -> Digest { SHA256.digest(of: blobs[number]) }

  private func job(_ server: LoopbackServer, store: String) -> JSON {
    [
      "store": .string(store), "parallel": 1, "attempts": 2, "backoffMilliseconds": 1,
      "items": .array(
        Self.blobs.indices.map { number in
          [
            "digest": .string(Self.digest(number).description), "size": .integer(Int64(Self.blobs[number].count)),
            "url": .string("\(server.origin)/\(number)"), "label": .string("com.example.web layer \(number + 1)/3"),
          ]
        }),
    ]
  }

  @Test func whatCameStaysWholeWhatDidNotIsGoneAndTheRestComesWhenThereIsSpace() throws {
    guard let disk = SmallDisk(directory.file("disk"), mebibytes: 4) else {
      return print("SKIPPED the disk that becomes full: only root may mount a small disk")
    }
    let ballast = disk.path + "/ballast"
    // Somebody else fills the disk while the second blob is on its way, whose space is reserved by then.
    let server = LoopbackServer { request in
      if request.target == "/1", !TestFile.exists(ballast) { Self.fill(ballast) }
      return .file(Self.blobs[Int(request.target.dropFirst()) ?? 0], for: request)
    }
    defer { server.stop() }
    let job = job(server, store: disk.path + "/blobs")
    let failed = try FetchProgram.run("download", job)
    #expect(failed.code == 1)
    let failure = try #require(failed.failure)
    #expect(failure.code == "space.full" && failure.failureClass == "space" && !failure.remedy.isEmpty)
    let store = try ContentStore(root: disk.path + "/blobs")
    #expect(try TestDirectory.names(store.root + "/incoming").isEmpty)
    #expect(try store.all() == [Self.digest(0), Self.digest(1)].sorted())
    for number in 0..<2 { #expect(try store.bytes(of: Self.digest(number)) == Self.blobs[number]) }

    unlink(ballast)
    let mended = try FetchProgram.run("download", job)
    #expect(mended.code == 0, "\(mended.events)")
    #expect(try store.bytes(of: Self.digest(2)) == Self.blobs[2])
    #expect(server.requests.map(\.target) == ["/0", "/1", "/2"], "nothing is fetched twice")
  }

  /// To the last byte.
  private static func fill(_ path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    let block = [UInt8](repeating: 1, count: 4_096)
    while write(descriptor, block, block.count) > 0 {}
    close(descriptor)
  }
}
