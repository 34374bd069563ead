import WherryJSON
import WherryModel
import WherryOCI

/// What the agent knows of the registries that a job's items are of:
/// `{"host": "docker.io", "mirrors": ["mirror.example.com"], "tokenServers": [], "username": "…", "password": "…"}`.
enum DownloadRegistries {
  private static let countMaximum = 1_000

  static func read(_ cursor: JSONCursor?) throws(JSONShapeError) -> RegistryAccess {
    var access = RegistryAccess()
    guard let cursor else { return access }
    let entries = try cursor.array()
    guard entries.count <= countMaximum else { throw cursor.fail("has more than \(countMaximum) registries") }
    var credentials: [RegistryHost: RegistryCredential] = [:]
    for entry in entries {
      let name = try entry.require("host")
      guard let host = RegistryHost(try name.string()) else { throw name.fail("expected host and optional port") }
      for word in try entry.optional("mirrors")?.array() ?? [] {
        guard let mirror = RegistryMirror(try word.string()) else { throw word.fail("expected a mirror") }
        access.mirrors[host, default: []].append(mirror)
      }
      for word in try entry.optional("tokenServers")?.array() ?? [] {
        access.tokenServers[host, default: []].insert(try word.string())
      }
      guard let user = try entry.optional("username") else { continue }
      guard
        let credential = RegistryCredential(user: try user.string(), secret: try entry.require("password").string())
      else { throw entry.fail("holds an unusable name or password") }
      credentials[host] = credential
    }
    access.credentials = KnownCredentials(credentials)
    return access
  }

  /// The same bytes at the registry's mirrors; none for a URL that is not a blob of a registry.
  static func mirrors(of url: String, _ access: RegistryAccess) -> [String] {
    // scheme: / / authority / v2 / repository … / blobs / digest
    let parts = url.split(separator: "/", omittingEmptySubsequences: false)
    guard let host = RegistryHost(url: url), let mirrors = access.mirrors[host], parts.count >= 7, parts[3] == "v2",
      parts[parts.count - 2] == "blobs"
    else { return [] }
    let repository = parts[4..<parts.count - 2].joined(separator: "/")
    return mirrors.map { "\($0.base)/v2/\($0.repository(repository))/blobs/\(parts[parts.count - 1])" }
  }
}
