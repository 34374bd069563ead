/// What is still to happen, by time; what was scheduled first comes first at the same time. A binary heap.
struct Agenda<Item: Sendable>: Sendable {
  private struct Entry: Sendable {
    var time: Int64
    var order: UInt64
    var item: Item

    func isBefore(_ other: Entry) -> Bool { (time, order) < (other.time, other.order) }
  }

  private var heap: [Entry] = []
  private var orderNext: UInt64 = 0

  var timeNext: Int64? { heap.first?.time }

  mutating func schedule(_ item: Item, at time: Int64) {
    heap.append(Entry(time: time, order: orderNext, item: item))
    orderNext += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func next() -> (time: Int64, item: Item)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return (first.time, first.item)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      let left = 2 * parent + 1
      guard left < heap.count else { return }
      let right = left + 1
      let child = right < heap.count && heap[right].isBefore(heap[left]) ? right : left
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      parent = child
    }
  }
}
