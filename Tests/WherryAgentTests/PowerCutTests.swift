import CFaultDisk
import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryTestSupport

/// A device whose power fails, or whose agent is killed, between any two writes of its journal's files comes up in the
/// state before a deployment or in the one after it, never between. `WHERRY_CUTS=N` tries N cuts instead of 2,000.
@Suite(.serialized) struct PowerCutTests {
  /// What the engine handed to the journal, in order.
  private struct Save {
    var state: DeviceState
    /// File operations when it began and when it was said to be on the disk.
    var began: Int
    var ended = Int.max
    /// What ran when it began: whatever the saves before it allowed.
    var alive: [WorkloadID: String]
    /// Terminal reports so far, by sequence.
    var ends: Set<Int64>
  }

  private static let broken = Version(3, 0, 0)

  /// Six generations: a first one, an update, one that breaks and is taken back, one that removes, one that adds.
  private static func components(_ generation: Int) -> [PlannedComponent] {
    let base = Bench.process("com.example.base", install: "prepare")
    var web = Bench.process("com.example.web", version: Version(generation, 0, 0), install: "prepare")
    web.dependencies = ["com.example.base": .hard]
    let side = Bench.process("com.example.side", version: Version((generation + 1) / 2, 0, 0))
    return generation == 4 ? [base, web] : [base, web, side]
  }

  private static func tell(_ bench: Bench) throws -> (saves: [Save], plans: [Plan]) {
    var saves: [Save] = []
    var ends: Set<Int64> = []
    var state = DeviceState()
    bench.runner.outcome = { spec in
      if !spec.id.hasSuffix(".run") { return WorkloadExit(code: 0) }
      let isBroken = spec.environment.contains("WHERRY_COMPONENT_VERSION=\(broken)") && spec.id.contains(".web.")
      return isBroken ? WorkloadExit(code: 1) : nil
    }
    bench.journal.willSave = { write in
      if let changed = write.state { state = changed }
      ends.formUnion(write.reports.filter { $0.status?.isTerminal == true }.map(\.sequence))
      var alive: [WorkloadID: String] = [:]
      for id in bench.runner.alive {
        alive[WorkloadID(id) ?? WorkloadID("none", .run)] = bench.runner.workloads[id]?.identity
      }
      saves.append(Save(state: state, began: fault_disk_count(), alive: alive, ends: ends))
    }
    bench.journal.didSave = { saves[saves.count - 1].ended = fault_disk_count() }
    bench.start()
    bench.connect()
    var plans: [Plan] = []
    for generation in 1...6 {
      let plan = bench.plan(components(generation), settle: 300)
      plans.append(plan)
      bench.order(bench.message(plan, generation: Int64(generation)))
      bench.run(milliseconds: 4_000)
      #expect(bench.reports.last?.status == (generation == 3 ? .rolledBack : .committed))
    }
    bench.engine.stop(waitMilliseconds: 0)
    return (saves, plans)
  }

  private static var cuts: Int { getenv("WHERRY_CUTS").flatMap { Int(String(cString: $0)) } ?? 2_000 }

  /// In memory where there is such a directory: the recording already says what was synced.
  private static func scratch(_ fallback: TemporaryDirectory) -> String {
    var template = Array("/dev/shm/wherry-cuts-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return fallback.path }
    return template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? fallback.path }
  }

  @Test func theOldStateOrTheNewOneAndNeverBetween() throws {
    let directory = TemporaryDirectory()
    try #require(fault_disk_record(directory.file("lib") + "/agent.db") == 0)
    let bench = try Bench(directory: directory)
    let (saves, plans) = try Self.tell(bench)
    let disk = FaultDisk()
    try #require(disk.count > 200 && saves.count > 30, "\(disk.count) operations, \(saves.count) saves")
    let scratch = Self.scratch(directory)
    defer { if scratch != directory.path { TemporaryDirectory.remove(scratch) } }
    var survived = 0
    for seed in 0..<Self.cuts {
      var dice = Dice(seed: seed)
      _ = dice.roll(2)
      let cut = dice.roll(disk.count + 1)
      let isPowerCut = dice.roll(4) > 0
      FaultDisk.write(disk.files(at: cut, dice: &dice, losesUnsynced: isPowerCut), to: scratch + "/agent.db")
      do {
        try Self.check(scratch + "/agent.db", cut, isPowerCut, saves, plans)
        survived += 1
      } catch {
        Issue.record("seed \(seed), cut after \(cut) operations, \(isPowerCut ? "power" : "kill"): \(error)")
        if seed - survived > 5 { break }
      }
    }
    fault_disk_stop()
    print("power cuts survived: \(survived) of \(Self.cuts)")
    #expect(survived == Self.cuts)
  }

  private static func check(
    _ path: String, _ cut: Int, _ isPowerCut: Bool, _ saves: [Save], _ plans: [Plan]
  ) throws {
    let journal = try SQLiteJournal(path: path)
    defer { journal.close() }
    let contents = try journal.load()
    // What was on the disk, by SQLite's word, and what was being written.
    let last = saves.lastIndex { $0.ended <= cut }
    let writing = saves.firstIndex { $0.began < cut && $0.ended > cut }
    let state = contents.state ?? DeviceState()
    let old = last.map { saves[$0].state } ?? DeviceState()
    let isNew = writing.map { saves[$0].state == state } ?? false
    guard state == old || isNew else { throw Trouble("a state that nobody wrote, or one that is too old") }
    let ends = isNew ? writing.map { saves[$0].ends } ?? [] : last.map { saves[$0].ends } ?? []
    let kept = Set(try journal.outbox(after: 0, limit: 1000).filter { $0.status?.isTerminal == true }.map(\.sequence))
    // A later report of the same end takes an earlier one's place.
    guard kept.isSubset(of: saves.last?.ends ?? []), kept.max() ?? 0 >= ends.max() ?? 0 else {
      throw Trouble("the end of a deployment was lost: \(ends.subtracting(kept))")
    }
    var device = ObedientDevice(
      contents, alive: isPowerCut ? [:] : saves[min((last ?? -1) + 1, saves.count - 1)].alive,
      bootID: isPowerCut ? "boot-after" : "boot-1",
      isBroken: { $0 == "com.example.web" && $1 == broken })
    device.pass(seconds: 60)
    try judge(device, plans, "offline")
    // The newest desired state is retained: it comes again with the connection.
    let newest = Int64(plans.count)
    let digest = try #require(saves.last?.state.current?.digest)
    device.tell(.desired(generation: Generation(newest), digest: digest, plan: plans[plans.count - 1]))
    device.pass(seconds: 60)
    try judge(device, plans, "online")
    guard device.machine.state.current?.generation == Generation(newest) else { throw Trouble("it did not converge") }
  }

  private static func judge(_ device: ObedientDevice, _ plans: [Plan], _ when: String) throws {
    let state = device.machine.state
    if let violation = device.violations.first { throw Trouble("\(when): \(violation)") }
    guard state.deployment == nil else { throw Trouble("\(when): a deployment never ends") }
    guard state.aim == state.current else { throw Trouble("\(when): it aims at what is not committed") }
    let plan = state.current.map { plans[Int($0.generation.rawValue) - 1] }
    let identities = state.components.mapValues(\.identity)
    guard device.runs(plan, identities), state.components.values.allSatisfy({ plan?[$0.name]?.version == $0.version })
    else {
      throw Trouble(
        "\(when): between two states: \(device.alive.keys.sorted()) of \(String(describing: state.current))")
    }
  }

  private struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
