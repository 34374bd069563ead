import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryRollout

/// A machine that is stored in parts is the one that was stored, after each event.
@Suite struct StoringTests {
  /// What a database holds.
  private struct Store {
    var head = JSON.null
    var members: [Int: JSON] = [:]
    var written = 0

    mutating func save(_ machine: inout RolloutMachine) {
      let changes = machine.takeChanges()
      if changes.isWhole { members = [:] }
      for entry in changes.members { members[entry.slot] = entry.member }
      written += changes.members.count
      head = machine.headJSON
    }

    func load() throws -> RolloutMachine { try RolloutMachine(head: JSONCursor(head), members: members) }
  }

  @Test(arguments: 0..<20) func itComesBackAfterEachEvent(block: Int) throws {
    for seed in block * 10..<(block + 1) * 10 {
      var random = SeededGenerator(seed: UInt64(seed))
      var machine = RolloutMachinePropertyTests.bench(&random).machine
      var store = Store()
      var now = Instant(milliseconds: 1_000)
      for _ in 0..<80 {
        _ = machine.handle(RolloutMachinePropertyTests.event(&random), at: now)
        store.save(&machine)
        let read = try store.load()
        #expect(read == machine && read.nextDeadline == machine.nextDeadline, "seed \(seed)")
        // Every other time the service dies and goes on with what it has.
        if Bool.random(using: &random) { machine = read }
        now = now.advanced(byMilliseconds: .random(in: 0...8_000, using: &random))
      }
    }
  }

  @Test func anEventWritesWhatItChanged() throws {
    var policy = RolloutPolicy()
    policy.concurrencyMaximum = 1
    let devices = (1...1_000).map { RolloutDevice(name: RolloutBench.name($0), isOnline: true) }
    var machine = RolloutMachine(policy: policy, devices: devices)
    var store = Store()
    _ = machine.handle(.start, at: .zero)
    store.save(&machine)
    #expect(store.written == 1_000)
    _ = machine.handle(.reported(RolloutBench.name(1), .committed, nil, digestMatches: true), at: .zero)
    store.save(&machine)
    #expect(store.written == 1_002, "the one that committed and the next")
    _ = machine.handle(.left(RolloutBench.name(500)), at: .zero)
    store.save(&machine)
    #expect(store.written == 1_003 && store.members.count == 999)
    _ = machine.handle(.tick, at: .zero)
    store.save(&machine)
    #expect(store.written == 1_003)
    #expect(try store.load() == machine)
  }
}
