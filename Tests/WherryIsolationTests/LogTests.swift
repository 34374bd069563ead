import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

@Suite struct LogTests {
  @Test func linesCarryTimeAndStream() throws {
    guard let bench = Workbench(#function) else { return }
    let before = Self.stamp()
    let spec = bench.container("a.run", ["sh", "-c", "echo out; echo err >&2; echo; printf end"])
    #expect(try bench.host.start(spec, identity: "").waitForEnd() == .exited(code: 0))
    let lines = bench.log("a.run")
    #expect(lines.map { $0.dropFirst(24).prefix(3) }.allSatisfy { $0 == " O " || $0 == " E " })
    #expect(Set(lines.map { String($0.dropFirst(25)) }) == ["O out", "E err", "O ", "O end"])
    let stamp = String(try #require(lines.first).prefix(24))
    #expect(stamp.last == "Z")
    #expect((before...Self.stamp()).contains(String(stamp.prefix(19))))
  }

  /// By libc, which the shim does without.
  private static func stamp() -> String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test func noLineIsLostWhenTheLogIsRotated() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["seq", "100000", "130000"])
    spec.logBytesMaximum = 2 << 20
    #expect(try bench.host.start(spec, identity: "").waitForEnd() == .exited(code: 0))
    #expect(TestFile.exists(spec.logPath + ".1"))
    let lines = bench.log("a.run", lines: 100_000).map { String($0.dropFirst(27)) }
    let isComplete = lines == (100_000...130_000).map(String.init)
    #expect(isComplete, "\(lines.count) lines")
  }

  @Test func aLogKeepsItsNewestLinesAndItsBounds() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["seq", "100000", "120000"])
    spec.logBytesMaximum = 64 << 10
    #expect(try bench.host.start(spec, identity: "").waitForEnd() == .exited(code: 0))
    let kept = bench.log("a.run", lines: 100_000).compactMap { Int($0.dropFirst(27)) }
    let first = try #require(kept.first)
    let isUnbroken = kept == Array(first...120_000)
    #expect(isUnbroken)
    #expect(kept.count > 1000)
    let sizes = LogFile.paths(spec.logPath).map { TestFile.read($0)?.count ?? 0 }
    #expect(sizes.reduce(0, +) <= 64 << 10)
    #expect(bench.log("a.run", lines: 2).map { $0.dropFirst(27) } == ["119999", "120000"])
  }

  @Test func aFollowerSeesEveryLineOverRotations() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "for i in $(seq 1 3000); do echo line $i of many; done"])
    // As much as is written: a follower that falls behind by more than is kept cannot see it.
    spec.logBytesMaximum = 200_000
    let link = try bench.host.start(spec, identity: "")
    var follower = LogFollower(path: spec.logPath, fromEnd: false)
    var lines: [String] = []
    bench.wait {
      lines += follower.readLines()
      return link.readEvents().contains { if case .exited = $0 { true } else { false } }
    }
    var more = follower.readLines()
    while !more.isEmpty {
      lines += more
      more = follower.readLines()
    }
    follower.close()
    // Not compared as a whole: a failure would print all of it.
    let isComplete = lines.map { String($0.dropFirst(27)) } == (1...3000).map { "line \($0) of many" }
    #expect(isComplete, "\(lines.count) lines")
    #expect(TestFile.exists(spec.logPath + ".2"))
  }

  @Test func aLineWithoutAnEndIsCutIntoPiecesThatSaySo() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "head -c 20000 /dev/zero | tr '\\0' x; echo; echo next"
    symlink("busybox", bench.directory.file("layer/bin/tr"))
    let spec = bench.container("a.run", ["sh", "-c", script])
    #expect(try bench.host.start(spec, identity: "").waitForEnd() == .exited(code: 0))
    let lines = bench.log("a.run")
    #expect(lines.map { String($0.dropFirst(25).prefix(1)) } == ["o", "o", "O", "O"])
    #expect(lines.prefix(3).reduce(0) { $0 + $1.utf8.count - 27 } == 20_000)
  }

  @Test func aFullDiskNeitherStopsTheWorkloadNorGoesUnsaid() throws {
    guard let bench = Workbench(#function) else { return }
    let logs = bench.directory.file("logs")
    Files.makeDirectories(logs)
    try #require(mount("none", logs, "tmpfs", 0, "size=64k") == 0)
    defer { umount2(logs, Int32(MNT_DETACH)) }
    var size = 60 << 10
    while size > 0, Files.write([UInt8](repeating: 0, count: size), to: logs + "/filler") != 0 { size -= 4096 }
    let script = "seq 1 1500; echo ready > /data/ready; while [ ! -e /data/go ]; do sleep 0.02; done; echo after"
    var spec = bench.container("a.run", ["sh", "-c", script], readOnly: false)
    // The host's root makes a file in it.
    spec.users = .host
    let link = try bench.host.start(spec, identity: "")
    let pid = try #require(link.waitForStart())
    // The shim has met the full disk once something of the log is there; what is left fits when the filler is gone.
    bench.wait { TestFile.exists("/proc/\(pid)/root/data/ready") && !bench.log("a.run").isEmpty }
    #expect(TestFile.exists("/proc/\(pid)/root/data/ready"))
    unlink(logs + "/filler")
    TestFile.write([], to: "/proc/\(pid)/root/data/go")
    #expect(link.waitForEnd() == .exited(code: 0))
    let texts = bench.log("a.run", lines: 5_000).map { String($0.dropFirst(25)) }
    #expect(texts.last == "O after")
    let notes = texts.filter { $0.hasPrefix("S ") }
    #expect(!notes.isEmpty)
    #expect(notes.allSatisfy { $0.hasSuffix(" bytes of log were lost because the disk was full") })
  }

  @Test func aRestartedWorkloadAppendsToItsLog() throws {
    guard let bench = Workbench(#function) else { return }
    for text in ["first", "second"] {
      #expect(try bench.run(bench.container("a.run", ["echo", text])).end == .exited(code: 0))
    }
    #expect(bench.output("a.run") == ["first", "second"])
  }

  @Test func theTailReadsBackOverFilesOfAnySize() {
    let directory = TemporaryDirectory()
    let path = directory.file("log")
    #expect(LogFile.tail(path: path, lines: 5) == [])
    TestFile.write(Array("1\n2\n".utf8), to: path + ".2")
    TestFile.write(Array("3\n".utf8), to: path + ".1")
    let long = String(repeating: "x", count: 100_000)
    TestFile.write(Array("4\n\n\(long)\n6\nhalf".utf8), to: path)
    #expect(LogFile.tail(path: path, lines: 2) == [long, "6"])
    #expect(LogFile.tail(path: path, lines: 5) == ["3", "4", "", long, "6"])
    #expect(LogFile.tail(path: path, lines: 100) == ["1", "2", "3", "4", "", long, "6"])
    #expect(LogFile.tail(path: path, lines: 0) == [])
  }

  @Test func aFollowerGoesOnWithTheNextFileWhereverItsOwnWasMovedTo() {
    let directory = TemporaryDirectory()
    let path = directory.file("log")
    TestFile.write(Array("1\n".utf8), to: path)
    var follower = LogFollower(path: path, fromEnd: false)
    var late = LogFollower(path: path, fromEnd: true)
    #expect(follower.readLines() == ["1"])
    #expect(late.readLines() == [])
    rename(path, path + ".2")
    TestFile.write(Array("2\n3\n".utf8), to: path + ".1")
    TestFile.write(Array("4\nhal".utf8), to: path)
    #expect(follower.readLines(maximum: 1) == ["2"])
    #expect(follower.readLines() == ["3", "4"])
    #expect(late.readLines() == ["2", "3", "4"])
    TestFile.write(Array("4\nhalf\n".utf8), to: directory.file("whole"))
    let descriptor = open(path, O_WRONLY | O_APPEND)
    _ = write(descriptor, "f\n", 2)
    close(descriptor)
    #expect(follower.readLines() == ["half"])
    follower.close()
    late.close()
  }
}
