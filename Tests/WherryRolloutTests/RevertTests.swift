import Testing
import WherryModel

@testable import WherryRollout

/// A rollout that gives back what was there when its budget is spent.
@Suite struct RevertTests {
  typealias Bench = RolloutBench

  @Test func aHaltThatRevertsTakesBackWhoeverHasItOrMayGetIt() {
    var bench = Bench(5, offline: [5]) {
      $0.waves = [.count(4)]
      $0.onFailure = .revert
    }
    bench.commit(1)
    bench.tell(.online(Bench.name(2), false))
    // 1 has it, 2 may find it when it is back, 3 is at it; 4 has gone back by itself, 5 was never given it.
    bench.fail(4)
    #expect(bench.actions.first == .revert([1, 2, 3].map(Bench.name)))
    #expect(bench.machine.state.reason.hasSuffix("; 3 devices go back"))
    #expect([1, 2, 3, 4].map(bench.status) == ["reverted", "reverted", "reverted", "failed"])
    // What was said before they heard changes nothing, and nothing goes on.
    #expect(bench.commit(3).isEmpty && bench.status(3) == "reverted")
    #expect(bench.tell(.resume).isEmpty && bench.tell(.retry).isEmpty && bench.machine.state.name == "halted")
  }

  @Test func whoSaidNothingInTimeIsTakenBackToo() {
    var bench = Bench(2) {
      $0.waves = [.count(2)]
      $0.onFailure = .revert
      $0.deviceTimeoutSeconds = 10
    }
    bench.commit(1)
    bench.now = bench.now.advanced(bySeconds: 11)
    #expect(bench.tell(.tick).first == .revert([1, 2].map(Bench.name)))
    #expect(bench.status(2) == "silent")
  }
}
