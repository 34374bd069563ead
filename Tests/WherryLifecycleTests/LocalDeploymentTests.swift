import Testing
import WherryJSON
import WherryModel
import WherryPlanning

@testable import WherryLifecycle

/// Deployments that somebody made on the device itself, between the service's orders.
@Suite struct LocalDeploymentTests {
  private static func local(_ names: [ComponentName], of plan: Plan, ordered: Plan? = nil) -> Plan {
    var plan = plan
    var set = LocalSet()
    for name in names {
      set.roots[name] = VersionRequirement("*")
      if let planned = plan[name] { set.components[name] = LocalComponent(planned: planned, requirements: [:]) }
    }
    plan.local = set
    plan.localNames = Set(names)
    plan.ordered = ordered.map(Bench.digest)
    return plan
  }

  private static func deploy(_ bench: inout Bench, _ generation: Generation, _ plan: Plan) {
    bench.tell(.desired(generation: generation, digest: Bench.digest(plan), plan: plan))
    bench.pass(10_000)
  }

  @Test func theServiceHearsOfItBesideItsOwn() {
    var bench = Bench()
    let ordered = plan(container("web", 1))
    bench.complete(1, ordered)
    let whole = Self.local(["tool"], of: plan(container("tool", 1), container("web", 1)), ordered: ordered)
    Self.deploy(&bench, Generation(1, local: 1), whole)
    #expect(bench.state("tool") == .running)
    #expect(bench.steps.contains("run tool.run 1.0.0") && !bench.steps.contains("stop web.run"))
    let last = bench.reports.last
    #expect(last?.generation == Generation(1) && last?.status == .committed)
    #expect(last?.plan == Bench.digest(ordered) && last?.running == Bench.digest(ordered))
    #expect(last?.local == LocalReport(id: "1.1", status: .committed))
    #expect(last?.components.filter(\.isLocal).map(\.name) == ["tool"])
    #expect(bench.violations.isEmpty, "\(bench.violations)")
    // A replay of the service's order is answered and changes nothing.
    bench.asked = []
    bench.tell(.desired(generation: Generation(1), digest: Bench.digest(ordered), plan: ordered))
    #expect(bench.reports.count == 1 && bench.steps.isEmpty)
  }

  @Test func whatBreaksIsTakenBackToWhatWasBefore() {
    var bench = Bench()
    let ordered = plan(container("web", 1))
    bench.complete(1, ordered)
    bench.fates["tool 1.0.0"] = .exits(ExitStatus(code: 1))
    Self.deploy(
      &bench, Generation(1, local: 1), Self.local(["tool"], of: plan(container("tool", 1), container("web", 1))))
    #expect(bench.state("tool") == nil && bench.state("web") == .running)
    #expect(bench.reports.last?.local?.status == .rolledBack && bench.reports.last?.local?.failure != nil)
    #expect(bench.reports.last?.status == .committed, "the service's own order stands as it ended")
    #expect(bench.machine.state.current?.generation == Generation(1))
  }

  @Test func theServicesOrderTakesThePlaceOfALocalOne() {
    var bench = Bench()
    let ordered = plan(container("web", 1))
    bench.complete(1, ordered)
    bench.isFetching = false
    let whole = Self.local(["tool"], of: plan(container("tool", 1), container("web", 1)), ordered: ordered)
    bench.tell(.desired(generation: Generation(1, local: 1), digest: Bench.digest(whole), plan: whole))
    bench.isFetching = true
    bench.complete(2, plan(container("web", 2)))
    #expect(bench.machine.state.localConclusions.map(\.status) == [.superseded])
    #expect(bench.reports.contains { $0.local == LocalReport(id: "1.1", status: .superseded) })
    #expect(bench.state("tool") == nil)
  }

  @Test func aLocalOneTakesThePlaceOfNothing() {
    var bench = Bench()
    bench.isFetching = false
    bench.deploy(1, plan(container("web", 1)))
    let whole = Self.local(["tool"], of: plan(container("tool", 1)))
    bench.tell(.desired(generation: Generation(1, local: 1), digest: Bench.digest(whole), plan: whole))
    #expect(bench.machine.state.deployment?.reference.generation == Generation(1))
  }

  @Test(arguments: [false, true]) func itGoesOnAfterARestart(isBoot: Bool) {
    var bench = Bench()
    bench.isFetching = false
    let whole = Self.local(["tool"], of: plan(container("tool", 1)))
    bench.tell(.desired(generation: Generation(0, local: 1), digest: Bench.digest(whole), plan: whole))
    bench.isFetching = true
    bench.restartAgent(isBoot: isBoot)
    bench.pass(10_000)
    #expect(bench.machine.state.localConclusions.map(\.generation.description) == ["0.1"])
    #expect(bench.reports.last?.local == LocalReport(id: "0.1", status: .committed))
    #expect(bench.reports.last?.generation == Generation(0) && bench.reports.last?.status == nil)
    #expect(bench.reports.last?.running == nil, "nothing in it was ordered by the service")
    #expect(bench.violations.isEmpty, "\(bench.violations)")
  }

  @Test func onlySoManyAreRemembered() {
    var bench = Bench()
    for number in 1...20 {
      Self.deploy(
        &bench, Generation(0, local: number), Self.local(["tool"], of: plan(container("tool", 1 + number % 2))))
    }
    let ids = bench.machine.state.localConclusions.map(\.generation.description)
    #expect(ids.count == 16 && ids.last == "0.20" && ids.first == "0.5")
  }

  @Test(arguments: ["7", "7.1", "0.2147483648"]) func aNumberIsWrittenOneWay(text: String) {
    #expect(Generation(text)?.description == text)
  }

  @Test(arguments: ["", "7.", "7.0", "07.1", "7.1.1", "-1", "7.-1", "x", "9007199254740993"])
  func whatIsNoNumberIsNone(text: String) { #expect(Generation(text) == nil) }
}
