import WherryLifecycle
import WherryModel

/// A launch that was asked for while something of an earlier workload of that id was still ending.
struct ParkedLaunch {
  var definition: ComponentDefinition
  var identity: String
}

/// What ended leaves the kernel when the kernel lets it, and the one thread never waits for that: it looks again, soon
/// at first, then once a second.
extension AgentEngine {
  static let tidyDelayMinimumMilliseconds: Int64 = 5
  static let tidyDelayMaximumMilliseconds: Int64 = 1_000

  private var hasLeftovers: Bool { ports.runner.hasLeftovers || ports.worker.hasLeftovers || !parked.isEmpty }

  /// Something has just ended.
  func tidySoon() {
    tidyDelayMilliseconds = Self.tidyDelayMinimumMilliseconds
    tidyAt = now.advanced(byMilliseconds: tidyDelayMilliseconds)
  }

  /// At the end of a turn: whatever became a leftover in it is not forgotten.
  func planTidying() {
    if !hasLeftovers { tidyAt = nil } else if tidyAt == nil { tidySoon() }
  }

  func tidy() {
    guard let due = tidyAt, now >= due else { return }
    ports.runner.tidy()
    ports.worker.tidy()
    tidyDelayMilliseconds = min(tidyDelayMilliseconds * 2, Self.tidyDelayMaximumMilliseconds)
    tidyAt = now.advanced(byMilliseconds: tidyDelayMilliseconds)
    for id in parked.keys.sorted() where !ports.runner.isLeaving(id.description) && !waitsForContainers(id) {
      guard let launch = parked.removeValue(forKey: id) else { continue }
      self.launch(id, launch.definition, launch.identity)
    }
  }

  /// The machine gives a launch a minute; if that is not enough it asks for the end of it, which unparks it.
  func park(_ id: WorkloadID, _ definition: ComponentDefinition, _ identity: String) {
    log.info("waits for what it had started before to end", ["workload": id.description])
    parked[id] = ParkedLaunch(definition: definition, identity: identity)
  }
}
