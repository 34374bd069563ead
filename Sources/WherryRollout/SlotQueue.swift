/// Slots in their order, each at most once.
struct SlotQueue: Sendable {
  private var heap = MinHeap<Int>()
  private var queued: Set<Int> = []

  mutating func insert(_ slot: Int) { if queued.insert(slot).inserted { heap.insert(slot) } }

  mutating func removeFirst() { if let slot = heap.removeFirst() { queued.remove(slot) } }

  mutating func first(where belongs: (Int) -> Bool) -> Int? {
    while let slot = heap.first {
      if belongs(slot) { return slot }
      removeFirst()
    }
    return nil
  }
}
