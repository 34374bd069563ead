import Glibc
import WherryIsolation
import WherryModel
import WherryWire

/// `agent.conf`: `key = value` lines, `#` comments. Every key has a default (Docs/operations.md).
package struct AgentConfiguration: Hashable, Sendable {
  package static let defaultPath = "/etc/wherry/agent.conf"

  package var root = "/var/lib/wherry"
  package var run = "/run/wherry"
  package var logs = "/var/log/wherry"
  package var agentID = "wherry"
  package var shim: String
  package var fetch: String
  /// `subnet`, `subnet6`, `publish_address`, `publish_address6`.
  package var network = NetworkSettings(subnet: "10.187.0.0/24", ipv6: .auto)
  /// Reads recipes for local deployments.
  package var recipe: String
  /// What components find as `docker`.
  package var docker: String
  package var defaultUser = "nobody"
  /// Whether containers get users of their own.
  package var userNamespaces = UserNamespacePolicy.auto
  /// Downloads and verifies; owns nothing but the blob store. Nil = as `UserAccount.fetching` chooses.
  package var fetchUser: String?
  /// Whether root may deploy on the device itself, beside what the service orders.
  package var localDeployments = false
  /// Restarts the device when a component's `bootstrap` asks for it.
  package var rebootProgram = "/sbin/reboot"
  /// `environment.NAME`: variables that every process component finds, such as AWS_REGION or HTTPS_PROXY.
  package var environment: [String: String] = [:]
  package var logLevel = LogLevel.info
  /// `registry_auth`, `registry_credential.HOST`, `registry_mirror.HOST`, `registry_token_server.HOST`.
  package var registries = RegistrySettings()
  /// `disk_budget`, `disk_headroom`, `download_rate`, `download_windows`, `apply_windows`.
  package var downloads = DownloadLimits()

  /// `programs` is the directory of the agent's own binary.
  package init(programs: String) {
    shim = programs + "/wherry-shim"
    fetch = programs + "/wherry-fetch"
    recipe = programs + "/wherry-recipe"
    docker = programs + "/wherry-docker"
  }

  package init(parsing text: String, fileName: String, programs: String) throws(Failure) {
    self.init(programs: programs)
    var seen: Set<String> = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = Self.trimmed(line.prefix { $0 != "#" })
      if content.isEmpty { continue }
      let place = "\(fileName), line \(index + 1)"
      guard let equals = content.firstIndex(of: "=") else {
        throw Self.refusal("\(place): \"\(content.prefix(80))\" is not `key = value`", "add the equals sign")
      }
      let key = Self.trimmed(content[..<equals])
      let value = Self.trimmed(content[content.index(after: equals)...])
      guard seen.insert(key).inserted else {
        throw Self.refusal("\(place): \"\(key)\" is set twice", "remove one of them")
      }
      try set(key, to: value, at: place)
    }
  }

  /// The file, or the defaults when it is absent at its default place.
  package static func load(_ path: String?, programs: String) throws(Failure) -> AgentConfiguration {
    let file = path ?? defaultPath
    if path == nil && !Files.exists(file) { return AgentConfiguration(programs: programs) }
    return try AgentConfiguration(parsing: Files.text(file), fileName: file, programs: programs)
  }

  /// What of it the isolation needs to know.
  var host: HostConfiguration {
    var host = HostConfiguration(agentID: agentID, stateDirectory: "\(run)/\(agentID)", shimPath: shim)
    host.network = network
    host.userNamespaces = userNamespaces
    return host
  }

  private mutating func set(_ key: String, to value: String, at place: String) throws(Failure) {
    switch key {
    case "root": root = try Self.path(value, key, place)
    case "run": run = try Self.path(value, key, place)
    case "logs": logs = try Self.path(value, key, place)
    case "shim": shim = try Self.path(value, key, place)
    case "docker": docker = try Self.path(value, key, place)
    case "fetch": fetch = try Self.path(value, key, place)
    case "recipe": recipe = try Self.path(value, key, place)
    case "agent_id":
      // It is part of a bridge's name, which the kernel limits to 15 bytes.
      let isPlain = value.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) }
      guard (1...10).contains(value.utf8.count), isPlain else {
        throw Self.refusal(
          "\(place): agent_id \"\(value.prefix(80))\" is not valid", "use 1 to 10 lower-case letters and digits")
      }
      agentID = value
    case "subnet": network.subnet = value
    case "subnet6": network.ipv6 = ["auto": .auto, "off": .off][value] ?? .subnet(value)
    case "publish_address": network.publishAddress = value
    case "publish_address6": network.publishAddress6 = value
    case "default_user": defaultUser = value
    case "fetch_user": fetchUser = value
    case "user_namespaces":
      guard let policy = UserNamespacePolicy(rawValue: value) else {
        throw Self.refusal(
          "\(place): user_namespaces \"\(value.prefix(80))\" is not known", "use auto, require or off")
      }
      userNamespaces = policy
    case "local_deployments":
      guard value == "on" || value == "off" else {
        throw Self.refusal("\(place): local_deployments \"\(value.prefix(80))\" is not known", "use on or off")
      }
      localDeployments = value == "on"
    case "log_level":
      guard let level = LogLevel(value) else {
        throw Self.refusal(
          "\(place): log_level \"\(value.prefix(80))\" is not known", "use error, warning, info or debug")
      }
      logLevel = level
    case "reboot_program": rebootProgram = try Self.path(value, key, place)
    case _ where key.hasPrefix("environment."): try setEnvironment(key, to: value, at: place)
    case "registry_auth": registries.authFile = try Self.path(value, key, place)
    case _ where key.hasPrefix("disk_") || key.hasPrefix("download_") || key == "apply_windows":
      try downloads.set(key, to: value, at: place)
    case _ where key.hasPrefix("registry_"): try setRegistry(key, to: value, at: place)
    default:
      throw Self.refusal(
        "\(place): the key \"\(key.prefix(80))\" is not known", "see Docs/operations.md for the keys")
    }
    if value.isEmpty { throw Self.refusal("\(place): \"\(key)\" has no value", "write one, or remove the line") }
  }

  private mutating func setEnvironment(_ key: String, to value: String, at place: String) throws(Failure) {
    let name = key.dropFirst("environment.".count)
    let isPlain = name.utf8.allSatisfy {
      (65...90).contains($0) || (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_")
    }
    guard let first = name.utf8.first, isPlain, !(48...57).contains(first) else {
      throw Self.refusal(
        "\(place): \"\(name.prefix(80))\" is no name of a variable", "use letters, digits and '_', no digit first")
    }
    environment[String(name)] = value
  }

  private static func path(_ value: String, _ key: String, _ place: String) throws(Failure) -> String {
    let isBad = value.split(separator: "/").contains("..") || value.contains(",") || value.contains(":")
    guard value.hasPrefix("/"), !isBad else {
      // Commas and colons separate the options of an overlay mount.
      throw refusal(
        "\(place): \(key) \"\(value.prefix(200))\" is not usable",
        "write an absolute path without `..`, commas and colons")
    }
    return value.count > 1 && value.hasSuffix("/") ? String(value.dropLast()) : value
  }

  private static func trimmed(_ text: Substring) -> String {
    func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" || character == "\r" }
    var rest = text.drop(while: isBlank)
    while let last = rest.last, isBlank(last) { rest.removeLast() }
    return String(rest)
  }

  private static func trimmed(_ text: String) -> String { trimmed(text[...]) }

  static func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(.internalError, code: "configuration.invalid", message: message, remedy: remedy)
  }
}
