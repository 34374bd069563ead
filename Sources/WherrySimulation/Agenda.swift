import WherryRollout

/// What is still to happen, by time; what was scheduled first comes first at the same time.
struct Agenda<Item: Sendable>: Sendable {
  /// Small, since a heap moves its entries about: the item lies beside it.
  private struct Entry: Comparable, Sendable {
    var time: Int64
    var order: UInt64
    var place: Int

    static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
  }

  private var heap = MinHeap<Entry>()
  private var items: [Item?] = []
  private var places: [Int] = []
  private var orderNext: UInt64 = 0

  var timeNext: Int64? { heap.first?.time }

  mutating func schedule(_ item: Item, at time: Int64) {
    let place = places.popLast() ?? items.count
    if place < items.count { items[place] = item } else { items.append(item) }
    heap.insert(Entry(time: time, order: orderNext, place: place))
    orderNext += 1
  }

  mutating func next() -> (time: Int64, item: Item)? {
    guard let first = heap.removeFirst(), let item = items[first.place] else { return nil }
    items[first.place] = nil
    places.append(first.place)
    return (first.time, item)
  }
}
