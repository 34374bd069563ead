import WherryJSON
import WherryModel

/// What recipes made for Greengrass set through the configuration of the component `aws.greengrass.Nucleus`.
package struct NucleusSettings: Hashable, Sendable {
  /// Variables in configurations are filled in, too, where a component reads its own or a dependency's.
  package let interpolatesConfigurations: Bool

  private static let component = ComponentName(trusted: "aws.greengrass.Nucleus")

  /// - Parameter configurations: of all components of one state.
  package init(_ configurations: [ComponentName: JSON]) {
    let value = configurations[Self.component]?["interpolateComponentConfiguration"]
    // Greengrass reads it as text as well.
    interpolatesConfigurations = value == .bool(true) || value?.stringValue?.lowercased() == "true"
  }
}
