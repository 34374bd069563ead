import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct EngineTests {
  @Test func appliesAnOrderAndReportsUntilCommitted() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("hello.sh", "#!/bin/sh\n")
    var hello = Bench.process("com.example.hello", script: "exec {artifacts:path}/hello.sh", install: "true")
    hello.artifacts = [artifact]
    bench.worker.blobs[artifact.digest.description] = bytes
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([hello]), generation: 1))
    #expect(bench.runner.launches == ["com.example.hello.install", "com.example.hello.run"])
    bench.run(milliseconds: 2_000)

    let last = try #require(bench.reports.last)
    #expect(last.status == .committed && last.generation == Generation(1))
    #expect(last.components.map(\.state) == [.running])
    let sequences = bench.reports.map(\.sequence)
    #expect(sequences == sequences.sorted() && Set(sequences).count == sequences.count)

    let spec = try #require(bench.runner.specs.last)
    let files = bench.paths.artifacts(hello) + "/files"
    #expect(spec.arguments == ["/bin/sh", "-c", "exec \(files)/hello.sh"])
    #expect(TestFile.read(files + "/hello.sh") == bytes)
    #expect(spec.environment.contains("AWS_IOT_THING_NAME=kiosk-1"))
    #expect(!spec.isPrivileged)
  }

  @Test func saysWhoItIsAndListensToWhatConcernsIt() throws {
    let bench = try Bench()
    bench.start()
    #expect(bench.transport.subscriptions.count == 3)
    bench.connect()
    let presence = try #require(bench.transport.published.first)
    #expect(presence.topic == Topic.presence(Bench.device) && presence.isRetained)
    #expect(try Presence(JSONCursor(JSON(parsing: presence.payload))).isOnline)
    bench.engine.stop(waitMilliseconds: 0)
    let last = try #require(bench.transport.published.last)
    #expect(try !Presence(JSONCursor(JSON(parsing: last.payload))).isOnline)
  }

  @Test func oldStopsBeforeNewStartsAndTheRestStaysUntouched() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    let other = Bench.process("com.example.other")
    bench.order(bench.message(bench.plan([Bench.process("com.example.web"), other]), generation: 1))
    bench.run(milliseconds: 2_000)
    let untouched = try #require(bench.runner.workloads["com.example.other.run"])
    let old = try #require(bench.runner.workloads["com.example.web.run"])
    old.obeysTermination = false

    bench.order(
      bench.message(
        bench.plan([Bench.process("com.example.web", version: Version(2, 0, 0)), other]), generation: 2))
    #expect(old.signals == [15])
    #expect(bench.runner.launches.count == 2, "the new one must wait for the old one's end")
    old.end(WorkloadExit(code: 0))
    bench.settle()
    #expect(bench.runner.launches.count == 3)
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.runner.workloads["com.example.other.run"] === untouched)
  }

  @Test func aBrokenVersionIsRolledBackWithItsLastWords() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)
    let line = "2099-01-01T00:00:00.000Z E cannot open site.pem"
    TestFile.write(Array("\(line)\n".utf8), to: bench.paths.log("com.example.web"))
    bench.runner.outcome = { $0.arguments.last == "broken" ? WorkloadExit(code: 3) : nil }
    let broken = Bench.process("com.example.web", version: Version(3, 0, 0), script: "broken")
    bench.order(bench.message(bench.plan([broken]), generation: 2))
    bench.run(milliseconds: 6_000)

    let last = try #require(bench.reports.last)
    #expect(last.status == .rolledBack && last.generation == Generation(2))
    #expect(last.components.map(\.version) == [Version(1, 0, 0)] && last.components.map(\.state) == [.running])
    #expect(last.failure?.log == [line])
    #expect(last.failure?.message.contains("com.example.web") == true)
  }

  @Test func containersGetTheirLayersAndAnOverlayOfTheirOwn() throws {
    let bench = try Bench()
    let web = Bench.container("com.example.web")
    let layer = try #require(web.image?.layers.first)
    bench.worker.blobs[layer.digest.description] = Array("layer 1".utf8)
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([web]), generation: 1))
    let spec = try #require(bench.runner.specs.last)
    guard case .overlay(let lower, let upper, _, let readOnly) = spec.root else {
      Issue.record("not an overlay: \(spec.root)")
      return
    }
    #expect(lower == [bench.paths.snapshot(layer.diffID)])
    #expect(upper.hasPrefix(bench.paths.components + "/com.example.web/overlay/1.0.0-"))
    #expect(readOnly && spec.arguments == ["/server"] && spec.hostName == "com-example-web")
    #expect(bench.worker.jobs.map(\.mode) == [.download, .unpack])
    #expect(!TestFile.exists(bench.paths.blob(layer.digest)), "unpacked, the layer is not kept twice")
  }

  @Test func nothingIsFetchedTwice() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("model.bin", "weights")
    bench.worker.blobs[artifact.digest.description] = bytes
    var first = Bench.process("com.example.ai")
    first.artifacts = [artifact]
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([first]), generation: 1))
    bench.run(milliseconds: 2_000)
    var second = Bench.process("com.example.ai", version: Version(2, 0, 0))
    second.artifacts = [artifact]
    bench.order(bench.message(bench.plan([second]), generation: 2))
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.worker.downloaded == [artifact.digest.description])
  }

  @Test func aLargePlanIsFetchedByItsDigest() throws {
    let bench = try Bench()
    let plan = bench.plan([Bench.process("com.example.web")])
    let text = plan.json.canonicalBytes
    bench.start()
    bench.connect()
    bench.order(bench.message(plan, generation: 1, inline: false))
    #expect(bench.runner.launches.isEmpty)
    bench.worker.blobs[Bench.digest(text)] = text
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.worker.downloaded == [Bench.digest(text)])
  }

  @Test func whatNoPlanNeedsGoesAndDataStaysForOnePlanMore() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("a.bin", "a")
    bench.worker.blobs[artifact.digest.description] = bytes
    var first = Bench.process("com.example.first")
    first.artifacts = [artifact]
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([first]), generation: 1))
    bench.run(milliseconds: 2_000)
    let data = bench.paths.components + "/com.example.first/data/kept"
    TestFiles.makeDirectories(data)

    for generation in 2...3 {
      let next = Bench.process("com.example.next", version: Version(generation, 0, 0))
      #expect(TestFile.exists(data))
      bench.order(bench.message(bench.plan([next]), generation: Int64(generation)))
      bench.run(milliseconds: 2_000)
      #expect(bench.reports.last?.status == .committed)
    }
    #expect(!TestFile.exists(data))
    #expect(!TestFile.exists(bench.paths.blob(artifact.digest)))
    #expect(!TestFile.exists(bench.paths.artifacts(first)))
    #expect(bench.runner.alive == ["com.example.next.run"])
  }

  @Test func aStepWhoseSkipifHoldsIsNotRun() throws {
    let bench = try Bench()
    var component = Bench.process("com.example.web", install: "make everything")
    component.lifecycle.steps[.install]?.skipIf = SkipCondition(test: .onPath("sh"))
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([component]), generation: 1))
    #expect(bench.runner.launches == ["com.example.web.run"])
  }

  @Test func componentsRunOfflineFromTheJournal() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process("com.example.web")]), generation: 1))
    bench.run(milliseconds: 2_000)

    // The machine reboots and the broker is away.
    bench.runner.tearDown()
    bench.bootID = "boot-2"
    try bench.crash()
    bench.settle()
    #expect(bench.runner.alive == ["com.example.web.run"])
    #expect(bench.transport.published.isEmpty)
  }
}

extension Bench {
  static func digest(_ bytes: [UInt8]) -> String {
    artifact("", String(decoding: bytes, as: UTF8.self)).artifact.digest.description
  }
}
