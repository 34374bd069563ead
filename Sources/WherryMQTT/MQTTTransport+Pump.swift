import Glibc
import WherryModel
import WherryWire

extension MQTTTransport {
  /// A connection that ended sooner than this does not count as a success for the backoff: a broker that accepts and
  /// drops, or two clients with one identifier, must not make a fast loop.
  private static let steadyMilliseconds: Int64 = 10_000

  package func pump(readable: Bool, writable: Bool, now: Instant) -> [TransportEvent] {
    switch phase {
    case .idle: break
    case .waiting(let until):
      if now >= until { begin(now: now) }
    case .resolving(let resolution, let until): pumpResolution(resolution, until: until, now: now)
    case .opening(let until, _): pumpOpening(readable: readable, writable: writable, until: until, now: now)
    case .open(let since, let keepAliveAt):
      pumpOpen(readable: readable, writable: writable, since: since, keepAliveAt: keepAliveAt, now: now)
    }
    defer { events.removeAll(keepingCapacity: events.capacity <= 64) }
    return events
  }

  // MARK: - Connecting

  private func begin(now: Instant) {
    let until = now.advanced(byMilliseconds: configuration.connectTimeoutMilliseconds)
    if NameResolution.literal(configuration.host) {
      open([configuration.host], until: until, now: now)
    } else if let resolution = NameResolution(host: configuration.host) {
      phase = .resolving(resolution, until: until)
    } else {
      fail("no thread for looking up the name", now: now)
    }
  }

  private func pumpResolution(_ resolution: NameResolution, until: Instant, now: Instant) {
    switch resolution.outcome {
    case .running:
      if now >= until { fail("the name servers did not answer", now: now) }
    case .failed(let reason): fail(reason, now: now)
    case .found(let addresses): open(addresses, until: until, now: now)
    }
  }

  /// The first address whose connect does not fail at once.
  private func open(_ addresses: [String], until: Instant, now: Instant) {
    var others = addresses[...]
    var reason = "no address"
    while let address = others.popFirst() {
      guard
        let problem = client.open(
          address: address, port: configuration.port, keepAliveSeconds: configuration.keepAliveSeconds)
      else {
        // A refusal by this very machine is here before the call returns.
        guard let hangup = Self.hangup(client.socket) else {
          phase = .opening(until: until, others: Array(others))
          return
        }
        reason = hangup
        continue
      }
      reason = problem
    }
    fail(reason, now: now)
  }

  private func pumpOpening(readable: Bool, writable: Bool, until: Instant, now: Instant) {
    var problem: String?
    if readable || writable { problem = advanceOpening(readable: readable, writable: writable) }
    takeHappenings(now: now)
    guard case .opening(_, let others) = phase else { return }
    // Before it hung up the broker may have said why: reading on finds it.
    if problem == nil, let hangup = Self.hangup(client.socket) { problem = client.read() ?? hangup }
    if let problem {
      abandonSocket()
      if others.isEmpty { fail(problem, now: now) } else { open(others, until: until, now: now) }
    } else if now >= until {
      abandonSocket()
      fail("no answer within \(configuration.connectTimeoutMilliseconds / 1000) s", now: now)
    }
  }

  private func advanceOpening(readable: Bool, writable: Bool) -> String? {
    // libmosquitto takes a failed TCP connect for one that is still going on: ask the socket first.
    if let error = Self.socketError(client.socket) { return error }
    // During a handshake reading is what advances it, whichever way it waits.
    if client.isInHandshake { return client.read() }
    // Reading first: the broker's word about our certificate is lost once a write has found the connection closed.
    if readable, let problem = client.read() { return problem }
    return writable && client.wantsWrite ? client.write() : nil
  }

  private func fail(_ reason: String, now: Instant) {
    let delay = backoff.next()
    events.append(
      .disconnected(
        reason: "no connection to \(configuration.host):\(configuration.port): \(reason); next attempt in \(delay) ms"))
    phase = .waiting(until: now.advanced(byMilliseconds: delay))
  }

  // MARK: - Connected

  private func pumpOpen(readable: Bool, writable: Bool, since: Instant, keepAliveAt: Instant, now: Instant) {
    var problem: String?
    if readable { problem = client.read() }
    if problem == nil, writable, client.wantsWrite { problem = client.write() }
    if problem == nil, now >= keepAliveAt {
      problem = client.keepAlive()
      phase = .open(since: since, keepAliveAt: nextKeepAlive(now))
    }
    takeHappenings(now: now)
    guard case .open = phase else { return }
    if client.socket < 0 {
      lose(problem ?? "closed", now: now)
    } else {
      flush()
    }
  }

  /// libmosquitto's clock ticks in seconds and it does not tell when its next ping is due: asking thrice in each
  /// interval sends it after 4/3 of the interval at the latest, and brokers wait 3/2 of it.
  private func nextKeepAlive(_ now: Instant) -> Instant {
    now.advanced(byMilliseconds: Int64(keepAliveSeconds) * 1000 / 3)
  }

  private func lose(_ reason: String, now: Instant) {
    if case .open(let since, _) = phase, now.milliseconds(since: since) >= Self.steadyMilliseconds { backoff.reset() }
    let delay = backoff.next()
    events.append(
      .disconnected(
        reason: "lost the connection to \(configuration.host):\(configuration.port): \(reason); "
          + "next attempt in \(delay) ms"))
    phase = .waiting(until: now.advanced(byMilliseconds: delay))
  }

  // MARK: - What libmosquitto told

  func takeHappenings(now: Instant) {
    for happening in client.takeHappenings() {
      switch happening {
      case .accepted(let sessionPresent, let receiveMaximum, let keepAliveSeconds):
        self.keepAliveSeconds = keepAliveSeconds ?? configuration.keepAliveSeconds
        inflightMaximum = max(1, min(configuration.inflightMaximum, receiveMaximum))
        // A session that the broker kept still has our subscriptions, but asking again is what brings the retained
        // messages that changed while we were away.
        pendingSubscriptions.removeAll()
        unsubscribedCount = filters.count
        phase = .open(since: now, keepAliveAt: nextKeepAlive(now))
        events.append(.connected(sessionPresent: sessionPresent))
        flush()
      case .connectionRefused(let reason):
        abandonSocket()
        fail("the broker refused it: \(reason)", now: now)
      case .lost(let reason):
        if case .open = phase { lose(reason, now: now) } else if case .opening = phase { fail(reason, now: now) }
      case .message(let message): events.append(.received(message))
      case .acknowledged(let messageID, let refusal):
        // Unknown identifiers are QoS 0 messages, which libmosquitto acknowledges itself.
        guard let (token, topic) = inflight.removeValue(forKey: messageID) else { continue }
        if let refusal {
          events.append(.refused("the broker refused a message to \(topic): \(refusal)"))
        } else {
          events.append(.published(token: token))
        }
      case .granted(let messageID, let refusal):
        guard let filter = pendingSubscriptions.removeValue(forKey: messageID) else { continue }
        if let refusal {
          events.append(.refused("the broker refused a subscription to \(filter): \(refusal)"))
        } else {
          events.append(.subscribed(topicFilter: filter))
        }
      }
    }
  }

  // MARK: - The socket

  /// libmosquitto closes its socket when the next attempt begins; until then the peer shall not believe in it.
  func abandonSocket() {
    let socket = client.socket
    if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
  }

  private static func socketError(_ socket: Int32) -> String? {
    var error: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 else { return nil }
    return error == 0 ? nil : String(cString: strerror(error))
  }

  /// libmosquitto also takes a connection reset in the middle of a handshake for one that goes on. OpenSSL took the
  /// cause from the socket and left it in `errno`.
  private static func hangup(_ socket: Int32) -> String? {
    let cause = errno
    var entry = pollfd(fd: socket, events: 0, revents: 0)
    guard poll(&entry, 1, 0) > 0, entry.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 else { return nil }
    switch cause {
    case ECONNREFUSED, ECONNRESET, EPIPE, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT: return String(cString: strerror(cause))
    default: return "the broker closed the connection"
    }
  }
}
