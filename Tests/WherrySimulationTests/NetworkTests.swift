import Testing
import WherryModel

@testable import WherrySimulation

/// What the simulated network counts, what its broker forgets, and what its service sends again.
@Suite struct NetworkTests {
  let order = ServiceState.Desired(generation: Generation(2), plan: 0)

  @Test func aLineTellsHowEachMessageArrives() {
    var link = SimulatedLink()
    let numbers = (0..<4).map { _ in link.send() }
    let arrivals = [0, 2, 1, 1, 2, 3].map { link.receive(numbers[$0]) }
    #expect(arrivals == [.inOrder, .inOrder, .overtaken, .again, .again, .inOrder])
  }

  @Test func aBrokerThatForgetsRetainsAnOlderOrderOrNone() {
    var found: Set<Generation?> = []
    for seed in UInt64(0)..<100 {
      var broker = SimulatedBroker(devices: 1)
      for generation in [Int64(1), 2, 3] {
        broker.retain(ServiceState.Desired(generation: Generation(generation), plan: 0), for: 0)
      }
      var random = SplitMix64(seed: seed)
      broker.loseRetained(of: 0, &random)
      found.insert(broker.retained[0]?.generation)
    }
    let expected: Set<Generation?> = [nil, Generation(1), Generation(2)]
    #expect(found == expected)
  }

  @Test func anOrderThatTheDeviceHasNotSpokenOfIsSentAgain() {
    var state = ServiceState()
    state.desired[0] = order
    state.reports[0] = report(of: 1)
    let isRepeated = state.repeatOrderIfLost(to: 0)
    #expect(isRepeated)
    #expect(state.outbox == [.desired(device: 0, order)])
  }

  @Test func anOrderThatTheDeviceHasSpokenOfIsNot() {
    var state = ServiceState()
    state.desired[0] = order
    state.reports[0] = report(of: 2)
    let isRepeated = state.repeatOrderIfLost(to: 0)
    #expect(!isRepeated)
    #expect(state.outbox.isEmpty)
  }

  @Test func anOrderThatIsOwedToTheBrokerIsNotOwedTwice() {
    var state = ServiceState()
    state.desired = [0: order, 1: order]
    state.outbox = [.desired(device: 0, order)]
    let isRepeated = [0, 1].map { state.repeatOrderIfLost(to: $0) }
    #expect(isRepeated == [false, true])
    #expect(state.outbox == [.desired(device: 0, order), .desired(device: 1, order)])
  }

  @Test func whoeverHasJustComeHearsItsOrderInAnyCase() {
    var state = ServiceState()
    state.repeatOrder(to: 0)
    #expect(state.outbox.isEmpty)
    state.desired[0] = order
    state.reports[0] = report(of: 2)
    state.repeatOrder(to: 0)
    #expect(state.outbox == [.desired(device: 0, order)])
  }

  private func report(of generation: Int64) -> DeviceReport {
    DeviceReport(sequence: 1, generation: Generation(generation), status: .committed, components: [])
  }
}
