import Testing
import WherryJSON
import WherryModel
import WherryPlanning

/// What is deployed on a device itself, beside what the service orders: neither takes from the other.
@Suite struct LocalUnionTests {
  private static func recipes(_ lines: [String]) throws -> [CatalogEntry] {
    let all = try catalog(lines)
    return try lines.map { line in
      let words = line.split(separator: ":")[0].split(separator: " ")
      let version = try #require(Version(String(words[1])))
      return try #require(all.entry(ComponentName(trusted: String(words[0])), version))
    }
  }

  private static func service(_ roots: [ComponentName: DeployedComponent], _ lines: [String]) throws -> Plan {
    try PlanComposer.compose(
      roots: [deployment(7, roots)], catalog: Catalog(entries: recipes(lines)), platform: linux, images: [:])
  }

  private static func request(_ lines: [String], merge: [ComponentName: String] = [:]) throws -> LocalRequest {
    var request = LocalRequest()
    request.recipes = try recipes(lines)
    request.merge = try merge.mapValues { try requirement($0) }
    return request
  }

  private static func set(
    _ lines: [String], merge: [ComponentName: String], service: Plan? = nil, before: LocalSet = LocalSet()
  ) throws -> LocalSet {
    try LocalResolver.resolve(try request(lines, merge: merge), service: service, local: before, platform: linux)
  }

  private static func names(_ plan: Plan) -> [String] { plan.components.map { "\($0.name) \($0.version)" } }

  private static func sentence(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "no refusal"
  }

  @Test func withoutAServiceTheLocalSetIsAll() throws {
    let local = try Self.set(["web 1.0.0: lib ^1", "lib 1.0.0", "lib 1.2.0"], merge: ["web": "1.0.0"])
    #expect(local.roots.keys.sorted() == ["web"] && local.components.keys.sorted() == ["lib", "web"])
    let plan = try LocalUnion.compose(service: nil, digest: nil, local: local)
    #expect(Self.names(plan) == ["lib 1.2.0", "web 1.0.0"])
    #expect(plan.localNames == ["lib", "web"] && plan.ordered == nil && plan.local == local)
    #expect(PlanChecker.problems(in: plan).isEmpty)
  }

  @Test func theServicesNextOrderRemovesNothingLocal() throws {
    let local = try Self.set(["tool 1.0.0"], merge: ["tool": "^1"])
    for lines in [["web 1.0.0"], ["web 2.0.0"], []] {
      let ordered = try Self.service(lines.isEmpty ? [:] : ["web": deployed("*")], lines)
      let plan = try LocalUnion.compose(service: ordered, digest: digest(9), local: local)
      #expect(Set(Self.names(plan)) == Set(lines + ["tool 1.0.0"]))
      #expect(plan.localNames == ["tool"] && plan.ordered == digest(9) && plan.deployments == ordered.deployments)
      for component in ordered.components { #expect(plan[component.name] == component) }
    }
  }

  /// The service's definition is the one; the local one waits for the day when the service stops ordering it.
  @Test func whatBothWantIsTheServices() throws {
    let ordered = try Self.service(["lib": deployed("1.1.0")], ["lib 1.1.0"])
    let local = try Self.set(["web 1.0.0: lib ^1", "lib 1.0.0", "lib 1.9.0"], merge: ["web": "*"], service: ordered)
    #expect(local.components["lib"]?.planned.version == Version(1, 1, 0), "the service's version is fixed")
    let both = try LocalUnion.compose(service: ordered, digest: digest(9), local: local)
    #expect(Self.names(both) == ["lib 1.1.0", "web 1.0.0"] && both.localNames == ["web"])
    let newer = try Self.service(["lib": deployed("1.5.0")], ["lib 1.5.0"])
    #expect(
      Self.names(try LocalUnion.compose(service: newer, digest: digest(9), local: local)) == [
        "lib 1.5.0", "web 1.0.0",
      ])
    let without = try Self.service(["other": deployed("*")], ["other 1.0.0"])
    #expect(
      Self.names(try LocalUnion.compose(service: without, digest: digest(9), local: local)) == [
        "lib 1.1.0", "other 1.0.0", "web 1.0.0",
      ], "what a local component needs stays when the service orders it no more")
  }

  @Test func aVersionThatDoesNotSuitBothIsRefusedAndExplained() throws {
    let local = try Self.set(["web 1.0.0: lib ^1", "lib 1.0.0"], merge: ["web": "1.0.0"])
    let ordered = try Self.service(["lib": deployed("*")], ["lib 2.0.0"])
    let text = Self.sentence { _ = try LocalUnion.compose(service: ordered, digest: digest(9), local: local) }
    #expect(text.contains("the service orders lib 2.0.0, but web 1.0.0 (local) needs lib ^1"), "\(text)")
    #expect(text.contains("--remove"), "\(text)")
    let root = try Self.set(["lib 1.0.0"], merge: ["lib": "1.0.0"])
    let direct = Self.sentence { _ = try LocalUnion.compose(service: ordered, digest: digest(9), local: root) }
    #expect(direct.contains("the service orders lib 2.0.0, but a local deployment wants lib 1.0.0"), "\(direct)")
  }

  @Test func resolvingBesideTheServiceExplainsWhoWantsWhat() throws {
    let ordered = try Self.service(["lib": deployed("*")], ["lib 2.0.0"])
    let text = Self.sentence { _ = try Self.set(["lib 1.0.0"], merge: ["lib": "1.0.0"], service: ordered) }
    #expect(text.contains("the service wants lib 2.0.0") && text.contains("this deployment wants lib 1.0.0"), "\(text)")
    let unknown = Self.sentence { _ = try Self.set(["web 1.0.0: lib ^1"], merge: ["web": "*"]) }
    #expect(unknown.contains("no recipe of lib on this device") && unknown.contains("--recipe-dir"), "\(unknown)")
  }

  @Test func removingTakesBackWhatNobodyElseNeeds() throws {
    let local = try Self.set(
      ["web 1.0.0: lib ^1", "lib 1.0.0", "tool 1.0.0: lib ^1"], merge: ["web": "*", "tool": "*"])
    var request = LocalRequest()
    request.remove = ["web"]
    let less = try LocalResolver.resolve(request, service: nil, local: local, platform: linux)
    #expect(less.components.keys.sorted() == ["lib", "tool"], "earlier recipes need not be given again")
    request.remove = ["tool", "web"]
    let none = try LocalResolver.resolve(request, service: nil, local: local, platform: linux)
    #expect(none == LocalSet())
    let ordered = try Self.service(["lib": deployed("*")], ["lib 1.0.0"])
    #expect(try LocalUnion.compose(service: ordered, digest: digest(9), local: none) == ordered)
    #expect(try LocalUnion.compose(service: nil, digest: nil, local: none).components.isEmpty)
  }

  @Test(arguments: [
    ("nobody", "not deployed locally; what is: web"), ("lib", "web needs it"), ("base", "ordered by the service"),
  ]) func removingWhatIsNotThereSaysWhy(name: String, sentence: String) throws {
    let ordered = try Self.service(["base": deployed("*")], ["base 1.0.0"])
    let local = try Self.set(["web 1.0.0: lib ^1", "lib 1.0.0"], merge: ["web": "*"], service: ordered)
    var request = LocalRequest()
    request.remove = [ComponentName(trusted: name)]
    let text = Self.sentence {
      _ = try LocalResolver.resolve(request, service: ordered, local: local, platform: linux)
    }
    #expect(text.contains(sentence), "\(text)")
  }

  @Test func aRecipeAtHandReplacesAnEarlierOneOfItsVersion() throws {
    let before = try Self.set(["web 1.0.0"], merge: ["web": "1.0.0"])
    var request = try Self.request(["web 1.0.0"], merge: ["web": "1.0.0"])
    request.recipes[0].recipe.manifests[0].lifecycle.steps[.run] = Step(script: "exec better")
    let after = try LocalResolver.resolve(request, service: nil, local: before, platform: linux)
    #expect(after.components["web"]?.planned.lifecycle.steps[.run]?.script == "exec better")
  }

  @Test func configurationGrowsFromDeploymentToDeployment() throws {
    var request = try Self.request(["web 1.0.0"], merge: ["web": "*"])
    request.configurations["web"] = ConfigurationUpdate()
    request.configurations["web"]?.merge = ["port": 1, "deep": ["a": 1]]
    let first = try LocalResolver.resolve(request, service: nil, local: LocalSet(), platform: linux)
    var next = LocalRequest()
    next.configurations["web"] = ConfigurationUpdate()
    next.configurations["web"]?.reset = ["/port"]
    next.configurations["web"]?.merge = ["deep": ["b": 2]]
    let second = try LocalResolver.resolve(next, service: nil, local: first, platform: linux)
    let update = try LocalUnion.compose(service: nil, digest: nil, local: second)["web"]?.configuration
    #expect(update?.merge == ["deep": ["a": 1, "b": 2]] && update?.reset == ["/port"])
    next.configurations = ["nobody": ConfigurationUpdate()]
    let text = Self.sentence { _ = try LocalResolver.resolve(next, service: nil, local: first, platform: linux) }
    #expect(text.contains("nobody cannot be updated"), "\(text)")
  }

  /// Configured on the device, it still is the service's component.
  @Test func theLocalConfigurationComesOnTopOfTheServices() throws {
    let ordered = try Self.service(["web": deployed("*", merge: ["port": 1, "name": "fleet"])], ["web 1.0.0"])
    var request = try Self.request([], merge: ["web": "*"])
    request.configurations["web"] = ConfigurationUpdate()
    request.configurations["web"]?.merge = ["port": 2]
    let local = try LocalResolver.resolve(request, service: ordered, local: LocalSet(), platform: linux)
    let plan = try LocalUnion.compose(service: ordered, digest: digest(9), local: local)
    #expect(plan["web"]?.configuration.merge == ["port": 2, "name": "fleet"] && plan.localNames.isEmpty)
  }
}
