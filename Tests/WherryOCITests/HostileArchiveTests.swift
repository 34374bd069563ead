import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// Archives that want out, want everything, or want to confuse. Each ends in one clear failure and an untouched host.
@Suite struct HostileArchiveTests {
  private let bench = UnpackBench()

  private func expect(
    _ code: String, _ location: SourceLocation = #_sourceLocation, _ build: (inout TarBuilder) -> Void
  ) throws {
    var tar = TarBuilder()
    build(&tar)
    let failure = try bench.failure(tar)
    #expect(failure?.code == code, sourceLocation: location)
    #expect(failure?.message.contains("com.example.web layer 1/1") == true, sourceLocation: location)
    #expect(failure?.remedy.isEmpty == false, sourceLocation: location)
    bench.expectOutsideUntouched(location)
  }

  @Test(arguments: ["../escaped", "a/../../escaped", "..", "a/..", "./../escaped", "/escaped", "//escaped", "/"])
  func namesThatLeadOutAreRefused(_ name: String) throws { try expect("layer.escapes") { $0.file(name, "x") } }

  @Test(arguments: ["../escaped", "/escaped/d", "a/../../d"])
  func directoriesThatLeadOutAreRefused(_ name: String) throws { try expect("layer.escapes") { $0.directory(name) } }

  @Test(arguments: ["..", "/", "../..", "a/../../..", "/etc", "../../outside"])
  func filesThroughALinkThatLeadsOutAreRefused(_ target: String) throws {
    try expect("layer.escapes") {
      $0.directory("a")
      $0.symlink("link", to: target)
      $0.file("link/escaped", "x")
    }
  }

  @Test func aDirectoryOfLinksThatLeadsOutStepByStepIsRefused() throws {
    try expect("layer.escapes") {
      $0.directory("a/b")
      $0.symlink("a/b/up", to: "..")
      $0.symlink("a/b/upup", to: "up/..")
      $0.symlink("out", to: "a/b/upup/..")
      $0.file("out/escaped", "x")
    }
  }

  @Test func aLinkThatLeadsNowhereIsNotMadeIntoADirectory() throws {
    try expect("layer.escapes") {
      $0.symlink("link", to: "../escaped")
      $0.file("link/f", "x")
    }
    try expect("layer.escapes") {
      $0.symlink("other", to: "missing")
      $0.file("other/f", "x")
    }
  }

  @Test func linksThatLoopAreRefused() throws {
    try expect("layer.escapes") {
      $0.symlink("a", to: "b")
      $0.symlink("b", to: "a")
      $0.file("a/f", "x")
    }
  }

  @Test func aLinkSwappedForADirectoryBetweenEntriesLeadsNowhereElse() throws {
    try expect("layer.escapes") {
      $0.directory("a")
      $0.file("a/one", "1")
      $0.symlink("a", to: "..")
      $0.file("a/escaped", "2")
    }
  }

  @Test func aFileOverALinkReplacesTheLinkAndNotItsTarget() throws {
    var tar = TarBuilder()
    tar.symlink("link", to: "../secret")
    tar.file("link", "overwritten")
    #expect(try bench.failure(tar) == nil)
    #expect(bench.text("link") == "overwritten")
    bench.expectOutsideUntouched()
  }

  @Test(arguments: ["../secret", "/etc/passwd", "a/../../secret"])
  func hardLinksThatLeadOutAreRefused(_ target: String) throws {
    try expect("layer.escapes") { $0.hardLink("stolen", to: target) }
  }

  @Test func hardLinksThroughALinkThatLeadsOutAreRefused() throws {
    try expect("layer.escapes") {
      $0.symlink("up", to: "..")
      $0.hardLink("stolen", to: "up/secret")
    }
  }

  @Test func aHardLinkToASymbolicLinkIsOneToTheLinkItself() throws {
    var tar = TarBuilder()
    tar.symlink("link", to: "../secret")
    tar.hardLink("same", to: "link")
    tar.file("same", "overwritten")
    #expect(try bench.failure(tar) == nil)
    #expect(bench.link("link") == "../secret")
    bench.expectOutsideUntouched()
  }

  @Test(arguments: ["missing", "dir", "."])
  func hardLinksToWhatIsNoFileAreRefused(_ target: String) throws {
    try expect("layer.corrupt") {
      $0.directory("dir")
      $0.hardLink("link", to: target)
    }
  }

  @Test(arguments: [("4", 8, 0), ("3", 1, 1), ("3", 0, 0), ("3", 10, 200)])
  func deviceNodesAreRefused(_ type: Character, _ major: Int, _ minor: Int) throws {
    try expect("layer.escapes") { $0.add(TarBuilder.Entry(path: "dev/disk", type: type, device: (major, minor))) }
    #expect(bench.status("dev/disk") == nil)
  }

  @Test func aDeviceNodeOverALinkLeavesTheTarget() throws {
    guard geteuid() == 0 else { return print("skipped: only root may make device nodes") }
    var tar = TarBuilder()
    tar.symlink("null", to: "../secret")
    tar.add(TarBuilder.Entry(path: "null", type: "3", device: (1, 3)))
    #expect(try bench.failure(tar) == nil)
    #expect(bench.status("null").map { $0.st_mode & S_IFMT } == S_IFCHR)
    bench.expectOutsideUntouched()
  }

  @Test(arguments: [
    "trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.redirect", "user.overlay.opaque",
  ])
  func attributesThatRedirectOverlayfsAreRefused(_ name: String) throws {
    for type in ["0", "5"] as [Character] {
      try expect("layer.escapes") {
        $0.add(TarBuilder.Entry(path: "d", type: type, pax: [("SCHILY.xattr.\(name)", Array("/etc".utf8))]))
      }
    }
  }

  @Test(arguments: [".wh.", ".wh..", ".wh...", "a/.wh..."])
  func whiteoutsOfADirectoryItselfAreRefused(_ name: String) throws { try expect("layer.escapes") { $0.file(name) } }

  @Test func whiteoutsThroughALinkThatLeadsOutAreRefused() throws {
    try expect("layer.escapes") {
      $0.symlink("up", to: "..")
      $0.file("up/.wh.secret")
    }
    try expect("layer.escapes") {
      $0.symlink("up", to: "..")
      $0.file("up/.wh..wh..opq")
    }
  }

  @Test func aRootThatIsAFileOrALinkIsRefused() throws {
    try expect("layer.corrupt") { $0.file(".", "x") }
    try expect("layer.corrupt") { $0.symlink("./", to: "/etc") }
  }

  @Test func namesThatAreTooLongOrTooDeepAreRefused() throws {
    for name in [
      String(repeating: "n", count: 256), String(repeating: "d/", count: 300) + "f",
      String(repeating: "long/", count: 1_000),
    ] {
      try expect("layer.corrupt") { $0.add(TarBuilder.Entry(path: "x", pax: [("path", Array(name.utf8))])) }
    }
  }

  @Test func aFileInAFileIsRefused() throws {
    try expect("layer.corrupt") {
      $0.file("a", "x")
      $0.file("a/b", "x")
    }
  }

  // MARK: Size

  @Test func tooManyEntriesAreRefused() throws {
    var limits = LayerUnpacker.Limits()
    limits.entriesMaximum = 100
    var tar = TarBuilder()
    for number in 0..<101 { tar.file("f\(number)") }
    #expect(try bench.failure(tar, limits: limits)?.code == "layer.tooLarge")
  }

  @Test(arguments: [LayerCompression.gzip, .zstd])
  func aBombIsStoppedAtTheLimit(_ compression: LayerCompression) throws {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "zeros", content: [UInt8](repeating: 0, count: 32 << 20)))
    let layer = try TestLayer(tar.archive, compression)
    #expect(layer.blob.count < 1 << 20)
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = 1 << 20
    let failure = #expect(throws: Failure.self) { try bench.unpack(layer, limits: limits) }
    #expect(failure?.code == "layer.tooLarge")
    #expect((bench.status("zeros")?.st_size ?? 0) <= 1 << 20)
  }

  @Test func aBombAfterTheEndMarkerIsStoppedToo() throws {
    let layer = try TestLayer([UInt8](repeating: 0, count: 32 << 20), .gzip)
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = 1 << 20
    let failure = #expect(throws: Failure.self) { try bench.unpack(layer, limits: limits) }
    #expect(failure?.code == "layer.tooLarge")
  }

  @Test func aHoleLargerThanTheLimitIsRefused() throws {
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = 1 << 20
    var tar = TarBuilder()
    let map = "1\n0\n1\n"
    let content = Array(map.utf8) + [UInt8](repeating: 0, count: 512 - map.utf8.count) + [7]
    tar.add(
      TarBuilder.Entry(
        path: "GNUSparseFile.0/huge", content: content,
        pax: [
          ("GNU.sparse.major", Array("1".utf8)), ("GNU.sparse.minor", Array("0".utf8)),
          ("GNU.sparse.name", Array("huge".utf8)), ("GNU.sparse.realsize", Array("1099511627776".utf8)),
        ]))
    #expect(try bench.failure(tar, limits: limits)?.code == "layer.tooLarge")
  }

  @Test func aSizeThatIsNotThereIsCorrupt() throws {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "a", content: [1, 2, 3], declaredSize: 100_000))
    #expect(try bench.failure(tar)?.code == "layer.corrupt")
  }

  @Test func aSizeBeyondAllMeasureIsRefusedBeforeAByteIsWritten() throws {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "a", content: [1, 2, 3], pax: [("size", Array("9223372036854775807".utf8))]))
    let code = try bench.failure(tar)?.code
    #expect(code == "layer.tooLarge" || code == "layer.corrupt")
    #expect(bench.status("a") == nil)
  }

  // MARK: Damage

  @Test(arguments: [LayerCompression.gzip, .zstd])
  func aLayerCutAtAnyPlaceIsRefused(_ compression: LayerCompression) throws {
    var tar = TarBuilder()
    tar.add(
      TarBuilder.Entry(path: "f", content: (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }))
    let layer = try TestLayer(tar.archive, compression)
    for count in stride(from: 1, to: layer.blob.count, by: 97) {
      TestFile.write(layer.blob[..<count], to: bench.directory.file("cut"))
      let blob = open(bench.directory.file("cut"), O_RDONLY)
      let target = open(bench.root, O_RDONLY | O_DIRECTORY)
      defer {
        close(blob)
        close(target)
      }
      #expect(throws: Failure.self) {
        try LayerUnpacker(label: "cut").unpack(
          layer: blob, compression: compression, diffID: layer.diffID, into: target)
      }
    }
    bench.expectOutsideUntouched()
  }

  @Test func anotherDiffIDIsRefused() throws {
    var tar = TarBuilder()
    tar.file("a", "a")
    let layer = try TestLayer(tar.archive, .gzip)
    let failure = #expect(throws: Failure.self) { try bench.unpack(layer, diffID: SHA256.digest(of: "other")) }
    #expect(failure?.code == "layer.diffIDMismatch")
    #expect(failure?.message.contains(layer.diffID.description) == true)
  }

  @Test func whatIsNoArchiveIsRefused() throws {
    for compression in [LayerCompression.none, .gzip, .zstd] {
      let blob = open("/etc/passwd", O_RDONLY)
      let target = open(bench.root, O_RDONLY | O_DIRECTORY)
      defer {
        close(blob)
        close(target)
      }
      let failure = #expect(throws: Failure.self) {
        try LayerUnpacker(label: "text").unpack(
          layer: blob, compression: compression, diffID: SHA256.digest(of: ""), into: target)
      }
      #expect(failure?.code == "layer.corrupt")
    }
  }

  /// Seeded, so that a failure can be had again: one flipped byte at a time must end in success or in a `Failure`.
  @Test func flippedBytesNeverReachOutside() throws {
    var tar = TarBuilder()
    tar.directory("a")
    tar.symlink("a/link", to: "../b")
    tar.file("b", "content")
    tar.hardLink("c", to: "b")
    tar.file("a/.wh.gone")
    let bytes = tar.archive
    var seed: UInt64 = 42
    for _ in 0..<400 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      var flipped = bytes
      flipped[Int(seed >> 33) % flipped.count] ^= UInt8(truncatingIfNeeded: seed >> 20) | 1
      let layer = try TestLayer(flipped)
      do throws(Failure) { try bench.unpack(layer) } catch { #expect(!error.message.isEmpty) }
      #expect(TreeRemoval.remove(path: bench.root))
      mkdir(bench.root, 0o755)
    }
    bench.expectOutsideUntouched()
  }
}
