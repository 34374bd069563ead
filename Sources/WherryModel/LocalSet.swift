import WherryJSON

/// What was deployed on a device itself, beside what the service orders: wishes, and the definitions that they were
/// resolved to. It travels inside the device's plan, so that it is kept, taken back and restored with that.
package struct LocalSet: Hashable, Sendable {
  /// What was asked for by name.
  package var roots: [ComponentName: VersionRequirement] = [:]
  /// Of what the wishes lead to, all that a device needs to run it, also of what the service orders at present: it may
  /// stop doing so.
  package var components: [ComponentName: LocalComponent] = [:]
  /// `defaults` is not used: those come with the component.
  package var configurations: [ComponentName: ConfigurationUpdate] = [:]
  package init() {}
  package var isEmpty: Bool { roots.isEmpty }
}

package struct LocalComponent: Hashable, Sendable {
  package var planned: PlannedComponent
  /// Of its dependencies: a later order of the service has to satisfy them, too.
  package var requirements: [ComponentName: VersionRequirement]
  package init(planned: PlannedComponent, requirements: [ComponentName: VersionRequirement]) {
    self.planned = planned
    self.requirements = requirements
  }
}

extension PlannedArtifact {
  /// The `source` of an artifact that came with a local deployment: nothing but this device has it.
  package static let localSource = "local:"
}
