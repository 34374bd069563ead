import Glibc
import Synchronization
import WherryModel
import WherryWire

/// An `MQTTTransport` on a thread of its own, for programs that have no poll loop. Requests come through a mailbox from
/// any thread; events are told on the thread, one after another. `onEvent` may block: then nothing is read, and the
/// broker holds back.
package final class MQTTThread: Sendable {
  private enum Request: Sendable {
    case publish(OutgoingMessage)
    case subscribe(String, qos: Int)
  }

  private struct Mailbox {
    var requests: [Request] = []
    var lastToken = 0
    var isStopping = false
    var thread: pthread_t?
  }

  /// Goes to the thread with `start` and is not touched from elsewhere after that.
  private struct Owned: @unchecked Sendable { let transport: MQTTTransport }

  private let owned: Owned
  private let mailbox = Mutex(Mailbox())
  private let wake: WakeUp

  package init(configuration: MQTTConfiguration) throws(MQTTError) {
    owned = Owned(transport: try MQTTTransport(configuration: configuration))
    guard let wake = WakeUp() else { throw MQTTError("no file descriptor is left for the MQTT connection") }
    self.wake = wake
  }

  /// Connects and keeps connecting until `stop`. Call it once.
  package func start(onEvent: @escaping @Sendable (TransportEvent) -> Void) throws(MQTTError) {
    let work = Work(thread: self, onEvent: onEvent)
    let retained = Unmanaged.passRetained(work)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        work.thread.run(work.onEvent)
        return nil
      }, retained.toOpaque())
    guard code == 0 else {
      retained.release()
      throw MQTTError("no thread can be started for the MQTT connection: \(String(cString: strerror(code)))")
    }
    mailbox.withLock { $0.thread = thread }
  }

  private final class Work: Sendable {
    let thread: MQTTThread
    let onEvent: @Sendable (TransportEvent) -> Void
    init(thread: MQTTThread, onEvent: @escaping @Sendable (TransportEvent) -> Void) {
      self.thread = thread
      self.onEvent = onEvent
    }
  }

  /// Returns the token that `published` will name for QoS 1.
  @discardableResult
  package func publish(
    _ topic: String, payload: [UInt8], qos: Int = 1, retain: Bool = false, expirySeconds: UInt32? = nil
  ) -> Int {
    let (token, isFirst) = mailbox.withLock { mailbox in
      mailbox.lastToken += 1
      mailbox.requests.append(
        .publish(
          OutgoingMessage(
            token: mailbox.lastToken, topic: topic, payload: payload, qos: qos, retain: retain,
            expirySeconds: expirySeconds)))
      return (mailbox.lastToken, mailbox.requests.count == 1)
    }
    if isFirst { wake.signal() }
    return token
  }

  package func subscribe(_ filter: String, qos: Int = 1) {
    mailbox.withLock { $0.requests.append(.subscribe(filter, qos: qos)) }
    wake.signal()
  }

  /// Sends what was given before, as far as the broker takes it at once, disconnects and waits for the thread, unless
  /// called on it.
  package func stop() {
    let thread = mailbox.withLock { mailbox in
      mailbox.isStopping = true
      defer { mailbox.thread = nil }
      return mailbox.thread
    }
    wake.signal()
    guard let thread else { return }
    if pthread_equal(thread, pthread_self()) != 0 { pthread_detach(thread) } else { pthread_join(thread, nil) }
  }

  // MARK: - On the thread

  private func run(_ onEvent: (TransportEvent) -> Void) {
    let transport = owned.transport
    transport.connect()
    var entries = [pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0), pollfd()]
    while true {
      if !takeRequests(transport) { break }
      let events = Int16(POLLIN) | (transport.wantsWrite ? Int16(POLLOUT) : 0)
      entries[1] = pollfd(fd: transport.pollDescriptor, events: events, revents: 0)
      guard poll(&entries, 2, timeout(transport)) >= 0 || errno == EINTR else { break }
      if entries[0].revents != 0 { wake.clear() }
      let ready = entries[1].revents
      let isReadable = ready & Int16(POLLIN | POLLERR | POLLHUP) != 0
      let isWritable = ready & Int16(POLLOUT) != 0
      for event in transport.pump(readable: isReadable, writable: isWritable, now: Self.now()) { onEvent(event) }
    }
    transport.disconnect()
    for event in transport.pump(readable: false, writable: false, now: Self.now()) { onEvent(event) }
  }

  /// False when it is time to stop.
  private func takeRequests(_ transport: MQTTTransport) -> Bool {
    let (requests, isStopping) = mailbox.withLock { mailbox in
      defer { mailbox.requests = [] }
      return (mailbox.requests, mailbox.isStopping)
    }
    for request in requests {
      switch request {
      case .publish(let message): transport.publish(message)
      case .subscribe(let filter, let qos): transport.subscribe(filter, qos: qos)
      }
    }
    return !isStopping
  }

  private func timeout(_ transport: MQTTTransport) -> Int32 {
    guard let deadline = transport.nextDeadline else { return -1 }
    return Int32(clamping: max(0, deadline.milliseconds(since: Self.now())))
  }

  private static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}
