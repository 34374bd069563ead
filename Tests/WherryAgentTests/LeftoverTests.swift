import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// What ended may take its time to leave the kernel: the one thread waits for nothing, and looks again now and then.
@Suite struct LeftoverTests {
  private static let web: ComponentName = "com.example.web"

  /// A device whose web component was told to become version 2, and whose version 1 does not quite go.
  private static func waiting() throws -> Bench {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process(web)]), generation: 1))
    bench.run(milliseconds: 2_000)
    bench.runner.lingers = true
    bench.order(bench.message(bench.plan([Bench.process(web, version: Version(2, 0, 0))]), generation: 2))
    bench.run(milliseconds: 5_000)
    #expect(bench.runner.leaving == ["com.example.web.run"])
    #expect(bench.runner.launches.count == 1)
    return bench
  }

  @Test func aStartWaitsForWhatHasItsNameAndThatIsNoFailure() throws {
    let bench = try Self.waiting()
    #expect(bench.reports.last?.status == .applying)
    #expect(bench.reports.allSatisfy { $0.failure == nil && $0.components.allSatisfy { $0.failure == nil } })
    bench.runner.lingers = false
    bench.runner.leaving = []
    bench.run(milliseconds: 4_000)
    #expect(bench.runner.launches.count == 2)
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func aStartThatWaitsIsGivenUpWhenItIsNoLongerWanted() throws {
    let bench = try Self.waiting()
    bench.runner.lingers = false
    bench.order(bench.message(bench.plan([Bench.process("com.example.other")]), generation: 3))
    bench.run(milliseconds: 3_000)
    bench.runner.leaving = []
    bench.run(milliseconds: 3_000)
    #expect(bench.runner.launches == ["com.example.web.run", "com.example.other.run"])
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func betweenTwoLooksTheAgentSleeps() throws {
    let bench = try Self.waiting()
    #expect((1...30).contains(bench.runner.looks), "soon at first, then once a second")
    #expect((1...1_000).contains(bench.engine.waitMilliseconds))
    bench.runner.leaving = []
    bench.run(milliseconds: 3_000)
    let looks = bench.runner.looks
    bench.run(milliseconds: 10_000)
    #expect(bench.runner.looks == looks, "nothing is left, so nobody looks")
  }

  @Test func aWorkerThatNobodyHoldsIsEndedAndReapedWithoutWaiting() throws {
    let directory = TemporaryDirectory()
    let program = directory.file("fetch")
    TestFile.write(Array("#!/bin/sh\necho $$ > '\(directory.file("pid"))'\nexec sleep 1000\n".utf8), to: program)
    chmod(program, 0o755)
    let worker = ProcessWorker(program: program, directory: directory.path)
    var run: (any WorkerRun)? = try worker.start(.download, job: [:])
    var pid: Int32?
    for _ in 0..<24_000 where pid == nil {
      poll(nil, 0, 5)
      let text = String(decoding: TestFile.read(directory.file("pid")) ?? [], as: UTF8.self)
      if text.hasSuffix("\n") { pid = Int32(text.dropLast()) }
    }
    let number = try #require(pid)
    #expect(run?.readEvents(now: Instant(milliseconds: 1)).isEmpty == true)
    run = nil
    for _ in 0..<24_000 where worker.hasLeftovers {
      poll(nil, 0, 5)
      worker.tidy()
    }
    #expect(!worker.hasLeftovers)
    let isReaped = kill(number, 0) != 0 && errno == ESRCH
    #expect(isReaped)
  }
}
