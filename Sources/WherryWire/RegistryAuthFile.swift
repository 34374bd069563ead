import WherryJSON
import WherryModel

/// Docker's file of registry credentials: `{"auths": {"registry.example.com": {"auth": "dXNlcjpwYXNzd29yZA=="}}}`, or
/// with `username` and `password` in place of `auth`. What other programs keep beside `auths` is theirs; inside of it
/// nothing is guessed.
package struct RegistryAuthFile: Sendable {
  package static let bytesMaximum = 256 << 10
  private static let registriesMaximum = 1_000

  package let credentials: [RegistryHost: RegistryCredential]

  /// - Parameter path: for the refusal.
  package init(parsing bytes: [UInt8], path: String) throws(Failure) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: Self.bytesMaximum, depthMaximum: 8))
    } catch { throw Self.refusal(path, error.description) }
    do throws(JSONShapeError) { credentials = try Self.read(JSONCursor(json)) } catch {
      throw Self.refusal(path, error.description)
    }
  }

  private static func refusal(_ path: String, _ reason: String) -> Failure {
    Failure(
      .download, code: "registry.credential", message: "the registry credentials in \(path) cannot be used: \(reason)",
      remedy:
        "write {\"auths\": {\"HOST\": {\"username\": \"…\", \"password\": \"…\"}}}, or let `docker login` write it")
  }

  private static func read(_ cursor: JSONCursor) throws(JSONShapeError) -> [RegistryHost: RegistryCredential] {
    let list = try cursor.require("auths")
    let entries = try list.object()
    guard entries.count <= registriesMaximum else { throw list.fail("has more than \(registriesMaximum) registries") }
    var credentials: [RegistryHost: RegistryCredential] = [:]
    for (name, entry) in entries {
      guard let host = RegistryHost(name) else {
        throw list.fail("\"\(name.prefix(200))\" is not a registry's host with optional port")
      }
      guard credentials.updateValue(try credential(entry), forKey: host) == nil else {
        throw list.fail("\(host) stands there under two names")
      }
    }
    return credentials
  }

  /// Members that say nothing of the credential; what is in none of these lists could change its meaning.
  private static let ignoredMembers: Set<String> = ["email", "serveraddress"]
  private static let knownMembers: Set<String> = ["auth", "username", "password", "identitytoken"]

  private static func credential(_ entry: JSONCursor) throws(JSONShapeError) -> RegistryCredential {
    for name in try entry.object().keys where !knownMembers.contains(name) && !ignoredMembers.contains(name) {
      throw entry.fail("the member \"\(name.prefix(80))\" is not known")
    }
    func text(_ name: String) throws(JSONShapeError) -> String? {
      let text = try entry.optional(name)?.string()
      return text?.isEmpty == true ? nil : text
    }
    guard try text("identitytoken") == nil else {
      throw entry.fail("identity tokens are not supported; use a password or a credential command")
    }
    let (user, secret) = (try text("username"), try text("password"))
    let plain =
      if let user, let secret { RegistryCredential(user: user, secret: secret) } else { nil as RegistryCredential? }
    guard let encoded = try text("auth") else {
      if let plain { return plain }
      throw entry.fail(
        "has no usable \"auth\" nor \"username\" and \"password\"; what a credential helper keeps is not here")
    }
    guard let decoded = decoded(encoded) else { throw entry.fail("\"auth\" is not base64 of USER:PASSWORD") }
    guard user ?? decoded.user == decoded.user, secret ?? decoded.secret == decoded.secret else {
      throw entry.fail("\"auth\" says something else than \"username\" and \"password\"")
    }
    return decoded
  }

  private static func decoded(_ encoded: String) -> RegistryCredential? {
    guard let bytes = Base64.decode(encoded), let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    guard let user = text(bytes[..<colon]), let secret = text(bytes[bytes.index(after: colon)...]) else { return nil }
    return RegistryCredential(user: user, secret: secret)
  }

  /// nil for what is not UTF-8: a secret that was mended is another one.
  private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
    let text = String(decoding: bytes, as: UTF8.self)
    return text.utf8.elementsEqual(bytes) ? text : nil
  }
}
