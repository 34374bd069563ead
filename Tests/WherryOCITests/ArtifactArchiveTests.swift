import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// Artifacts with `Unarchive: ZIP` or `TAR`. Their files are used by processes that see the host's root.
@Suite struct ArtifactArchiveTests {
  private let bench = UnpackBench()

  /// Python's zipfile writes any name that it is told to.
  private func zip(_ statements: String) throws -> [UInt8] {
    let python = try #require(ChildProcess.find("python3"), "python3 is needed to write zip files")
    let path = bench.directory.file("made.zip")
    let script =
      "import zipfile, stat\nz = zipfile.ZipFile('\(path)', 'w', zipfile.ZIP_DEFLATED)\n\(statements)\nz.close()"
    let result = try #require(ChildProcess.run(python, ["-c", script]))
    #expect(result.code == 0, "\(result.output)")
    defer { unlink(path) }
    return try #require(TestFile.read(path))
  }

  private let link = """
    def link(name, target):
      i = zipfile.ZipInfo(name); i.create_system = 3; i.external_attr = (stat.S_IFLNK | 0o777) << 16
      z.writestr(i, target)

    """

  @Test func aZipIsUnpackedWithItsModes() throws {
    let bytes = try zip(
      """
      z.writestr('readme.txt', 'hello')
      i = zipfile.ZipInfo('bin/run.sh'); i.create_system = 3; i.external_attr = (stat.S_IFREG | 0o4755) << 16
      z.writestr(i, '#!/bin/sh')
      z.writestr('Grüße/世界.txt', 'x')
      z.writestr('.wh.kept', 'not a whiteout here')
      """)
    let summary = try bench.unarchive(bytes, .zip)
    #expect(summary.entries == 4)
    #expect(bench.text("readme.txt") == "hello")
    #expect(bench.text("Grüße/世界.txt") == "x")
    #expect(bench.text(".wh.kept") == "not a whiteout here")
    #expect(bench.status("bin/run.sh").map { $0.st_mode & 0o7777 } == 0o755)
    #expect(bench.status("readme.txt")?.st_uid == geteuid())
  }

  @Test(arguments: ["../escaped", "/escaped", "a/../../escaped"])
  func zipNamesThatLeadOutAreRefused(_ name: String) throws {
    let bytes = try zip("z.writestr('\(name)', 'x')")
    #expect(bench.archiveFailure(bytes, .zip)?.code == "layer.escapes")
    bench.expectOutsideUntouched()
  }

  @Test(arguments: ["/etc/passwd", "..", "../secret", "a/../../secret", "a/.."])
  func zipLinksThatLeadOutAreRefused(_ target: String) throws {
    let bytes = try zip(link + "link('l', '\(target)')")
    #expect(bench.archiveFailure(bytes, .zip)?.code == "layer.escapes")
    bench.expectOutsideUntouched()
  }

  @Test func linksThatStayInsideAreKept() throws {
    let bytes = try zip(link + "z.writestr('lib/v1', 'x')\nlink('lib/current', 'v1')\nlink('bin/l', '../lib/v1')")
    try bench.unarchive(bytes, .zip)
    #expect(bench.link("lib/current") == "v1")
    #expect(bench.text("bin/l") == "x")
  }

  @Test func aPathThroughALinkIsRefused() throws {
    let bytes = try zip(link + "z.writestr('d/e/f', 'x')\nlink('l', 'd/e')\nlink('l/up', '../../..')")
    #expect(bench.archiveFailure(bytes, .zip)?.code == "layer.escapes")
  }

  @Test func aDamagedZipIsRefused() throws {
    let bytes = try zip("z.writestr('a', 'some content that is long enough to be compressed ' * 20)")
    var flipped = bytes
    flipped[60] ^= 0xff
    #expect(bench.archiveFailure(flipped, .zip)?.code == "layer.corrupt")
    #expect(bench.archiveFailure(Array(bytes[..<40]), .zip) != nil)
    #expect(bench.archiveFailure(Array("no zip at all".utf8), .zip)?.code == "layer.corrupt")
  }

  @Test func aZipBombIsStoppedAtTheLimit() throws {
    let bytes = try zip("z.writestr('zeros', bytes(32 << 20))")
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = 1 << 20
    let failure = #expect(throws: Failure.self) { try bench.unarchive(bytes, .zip, limits: limits) }
    #expect(failure?.code == "layer.tooLarge")
  }

  @Test(arguments: [LayerCompression.none, .gzip, .zstd])
  func aTarIsUnpackedWhateverItsCompression(_ compression: LayerCompression) throws {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "run.sh", content: Array("#!/bin/sh".utf8), mode: 0o6755, user: 1_234, group: 1_234))
    try bench.unarchive(TestLayer(tar.archive, compression).blob, .tar)
    #expect(bench.text("run.sh") == "#!/bin/sh")
    #expect(bench.status("run.sh").map { $0.st_mode & 0o7777 } == 0o755)
    #expect(bench.status("run.sh")?.st_uid == geteuid())
  }

  @Test(arguments: [LayerUnpacker.ArchiveFormat.zip, .tar])
  func otherContentThanSignedIsRefusedBeforeItIsLookedAt(_ format: LayerUnpacker.ArchiveFormat) throws {
    var tar = TarBuilder()
    tar.file("run.sh", "#!/bin/sh")
    let bytes = try format == .tar ? tar.archive : zip("z.writestr('run.sh', '#!/bin/sh')")
    for (digest, size) in [(SHA256.digest(of: "other"), bytes.count), (SHA256.digest(of: bytes), bytes.count - 1)] {
      let failure = #expect(throws: Failure.self) {
        try bench.unarchive(bytes, format, digest: digest, size: Int64(size))
      }
      #expect(failure?.code == "blob.digestMismatch" && failure?.failureClass == .verify)
      #expect(bench.status("run.sh") == nil)
    }
  }

  @Test func aZipOfManyBlocksIsUnpackedWhole() throws {
    let bytes = try zip(
      """
      import random
      source = random.Random(1)
      for number in range(4): z.writestr(str(number), source.randbytes(150000))
      """)
    #expect(bytes.count > 500_000)
    #expect(try bench.unarchive(bytes, .zip).bytes == 600_000)
    #expect(bench.status("3")?.st_size == 150_000)
  }

  @Test(arguments: ["3", "4", "6"] as [Character]) func devicesAndPipesHaveNoPlaceInAnArtifact(_ type: Character) {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "node", type: type, device: (1, 3)))
    #expect(bench.archiveFailure(tar.archive, .tar)?.code == "layer.corrupt")
    #expect(bench.status("node") == nil)
  }
}
