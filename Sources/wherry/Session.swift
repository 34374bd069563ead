import ArgumentParser
import WherryClient
import WherryJSON

/// Which service, as whom: written by `wherry login`, overridden by WHERRY_URL, WHERRY_TOKEN and WHERRY_CA.
struct Session {
  var url: String
  var token: String
  var authorityPEM: String?

  static var path: String {
    let home = Files.environment("HOME") ?? "/root"
    let base = Files.environment("XDG_CONFIG_HOME") ?? home + "/.config"
    return Files.environment("WHERRY_SESSION") ?? base + "/wherry/session.json"
  }

  static func load() throws -> Session {
    var session: Session?
    if Files.isFile(path) {
      let json = try JSON(parsing: Files.read(path))
      guard let url = json["url"]?.stringValue, let token = json["token"]?.stringValue else {
        throw UserError("\(path) is not a session file; run `wherry login URL` again")
      }
      session = Session(url: url, token: token, authorityPEM: json["authority"]?.stringValue)
    }
    if let url = Files.environment("WHERRY_URL") {
      session = Session(url: url, token: session?.token ?? "", authorityPEM: session?.authorityPEM)
    }
    if let token = Files.environment("WHERRY_TOKEN") { session?.token = token }
    if let path = Files.environment("WHERRY_CA") { session?.authorityPEM = try Files.text(path) }
    guard let session else {
      throw UserError("not logged in; run `wherry login URL --ca FILE --token-file FILE` first")
    }
    return session
  }

  func save() throws {
    if let slash = Self.path.lastIndex(of: "/") { try Files.makeDirectories(String(Self.path[..<slash])) }
    var object: [String: JSON] = ["url": .string(url), "token": .string(token)]
    if let authorityPEM { object["authority"] = .string(authorityPEM) }
    try Files.writePrivate(JSON.object(object).canonical + "\n", to: Self.path)
  }

  var client: InventoryClient { InventoryClient(url: url, token: token, authorityPEM: authorityPEM) }
}

/// A sentence for the person who typed the command.
struct UserError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

struct OutputOptions: ParsableArguments {
  @Option(name: [.short, .long], help: "table for people, json for programs.")
  var output: OutputFormat = .table

  /// Prints the table, or the JSON that it was made of.
  func show(_ json: @autoclosure () -> JSON, table: () -> String) {
    Console.write(output == .json ? json().canonical + "\n" : table())
  }
}
