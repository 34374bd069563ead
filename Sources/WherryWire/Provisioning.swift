import WherryJSON
import WherryModel

package struct ProvisioningRequest: Hashable, Sendable, WireValue {
  package var device: DeviceName
  /// PEM.
  package var csr: String
  package var platform: Platform
  package var labels: [String: String]

  package init(device: DeviceName, csr: String, platform: Platform, labels: [String: String] = [:]) {
    self.device = device
    self.csr = csr
    self.platform = platform
    self.labels = labels
  }

  package var json: JSON {
    ["device": .string(device.rawValue), "csr": .string(csr), "platform": platform.json, "labels": .map(labels)]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the provisioning request")
    device = try cursor.require("device").name()
    csr = try cursor.require("csr").string()
    platform = try Platform(cursor.require("platform"))
    labels = try cursor.optional("labels")?.stringMap() ?? [:]
  }
}

/// A deployment-signing public key (Ed25519).
package struct SigningKey: Hashable, Sendable, WireValue {
  package var id: String
  /// 32 raw bytes.
  package var publicKey: [UInt8]

  package init(id: String, publicKey: [UInt8]) {
    self.id = id
    self.publicKey = publicKey
  }

  package var json: JSON { ["id": .string(id), "publicKey": .string(Base64.encode(publicKey))] }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    id = try cursor.require("id").string()
    let key = try cursor.require("publicKey")
    publicKey = try key.base64()
    guard publicKey.count == 32 else { throw key.fail("an Ed25519 key has 32 bytes, not \(publicKey.count)") }
  }
}

/// Whose signatures a device obeys.
package struct TrustRoot: Hashable, Sendable, WireValue {
  package var version: Int
  package var keys: [SigningKey]

  package init(version: Int, keys: [SigningKey]) {
    self.version = version
    self.keys = keys
  }

  package var json: JSON { ["version": .int(version), "keys": .array(keys.map(\.json))] }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the trust root")
    version = try cursor.require("version").count()
    keys = try cursor.require("keys").list { (element) throws(JSONShapeError) in try SigningKey(element) }
  }
}

package struct ProvisioningResponse: Hashable, Sendable, WireValue {
  package var device: DeviceName
  /// PEM, the device's certificate first.
  package var certificate: String
  /// The fleet's CA, PEM.
  package var authority: String
  package var trust: TrustRoot
  package var brokerHost: String
  package var brokerPort: Int
  /// `https://host:port` of the device listener.
  package var deviceURL: String

  package init(
    device: DeviceName, certificate: String, authority: String, trust: TrustRoot, brokerHost: String, brokerPort: Int,
    deviceURL: String
  ) {
    self.device = device
    self.certificate = certificate
    self.authority = authority
    self.trust = trust
    self.brokerHost = brokerHost
    self.brokerPort = brokerPort
    self.deviceURL = deviceURL
  }

  package var json: JSON {
    [
      "device": .string(device.rawValue), "certificate": .string(certificate), "authority": .string(authority),
      "trust": trust.json, "brokerHost": .string(brokerHost), "brokerPort": .int(brokerPort),
      "deviceURL": .string(deviceURL),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the provisioning answer")
    device = try cursor.require("device").name()
    certificate = try cursor.require("certificate").string()
    authority = try cursor.require("authority").string()
    trust = try TrustRoot(cursor.require("trust"))
    brokerHost = try cursor.require("brokerHost").string()
    brokerPort = Int(try cursor.require("brokerPort").port())
    deviceURL = try cursor.require("deviceURL").string()
  }
}

/// What an operator hands to a new device: where to ask, with what right, and whom to trust there.
package struct Claim: Hashable, Sendable {
  private static let prefix = "wherry-claim-1."
  package static let textBytesMaximum = 16 << 10

  package var url: String
  package var token: String
  /// The fleet's CA, PEM.
  package var authority: String

  package init(url: String, token: String, authority: String) {
    self.url = url
    self.token = token
    self.authority = authority
  }

  /// One line without blanks.
  package var text: String {
    let json: JSON = ["url": .string(url), "token": .string(token), "authority": .string(authority)]
    return Self.prefix + Base64.encodeURL(json.canonicalBytes)
  }

  package init(text: String) throws(JSONShapeError) {
    let refusal = JSONShapeError(
      path: "claim", message: "this is not a claim; copy the whole line that `wherry claim create` printed")
    let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
    let trimmed = String(decoding: text.utf8.filter { !blanks.contains($0) }, as: UTF8.self)
    guard trimmed.hasPrefix(Self.prefix), trimmed.utf8.count <= Self.textBytesMaximum,
      let bytes = Base64.decodeURL(String(trimmed.dropFirst(Self.prefix.count))), let json = try? JSON(parsing: bytes)
    else { throw refusal }
    let cursor = JSONCursor(json)
    url = try cursor.require("url").string()
    token = try cursor.require("token").string()
    authority = try cursor.require("authority").string()
  }
}
