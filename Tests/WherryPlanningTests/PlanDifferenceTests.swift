import Testing
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

@Suite struct PlanDifferenceTests {
  private func component(
    _ name: String, _ version: Version = Version(1, 0, 0), artifact: UInt8? = nil, configuration: JSON? = nil
  ) -> PlannedComponent {
    var component = PlannedComponent(
      name: ComponentName(trusted: name), version: version, recipe: Digest(bytes: Array(repeating: 1, count: 32)))
    if let artifact {
      component.artifacts = [
        PlannedArtifact(fileName: "a", digest: Digest(bytes: Array(repeating: artifact, count: 32)), size: 100)
      ]
    }
    component.configuration.merge = configuration
    return component
  }

  private func difference(_ old: [PlannedComponent]?, _ new: [PlannedComponent]) -> PlanDifference {
    PlanDifference(from: old.map { Plan(components: $0) }, to: Plan(components: new)) { component in
      var component = component
      component.configuration = ConfigurationUpdate()
      return component.json
    }
  }

  @Test func everyKindOfChangeIsTold() {
    let old = [
      component("same", artifact: 2), component("new-version"), component("gone"),
      component("other-files", artifact: 3), component("other-values", configuration: ["a": 1]),
    ]
    let new = [
      component("same", artifact: 2), component("new-version", Version(2, 0, 0), artifact: 4), component("fresh"),
      component("other-files", artifact: 5), component("other-values", configuration: ["a": 2]),
    ]
    let found = difference(old, new)
    #expect(
      found.changes.map { "\($0.component) \($0.kind.rawValue)" } == [
        "fresh added", "gone removed", "new-version changed", "other-files rebuilt", "other-values reconfigured",
        "same unchanged",
      ])
    #expect(found.changes[2].from == Version(1, 0, 0) && found.changes[2].to == Version(2, 0, 0))
    #expect(found.bytesToDownload == 200, "what both name is there")
  }

  @Test func onAnEmptyDeviceEverythingComesOnce() {
    let new = [component("a", artifact: 2), component("b", artifact: 2), component("c", artifact: 3)]
    #expect(difference(nil, new).bytesToDownload == 200, "content that two share is fetched once")
    #expect(difference(nil, new).changes.allSatisfy { $0.kind == .added })
    #expect(difference(new, new).bytesToDownload == 0)
  }
}
