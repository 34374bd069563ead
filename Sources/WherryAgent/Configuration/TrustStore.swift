import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryWire

/// Who the device is and whom it obeys: what provisioning left under `<root>/trust`.
package struct DeviceIdentity {
  package var name: DeviceName
  package var brokerHost: String
  package var brokerPort: Int
  package var deviceURL: String
  package var keyFile: String
  package var certificateFile: String
  package var authorityFile: String
  package var keys: [SigningKey]
  /// When the identity was given; the device's clock cannot truly be earlier.
  package var givenAt: Instant

  package init(
    name: DeviceName, brokerHost: String, brokerPort: Int, deviceURL: String, keyFile: String,
    certificateFile: String, authorityFile: String, keys: [SigningKey], givenAt: Instant
  ) {
    self.name = name
    self.brokerHost = brokerHost
    self.brokerPort = brokerPort
    self.deviceURL = deviceURL
    self.keyFile = keyFile
    self.certificateFile = certificateFile
    self.authorityFile = authorityFile
    self.keys = keys
    self.givenAt = givenAt
  }
}

package struct TrustStore {
  package let directory: String

  package init(directory: String) { self.directory = directory }

  private var fresh: String { directory + ".new" }
  private var old: String { directory + ".old" }
  /// Written last, so that a directory with it is whole.
  private static let lastName = "provision.json"

  private func file(_ name: String) -> String { "\(directory)/\(name)" }

  package func exists() throws(Failure) -> Bool {
    try mend()
    return Files.exists(file(Self.lastName))
  }

  package func load() throws(Failure) -> DeviceIdentity {
    guard try exists() else {
      throw Failure(
        .internalError, code: "trust.missing", message: "this device has no identity in \(directory)",
        remedy: "provision it with `wherry-agent provision --claim … --name …`")
    }
    let provision = try object("provision.json")
    let root = try object("trust.json")
    for name in ["device.key", "device.crt", "ca.crt"] where !Files.exists(file(name)) {
      throw damaged(name, "it is missing")
    }
    do {
      let cursor = JSONCursor(provision)
      let trust = try TrustRoot(JSONCursor(root))
      guard !trust.keys.isEmpty else { throw JSONCursor(root).fail("there is no deployment-signing key") }
      return DeviceIdentity(
        name: try cursor.require("device").name(), brokerHost: try cursor.require("brokerHost").string(),
        brokerPort: Int(try cursor.require("brokerPort").port()),
        deviceURL: try cursor.require("deviceURL").string(), keyFile: file("device.key"),
        certificateFile: file("device.crt"), authorityFile: file("ca.crt"), keys: trust.keys,
        givenAt: Instant(milliseconds: try cursor.optional("givenAt")?.integer() ?? 0))
    } catch { throw damaged("provision.json or trust.json", "\(error)") }
  }

  private func object(_ name: String) throws(Failure) -> JSON {
    let bytes = try Files.read(file(name), maximum: 256 << 10)
    do { return try JSON(parsing: bytes) } catch { throw damaged(name, "\(error)") }
  }

  private func damaged(_ name: String, _ why: String) -> Failure {
    Failure(
      .internalError, code: "trust.damaged", message: "\(directory)/\(name) cannot be used: \(why)",
      remedy: "provision the device again with --force")
  }

  /// The directory is replaced as a whole, so that a device never has half of an old and half of a new identity. That
  /// takes two renames; what a power cut between them leaves is mended by whoever looks next.
  package func save(_ response: ProvisioningResponse, privateKeyPEM: String, at now: Instant) throws(Failure) {
    try mend()
    try Self.remove(fresh)
    try Self.remove(old)
    try Files.makeDirectory(fresh, mode: 0o700)
    let provision: JSON = [
      "device": .string(response.device.rawValue), "brokerHost": .string(response.brokerHost),
      "brokerPort": .int(response.brokerPort), "deviceURL": .string(response.deviceURL),
      "givenAt": .integer(now.milliseconds),
    ]
    let contents = [
      ("device.key", privateKeyPEM), ("device.crt", response.certificate), ("ca.crt", response.authority),
      ("trust.json", response.trust.json.canonical), (Self.lastName, provision.canonical),
    ]
    for (name, text) in contents { try Files.write(Array(text.utf8), to: "\(fresh)/\(name)", mode: 0o600) }
    // All of it is on the disk before the old one leaves its place.
    Files.syncParent(of: fresh)
    if Files.exists(directory), rename(directory, old) != 0 { throw Files.failure("move away", directory) }
    guard rename(fresh, directory) == 0 else { throw Files.failure("move into place", fresh) }
    Files.syncParent(of: directory)
    try Self.remove(old)
  }

  /// Neither identity is in its place when the power failed between the two renames of `save`. The new one is whole
  /// by then, and the service has given up the old one for it.
  private func mend() throws(Failure) {
    if !Files.exists(directory), let whole = [fresh, old].first(where: { Files.exists("\($0)/\(Self.lastName)") }) {
      guard rename(whole, directory) == 0 else { throw Files.failure("move into place", whole) }
      Files.syncParent(of: directory)
    }
    // An old key that is no longer needed; that it cannot be removed is no reason not to start.
    if Files.exists(directory) { try? Self.remove(old) }
  }

  /// A trust directory holds files only.
  private static func remove(_ directory: String) throws(Failure) {
    for name in Files.names(in: directory) { unlink("\(directory)/\(name)") }
    if rmdir(directory) != 0 && errno != ENOENT { throw Files.failure("remove", directory) }
  }
}
