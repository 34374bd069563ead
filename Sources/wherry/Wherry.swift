import ArgumentParser

/// The operator's command. One file per noun under Commands/; Docs/cli.md has an example for each verb.
@main
struct Wherry: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wherry",
    abstract: "Put software on a fleet of Linux devices, and know how it is.",
    discussion: """
      Example:
        wherry login https://127.0.0.1:8443 --ca data/ca.crt --token-file admin.token
        wherry component publish components/com.example.hello/1.0.0
        wherry deploy --group kiosks com.example.hello=1.0.0 --watch

      Exit codes: 0 done, 1 failed, 2 misuse.
      """,
    version: "wherry 0.1.0",
    subcommands: [
      Login.self, FleetCommand.self, DeviceCommand.self, ClaimCommand.self, GroupCommand.self, ComponentCommand.self,
      ImageCommand.self, RegistryCommand.self, TokenCommand.self, Deploy.self, DeploymentCommand.self, Why.self,
      Simulate.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as ExitCode {
      exit(withError: error)
    } catch {
      let code = exitCode(for: error)
      // Help and version are no errors; misuse is 2, as the rest of Unix has it.
      if code == .success || code == .validationFailure {
        Console.write(fullMessage(for: error) + "\n", toError: code != .success)
        exit(withError: code == .success ? nil : ExitCode(2))
      }
      Console.write("wherry: \(error)\n", toError: true)
      exit(withError: ExitCode(1))
    }
  }
}
