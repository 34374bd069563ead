import Testing
import WherryModel
import WherryWire

@testable import WherryClient

@Suite struct DeviceExplanationTests {
  private let now = Instant(milliseconds: 10_000_000)
  private let web = ComponentName(trusted: "com.example.web")

  private func device(
    _ status: DeploymentStatus? = .committed, isOnline: Bool = true, generation: Int64 = 3, reported: Int64 = 3,
    failure: Failure? = nil, components: [ComponentReport] = []
  ) -> DeviceSummary {
    DeviceSummary(
      name: DeviceName(trusted: "kiosk-1"), platform: Platform([:]), labels: [:], groups: [], isOnline: isOnline,
      lastSeen: Instant(milliseconds: 10_000_000 - 7_500_000), agentVersion: "1", generation: Generation(generation),
      reportedGeneration: Generation(reported), status: status, failure: failure, components: components,
      bytesDone: 1 << 20, bytesTotal: 4 << 20)
  }

  private func deployment(
    _ state: String = "rolling", reason: String = "", waves: [WaveSummary], _ devices: [(String, Int, String)],
    concurrency: Int = 0
  ) -> DeploymentSummary {
    var policy = RolloutPolicy()
    policy.concurrencyMaximum = concurrency
    policy.soakMilliseconds = 30_000
    return DeploymentSummary(
      id: DeploymentID(7), target: .group(GroupName(trusted: "kiosks")), components: [web: "2.0.0"], state: state,
      reason: reason, createdAt: Instant(milliseconds: 10_000_000 - 120_000), finishedAt: nil, waves: waves,
      devices: devices.map { name, wave, status in
        DeploymentDevice(
          name: DeviceName(trusted: name), wave: wave, status: status, generation: Generation(0), failure: nil)
      }, policy: policy)
  }

  private func wave(_ index: Int, _ state: String, committed: Int = 0) -> WaveSummary {
    WaveSummary(index: index, size: 2, released: 1, committed: committed, failed: 0, parked: 0, state: state)
  }

  private func why(_ device: DeviceSummary, _ deployments: [DeploymentSummary] = []) -> [String] {
    DeviceExplanation(device: device, deployments: deployments, now: now).sentences
  }

  @Test func whatIsAsItShouldBeIsSaid() {
    #expect(why(device()) == ["kiosk-1 is online and runs what it was told, generation 3"])
    #expect(why(device(nil, generation: 0, reported: 0))[0].contains("was never told to run anything"))
  }

  @Test func whatWasDeployedOnTheDeviceItselfIsSaid() {
    var component = ComponentReport(name: web, version: Version(1, 0, 0), state: .running)
    component.isLocal = true
    var device = device(components: [component])
    device.local = LocalReport(id: "3.1", status: .committed)
    #expect(why(device).last == "deployed on the device itself, not by this service: com.example.web")
    #expect(why(device).count == 2)
    let explanation = DeviceExplanation(device: device, deployments: [], now: now)
    #expect(explanation.sentences(of: web).contains { $0.contains("deployed on the device itself") })
    device.local = LocalReport(
      id: "3.2", status: .rolledBack, failure: Failure(.start, code: "component.exited", message: "it ended"))
    #expect(why(device).last?.contains("local deployment 3.2, made on the device itself, failed") == true)
    #expect(why(device).last?.contains("it ended") == true)
    device.local = LocalReport(id: "3.3", status: .superseded)
    #expect(why(device).last?.contains("gave way to a newer order") == true)
  }

  @Test func notNowIsSaidWithItsReasonAndUntilWhen() {
    let why = Failure(.download, code: Failure.downloadWindowCode, message: "it downloads only at 22:00-06:00")
    var device = device(.fetching, failure: why)
    device.resumesAt = Instant(milliseconds: 12_000_000)
    #expect(
      self.why(device)
        == ["generation 3 waits, until 1970-01-01 03:20:00Z at the latest: it downloads only at 22:00-06:00"])
  }

  @Test func whatKeepsItBackIsSaid() {
    var held = deployment(waves: [wave(1, "open")], [("kiosk-1", 1, "waiting"), ("kiosk-2", 1, "applying")])
    held.devices[0].waitsFor = "no more than 1 of store=a may be changing, and kiosk-2 is, or has not come back"
    #expect(why(device(), [held])[0].hasSuffix("which is open; \(held.devices[0].waitsFor ?? "")"))
    held.devices[0].waitsFor = nil
    held.devices[0].status = "silent"
    #expect(
      why(device(), [held])[0] == "deployment 7: nothing was heard of it in time; what it says later still counts")
  }

  @Test func whoIsAwayIsSaidToBeSoSinceWhen() {
    let sentence = why(device(isOnline: false))[0]
    #expect(sentence.contains("is offline since 1970-01-01 00:41:40Z, 2 h 5 min ago"), "\(sentence)")
  }

  @Test func itsTurnInARolloutIsExplained() {
    let devices = [("kiosk-1", 2, "waiting"), ("kiosk-2", 1, "applying"), ("kiosk-3", 1, "committed")]
    func turn(_ deployment: DeploymentSummary) -> String { why(device(), [deployment])[0] }
    let waves = [wave(1, "open", committed: 1), wave(2, "waiting")]
    #expect(
      turn(deployment(waves: waves, devices))
        == "deployment 7, begun 2 min ago: it is in wave 2 of 2; wave 1 is open with 1 of 2 committed, under way: "
        + "kiosk-2 (applying)")
    #expect(turn(deployment(waves: [wave(1, "soaking"), wave(2, "waiting")], devices)).contains("soaks for 30 s"))
    #expect(
      turn(deployment("paused", reason: "paused by an operator", waves: waves, devices))
        .contains("waits for a person: paused by an operator; `wherry deployment resume 7`"))
    #expect(
      turn(deployment("halted", reason: "1 device failed", waves: waves, devices)).contains("halted before its turn"))
    let same = [("kiosk-1", 1, "waiting"), ("kiosk-2", 1, "fetching")]
    let open = [wave(1, "open")]
    let limited = turn(deployment(waves: open, same, concurrency: 1))
    #expect(limited.contains("1 at a time are changed, now kiosk-2 (fetching)"), "\(limited)")
    #expect(turn(deployment(waves: open, same)).contains("nobody committed yet"))
    #expect(turn(deployment(waves: open, [("kiosk-1", 1, "parked")])).contains("passed it by"))
    #expect(why(device(), [deployment(waves: open, [("kiosk-9", 1, "waiting")])]).count == 1, "not its own")
  }

  @Test(
    arguments: [
      (DeploymentStatus.fetching, nil, "is being fetched: 1 MiB of 4 MiB, 25%"),
      (.fetching, "waits for 22:00", "generation 3 waits: waits for 22:00"), (.applying, nil, "is being applied"),
      (.settling, nil, "is watched before it commits"), (.rollingBack, "it broke", "it goes back: it broke"),
      (.rolledBack, "it broke", "the state before it runs again: it broke"), (.failed, "it broke", "failed: it broke"),
      (.rejected, "no signature", "was refused, and what ran before runs on: no signature"),
    ] as [(DeploymentStatus, String?, String)])
  func howFarItsNewestStateIs(status: DeploymentStatus, message: String?, sentence: String) {
    let failure = message.map { Failure(.download, code: "x", message: $0) }
    let sentences = why(device(status, failure: failure))
    #expect(sentences.contains { $0.contains(sentence) }, "\(sentences)")
  }

  @Test func anOrderThatHasNotArrivedIsOnItsWay() {
    #expect(why(device(generation: 4)) == ["generation 4 is on its way to it; it has reported 3"])
  }

  @Test func aComponentIsExplainedAlone() {
    let broken = ComponentReport(
      name: web, version: Version(1, 2, 3), state: .broken, restarts: 3,
      failure: Failure(.start, code: "component.exited", message: "it exited with code 1", remedy: "read its log"))
    let other = ComponentReport(name: ComponentName(trusted: "other"), version: Version(1, 0, 0), state: .starting)
    let explained = DeviceExplanation(device: device(components: [broken, other]), deployments: [], now: now)
    #expect(
      explained.sentences(of: web) == [
        "com.example.web 1.2.3 is BROKEN: it exited with code 1; read its log; it is not tried again until it is "
          + "deployed or restarted"
      ])
    #expect(explained.sentences.count == 2)
    let waves = [wave(1, "open"), wave(2, "waiting")]
    let coming = DeviceExplanation(
      device: device(), deployments: [deployment(waves: waves, [("kiosk-1", 2, "waiting")])], now: now)
    #expect(coming.sentences(of: web)[0] == "kiosk-1 has no com.example.web yet; deployment 7 brings it")
    #expect(coming.sentences(of: ComponentName(trusted: "nobody"))[0].contains("no deployment of it names that"))
  }
}
