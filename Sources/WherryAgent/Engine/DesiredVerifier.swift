import WherryCrypto
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// What came on the `desired` topic, once it has been looked at.
package enum DesiredVerdict {
  /// Signed for this device, in time, newer than or equal to what it has.
  case accepted(DesiredStatement, inlinePlan: String?)
  /// Old. In one sentence: what and why.
  case ignored(String)
  case refused(Generation, Digest?, Failure)
}

/// Decides whether a message is an order. Whoever can write to the broker can send anything here, so nothing is
/// believed before the signature is checked.
package struct DesiredVerifier {
  package let device: DeviceName
  private let keys: [Ed25519PublicKey]

  /// Clocks of devices and service may differ by this much.
  static let clockToleranceMilliseconds: Int64 = 300_000
  static let payloadBytesMaximum = 1 << 20

  package init(device: DeviceName, keys: [SigningKey]) throws(Failure) {
    self.device = device
    var usable: [Ed25519PublicKey] = []
    for key in keys {
      do { usable.append(try Ed25519PublicKey(raw: key.publicKey)) } catch {
        throw Failure(
          .internalError, code: "trust.damaged",
          message: "the deployment-signing key \(key.id) cannot be used: \(error)",
          remedy: "provision the device again with --force")
      }
    }
    self.keys = usable
  }

  /// - Parameters:
  ///   - known: the newest generation that the device has accepted.
  ///   - wall: what the device's clock says.
  ///   - proven: a time that has certainly passed.
  package func verdict(
    on payload: [UInt8], known: Generation, wall: Instant, proven: Instant
  ) -> DesiredVerdict {
    // An unsigned generation is only good for the answer, and the machine takes none from a refusal.
    var generation = known.next
    var digest: Digest?
    do throws(Failure) {
      let message = try parse(payload)
      let statement = try? statement(in: message.envelope)
      if let statement, statement.generation > known {
        generation = statement.generation
        digest = statement.plan
      }
      try checkSignature(of: message.envelope)
      let signed = try self.statement(in: message.envelope)
      guard signed.device == device else {
        throw Self.refusal(
          "envelope.wrongDevice", "the desired state is signed for device \(signed.device), but this is \(device)",
          "see whether two devices share a name or the broker mixes topics up")
      }
      if signed.generation < known {
        return .ignored(
          "the desired state of generation \(signed.generation) is ignored, as this device has accepted generation "
            + "\(known) already; nothing needs to be done: a broker may deliver an old one again")
      }
      if signed.generation > known { try checkTime(of: signed, wall: wall, proven: proven) }
      return .accepted(signed, inlinePlan: message.plan)
    } catch { return .refused(generation, digest, error) }
  }

  private func parse(_ payload: [UInt8]) throws(Failure) -> DesiredMessage {
    guard payload.count <= Self.payloadBytesMaximum else {
      throw Self.refusal(
        "envelope.tooLarge", "the desired state has \(payload.count) bytes; \(Self.payloadBytesMaximum) is the limit",
        "see who writes to this device's topic")
    }
    do { return try DesiredMessage(JSONCursor(JSON(parsing: payload))) } catch {
      throw Self.refusal(
        "envelope.malformed", "the desired state cannot be read: \(error)", "see who writes to this device's topic")
    }
  }

  private func checkSignature(of envelope: Envelope) throws(Failure) {
    guard envelope.payloadType == DesiredStatement.payloadType else {
      throw Self.refusal(
        "envelope.wrongType", "the desired state's envelope holds \"\(envelope.payloadType.prefix(80))\"",
        "update the agent or the service")
    }
    let signed = envelope.preAuthenticationEncoding
    for signature in envelope.signatures {
      if keys.contains(where: { $0.isValid(signature: signature.signature, for: signed) }) { return }
    }
    let names = envelope.signatures.map { String($0.keyID.prefix(80)) }.joined(separator: ", ")
    let signers = names.isEmpty ? "nobody" : names
    throw Self.refusal(
      "envelope.badSignature",
      "the desired state is not signed by a key that this device trusts (signed by: \(signers))",
      "if the service has a new signing key, provision the device again with --force")
  }

  private func statement(in envelope: Envelope) throws(Failure) -> DesiredStatement {
    do { return try DesiredStatement(JSONCursor(JSON(parsing: envelope.payload))) } catch {
      throw Self.refusal(
        "envelope.malformed", "the desired state's statement cannot be read: \(error)",
        "update the agent or the service")
    }
  }

  /// A device without a battery-backed clock starts in 1970. Until its clock is set, the newest time that somebody
  /// signed stands in for it: enough to refuse what had expired before that.
  private func checkTime(of statement: DesiredStatement, wall: Instant, proven: Instant) throws(Failure) {
    let isClockSet = wall.advanced(byMilliseconds: Self.clockToleranceMilliseconds) >= proven
    let now = isClockSet ? wall : proven
    guard statement.expires > now else {
      throw Self.refusal(
        "envelope.expired",
        "the desired state of generation \(statement.generation) expired at \(Timestamp.sortable(statement.expires))",
        "deploy again, or set the device's clock if it is ahead")
    }
    let earliest = statement.notBefore.advanced(byMilliseconds: -Self.clockToleranceMilliseconds)
    guard isClockSet, now < earliest else { return }
    throw Self.refusal(
      "envelope.notYetValid",
      "the desired state of generation \(statement.generation) is not valid before "
        + "\(Timestamp.sortable(statement.notBefore)), and this device's clock says \(Timestamp.sortable(wall))",
      "set the clock of the device or of the service")
  }

  // MARK: Plans

  /// The plan that a statement names, out of a text that anybody may have written.
  package static func plan(_ text: String, for statement: DesiredStatement) throws(Failure) -> Plan {
    let bytes = Array(text.utf8)
    let actual = SHA256.digest(of: bytes)
    guard actual == statement.plan else {
      throw Failure(
        .verify, code: "plan.digestMismatch",
        message:
          "the plan of generation \(statement.generation) has digest \(actual.short)…, "
          + "not \(statement.plan.short)… as signed",
        remedy: "deploy again; if it happens again, something between service and device changes messages")
    }
    let plan: Plan
    do { plan = try Plan(JSONCursor(JSON(parsing: bytes))) } catch {
      throw refusal(
        "plan.malformed", "the plan of generation \(statement.generation) cannot be read: \(error)",
        "update the agent or the service")
    }
    var problems = PlanChecker.problems(in: plan)
    if plan.local != nil || plan.ordered != nil || !plan.localNames.isEmpty
      || plan.components.contains(where: { $0.artifacts.contains { $0.source == PlannedArtifact.localSource } })
    {
      problems.append("it speaks of local deployments, which are the device's own")
    }
    guard problems.isEmpty else {
      throw refusal(
        "plan.invalid",
        "the plan of generation \(statement.generation) is not sound: \(problems.prefix(5).joined(separator: "; "))",
        "report it: the service should not have made it")
    }
    return plan
  }

  static func refusal(_ code: String, _ message: String, _ remedy: String) -> Failure {
    Failure(.rejected, code: code, message: message, remedy: remedy)
  }
}
