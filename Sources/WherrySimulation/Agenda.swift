import WherryRollout

/// What is still to happen, by time; what was scheduled first comes first at the same time.
struct Agenda<Item: Sendable>: Sendable {
  private struct Entry: Comparable, Sendable {
    var time: Int64
    var order: UInt64
    var item: Item

    static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
    static func == (a: Self, b: Self) -> Bool { a.order == b.order }
  }

  private var heap = MinHeap<Entry>()
  private var orderNext: UInt64 = 0

  var timeNext: Int64? { heap.first?.time }

  mutating func schedule(_ item: Item, at time: Int64) {
    heap.insert(Entry(time: time, order: orderNext, item: item))
    orderNext += 1
  }

  mutating func next() -> (time: Int64, item: Item)? { heap.removeFirst().map { ($0.time, $0.item) } }
}
