import WherryDatabase
import WherryJSON
import WherryModel
import WherryWire

/// A device reads what it was told to run, and nothing else: its certificate opens no other device's software.
extension InventoryEngine {
  /// Plans that devices fetch for at the same time are few, however many devices there are.
  static let planBlobsMaximum = 64

  /// Refuses what no order of the device names. An order may be replaced while the device is at work on it, so what it
  /// was told before and the last plan of which it spoke count, too.
  package func requireOrdered(_ digest: Digest, by name: DeviceName) throws {
    guard let device = try database.device(name) else { throw Self.noDevice(name) }
    for plan in [device.plan, device.heldPlan, device.previousPlan].compactMap({ $0 }) {
      if try plan == digest || blobs(of: plan).contains(digest) { return }
    }
    throw Refusal(
      403, "blob.notYours", "nothing that \(name) was told to run needs the blob \(digest)",
      remedy: "deploy a component that has it to the device or to one of its groups")
  }

  private func blobs(of plan: Digest) throws -> Set<Digest> {
    if let known = planBlobs[plan] { return known }
    guard let text = try database.plan(plan) else { return [] }
    let limits = JSONLimits(bytesMaximum: text.utf8.count)
    let blobs = try Plan(JSONCursor(JSON(parsing: text, limits: limits))).blobs
    if planBlobs.count >= Self.planBlobsMaximum { planBlobs.removeAll() }
    planBlobs[plan] = blobs
    return blobs
  }
}
