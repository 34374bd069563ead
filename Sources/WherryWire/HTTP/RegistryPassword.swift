import WherryJSON
import WherryModel

/// What a registry client logs in with, under any user name.
package struct RegistryPassword: Hashable, Sendable, WireValue {
  package var password: String
  package var expires: Instant

  package init(password: String, expires: Instant) {
    self.password = password
    self.expires = expires
  }

  package var json: JSON { ["password": .string(password), "expires": .integer(expires.milliseconds)] }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    password = try cursor.require("password").string()
    expires = try cursor.require("expires").instant()
  }
}
