import WherryModel

/// A component that Greengrass recipes expect to be there. Where nobody has published one of that name, the service
/// acts as if it had: a component without processes, FINISHED at once, so that what depends on it resolves.
package struct StandIn: Hashable, Sendable {
  package var name: ComponentName
  /// What stands for it here, for people; empty = nothing does.
  package var provided: String
  /// What a program that relies on it will not find; empty = nothing that a recipe could miss.
  package var missing: String

  /// Requirements name many patch versions; all of these are 2.x, as the originals are.
  private static let minors = 0...20
  private static let patches = 0...9

  /// Newest last.
  package static let versions: [Version] = minors.flatMap { minor in patches.map { Version(2, minor, $0) } }

  package static func named(_ name: ComponentName) -> StandIn? { all.first { $0.name == name } }

  package func recipe(_ version: Version) -> Recipe {
    var recipe = Recipe(name: name, version: version)
    recipe.summary = "Built-in stand-in. " + (provided.isEmpty ? "" : "Here: \(provided). ")
    recipe.summary += missing.isEmpty ? "Nothing is missing." : "Not there: \(missing)."
    recipe.publisher = "Wherry"
    return recipe
  }

  package static let all: [StandIn] = [
    StandIn(
      name: "aws.greengrass.Nucleus", provided: "the agent runs lifecycles, configuration and deployments",
      missing: "the Java plugin interface, and of the nucleus's own configuration all but "
        + "interpolateComponentConfiguration"),
    StandIn(
      name: "aws.greengrass.Cli", provided: "wherry-agent status, components, logs and restart on the device",
      missing: "the greengrass-cli program"),
    StandIn(
      name: "aws.greengrass.DockerApplicationManager",
      provided: "docker: artifacts are fetched and verified by the agent; scripts find a docker command",
      missing: "a Docker daemon and its socket"),
    StandIn(
      name: "aws.greengrass.LogManager",
      provided: "the agent keeps logs in bounded files; wherry device logs reads them",
      missing: "upload to CloudWatch"),
    StandIn(name: "aws.greengrass.TokenExchangeService", provided: "", missing: "AWS credentials for components"),
    StandIn(name: "aws.greengrass.SecretManager", provided: "", missing: "secrets from AWS Secrets Manager"),
    StandIn(name: "aws.greengrass.StreamManager", provided: "", missing: "local streams and their export"),
    StandIn(name: "aws.greengrass.ShadowManager", provided: "", missing: "local device shadows"),
    StandIn(
      name: "aws.greengrass.LocalDebugConsole",
      provided: "the service's dashboard", missing: "a console on the device"),
    StandIn(
      name: "aws.greengrass.telemetry.NucleusEmitter", provided: "", missing: "telemetry on a local topic"),
    StandIn(name: "aws.greengrass.SecureTunneling", provided: "", missing: "tunnels to the device"),
    StandIn(name: "aws.greengrass.LambdaLauncher", provided: "", missing: "Lambda functions"),
    StandIn(name: "aws.greengrass.LambdaManager", provided: "", missing: "Lambda functions"),
    StandIn(name: "aws.greengrass.LambdaRuntimes", provided: "", missing: "Lambda functions"),
    StandIn(name: "aws.greengrass.DiskSpooler", provided: "", missing: "a queue on disk for components' messages"),
  ]
}
