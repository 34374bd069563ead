import Testing
import WherryJSON
import WherryModel
import WherryWire

/// Local deployments as they are journalled and reported.
@Suite struct LocalWireTests {
  private static func planned(_ name: ComponentName) throws -> PlannedComponent {
    PlannedComponent(
      name: name, version: Version(1, 0, 0),
      recipe: try #require(Digest("sha256:" + String(repeating: "a", count: 64))))
  }

  private static func set() throws -> LocalSet {
    var set = LocalSet()
    set.roots["web"] = VersionRequirement("^1")
    set.components["web"] = LocalComponent(
      planned: try planned("web"), requirements: ["lib": try #require(VersionRequirement(">=1"))])
    set.configurations["web"] = ConfigurationUpdate()
    set.configurations["web"]?.merge = ["port": 1]
    return set
  }

  private static func read<T: WireValue>(_ value: T) throws -> T {
    try T(JSONCursor(JSON(parsing: value.json.canonical)))
  }

  @Test func aPlanKeepsItsLocalSet() throws {
    var plan = Plan(components: [try Self.planned("web")])
    #expect(!plan.canonical.contains("local"), "without one a plan's text is what it always was")
    plan.local = try Self.set()
    plan.localNames = ["web"]
    plan.ordered = try Self.planned("web").recipe
    #expect(try Self.read(plan) == plan)
  }

  @Test func aReportTellsOfIt() throws {
    var component = ComponentReport(name: "web", version: Version(1, 0, 0), state: .running)
    component.isLocal = true
    var report = DeviceReport(sequence: 1, generation: Generation(7), status: .committed, components: [component])
    report.local = LocalReport(id: "7.2", status: .rolledBack, failure: Failure(.start, code: "x", message: "m"))
    #expect(try Self.read(report) == report)
    // The service's numbers are whole ones, whatever the device counts on top of them.
    report.generation = Generation(7, local: 2)
    #expect(report.json["generation"] == 7)
  }

  @Test(arguments: [
    "{\"roots\":{\"../x\":\"*\"},\"components\":{},\"configurations\":{}}",
    "{\"roots\":{\"web\":\"not a version\"},\"components\":{},\"configurations\":{}}",
    "{\"roots\":{},\"components\":{\"web\":{\"planned\":{},\"requirements\":{}}},\"configurations\":{}}", "[]", "{}",
  ]) func whatIsMisshapenIsRefused(text: String) throws {
    #expect(throws: JSONShapeError.self) { try LocalSet(JSONCursor(JSON(parsing: text))) }
  }

  @Test func aDefinitionIsOfTheComponentThatItIsNamedAfter() throws {
    var set = try Self.set()
    set.components["other"] = set.components["web"]
    #expect(throws: JSONShapeError.self) { try Self.read(set) }
  }
}
