import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

extension InventoryEngine {
  static let certificateDays = 365

  static func noDevice(_ name: DeviceName) -> Refusal {
    .notFound("device \(name)", remedy: "`wherry device list` names them")
  }

  package func device(_ name: DeviceName) throws -> DeviceSummary {
    guard let device = try database.device(name) else { throw Self.noDevice(name) }
    return summary(of: device, groups: try database.groups(of: name))
  }

  package func devices(in group: GroupName? = nil, limit: Int? = nil) throws -> [DeviceSummary] {
    if let group, try !database.hasGroup(group) { throw Self.noGroup(group) }
    let groups = try database.groupsByDevice()
    let devices = try group.map { try database.devices(in: $0) } ?? database.devices(limit: limit)
    return devices.map { summary(of: $0, groups: groups[$0.name] ?? []) }
  }

  /// It loses its rights at the broker and the blobs at once, and the claim that would give them back; what runs on it
  /// goes on running.
  package func removeDevice(_ name: DeviceName, by actor: String) throws {
    guard try database.device(name) != nil else { throw Self.noDevice(name) }
    let now = environment.now()
    let revoked = try commit {
      for id in try activeRollouts(of: name) { try drive(id, .left(name), at: now) }
      try database.removeDevice(name)
      for claim in try database.removeClaims(of: name) {
        try database.audit("claim.revoke", subject: claim, actor: actor, detail: "with device \(name)", at: now)
      }
      for topic in [Topic.desired(name), Topic.presence(name)] {
        try send(BusMessage(topic: topic, payload: [], qos: 1, isRetained: true))
      }
      try database.audit("device.remove", subject: name.rawValue, actor: actor, at: now)
      return try setRevoked(name, true)
    }
    environment.revoke(revoked)
    endStreams(of: name, why: "\(name) was removed")
  }

  package func revokedDevices() throws -> [String] {
    (try database.setting("revoked") ?? "").split(separator: " ").map(String.init)
  }

  private func setRevoked(_ name: DeviceName, _ isRevoked: Bool) throws -> [String] {
    var names = Set(try revokedDevices())
    if isRevoked { names.insert(name.rawValue) } else { names.remove(name.rawValue) }
    try database.setSetting("revoked", to: names.sorted().joined(separator: " "))
    return names.sorted()
  }

  // MARK: - Provisioning

  /// A claim's token and a certificate request for a device's certificate and the fleet's trust root.
  package func provision(_ request: ProvisioningRequest, token: String) async throws -> ProvisioningResponse {
    let requestDigest = SHA256.digest(of: request.json.canonicalBytes)
    let claim = try usableClaim(token, request: request, digest: requestDigest)
    for group in claim.groups { await pinImages(joining: .group(group), platform: request.platform) }
    let now = environment.now()
    let (certificate, revoked) = try commit {
      // Others may have used the claim, or taken the name, while registries answered.
      let claim = try usableClaim(token, request: request, digest: requestDigest)
      let certificate = try sign(request)
      // Asked before the device is enrolled: a claim whose device was removed is used anew.
      if try !isRepeated(request, digest: requestDigest, of: claim) {
        try database.recordUse(of: claim, by: request.device, request: requestDigest)
      }
      try enroll(request, certificate: certificate, claim: claim, at: now)
      try database.audit("device.provision", subject: request.device.rawValue, actor: "claim \(claim.id)", at: now)
      return (certificate, try setRevoked(request.device, false))
    }
    environment.revoke(revoked)
    return response(request.device, certificate: certificate)
  }

  private func enroll(
    _ request: ProvisioningRequest, certificate: String, claim: ClaimRecord, at now: Instant
  ) throws {
    let device = DeviceRecord(
      name: request.device, platform: request.platform,
      labels: claim.labels.merging(request.labels) { ofClaim, _ in ofClaim },
      certificate: Certificate.fingerprint(pem: certificate)?.description ?? "", createdAt: now)
    let known = try database.device(device.name)
    try database.provision(device)
    for group in claim.groups {
      try database.createGroup(group, at: now)
      if try database.add(device.name, to: group) { try join(device.name, .group(group), at: now) }
    }
    // It may come back empty: it gets what worked there, and not the order that it was given last, which may be the one
    // that failed. Joining a group may have given it that already.
    guard let known, let current = try database.device(device.name) else { return }
    if current.generation == known.generation { try orderAnew(current, at: now) }
  }

  /// A new certificate for a device that still has a valid one.
  package func renew(_ request: ProvisioningRequest, as device: DeviceName) throws -> ProvisioningResponse {
    guard request.device == device else {
      throw Refusal(
        403, "device.other", "\(device) asked for a certificate of \(request.device)", remedy: "ask for its own name")
    }
    guard try database.device(device) != nil else { throw Self.noDevice(device) }
    let certificate = try sign(request)
    let now = environment.now()
    try commit {
      try database.setCertificate(Certificate.fingerprint(pem: certificate)?.description ?? "", of: device)
      try database.audit("device.renew", subject: device.rawValue, actor: device.rawValue, at: now)
    }
    return response(device, certificate: certificate)
  }

  private func sign(_ request: ProvisioningRequest) throws -> String {
    do {
      return try environment.authority.sign(
        request: request.csr, expectedCommonName: request.device.rawValue, days: Self.certificateDays)
    } catch {
      throw Refusal(
        400, "csr.refused", "the certificate request of \(request.device) was not signed: \(error)",
        remedy: "make it with the device's own key and its name as common name, as `wherry-agent provision` does")
    }
  }

  private func response(_ device: DeviceName, certificate: String) -> ProvisioningResponse {
    ProvisioningResponse(
      device: device, certificate: certificate, authority: environment.authority.certificatePEM,
      trust: environment.trustRoot, brokerHost: environment.endpoints.brokerHost,
      brokerPort: environment.endpoints.brokerPort, deviceURL: environment.endpoints.deviceURL)
  }

  /// The claim, if it lets this request in as things are now.
  private func usableClaim(
    _ token: String, request: ProvisioningRequest, digest: Digest
  ) throws -> ClaimRecord {
    let remedy = "create a new one with `wherry claim create`"
    guard let claim = try database.claim(tokenHash: SecretToken.hash(token)) else {
      throw Refusal(401, "claim.unknown", "the claim is not known here or was revoked", remedy: remedy)
    }
    guard claim.expires > environment.now() else {
      throw Refusal(403, "claim.expired", "the claim \(claim.id) has expired", remedy: remedy)
    }
    guard claim.device == nil || claim.device == request.device else {
      throw Refusal(
        403, "claim.otherDevice", "the claim \(claim.id) is for another device than \(request.device)", remedy: remedy)
    }
    let isRepeated = try isRepeated(request, digest: digest, of: claim)
    guard claim.usesLeft > 0 || isRepeated else {
      throw Refusal(403, "claim.used", "the claim \(claim.id) has been used up", remedy: remedy)
    }
    guard request.device != Identity.serviceName else {
      throw Refusal(
        409, "device.reserved", "\(request.device) is the service's own name", remedy: "choose another name")
    }
    if !isRepeated, claim.device == nil, try database.device(request.device) != nil {
      throw Refusal(
        409, "device.exists", "a device named \(request.device) is in the inventory already",
        remedy: "choose another name, or create a claim for exactly this device to provision it again")
    }
    return claim
  }

  /// The same request again, because its answer was lost on the way. Once the device was removed there is nothing to
  /// repeat: it would take back the rights that it lost.
  private func isRepeated(_ request: ProvisioningRequest, digest: Digest, of claim: ClaimRecord) throws -> Bool {
    guard claim.lastDevice == request.device, claim.lastRequest == digest else { return false }
    return try database.device(request.device) != nil
  }
}
