import Testing
import WherryModel

@testable import WherryRollout

@Suite struct ForecastTests {
  private static func forecast(
    _ count: Int, offline: Set<Int> = [], milliseconds: Int64 = 10_000, _ change: (inout RolloutPolicy) -> Void
  ) -> RolloutForecast {
    var policy = RolloutPolicy()
    change(&policy)
    let devices = (1...count).map { RolloutBench.device($0, isOnline: !offline.contains($0)) }
    return RolloutForecast(policy: policy, devices: devices) { _ in milliseconds }
  }

  @Test func wavesFollowOneAnother() {
    let forecast = Self.forecast(4) {
      $0.waves = [.count(1), .count(2), .percent(100)]
      $0.soakMilliseconds = 5_000
    }
    #expect(forecast.ending == .completed && forecast.waves == [0, 15_000, 30_000])
    #expect(forecast.milliseconds == 40_000 && forecast.bytes == 10_000 && forecast.missing.isEmpty)
  }

  @Test func limitsMakeItLonger() {
    #expect(Self.forecast(4) { $0.waves = [.percent(100)] }.milliseconds == 10_000)
    #expect(
      Self.forecast(4) {
        $0.waves = [.percent(100)]
        $0.concurrencyMaximum = 1
      }.milliseconds == 40_000)
    #expect(
      Self.forecast(4) {
        $0.waves = [.percent(100)]
        $0.disruption = [RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1)]
      }.milliseconds == 20_000)
    // The last begins when 1, 2 and 3 kB have left.
    #expect(
      Self.forecast(4) {
        $0.waves = [.percent(100)]
        $0.bytesPerSecond = 1_000
      }.milliseconds == 16_000)
  }

  @Test func whoIsAwayOrTooSlowWillMissIt() {
    let away = Self.forecast(3, offline: [2]) { $0.waves = [.percent(100)] }
    #expect(away.ending == .completed && away.missing == [RolloutBench.name(2)] && away.bytes == 4_000)
    #expect(Self.forecast(2, offline: [1, 2]) { _ in }.ending == .waiting)
    let slow = Self.forecast(2, milliseconds: 90_000) { $0.deviceTimeoutSeconds = 60 }
    #expect(slow.milliseconds == 60_000 && slow.missing.count == 2)
    guard case .halted(let reason) = slow.ending else {
      Issue.record("\(slow)")
      return
    }
    #expect(reason.contains("did not finish within 60 s"))
  }

  @Test func itIsWhatTheMachineDoes() {
    // The same devices, driven by hand.
    var bench = RolloutBench(6) { $0.waves = [.count(2), .percent(100)] }
    let forecast = Self.forecast(6) { $0.waves = [.count(2), .percent(100)] }
    var waves: [Int64] = [0]
    while bench.machine.state == .rolling {
      let names = bench.actions.flatMap { action -> [DeviceName] in
        if case .release(let names) = action { names } else { [] }
      }
      bench.now = bench.now.advanced(byMilliseconds: 10_000)
      for name in names { bench.tell(.reported(name, .committed, nil, digestMatches: true)) }
      if bench.machine.openWaveIndex >= waves.count { waves.append(bench.now.milliseconds - 1_000) }
    }
    #expect(forecast.waves == waves && forecast.milliseconds == bench.now.milliseconds - 1_000)
  }

  @Test func aHundredThousandDevicesAreForeseenAtOnce() {
    var policy = RolloutPolicy()
    policy.waves = [.count(100), .percent(10), .percent(50), .percent(100)]
    policy.concurrencyMaximum = 500
    let devices = (1...100_000).map { RolloutDevice(name: RolloutBench.name($0), isOnline: true) }
    let forecast = RolloutForecast(policy: policy, devices: devices) { _ in 1_000 }
    #expect(forecast.ending == .completed && forecast.missing.isEmpty)
  }
}
