import WherryIsolation
import WherryLifecycle
import WherryModel

/// Workloads that are short of something, as the kernel tells it.
extension AgentEngine {
  private static let deafMilliseconds: Int64 = 10_000
  private static let repeatMilliseconds: Int64 = 600_000

  func readPressure() {
    tell(ports.runner.pressure.read())
    if ports.runner.pressure.isDeaf, listenAt == nil { listenAt = now.advanced(byMilliseconds: Self.deafMilliseconds) }
  }

  func listenAgain() {
    guard let at = listenAt, now >= at else { return }
    listenAt = nil
    tell(ports.runner.pressure.listenAgain())
  }

  private func tell(_ troubles: [(id: String, trouble: WorkloadTrouble)]) {
    for (id, trouble) in troubles {
      let (kind, sentence, isNews) = Self.words(trouble)
      let key = "\(id) \(kind)"
      let isOld = toldTroubles[key].map { now.milliseconds(since: $0) < Self.repeatMilliseconds } ?? false
      guard isNews || !isOld else { continue }
      toldTroubles[key] = now
      log.warning("\(sentence)", ["workload": id])
    }
    let live = Set(workloads.keys.map(\.description))
    toldTroubles = toldTroubles.filter { key, _ in live.contains(String(key.prefix { $0 != " " })) }
  }

  private static func words(_ trouble: WorkloadTrouble) -> (kind: String, sentence: String, isNews: Bool) {
    switch trouble {
    case .shortOfMemory: ("memory", "short of memory: it waited for some a tenth of the time or more", false)
    case .waitsForDisk: ("disk", "waits for the disk a tenth of the time or more", false)
    case .killedForMemory(let count):
      ("kills", "the kernel has ended \(count) of its processes for want of memory", true)
    }
  }
}
