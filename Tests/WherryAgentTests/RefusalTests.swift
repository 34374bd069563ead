import Testing
import WherryAgent
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// What must not be obeyed: one clear sentence each, and nothing is touched.
@Suite struct RefusalTests {
  private static let web: ComponentName = "com.example.web"

  /// A device that runs generation 5.
  private static func running() throws -> Bench {
    let bench = try Bench()
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Bench.process(web)]), generation: 5))
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .committed)
    bench.transport.forget()
    return bench
  }

  private static func expectRefused(
    _ bench: Bench, code: String, failureClass: FailureClass = .rejected, generation: Int64 = 6,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let report = try #require(bench.reports.last, sourceLocation: sourceLocation)
    #expect(report.status == .rejected, sourceLocation: sourceLocation)
    #expect(report.generation == Generation(generation), sourceLocation: sourceLocation)
    #expect(report.failure?.code == code, sourceLocation: sourceLocation)
    #expect(report.failure?.failureClass == failureClass, sourceLocation: sourceLocation)
    #expect(report.failure?.remedy.isEmpty == false, sourceLocation: sourceLocation)
    #expect(bench.runner.launches == ["com.example.web.run"], sourceLocation: sourceLocation)
    #expect(report.components.map(\.state) == [.running], sourceLocation: sourceLocation)
  }

  private static func next(_ bench: Bench) -> Plan {
    bench.plan([Bench.process(web, version: Version(2, 0, 0))])
  }

  @Test func aSignatureOfSomebodyElse() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 6, key: .generate()))
    try Self.expectRefused(bench, code: "envelope.badSignature")
  }

  @Test func anEnvelopeWithoutSignature() throws {
    let bench = try Self.running()
    var message = bench.message(Self.next(bench), generation: 6)
    message["envelope"]?["signatures"] = []
    bench.order(message)
    try Self.expectRefused(bench, code: "envelope.badSignature")
  }

  @Test func anotherDevicesName() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 6, device: "kiosk-2"))
    try Self.expectRefused(bench, code: "envelope.wrongDevice")
    #expect(bench.reports.last?.failure?.message.contains("kiosk-2") == true)
  }

  @Test func anExpiredOrder() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 6, expiresIn: -1))
    try Self.expectRefused(bench, code: "envelope.expired")
  }

  @Test func anOrderForLater() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 6, notBefore: 3_600))
    try Self.expectRefused(bench, code: "envelope.notYetValid")
  }

  @Test func aPlanThatIsNotTheSignedOne() throws {
    let bench = try Self.running()
    var message = bench.message(Self.next(bench), generation: 6)
    message["plan"] = .string(bench.plan([Bench.process("com.example.evil")]).json.canonical)
    bench.order(message)
    try Self.expectRefused(bench, code: "plan.digestMismatch", failureClass: .verify)
  }

  @Test func aPlanThatIsNotSound() throws {
    let bench = try Self.running()
    var second = Bench.process("com.example.second")
    second.dependencies = ["com.example.missing": .hard]
    let twice = bench.plan([Bench.process(Self.web), Bench.process(Self.web)])
    bench.order(bench.message(twice, generation: 6))
    try Self.expectRefused(bench, code: "plan.invalid")
  }

  @Test func junkOfAnyKind() throws {
    let bench = try Self.running()
    for payload in [
      Array("{".utf8), Array("null".utf8), [0xff, 0xfe], Array("{\"envelope\":{}}".utf8),
      [UInt8](repeating: UInt8(ascii: "["), count: 100_000),
    ] {
      bench.transport.deliver(payload, on: Topic.desired(Bench.device))
      bench.settle()
      try Self.expectRefused(bench, code: "envelope.malformed")
    }
  }

  @Test func tenMegabytesOfJunk() throws {
    let bench = try Self.running()
    bench.transport.deliver([UInt8](repeating: 0x20, count: 10 << 20), on: Topic.desired(Bench.device))
    bench.settle()
    try Self.expectRefused(bench, code: "envelope.tooLarge")
  }

  @Test func theSameJunkIsAnsweredOnce() throws {
    let bench = try Self.running()
    let message = bench.message(Self.next(bench), generation: 6, key: .generate())
    for _ in 0..<3 { bench.order(message) }
    #expect(bench.reports.count == 1)
  }

  @Test func anOlderGenerationIsIgnored() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 4))
    #expect(bench.reports.isEmpty)
    #expect(bench.runner.launches.count == 1)
    let line = try #require(bench.logLines.last)
    #expect(
      line.contains(
        " info the desired state of generation 4 is ignored, as this device has accepted generation 5 already; "
          + "nothing needs to be done: a broker may deliver an old one again"), "\(line)")
  }

  @Test func afterARefusalARightOrderIsObeyed() throws {
    let bench = try Self.running()
    bench.order(bench.message(Self.next(bench), generation: 6, key: .generate()))
    bench.order(bench.message(Self.next(bench), generation: 6))
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .committed)
    #expect(bench.reports.last?.generation == Generation(6))
  }

  @Test func aDeviceWithoutAClockJudgesByTheNewestSignedTime() throws {
    let bench = try Self.running()
    let expired = bench.message(Self.next(bench), generation: 6, expiresIn: -3_600)
    let good = bench.message(Self.next(bench), generation: 7)
    bench.clock.wall = .zero
    bench.order(expired)
    try Self.expectRefused(bench, code: "envelope.expired")
    bench.order(good)
    bench.run(milliseconds: 2_000)
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func anArtifactThatWasChangedInTheStore() throws {
    let bench = try Self.running()
    let (artifact, _) = Bench.artifact("run.sh", "good")
    bench.worker.blobs[artifact.digest.description] = Array("evil".utf8)
    var component = Bench.process(Self.web, version: Version(2, 0, 0))
    component.artifacts = [artifact]
    bench.order(bench.message(bench.plan([component]), generation: 6))
    bench.run(milliseconds: 60_000)
    let report = try #require(bench.reports.last)
    #expect(report.status == .failed && report.failure?.code == "blob.digestMismatch")
    #expect(bench.runner.launches == ["com.example.web.run"])
    #expect(bench.worker.downloaded.count == 3, "what is wrong is downloaded again before it is given up")
  }

  @Test func aPlanThatDoesNotFitTheDiskNamesBothSizes() throws {
    let bench = try Self.running()
    var (artifact, _) = Bench.artifact("huge.bin", "huge")
    artifact.size = 1 << 40
    artifact.unarchive = .zip
    var component = Bench.process(Self.web, version: Version(2, 0, 0))
    component.artifacts = [artifact]
    bench.order(bench.message(bench.plan([component]), generation: 6))
    bench.settle()
    let report = try #require(bench.reports.last)
    #expect(report.status == .failed && report.failure?.failureClass == .space)
    #expect(report.failure?.code == "space.short")
    #expect(report.failure?.message.contains("GiB under \(bench.paths.root), where") == true)
    #expect(bench.worker.jobs.isEmpty, "nothing is begun that cannot be finished")
    #expect(report.components.map(\.state) == [.running])
  }
}
