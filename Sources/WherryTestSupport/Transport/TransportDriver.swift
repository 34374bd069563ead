import Glibc
import WherryModel
import WherryWire

/// A transport under test with everything that it has told.
package final class DrivenTransport {
  package let transport: any Transport
  package private(set) var events: [TransportEvent] = []
  /// How often it was woken.
  package private(set) var pumps = 0

  package init(_ transport: any Transport) { self.transport = transport }

  package static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  package func pump(readable: Bool, writable: Bool, now: Instant = DrivenTransport.now()) {
    pumps += 1
    events += transport.pump(readable: readable, writable: writable, now: now)
  }

  package func forget() { events = [] }

  // MARK: What was told

  package var messages: [TransportMessage] {
    events.compactMap { if case .received(let message) = $0 { message } else { nil } }
  }
  package var texts: [String] { messages.map { String(decoding: $0.payload, as: UTF8.self) } }
  package var published: [Int] {
    events.compactMap { if case .published(let token) = $0 { token } else { nil } }
  }
  package var connections: [Bool] {
    events.compactMap { if case .connected(let sessionPresent) = $0 { sessionPresent } else { nil } }
  }
  package var disconnections: Int {
    events.count { if case .disconnected = $0 { true } else { false } }
  }
  package func subscriptions(_ filter: String) -> Int { events.count { $0 == .subscribed(topicFilter: filter) } }

  @discardableResult
  package func say(_ text: String, on topic: String, qos: Int = 1, retain: Bool = false) -> Int {
    transport.publish(topic, payload: Array(text.utf8), qos: qos, retain: retain, expirySeconds: nil)
  }

  /// Polls all of them, as their owners would, until the condition holds; false when it does not within the limit,
  /// which is far beyond what any test needs.
  package static func drive(_ peers: [DrivenTransport], limitSeconds: Int = 30, until isMet: () -> Bool) -> Bool {
    let limit = now().advanced(bySeconds: limitSeconds)
    while !isMet() {
      if now() >= limit { return false }
      var timeout: Int64 = 50
      var entries = peers.map { peer in
        if let deadline = peer.transport.nextDeadline { timeout = min(timeout, deadline.milliseconds(since: now())) }
        let events = Int16(POLLIN) | (peer.transport.wantsWrite ? Int16(POLLOUT) : 0)
        return pollfd(fd: peer.transport.pollDescriptor, events: events, revents: 0)
      }
      poll(&entries, nfds_t(entries.count), Int32(max(0, timeout)))
      for (peer, entry) in zip(peers, entries) {
        let isReadable = entry.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0
        let isWritable = entry.revents & Int16(POLLOUT) != 0
        let isDue = peer.transport.nextDeadline.map { $0 <= now() } ?? false
        if isReadable || isWritable || isDue { peer.pump(readable: isReadable, writable: isWritable) }
      }
    }
    return true
  }
}
