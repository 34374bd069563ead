/// One way of a device's line. It numbers what is sent and tells how each message arrives, so that what a network did
/// is counted where it was felt.
struct SimulatedLink: Sendable {
  enum Arrival: Hashable, Sendable {
    case inOrder
    /// A copy of it arrived before.
    case again
    /// Something that was sent later arrived before.
    case overtaken
  }

  private var sent = 0
  private var newest = 0
  private var arrived: Set<Int> = []

  /// The number of the next message; copies of it share the number.
  mutating func send() -> Int {
    sent += 1
    return sent
  }

  mutating func receive(_ number: Int) -> Arrival {
    guard arrived.insert(number).inserted else { return .again }
    guard number > newest else { return .overtaken }
    newest = number
    return .inOrder
  }
}
