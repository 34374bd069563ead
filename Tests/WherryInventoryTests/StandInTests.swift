import Testing
import WherryModel
import WherryRecipe

@testable import WherryInventory

/// Recipes made for Greengrass depend on Amazon's components; the service stands in for them.
@Suite struct StandInTests {
  private static let dependency = """
    ComponentDependencies:
      aws.greengrass.Nucleus:
        VersionRequirement: ">=2.0.3 <2.13.0"
    """

  @Test func aRecipeThatDependsOnTheNucleusIsDeployed() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0", extra: Self.dependency))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    let plan = try #require(try fleet.orders(to: "kiosk-1").last?.plan)
    let nucleus = try #require(plan["aws.greengrass.Nucleus"])
    #expect(nucleus.version == Version(2, 12, 9))
    #expect(nucleus.lifecycle.isEmpty && nucleus.container == nil && nucleus.artifacts.isEmpty)
  }

  @Test func aPublishedComponentReplacesItsStandIn() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("2.4.0", of: "aws.greengrass.Nucleus"))
    try await fleet.publish(EngineFixture.recipe("1.0.0", extra: Self.dependency))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    let plan = try #require(try fleet.orders(to: "kiosk-1").last?.plan)
    #expect(plan["aws.greengrass.Nucleus"]?.version == Version(2, 4, 0))
  }
}
