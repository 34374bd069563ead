/// What to simulate. The same options give the same transcript, on every machine.
package struct SimulationOptions: Hashable, Sendable {
  package var seed: UInt64
  package var devices: Int
  /// Deployments during the time of faults; a last good one follows.
  package var deployments = 4
  package var faults = FaultRates()
  /// How long things go wrong.
  package var chaosMilliseconds: Int64 = 30_000
  /// How long the fleet has after that to come to rest.
  package var patienceMilliseconds: Int64 = 1_800_000
  /// Lines of transcript that are kept; the last ones count.
  package var transcriptLinesMaximum = 20_000
  /// In place of the deployments: one rollout, as this says.
  package var scenario: Scenario?

  package init(seed: UInt64, devices: Int = 5) {
    self.seed = seed
    self.devices = devices
  }

  package init(seed: UInt64, scenario: Scenario) {
    self.init(seed: seed, devices: scenario.devices)
    self.scenario = scenario
    faults = scenario.faults
    deployments = 1
    chaosMilliseconds = Int64(scenario.minutesMaximum) * 60_000
    transcriptLinesMaximum = 0
  }
}

/// How often things go wrong, in thousandths of the occasions; the pauses between big faults are in milliseconds.
package struct FaultRates: Hashable, Sendable {
  /// The agent dies while it handles an event: before the journal is written, after it, or amid the actions.
  package var agentCrash = 12
  package var serviceCrash = 8
  /// The broker dies when it has taken an order and passed it on to nobody.
  package var brokerCrash = 10
  /// A report or an acknowledgement vanishes.
  package var messageLost = 50
  package var messageDuplicated = 50
  /// A message to a device is sent a second time because the first did not get through.
  package var messageLate = 50
  package var oldDesiredReplayed = 20
  package var fetchFails = 60
  package var launchFails = 10
  package var messageDelayMilliseconds = 400
  /// Between two of: agent killed, power cut, connection lost, service killed, broker killed, restart of a component
  /// requested, workload killed.
  package var bigFaultPauseMilliseconds = 2_000
  /// At least so long from one death of the service or the broker among them to the next.
  package var serviceFaultPauseMilliseconds = 0
  /// The service's clock jumps by up to this, now and then; 0 = it does not.
  package var clockJumpMilliseconds = 0

  package init() {}

  package static let none: FaultRates = {
    var rates = FaultRates()
    rates.agentCrash = 0
    rates.serviceCrash = 0
    rates.brokerCrash = 0
    rates.messageLost = 0
    rates.messageDuplicated = 0
    rates.messageLate = 0
    rates.oldDesiredReplayed = 0
    rates.fetchFails = 0
    rates.launchFails = 0
    rates.bigFaultPauseMilliseconds = 0
    return rates
  }()
}
