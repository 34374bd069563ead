import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// Crash-only: whatever write the agent dies at, the next one goes on.
@Suite struct RecoveryTests {
  private static func components(_ version: Version) -> [PlannedComponent] {
    [
      Bench.process("com.example.base", install: "prepare"),
      Bench.process("com.example.web", version: version, install: "prepare"),
    ]
  }

  /// The story: generation 1 commits, generation 2 replaces one of two components. `cut` counts journal writes.
  private static func tell(cutAfter cut: Int) throws -> (bench: Bench, wasCut: Bool) {
    let bench = try Bench(writesLeft: cut)
    var wasCut = false
    var restart = false
    func check() throws {
      guard bench.journal.isCut, !wasCut else { return }
      wasCut = true
      restart = true
      try bench.crash()
      bench.connect()
    }
    bench.start()
    bench.connect()
    try check()
    for generation in 1...2 {
      let plan = bench.plan(components(Version(generation, 0, 0)), settle: 500)
      let message = bench.message(plan, generation: Int64(generation))
      bench.order(message)
      for _ in 0..<40 {
        try check()
        if restart {
          // The desired state is retained: it comes again with the connection.
          restart = false
          bench.order(message)
        }
        bench.run(milliseconds: 100)
      }
    }
    return (bench, wasCut)
  }

  @Test func convergesWhereverItDies() throws {
    var cut = 0
    while true {
      let (bench, wasCut) = try Self.tell(cutAfter: cut)
      let report = try #require(bench.reports.last, "cut after \(cut) writes")
      #expect(report.status == .committed && report.generation == Generation(2), "cut after \(cut) writes")
      #expect(
        bench.runner.alive == ["com.example.base.run", "com.example.web.run"], "cut after \(cut) writes")
      let starts = bench.runner.launches.filter { $0 == "com.example.base.run" }.count
      #expect(starts == 1, "base did not change, so it starts once (cut after \(cut) writes)")
      if !wasCut { break }
      cut += 1
      try #require(cut < 100)
    }
    #expect(cut > 8, "the story has more writes than \(cut)")
  }

  @Test func workloadsOutliveTheAgentAndAreAdopted() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    let workload = try #require(bench.runner.workloads["com.example.web.run"])
    try bench.crash()
    bench.connect()
    bench.run(milliseconds: 1_000)
    #expect(bench.runner.workloads["com.example.web.run"] === workload && workload.exit == nil)
    #expect(bench.runner.launches.count == 1)
    #expect(bench.reports.last?.components.map(\.state) == [.running])
  }

  @Test func whatEndedMeanwhileIsStartedAgain() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    bench.runner.workloads["com.example.web.run"]?.end(WorkloadExit(code: 1))
    try bench.crash()
    bench.run(milliseconds: 5_000)
    #expect(bench.runner.launches.count == 2)
    #expect(bench.runner.alive == ["com.example.web.run"])
  }

  @Test func aFullDiskHoldsActionsBackAndLosesNothing() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.journal.writesLeft = 0
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 3_000)
    #expect(bench.runner.launches.isEmpty, "nothing is done that is not written down")
    bench.journal.writesLeft = .max
    bench.run(milliseconds: 4_000)
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func aDownloadThatWasUnderWayGoesOn() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("a.bin", "content")
    var component = Bench.process("com.example.web")
    component.artifacts = [artifact]
    bench.worker.isWorking = false
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([component]), generation: 1))
    #expect(bench.worker.jobs.count == 1)
    bench.worker.isWorking = true
    bench.worker.blobs[artifact.digest.description] = bytes
    try bench.crash()
    bench.run(milliseconds: 2_000)
    #expect(bench.runner.alive == ["com.example.web.run"], "offline, from the journalled plan")
  }

  @Test func anUnreachableRegistryIsTriedAgain() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("a.bin", "content")
    var component = Bench.process("com.example.web")
    component.artifacts = [artifact]
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([component]), generation: 1))
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .fetching)
    #expect(bench.reports.last?.failure?.code == "download.unreachable", "the reason shows while it waits")
    bench.worker.blobs[artifact.digest.description] = bytes
    bench.run(milliseconds: 10_000)
    #expect(bench.reports.last?.status == .committed)
  }
}
