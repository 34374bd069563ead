import WherryJSON
import WherryModel

/// The body of `POST /v1/tokens`.
package struct TokenRequest: Hashable, Sendable, WireValue {
  package var name: String
  /// viewer, operator, admin or registry.
  package var role: String
  /// `team/*:pull,push`; empty = as the role says, in all repositories.
  package var repositories: [String]
  /// Nil = it does not expire.
  package var expiresInSeconds: Int?

  package init(name: String, role: String, repositories: [String] = [], expiresInSeconds: Int? = nil) {
    self.name = name
    self.role = role
    self.repositories = repositories
    self.expiresInSeconds = expiresInSeconds
  }

  package var json: JSON {
    .members([
      ("name", .string(name)), ("role", .string(role)), ("repositories", .strings(repositories)),
      ("expiresInSeconds", expiresInSeconds.map(JSON.int)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").string()
    role = try cursor.require("role").string()
    repositories = try cursor.optional("repositories")?.strings() ?? []
    expiresInSeconds = try cursor.optional("expiresInSeconds")?.count()
  }
}

/// A token as the API shows it.
package struct TokenSummary: Hashable, Sendable, WireValue {
  package var name: String
  package var role: String
  package var repositories: [String]
  package var createdAt: Instant
  package var expires: Instant?
  /// Only in the answer to its creation.
  package var token: String?

  package init(
    name: String, role: String, repositories: [String], createdAt: Instant, expires: Instant?, token: String? = nil
  ) {
    self.name = name
    self.role = role
    self.repositories = repositories
    self.createdAt = createdAt
    self.expires = expires
    self.token = token
  }

  package var json: JSON {
    .members([
      ("name", .string(name)), ("role", .string(role)), ("repositories", .strings(repositories)),
      ("createdAt", .integer(createdAt.milliseconds)), ("expires", (expires?.milliseconds).map(JSON.integer)),
      ("token", token.map(JSON.string)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    name = try cursor.require("name").string()
    role = try cursor.require("role").string()
    repositories = try cursor.require("repositories").strings()
    createdAt = try cursor.require("createdAt").instant()
    expires = try cursor.optional("expires")?.instant()
    token = try cursor.optional("token")?.string()
  }
}

/// The answer to `POST /v1/registry/gc`.
package struct GarbageReport: Hashable, Sendable, WireValue {
  package var blobs: Int
  package var bytes: Int64
  package var manifests: Int
  package var isDryRun: Bool

  package init(blobs: Int, bytes: Int64, manifests: Int, isDryRun: Bool) {
    self.blobs = blobs
    self.bytes = bytes
    self.manifests = manifests
    self.isDryRun = isDryRun
  }

  package var json: JSON {
    [
      "blobs": .int(blobs), "bytes": .integer(bytes), "manifests": .int(manifests), "isDryRun": .bool(isDryRun),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    blobs = try cursor.require("blobs").count()
    bytes = try cursor.require("bytes").size()
    manifests = try cursor.require("manifests").count()
    isDryRun = try cursor.require("isDryRun").bool()
  }
}
