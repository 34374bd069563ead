/// Messages in the order in which they were given, waiting for a connection or for a place in flight.
struct Outbox {
  private var messages: [OutgoingMessage] = []
  private var head = 0

  var count: Int { messages.count - head }
  var first: OutgoingMessage? { head < messages.count ? messages[head] : nil }

  mutating func append(_ message: OutgoingMessage) { messages.append(message) }

  mutating func removeFirst() {
    head += 1
    // Moving the rest to the front now and then keeps removal cheap and the array short.
    if head == messages.count {
      messages.removeAll(keepingCapacity: messages.capacity <= 64)
      head = 0
    } else if head >= 256, head * 2 >= messages.count {
      messages.removeFirst(head)
      head = 0
    }
  }
}
