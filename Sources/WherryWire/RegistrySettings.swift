import WherryModel

/// What an operator says about registries, with the same words on the service's command line and in `agent.conf`.
package struct RegistrySettings: Hashable, Sendable {
  /// A file as `RegistryAuthFile` reads it.
  package var authFile: String?
  package private(set) var commands: [RegistryHost: CredentialCommand] = [:]
  /// Asked first, in this order.
  package private(set) var mirrors: [RegistryHost: [RegistryMirror]] = [:]
  /// Names (without port) of token servers that may see the registry's credential beside the natural ones.
  package private(set) var tokenServers: [RegistryHost: Set<String>] = [:]

  private static let perRegistryMaximum = 8

  package init() {}

  /// - Parameter name: `[USER@]HOST`.
  package mutating func addCommand(_ command: String, for name: String) throws(Failure) {
    let at = name.lastIndex(of: "@")
    let host = try Self.host(at.map { String(name[name.index(after: $0)...]) } ?? name)
    let user = at.map { String(name[..<$0]) } ?? CredentialCommand.usualUser(at: host)
    guard RegistryCredential(user: user, secret: "-") != nil else {
      throw Self.refusal("\"\(user.prefix(80))\" is not a user's name", "write USER@HOST, or HOST alone")
    }
    guard let words = CredentialCommand.words(of: command) else {
      throw Self.refusal(
        "\"\(command.prefix(200))\" is not a command",
        "write a program and its arguments, with double quotes around an argument that holds blanks")
    }
    guard commands.updateValue(CredentialCommand(user: user, words: words), forKey: host) == nil else {
      throw Self.refusal("\(host) has two credential commands", "remove one of them")
    }
  }

  /// - Parameter list: one or more, separated by commas or blanks.
  package mutating func addMirrors(_ list: String, for name: String) throws(Failure) {
    let host = try Self.host(name)
    for word in try Self.words(list) {
      guard let mirror = RegistryMirror(word) else {
        throw Self.refusal(
          "\"\(word.prefix(200))\" is not a mirror", "write mirror.example.com, with :PORT and /PREFIX where needed")
      }
      guard mirrors[host]?.contains(mirror) != true, mirrors[host, default: []].count < Self.perRegistryMaximum else {
        throw Self.refusal(
          "\(host) has the mirror \(mirror) twice, or more than \(Self.perRegistryMaximum) mirrors", "remove some")
      }
      mirrors[host, default: []].append(mirror)
    }
  }

  package mutating func addTokenServers(_ list: String, for name: String) throws(Failure) {
    let host = try Self.host(name)
    for word in try Self.words(list) {
      guard RegistryHost.isAuthority(word), !word.contains(":") else {
        throw Self.refusal("\"\(word.prefix(200))\" is not a host", "write a name without scheme, port and path")
      }
      guard tokenServers[host, default: []].count < Self.perRegistryMaximum else {
        throw Self.refusal("\(host) has more than \(Self.perRegistryMaximum) token servers", "remove some")
      }
      tokenServers[host, default: []].insert(word.lowercased())
    }
  }

  /// Everywhere that a request for content of `host` may go, in order.
  package func places(of host: RegistryHost) -> [RegistryHost] { (mirrors[host] ?? []).map(\.host) + [host] }

  private static func words(_ list: String) throws(Failure) -> [String] {
    let words = list.split { $0 == "," || $0 == " " || $0 == "\t" }.map(String.init)
    guard !words.isEmpty else { throw refusal("nothing is named", "write a host, or remove the setting") }
    return words
  }

  private static func host(_ name: String) throws(Failure) -> RegistryHost {
    guard let host = RegistryHost(name) else {
      throw refusal("\"\(name.prefix(200))\" is not a registry", "write its host, with :PORT where needed")
    }
    return host
  }

  private static func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(.internalError, code: "configuration.invalid", message: message, remedy: remedy)
  }
}
