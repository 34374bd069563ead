import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Process components: scripts on the host's own root.
@Suite struct ProcessTests {
  @Test func theHostIsReadOnlyButForWhatIsGiven() throws {
    guard let bench = Workbench(#function) else { return }
    let work = bench.directory.file("work")
    Files.makeDirectories(work)
    chown(work, 65534, 65534)
    let script = """
      echo kept > \(work)/file; touch /tmp/mine && echo tmp; touch \(bench.directory.path)/other || echo no
      ls /tmp; id -u; echo $$; grep -E '^(CapEff|NoNewPrivs|Seccomp:)' /proc/self/status
      """
    var spec = bench.process("a.run", script, writable: [work])
    spec.workingDirectory = work
    let (end, output) = try bench.run(spec)
    #expect(end == .exited(code: 0))
    #expect(TestFile.read(work + "/file") == Array("kept\n".utf8))
    #expect(output.contains("tmp") && output.contains("no"))
    #expect(output.contains("mine"))
    #expect(!TestFile.exists("/tmp/mine"))
    let known = ["65534", "1", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    #expect(output.filter { !$0.hasPrefix("touch:") }.suffix(5) == known[...])
  }

  @Test func evenRootCannotWriteToTheHostUnlessPrivileged() throws {
    guard let bench = Workbench(#function) else { return }
    // Not under /tmp, which is its own.
    let file = "/var/wherry-test-\(bench.configuration.agentID)"
    defer { unlink(file) }
    var spec = bench.process("a.run", "touch \(file) || exit 9")
    spec.user = .root
    #expect(try bench.run(spec).end == .exited(code: 9))
    #expect(!TestFile.exists(file))
    spec.isPrivileged = true
    #expect(try bench.run(spec).end == .exited(code: 0))
    #expect(TestFile.exists(file))
  }

  @Test func hiddenPathsShowNothingButWhatIsGivenBelowThem() throws {
    guard let bench = Workbench(#function) else { return }
    // Seen at all only because it is given: it lies under /tmp.
    let area = bench.directory.file("area")
    Files.makeDirectories(area + "/secret/work")
    TestFile.write([65], to: area + "/secret/key")
    TestFile.write([65], to: area + "/token")
    chmod(area + "/secret/work", 0o777)
    chmod(bench.directory.path, 0o755)
    let script = "ls \(area)/secret; cat \(area)/token; touch \(area)/secret/work/file && echo wrote"
    var spec = bench.process("a.run", script, writable: [area + "/secret/work"], hidden: [])
    spec.mounts = [WorkloadMount(source: area, target: area, readOnly: true)]
    // The mount comes after what is writable below it: then only it counts.
    #expect(try bench.run(spec).output.filter { !$0.hasPrefix("touch:") }.prefix(2) == ["key", "work"])

    let hidden = "/var/wherry-test-\(bench.configuration.agentID)"
    Files.makeDirectories(hidden + "/work")
    defer { Files.removeTree(hidden) }
    TestFile.write([65], to: hidden + "/key")
    chmod(hidden + "/work", 0o777)
    let second = "ls \(hidden); touch \(hidden)/work/file && echo wrote; touch \(hidden)/more || echo sealed"
    var root = bench.process("b.run", second, writable: [hidden + "/work"], hidden: [hidden, "/there-is-none"])
    root.user = .root
    #expect(try bench.run(root).output.filter { !$0.hasPrefix("touch:") } == ["work", "wrote", "sealed"])
    #expect(TestFile.exists(hidden + "/work/file"))
  }

  @Test func itSeesOnlyItsOwnProcesses() throws {
    guard let bench = Workbench(#function) else { return }
    let (_, output) = try bench.run(bench.process("a.run", "ls -d /proc/[0-9]* | wc -l; hostname"))
    #expect(Int(output.first ?? "") ?? 99 <= 3)
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count)
    #expect(output.last == name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } })
  }

  @Test func aUserIsLookedUpOnTheHost() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.process("a.run", "id -u")
    spec.user = .named("nobody")
    #expect(try bench.run(spec).output == ["65534"])
  }
}
