import Glibc
import Synchronization
import WherryWire

/// The engine's one way in for messages: bounded, and full means that the broker's connection is not read.
/// What gathers here while one transaction commits is the next transaction: that is the whole of the batching.
final class Inbox: Sendable {
  private struct State {
    var events: [TransportEvent] = []
    var isDrainScheduled = false
    var isClosed = false
  }

  private let state = Mutex(State())
  private let capacity: Int

  init(capacity: Int = 10_000) { self.capacity = capacity }

  /// True if the caller must schedule a drain. Blocks while full; called on the transport's thread only.
  func push(_ event: TransportEvent) -> Bool {
    while true {
      let outcome: Bool? = state.withLock { state in
        if state.isClosed { return false }
        if state.events.count >= capacity { return nil }
        state.events.append(event)
        defer { state.isDrainScheduled = true }
        return !state.isDrainScheduled
      }
      if let outcome { return outcome }
      // Full: the engine is at work on the last batch. One millisecond is a tenth of what that takes.
      usleep(1_000)
    }
  }

  func take() -> [TransportEvent] {
    state.withLock { state in
      state.isDrainScheduled = false
      let events = state.events
      state.events = []
      return events
    }
  }

  func close() {
    state.withLock {
      $0.isClosed = true
      $0.events = []
    }
  }
}
