import WherryModel

/// The members of a rollout in their order, and what an event asks about them, kept up to date: no question costs more
/// than the logarithm of their number. All but the members is derived from them and not journalled.
struct RolloutRoster: Hashable, Sendable {
  typealias Member = RolloutMachine.Member

  let policy: RolloutPolicy
  /// nil = that one has left.
  private var slots: [Member?] = []
  private var slotOf: [DeviceName: Int] = [:]

  private(set) var underWay = 0
  private(set) var candidates = 0
  private(set) var released = 0
  /// Neither released nor ended.
  private(set) var left = 0
  private(set) var committed = 0
  private(set) var failed = 0
  private(set) var failedBy: [FailureCause: Int] = [:]
  /// Places that are taken: whoever was released, and is there or has ended.
  private(set) var placesTaken = 0

  // These may hold slots that no longer belong there; they go when they come to the front.
  private var candidateQueue = SlotQueue()
  private var timers = MinHeap<Timer>()
  private var sites = SiteTable()
  private var changes = RosterChanges()

  private struct Timer: Comparable, Sendable {
    var at: Instant
    var slot: Int
    static func < (a: Self, b: Self) -> Bool { (a.at, a.slot) < (b.at, b.slot) }
  }

  init(_ members: [Member], policy: RolloutPolicy) {
    self.policy = policy
    for member in members { append(member) }
  }

  /// As it was stored: with the slots that each had.
  init(slots stored: [Int: Member], policy: RolloutPolicy) {
    self.policy = policy
    slots = Array(repeating: nil, count: (stored.keys.max() ?? -1) + 1)
    for (slot, member) in stored.sorted(by: { $0.key < $1.key }) { place(member, in: slot) }
    changes = RosterChanges(isWhole: false)
  }

  static func == (a: Self, b: Self) -> Bool { a.slotOf.count == b.slotOf.count && a.members == b.members }
  func hash(into hasher: inout Hasher) { hasher.combine(members) }

  var members: [Member] { slots.compactMap { $0 } }
  var count: Int { slotOf.count }
  var isEmpty: Bool { slotOf.isEmpty }
  var ended: Int { committed + failed }
  /// Of everyone, in their order.
  var indices: Range<Int> { slots.indices }

  func contains(_ name: DeviceName) -> Bool { slotOf[name] != nil }
  func index(of name: DeviceName) -> Int? { slotOf[name] }
  subscript(index: Int) -> Member? { slots[index] }

  mutating func append(_ member: Member) {
    slots.append(nil)
    place(member, in: slots.count - 1)
  }

  private mutating func place(_ member: Member, in slot: Int) {
    slotOf[member.name] = slot
    slots[slot] = member
    changes.slots.insert(slot)
    count(member, 1)
    queue(slot)
    wake(member)
  }

  mutating func remove(_ name: DeviceName) {
    guard let slot = slotOf.removeValue(forKey: name), let member = slots[slot] else { return }
    count(member, -1)
    slots[slot] = nil
    changes.slots.insert(slot)
    wake(member)
    // Those who left are forgotten before they are more than those who are there.
    if slots.count > 2 * slotOf.count + 16 { self = Self(members, policy: policy) }
  }

  /// The only way in which a member changes.
  mutating func update(_ index: Int, _ change: (inout Member) -> Void) {
    guard var member = slots[index] else { return }
    let before = member
    change(&member)
    guard member != before else { return }
    count(before, -1)
    count(member, 1)
    slots[index] = member
    changes.slots.insert(index)
    queue(index, isTimerNew: deadline(of: member) != deadline(of: before))
    wake(member)
  }

  private mutating func count(_ member: Member, _ one: Int) {
    if member.isUnderWay { underWay += one }
    if member.isCandidate { candidates += one }
    if member.isReleased { released += one }
    if !member.isReleased && member.outcome == nil { left += one }
    if member.outcome == .committed { committed += one }
    if let cause = member.cause {
      failed += one
      failedBy[cause, default: 0] += one
    }
    if member.isReleased && (member.isOnline || member.outcome != nil) { placesTaken += one }
    sites.count(member, one)
  }

  private mutating func queue(_ index: Int, isTimerNew: Bool = true) {
    guard let member = slots[index] else { return }
    if member.isCandidate { candidateQueue.insert(index) }
    guard isTimerNew, let at = deadline(of: member) else { return }
    timers.insert(Timer(at: at, slot: index))
    guard timers.count > 2 * slots.count + 16 else { return }
    let current = slots.indices.compactMap { slot in timer(of: slot) }
    timers = MinHeap(ascending: current.sorted())
  }

  // MARK: - Time

  /// When it will have failed if nothing more is heard of it.
  func deadline(of member: Member) -> Instant? {
    guard member.isUnderWay, let since = member.since else { return nil }
    return since.advanced(bySeconds: member.hasSpoken ? policy.deviceTimeoutSeconds : policy.silenceLimitSeconds)
  }

  private func timer(of slot: Int) -> Timer? {
    slots[slot].flatMap(deadline).map { Timer(at: $0, slot: slot) }
  }

  /// Whose time is up next. Call `settle` after changes.
  var firstDue: (index: Int, at: Instant)? { timers.first.map { ($0.slot, $0.at) } }

  /// Removes from the front of the timers those that no longer run.
  mutating func settle() {
    while let first = timers.first, timer(of: first.slot) != first { _ = timers.removeFirst() }
  }

  // MARK: - Candidates

  /// The first in order who could be released: there, and not kept back by what its site owes to others.
  mutating func firstCandidate() -> Int? {
    while let slot = candidateQueue.first(where: { slots[$0]?.isCandidate == true }), let member = slots[slot] {
      guard let full = sites.firstFull(of: member, policy.disruption) else { return slot }
      candidateQueue.removeFirst()
      sites.wait(slot, at: full)
      // Somebody else may fit where this one left its turn.
      wake(member)
    }
    return nil
  }

  /// Where there is room again, the next in order has its turn.
  private mutating func wake(_ member: Member) {
    guard !policy.disruption.isEmpty else { return }
    for slot in sites.next(at: member, policy.disruption, where: { slots[$0]?.isCandidate == true }) {
      candidateQueue.insert(slot)
    }
  }

  func fullSite(of member: Member) -> SiteKey? { sites.firstFull(of: member, policy.disruption) }
  func site(_ key: SiteKey) -> (changing: Int, up: Int) { sites[key] }

  // MARK: - Storing

  /// What has to be stored since it was asked last.
  mutating func takeChanges() -> RosterChanges {
    defer { changes = RosterChanges(isWhole: false) }
    return changes
  }
}

struct RosterChanges: Hashable, Sendable {
  /// Everything that was stored before is void.
  var isWhole = true
  var slots: Set<Int> = []
}

extension RolloutPolicy {
  /// How long a device may say nothing.
  var silenceLimitSeconds: Int {
    silenceSeconds > 0 ? min(silenceSeconds, deviceTimeoutSeconds) : deviceTimeoutSeconds
  }
}
