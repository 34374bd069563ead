import WherryModel

/// The members of a rollout in their order, and what an event asks about them, kept up to date: no question costs more
/// than the logarithm of their number. All but the members is derived from them and not journalled.
struct RolloutRoster: Hashable, Sendable {
  typealias Member = RolloutMachine.Member

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
  /// Places that are taken: whoever was released, and is there or has ended.
  private(set) var placesTaken = 0

  // These may hold slots that no longer belong there; they go when they come to the front.
  private var candidateQueue = SlotQueue()
  private var failedQueue = SlotQueue()
  private var timers = MinHeap<Timer>()

  private struct Timer: Comparable, Sendable {
    var since: Instant
    var slot: Int
    static func < (a: Self, b: Self) -> Bool { (a.since, a.slot) < (b.since, b.slot) }
  }

  init(_ members: [Member]) { for member in members { append(member) } }

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
    slotOf[member.name] = slots.count
    slots.append(member)
    count(member, 1)
    queue(slots.count - 1)
  }

  mutating func remove(_ name: DeviceName) {
    guard let slot = slotOf.removeValue(forKey: name), let member = slots[slot] else { return }
    count(member, -1)
    slots[slot] = nil
    // Those who left are forgotten before they are more than those who are there.
    if slots.count > 2 * slotOf.count + 16 { self = Self(members) }
  }

  /// The only way in which a member changes.
  mutating func update(_ index: Int, _ change: (inout Member) -> Void) {
    guard var member = slots[index] else { return }
    let since = member.since
    count(member, -1)
    change(&member)
    count(member, 1)
    slots[index] = member
    queue(index, isTimerNew: member.since != since)
  }

  private mutating func count(_ member: Member, _ one: Int) {
    if member.isUnderWay { underWay += one }
    if member.isCandidate { candidates += one }
    if member.isReleased { released += one }
    if !member.isReleased && member.outcome == nil { left += one }
    switch member.outcome {
    case .committed: committed += one
    case .failed: failed += one
    case .reverted, nil: break
    }
    if member.isReleased && (member.isOnline || member.outcome != nil) { placesTaken += one }
  }

  private mutating func queue(_ index: Int, isTimerNew: Bool = true) {
    guard let member = slots[index] else { return }
    if member.isCandidate { candidateQueue.insert(index) }
    if member.isFailed { failedQueue.insert(index) }
    guard isTimerNew, let since = member.since, member.isUnderWay else { return }
    timers.insert(Timer(since: since, slot: index))
    guard timers.count > 2 * slots.count + 16 else { return }
    let current = slots.indices.compactMap { slot in timer(of: slot) }
    timers = MinHeap(ascending: current.sorted())
  }

  private func timer(of slot: Int) -> Timer? {
    guard let member = slots[slot], member.isUnderWay, let since = member.since else { return nil }
    return Timer(since: since, slot: slot)
  }

  /// The first in order who could be released.
  mutating func firstCandidate() -> Int? { candidateQueue.first { slots[$0]?.isCandidate == true } }
  mutating func firstFailed() -> Member? {
    failedQueue.first { slots[$0]?.isFailed == true }.flatMap { slots[$0] }
  }

  /// Who is under way for the longest time. Call `settle` after changes.
  var longestUnderWay: (index: Int, since: Instant)? { timers.first.map { ($0.slot, $0.since) } }

  /// Removes from the front of the timers those that no longer run.
  mutating func settle() {
    while let first = timers.first, timer(of: first.slot) != first { _ = timers.removeFirst() }
  }
}

/// Slots in their order, each at most once.
private struct SlotQueue: Sendable {
  private var heap = MinHeap<Int>()
  private var queued: Set<Int> = []

  mutating func insert(_ slot: Int) { if queued.insert(slot).inserted { heap.insert(slot) } }

  mutating func first(where belongs: (Int) -> Bool) -> Int? {
    while let slot = heap.first {
      if belongs(slot) { return slot }
      _ = heap.removeFirst()
      queued.remove(slot)
    }
    return nil
  }
}
