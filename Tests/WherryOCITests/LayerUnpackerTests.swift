import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

@Suite struct LayerUnpackerTests {
  private let bench = UnpackBench()
  private let isRoot = geteuid() == 0

  private func unpack(_ tar: TarBuilder) throws { try bench.unpack(TestLayer(tar.archive)) }

  @Test(arguments: [LayerCompression.none, .gzip, .zstd])
  func filesDirectoriesAndLinksAreMadeAsTheyWere(_ compression: LayerCompression) throws {
    var tar = TarBuilder()
    tar.directory("./")
    tar.directory("./bin/", mode: 0o555)
    tar.file("./bin/tool", "#!/bin/sh\n", mode: 0o4755)
    tar.symlink("./sh", to: "/bin/tool")
    tar.hardLink("./bin/other", to: "./bin/tool")
    tar.file("deep/er/file", "x")
    let summary = try bench.unpack(TestLayer(tar.archive, compression))
    #expect(summary == LayerUnpacker.Summary(entries: 6, bytes: 11))
    #expect(bench.text("bin/tool") == "#!/bin/sh\n")
    #expect(bench.link("sh") == "/bin/tool")
    #expect(bench.status("bin/tool")?.st_ino == bench.status("bin/other")?.st_ino)
    #expect(bench.text("deep/er/file") == "x")
    #expect(bench.status("deep/er").map { $0.st_mode & 0o7777 } == 0o755)
    #expect(bench.status("bin").map { $0.st_mode & 0o7777 } == 0o555)
    #expect(bench.status("bin/tool").map { $0.st_mode & 0o7777 } == (isRoot ? 0o4755 : 0o755))
  }

  @Test func timesOfFilesDirectoriesAndLinksAreKept() throws {
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "d", type: "5", mode: 0o755, modified: 1_000_000_001))
    tar.add(TarBuilder.Entry(path: "d/f", content: [1], modified: 1_000_000_002))
    tar.add(TarBuilder.Entry(path: "d/l", type: "2", linkTarget: "f", modified: 1_000_000_003))
    try unpack(tar)
    #expect(
      ["d", "d/f", "d/l"].map { bench.status($0)?.st_mtim.tv_sec } == [1_000_000_001, 1_000_000_002, 1_000_000_003])
  }

  @Test func ownersAreKeptAsRoot() throws {
    guard isRoot else { return print("skipped: only root may give files away") }
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "f", mode: 0o6755, user: 1_234, group: 567))
    tar.add(TarBuilder.Entry(path: "l", type: "2", linkTarget: "f", user: 89, group: 90))
    try unpack(tar)
    #expect(bench.status("f").map { [$0.st_uid, $0.st_gid, $0.st_mode & 0o7777] } == [1_234, 567, 0o6755])
    #expect(bench.status("l").map { [$0.st_uid, $0.st_gid] } == [89, 90])
  }

  @Test func longAndForeignNamesComeThroughByteForByte() throws {
    let long = (0..<8).map { "\($0)" + String(repeating: "x", count: 100) }.joined(separator: "/")
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "short", content: [1], pax: [("path", Array(long.utf8))]))
    tar.add(TarBuilder.Entry(path: "short", content: [2], pax: [("path", Array("Grüße/世界".utf8))]))
    tar.add(TarBuilder.Entry(path: "short", content: [3], pax: [("path", [0x61, 0xff, 0xfe])]))
    try unpack(tar)
    #expect(bench.text(long) == "\u{1}")
    #expect(bench.text("Grüße/世界") == "\u{2}")
    let name = bench.root.utf8CString.dropLast() + [0x2f, 0x61, -1, -2, 0]
    #expect(access(Array(name), F_OK) == 0)
  }

  @Test func fileCapabilitiesAreKeptAndTheHostsAttributesAreNot() throws {
    guard isRoot else { return print("skipped: only root may set file capabilities") }
    let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    var tar = TarBuilder()
    tar.add(
      TarBuilder.Entry(
        path: "ping", content: [1],
        pax: [
          ("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.security.selinux", Array("x".utf8)),
          ("SCHILY.xattr.trusted.other", Array("x".utf8)),
        ]))
    try unpack(tar)
    let tool = try #require(ChildProcess.find("getfattr") ?? ChildProcess.find("python3"))
    let script = "import os,sys; print(sorted(os.listxattr(sys.argv[1])))"
    let listed =
      tool.hasSuffix("python3")
      ? ChildProcess.run(tool, ["-c", script, bench.root + "/ping"])
      : ChildProcess.run(tool, ["--absolute-names", "-m", "-", bench.root + "/ping"])
    #expect(listed?.output.contains("security.capability") == true)
    #expect(listed?.output.contains("trusted.other") == false)
  }

  @Test func whiteoutsBecomeOverlayDevicesAndOpaqueDirectories() throws {
    guard isRoot else { return print("skipped: overlayfs's attributes need root") }
    var tar = TarBuilder()
    tar.directory("etc")
    tar.file("etc/.wh.passwd")
    tar.directory("var/cache")
    tar.file("var/cache/.wh..wh..opq")
    tar.file("var/cache/new", "n")
    tar.file(".wh..wh.plnk")
    try unpack(tar)
    #expect(bench.status("etc/passwd").map { $0.st_mode & S_IFMT } == S_IFCHR)
    #expect(bench.status("etc/passwd")?.st_rdev == 0)
    #expect(bench.status("etc/.wh.passwd") == nil)
    #expect(bench.status("var/cache/.wh..wh..opq") == nil)
    #expect(bench.status(".wh..wh.plnk") == nil)
    #expect(isOpaque("var/cache"))
    #expect(!isOpaque("etc"))
  }

  private func isOpaque(_ path: String) -> Bool {
    let script = "import os,sys; print(os.getxattr(sys.argv[1], 'trusted.overlay.opaque'))"
    guard let python = ChildProcess.find("python3") else { return false }
    return ChildProcess.run(python, ["-c", script, bench.root + "/" + path])?.output == "b'y'\n"
  }

  @Test func aDirectoryThatReplacesItsOwnWhiteoutIsOpaqueInEitherOrder() throws {
    guard isRoot else { return print("skipped: overlayfs's attributes need root") }
    var tar = TarBuilder()
    tar.file(".wh.a")
    tar.directory("a")
    tar.file("a/f", "1")
    tar.directory("b")
    tar.file("b/f", "2")
    tar.file(".wh.b")
    try unpack(tar)
    #expect(bench.text("a/f") == "1" && bench.text("b/f") == "2")
    #expect(isOpaque("a") && isOpaque("b"))
  }

  @Test func laterEntriesReplaceEarlierOnesOfAnyKind() throws {
    var tar = TarBuilder()
    tar.file("a", "first")
    tar.file("a", "second")
    tar.directory("b/c/d")
    tar.file("b/c/d/e", "1")
    tar.file("b", "file now")
    tar.symlink("c", to: "/etc")
    tar.directory("c")
    tar.file("c/inside", "2")
    tar.directory("d")
    tar.file("d/kept", "3")
    tar.directory("d", mode: 0o700)
    try unpack(tar)
    #expect(bench.text("a") == "second")
    #expect(bench.text("b") == "file now")
    #expect(bench.text("c/inside") == "2")
    #expect(bench.text("d/kept") == "3")
    #expect(bench.status("d").map { $0.st_mode & 0o777 } == 0o700)
  }

  @Test func aLinkThatStaysInsideMayBePartOfAPath() throws {
    var tar = TarBuilder()
    tar.directory("usr/lib")
    tar.symlink("lib", to: "usr/lib")
    tar.file("lib/libc.so", "c")
    try unpack(tar)
    #expect(bench.text("usr/lib/libc.so") == "c")
    #expect(bench.link("lib") == "usr/lib")
  }

  @Test func sparseFilesKeepTheirHoles() throws {
    let tarProgram = try #require(ChildProcess.find("tar"))
    let source = bench.directory.file("sparse")
    let descriptor = open(source, O_RDWR | O_CREAT, 0o644)
    ftruncate(descriptor, 50 << 20)
    pwrite(descriptor, "middle", 6, 20 << 20)
    close(descriptor)
    let packed = bench.directory.file("sparse.tar")
    #expect(
      ChildProcess.run(tarProgram, ["--format=pax", "-S", "-C", bench.directory.path, "-cf", packed, "sparse"])?.code
        == 0)
    let layer = try TestLayer(#require(TestFile.read(packed)))
    #expect(layer.blob.count < 100_000)
    try bench.unpack(layer)
    #expect(bench.status("sparse")?.st_size == 50 << 20)
    #expect((bench.status("sparse")?.st_blocks ?? .max) < 1_000)
  }

  @Test func theEmptyLayerAndOneWithNothingButItsEndAreFine() throws {
    try bench.unpack(TestLayer([]))
    try bench.unpack(TestLayer([UInt8](repeating: 0, count: 10_240), .gzip))
  }

  @Test func contentAfterTheEndMarkerCountsForTheDigest() throws {
    var tar = TarBuilder()
    tar.file("a", "a")
    try bench.unpack(TestLayer(tar.archive + [UInt8](repeating: 7, count: 100_000), .zstd))
    #expect(bench.text("a") == "a")
  }

  @Test func tenThousandFilesInManyDirectoriesKeepNoDescriptorOpen() throws {
    var tar = TarBuilder()
    for number in 0..<10_000 { tar.file("d\(number % 97)/f\(number)", "") }
    try unpack(tar)
    #expect(descriptorsInRoot() == 0)
    #expect(bench.status("d95/f9989") != nil)
  }

  /// Other tests of this process have files open too, elsewhere.
  private func descriptorsInRoot() -> Int {
    var count = 0
    if let stream = opendir("/proc/self/fd") {
      while let entry = readdir(stream) {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/fd/\(entryName(entry))", &buffer, buffer.count)
        let target = String(decoding: buffer[..<max(0, length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if target.hasPrefix(bench.root) { count += 1 }
      }
      closedir(stream)
    }
    return count
  }

  @Test func aDeepTreeIsRemovedWhole() throws {
    var tar = TarBuilder()
    let part = (0..<200).map { _ in "d" }.joined(separator: "/")
    tar.add(TarBuilder.Entry(path: "x", content: [1], pax: [("path", Array("a/\(part)/f".utf8))]))
    tar.symlink("a/s", to: "/etc")
    tar.directory("a/closed", mode: 0)
    try unpack(tar)
    #expect(TreeRemoval.remove(path: bench.root))
    #expect(!TestFile.exists(bench.root))
    #expect(TreeRemoval.remove(path: bench.root))
    #expect(TestFile.exists("/etc"))
  }
}
