import ArgumentParser
import WherryJSON
import WherryModel
import WherryWire

struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Tokens of people and programs; for administrators.",
    discussion: "Example: wherry token create ci --role registry --repository 'team/*:pull,push' --expires 90d",
    subcommands: [Create.self, List.self, Revoke.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a new token; it is shown once.",
      discussion: """
        Example: wherry token create ci --role registry --repository 'team/*:pull,push' --expires 90d > ci.token

        Roles: viewer reads, operator changes, admin also deals with tokens, registry opens the registry alone.
        """)
    @Argument var name: String
    @Option(help: "viewer, operator, admin or registry.") var role: String = "operator"
    @Option(
      name: .customLong("repository"),
      help: "What it may do in which repositories, as team/*:pull,push (repeatable); without, all that its role may.")
    var repositories: [String] = []
    @Option(help: "How long it is valid: 12h, 90d; without, until it is revoked.") var expires: String?
    @OptionGroup var options: OutputOptions

    func run() throws {
      let request = TokenRequest(
        name: name, role: role, repositories: repositories,
        expiresInSeconds: try expires.map { try parseSeconds($0, what: "--expires") })
      let token = try Session.load().client.createToken(request)
      options.show(token.json) { (token.token ?? "") + "\n" }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Tokens, without their secrets.", discussion: "Example: wherry token list")
    @OptionGroup var options: OutputOptions

    func run() throws {
      let tokens = try Session.load().client.tokens()
      options.show(["tokens": .array(tokens.map(\.json))]) {
        Console.table(
          ["NAME", "ROLE", "REPOSITORIES", "CREATED", "EXPIRES"],
          tokens.map { token in
            [
              token.name, token.role, token.repositories.isEmpty ? "all" : token.repositories.joined(separator: " "),
              Timestamp.text(token.createdAt), token.expires.map(Timestamp.text) ?? "never",
            ]
          })
      }
    }
  }

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token unusable, with the sessions and registry passwords that it made.",
      discussion: "Example: wherry token revoke ci")
    @Argument var name: String

    func run() throws {
      try Session.load().client.revokeToken(name)
      Console.line("Revoked token \(name).")
    }
  }
}
