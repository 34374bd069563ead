import ArgumentParser
import WherryJSON

struct RegistryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "registry", abstract: "The service's own image registry.",
    discussion: "Example: wherry registry login-password",
    subcommands: [LoginPassword.self])

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
