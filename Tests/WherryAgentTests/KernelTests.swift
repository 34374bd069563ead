import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryModel
import WherryTestSupport

/// The engine with real workloads: namespaces, cgroups, shims.
@Suite(.serialized) struct KernelTests {
  @Test func aProcessComponentRunsForReal() throws {
    guard getuid() == 0, let shim = RunnerContractTests.shim() else {
      print("SKIPPED real workloads: they need root and a built wherry-shim")
      return
    }
    let directory = TemporaryDirectory()
    chmod(directory.path, 0o755)
    let configuration = HostConfiguration(
      agentID: "k\(getpid() % 100_000)", stateDirectory: directory.file("run/host"), shimPath: shim)
    let host = { try WorkloadHost(configuration) }
    defer { (try? host())?.tearDown() }
    let bench = try Bench(directory: directory, runner: host)
    bench.clock.wall = SystemClock().wall
    let (artifact, bytes) = Bench.artifact("hello.sh", "#!/bin/sh\necho \"hello $GREETED\"\nexec sleep 1000\n")
    bench.worker.blobs[artifact.digest.description] = bytes
    var hello = Bench.process(
      "com.example.hello", script: "exec {artifacts:path}/hello.sh", install: "echo ready > {work:path}/installed")
    hello.artifacts = [artifact]
    hello.lifecycle.setenv["GREETED"] = "{iot:thingName}"
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([hello]), generation: 1))
    #expect(bench.runReally { bench.reports.last?.status?.isTerminal == true })
    #expect(bench.reports.last?.status == .committed, "\(bench.reports.last?.failure?.description ?? "")")
    #expect(TestFile.read(bench.paths.components + "/com.example.hello/work/installed") == Array("ready\n".utf8))
    #expect(
      LogFile.tail(path: bench.paths.log("com.example.hello"), lines: 1).first?.hasSuffix("O hello kiosk-1") == true)

    let before = bench.engine.processID(of: "com.example.hello")
    try bench.crash()
    bench.connect()
    #expect(bench.runReally { bench.engine.processID(of: "com.example.hello") != nil })
    #expect(bench.engine.processID(of: "com.example.hello") == before && before != nil, "adopted, not started again")

    let broken = Bench.process("com.example.hello", version: Version(2, 0, 0), script: "echo no luck >&2; exit 3")
    bench.order(bench.message(bench.plan([broken]), generation: 2))
    #expect(
      bench.runReally {
        bench.reports.last?.generation == Generation(2) && bench.reports.last?.status?.isTerminal == true
      })
    let report = try #require(bench.reports.last)
    #expect(report.status == .rolledBack && report.components.map(\.version) == [Version(1, 0, 0)])
    #expect(report.failure?.log.last?.hasSuffix("E no luck") == true, "\(report.failure?.log ?? [])")
    bench.engine.stop(waitMilliseconds: 0)
  }

  @Test func anIdleAgentSleeps() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    bench.acknowledge(try #require(bench.reports.last).sequence)
    bench.run(milliseconds: 10_000)
    #expect(bench.engine.waitMilliseconds > 3_600_000, "nothing is due, so nothing wakes it")
  }
}
