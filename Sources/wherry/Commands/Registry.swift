import ArgumentParser
import WherryJSON

struct RegistryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "registry", abstract: "The service's own image registry.",
    discussion: "Example: wherry registry login-password",
    subcommands: [LoginPassword.self, GarbageCollection.self])

  struct GarbageCollection: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gc",
      abstract: "Remove the blobs that nothing needs; the service does so by itself every six hours.",
      discussion: "Example: wherry registry gc --untagged --dry-run")
    @Flag(help: "Also manifests that no tag, index, component or deployment names any more.") var untagged = false
    @Flag(help: "Only say what would go.") var dryRun = false
    @OptionGroup var options: OutputOptions

    func run() throws {
      let report = try Session.load().client.collectRegistryGarbage(untagged: untagged, isDryRun: dryRun)
      options.show(report.json) {
        let verb = report.isDryRun ? "would be removed" : "were removed"
        return
          "\(report.blobs) blobs (\(Console.bytes(report.bytes))) and \(report.manifests) manifests \(verb).\n"
      }
    }
  }

  struct LoginPassword: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "login-password",
      abstract: "Print a password for docker, podman, skopeo or oras; it opens the registry alone, for 12 hours.",
      discussion: """
        Example:
          wherry registry login-password | docker login --username wherry --password-stdin 127.0.0.1:8443

        Any user name will do.
        """)
    @OptionGroup var options: OutputOptions

    func run() throws {
      let password = try Session.load().client.registryPassword()
      options.show(password.json) { password.password + "\n" }
    }
  }
}
