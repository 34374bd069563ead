import WherryModel

/// Devices with the same value of a label, such as those of one store.
struct SiteKey: Hashable, Sendable {
  /// Of the policy's disruption budgets.
  var budget: Int
  var value: String
}

/// How each site stands, and who waits there until somebody else is done.
struct SiteTable: Sendable {
  private struct Site: Sendable {
    var changing = 0
    var up = 0
    var waiting = SlotQueue()
  }
  private var sites: [SiteKey: Site] = [:]

  subscript(key: SiteKey) -> (changing: Int, up: Int) {
    let site = sites[key]
    return (site?.changing ?? 0, site?.up ?? 0)
  }

  mutating func count(_ member: RolloutMachine.Member, _ one: Int) {
    for key in Self.keys(of: member) {
      if member.isChanging { sites[key, default: Site()].changing += one }
      if member.isUp { sites[key, default: Site()].up += one }
    }
  }

  /// The first of its sites that could not do without one more at the moment.
  func firstFull(of member: RolloutMachine.Member, _ budgets: [RolloutPolicy.DisruptionBudget]) -> SiteKey? {
    Self.keys(of: member).first { !hasRoom($0, budgets) }
  }

  private func hasRoom(_ key: SiteKey, _ budgets: [RolloutPolicy.DisruptionBudget]) -> Bool {
    guard budgets.indices.contains(key.budget) else { return true }
    let budget = budgets[key.budget]
    let site = self[key]
    return site.changing < budget.changingMaximum ?? .max && site.up > budget.upMinimum
  }

  mutating func wait(_ slot: Int, at key: SiteKey) { sites[key, default: Site()].waiting.insert(slot) }

  /// Of each of its sites that has room, the first who waits there; they wait no longer.
  mutating func next(
    at member: RolloutMachine.Member, _ budgets: [RolloutPolicy.DisruptionBudget], where belongs: (Int) -> Bool
  ) -> [Int] {
    var slots: [Int] = []
    for key in Self.keys(of: member) where hasRoom(key, budgets) {
      guard let slot = sites[key]?.waiting.first(where: belongs) else { continue }
      sites[key]?.waiting.removeFirst()
      slots.append(slot)
    }
    return slots
  }

  static func keys(of member: RolloutMachine.Member) -> [SiteKey] {
    member.sites.indices.compactMap { budget in
      member.sites[budget].map { SiteKey(budget: budget, value: $0) }
    }
  }
}
