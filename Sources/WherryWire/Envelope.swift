import WherryJSON
import WherryModel

package struct EnvelopeSignature: Hashable, Sendable {
  package var keyID: String
  package var signature: [UInt8]
  package init(keyID: String, signature: [UInt8]) {
    self.keyID = keyID
    self.signature = signature
  }
}

/// A signed payload (DSSE, secure-systems-lab/dsse, envelope.md). What is signed is `preAuthenticationEncoding`, so a
/// payload of one type can never pass for another.
package struct Envelope: Hashable, Sendable, WireValue {
  package static let signaturesMaximum = 8

  package var payloadType: String
  package var payload: [UInt8]
  package var signatures: [EnvelopeSignature]

  package init(payloadType: String, payload: [UInt8], signatures: [EnvelopeSignature] = []) {
    self.payloadType = payloadType
    self.payload = payload
    self.signatures = signatures
  }

  /// `DSSEv1 <length of type> <type> <length of payload> <payload>` (protocol.md).
  package var preAuthenticationEncoding: [UInt8] {
    Array("DSSEv1 \(payloadType.utf8.count) \(payloadType) \(payload.count) ".utf8) + payload
  }

  package var json: JSON {
    [
      "payloadType": .string(payloadType), "payload": .string(Base64.encode(payload)),
      "signatures": .array(
        signatures.map { ["keyid": .string($0.keyID), "sig": .string(Base64.encode($0.signature))] }),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    payloadType = try cursor.require("payloadType").string()
    payload = try cursor.require("payload").base64()
    let list = try cursor.require("signatures")
    signatures = try list.list { (element) throws(JSONShapeError) in
      EnvelopeSignature(
        keyID: try element.optional("keyid")?.string() ?? "", signature: try element.require("sig").base64())
    }
    guard signatures.count <= Self.signaturesMaximum else {
      throw list.fail("\(signatures.count) signatures are more than the \(Self.signaturesMaximum) that are read")
    }
  }
}

/// The payload of a desired-state envelope: who shall run which plan, and when that holds.
package struct DesiredStatement: Hashable, Sendable, WireValue {
  package static let payloadType = "application/vnd.wherry.desired+json"

  package var device: DeviceName
  package var generation: Generation
  package var plan: Digest
  /// Bytes of the plan's canonical text.
  package var planSize: Int64
  /// Milliseconds since 1970.
  package var notBefore: Instant
  package var expires: Instant

  package init(
    device: DeviceName, generation: Generation, plan: Digest, planSize: Int64, notBefore: Instant, expires: Instant
  ) {
    self.device = device
    self.generation = generation
    self.plan = plan
    self.planSize = planSize
    self.notBefore = notBefore
    self.expires = expires
  }

  package var json: JSON {
    [
      "v": 1, "device": .string(device.rawValue), "generation": .integer(generation.rawValue),
      "plan": .string(plan.description), "planSize": .integer(planSize), "notBefore": .integer(notBefore.milliseconds),
      "expires": .integer(expires.milliseconds),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the desired state")
    device = try cursor.require("device").name()
    generation = try cursor.require("generation").generation()
    plan = try cursor.require("plan").digest()
    planSize = try cursor.require("planSize").size()
    notBefore = try cursor.require("notBefore").instant()
    expires = try cursor.require("expires").instant()
  }
}

/// The payload of a device's `desired` topic.
package struct DesiredMessage: Hashable, Sendable, WireValue {
  /// A plan of fewer bytes travels beside its envelope.
  package static let inlinePlanBytesMaximum = 16 << 10

  package var envelope: Envelope
  /// Canonical text; held against the digest in the envelope, so it needs no signature of its own.
  package var plan: String?

  package init(envelope: Envelope, plan: String? = nil) {
    self.envelope = envelope
    self.plan = plan
  }

  package var json: JSON { .members([("envelope", envelope.json), ("plan", plan.map(JSON.string))]) }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the desired state")
    envelope = try Envelope(cursor.require("envelope"))
    plan = try cursor.optional("plan")?.string()
  }
}
