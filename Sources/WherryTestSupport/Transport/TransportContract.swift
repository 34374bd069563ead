import WherryModel
import WherryWire

/// A broker with clients, however they are made.
package protocol TransportLaboratory: AnyObject {
  /// Names are `TransportContract.service`, which may use every device's topics, and `TransportContract.device`.
  func makeTransport(_ options: ClientOptions) throws -> any Transport
  /// Breaks every connection. The broker may forget its sessions but is back at once.
  func interrupt() throws
  /// Breaks this client's connection without a farewell. The client is not used again.
  func pullPlug(_ transport: any Transport, _ options: ClientOptions) throws
}

package struct ContractViolation: Error, CustomStringConvertible {
  package let description: String
}

/// What every transport does. The same cases run on the broker in memory and on mosquitto, so that what a test learns
/// from the first holds for the second.
package struct TransportContract {
  package static let service = "inventory"
  package static let device = "kiosk-1"

  private static let desired = "wherry/v1/devices/kiosk-1/desired"
  private static let reported = "wherry/v1/devices/kiosk-1/reported"
  private static let presence = "wherry/v1/devices/kiosk-1/presence"

  package enum Case: String, CaseIterable, Sendable, CustomStringConvertible {
    case connects = "a connection is told, and before it nothing"
    case delivers = "a message arrives once, byte for byte, and is not marked as retained"
    case acknowledges = "a QoS 1 message is acknowledged by the token that publish gave"
    case retains = "a retained message waits for its subscriber, the latest only, and is marked"
    case clears = "an empty retained message removes the one before"
    case matches = "a wildcard stands for one segment and nothing else arrives"
    case keepsUnsent = "QoS 1 messages published before there is a connection are sent when there is one, in order"
    case resubscribes = "subscriptions are renewed after a lost connection"
    case resends = "a QoS 1 message published while the connection is lost arrives"
    case wills = "the last will is published for a lost client"
    case partsInPeace = "no last will is published for a client that takes leave"
    case resumes = "a session that outlives its connection brings what was published meanwhile"
    case ordered = "messages arrive in the order in which they were published"
    package var description: String { rawValue }
  }

  private let laboratory: any TransportLaboratory

  package init(_ laboratory: any TransportLaboratory) { self.laboratory = laboratory }

  package func check(_ contractCase: Case) throws {
    switch contractCase {
    case .connects: try connects()
    case .delivers: try delivers()
    case .acknowledges: try acknowledges()
    case .retains: try retains()
    case .clears: try clears()
    case .matches: try matches()
    case .keepsUnsent: try keepsUnsent()
    case .resubscribes: try resubscribes()
    case .resends: try resends()
    case .wills: try wills()
    case .partsInPeace: try partsInPeace()
    case .resumes: try resumes()
    case .ordered: try ordered()
    }
  }

  // MARK: Cases

  private func connects() throws {
    let device = try client(Self.device)
    try require(device.events.isEmpty && device.transport.nextDeadline == nil, "quiet before connect", device)
    device.transport.connect()
    try expect(device, "connected") { device.connections == [false] }
    try require(device.disconnections == 0, "one clean connection", device)
  }

  private func delivers() throws {
    let (service, device) = try pair(deviceSubscribes: Self.desired)
    let payload = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    _ = service.transport.publish(Self.desired, payload: payload, qos: 1, retain: false, expirySeconds: nil)
    service.say("quick", on: Self.desired, qos: 0)
    try expect(service, device, "both messages") { device.messages.count >= 2 }
    let expected = [
      TransportMessage(topic: Self.desired, payload: payload),
      TransportMessage(topic: Self.desired, payload: Array("quick".utf8)),
    ]
    try require(device.messages == expected, "the messages as they were sent", device)
  }

  private func acknowledges() throws {
    let (service, device) = try pair(deviceSubscribes: Self.desired)
    let tokens = (0..<5).map { service.say("message \($0)", on: Self.desired) }
    try require(Set(tokens).count == 5, "tokens that differ", service)
    try expect(service, device, "acknowledgements") { service.published.count >= 5 && device.texts.count >= 5 }
    try require(service.published.sorted() == tokens.sorted(), "each token acknowledged once: \(tokens)", service)
  }

  private func retains() throws {
    let service = try connected(Self.service)
    service.say("old", on: Self.desired, retain: true)
    let last = service.say("new", on: Self.desired, retain: true)
    try expect(service, "acknowledged") { service.published.contains(last) }
    let device = try connected(Self.device, subscribing: Self.desired)
    try expect(device, "the retained message") { !device.messages.isEmpty }
    let expected = TransportMessage(topic: Self.desired, payload: Array("new".utf8), isRetained: true)
    try require(device.messages == [expected], "the latest message, marked", device)
  }

  private func clears() throws {
    let service = try connected(Self.service)
    service.say("old", on: Self.desired, retain: true)
    let removal = service.say("", on: Self.desired, retain: true)
    try expect(service, "acknowledged") { service.published.contains(removal) }
    let device = try connected(Self.device, subscribing: Self.desired)
    service.say("marker", on: Self.desired)
    try expect(service, device, "the marker") { !device.messages.isEmpty }
    try require(device.texts == ["marker"], "nothing retained before the marker", device)
  }

  private func matches() throws {
    let service = try connected(Self.service, subscribing: "wherry/v1/devices/+/reported")
    let device = try connected(Self.device)
    device.say("no", on: Self.presence)
    device.say("no", on: Self.reported + "/more")
    device.say("yes", on: Self.reported)
    try expect(service, device, "the matching message") { service.texts.contains("yes") }
    try require(service.texts == ["yes"], "nothing else", service)
  }

  private func keepsUnsent() throws {
    let service = try connected(Self.service, subscribing: "wherry/v1/devices/+/reported")
    let device = try client(Self.device)
    let tokens = (1...3).map { device.say("report \($0)", on: Self.reported) }
    device.transport.connect()
    try expect(service, device, "all reports") { service.texts.count >= 3 && device.published.count >= 3 }
    try require(service.texts == ["report 1", "report 2", "report 3"], "the order kept", service)
    try require(device.published.sorted() == tokens.sorted(), "all acknowledged", device)
  }

  private func resubscribes() throws {
    let (service, device) = try pair(deviceSubscribes: Self.desired)
    try laboratory.interrupt()
    try expect(service, device, "both back") {
      device.disconnections > 0 && device.connections.count == 2 && device.subscriptions(Self.desired) == 2
        && service.connections.count == 2
    }
    service.say("after", on: Self.desired)
    try expect(service, device, "the message after") { device.texts == ["after"] }
  }

  private func resends() throws {
    let service = try connected(Self.service, subscribing: "wherry/v1/devices/+/reported")
    let device = try connected(Self.device)
    try laboratory.interrupt()
    // Before the transport can know of it, and after.
    let first = device.say("report 1", on: Self.reported)
    try expect(device, "the loss noticed") { device.disconnections > 0 }
    let second = device.say("report 2", on: Self.reported)
    try expect(service, device, "both acknowledged") { Set(device.published).isSuperset(of: [first, second]) }
    // The service may have been away while it arrived: at least once holds as far as the broker only.
    try expect(service, device, "the service back") { service.subscriptions("wherry/v1/devices/+/reported") >= 2 }
    device.say("report 3", on: Self.reported)
    try expect(service, device, "the service hears again") { service.texts.contains("report 3") }
  }

  private func wills() throws {
    let service = try connected(Self.service, subscribing: "wherry/v1/devices/+/presence")
    let will = TransportMessage(topic: Self.presence, payload: Array("offline".utf8), isRetained: true)
    let options = ClientOptions(Self.device, will: will)
    let device = DrivenTransport(try laboratory.makeTransport(options))
    device.transport.connect()
    device.say("online", on: Self.presence, retain: true)
    try expect(service, device, "online") { service.texts == ["online"] && !device.published.isEmpty }
    try laboratory.pullPlug(device.transport, options)
    try expect(service, "the last will") { service.texts == ["online", "offline"] }
    let late = try connected(Self.service, subscribing: Self.presence)
    try expect(late, "the will retained") { late.messages == [will] }
  }

  private func partsInPeace() throws {
    let service = try connected(Self.service, subscribing: "wherry/v1/devices/+/presence")
    let will = TransportMessage(topic: Self.presence, payload: Array("offline".utf8))
    let device = DrivenTransport(try laboratory.makeTransport(ClientOptions(Self.device, will: will)))
    device.transport.connect()
    device.say("online", on: Self.presence)
    try expect(service, device, "online") { service.texts == ["online"] && !device.published.isEmpty }
    device.transport.disconnect()
    try require(device.transport.pollDescriptor == -1, "nothing to poll afterwards", device)
    let marker = try connected(Self.device)
    marker.say("marker", on: Self.presence)
    try expect(service, marker, "the marker") { service.texts.last == "marker" }
    try require(service.texts == ["online", "marker"], "no last will", service)
  }

  private func resumes() throws {
    let options = ClientOptions(Self.device, cleanStart: false, sessionExpirySeconds: 300)
    let service = try connected(Self.service)
    let before = DrivenTransport(try laboratory.makeTransport(options))
    before.transport.subscribe(Self.desired, qos: 1)
    before.transport.connect()
    try expect(before, "subscribed") { before.subscriptions(Self.desired) == 1 }
    try require(before.connections == [false], "a new session", before)
    before.transport.disconnect()
    let token = service.say("meanwhile", on: Self.desired)
    try expect(service, "acknowledged") { service.published.contains(token) }
    let after = DrivenTransport(try laboratory.makeTransport(options))
    after.transport.subscribe(Self.desired, qos: 1)
    after.transport.connect()
    try expect(service, after, "what was missed") { after.texts == ["meanwhile"] }
    try require(after.connections == [true], "the session resumed", after)
  }

  private func ordered() throws {
    let (service, device) = try pair(deviceSubscribes: Self.desired)
    let texts = (0..<200).map { "message \($0)" }
    for text in texts { service.say(text, on: Self.desired) }
    try expect(service, device, "all messages") { device.texts.count >= texts.count }
    try require(device.texts == texts, "the order kept", device)
  }

  // MARK: Steps

  private func client(_ name: String) throws -> DrivenTransport {
    DrivenTransport(try laboratory.makeTransport(ClientOptions(name)))
  }

  private func connected(_ name: String, subscribing filter: String? = nil) throws -> DrivenTransport {
    let peer = try client(name)
    if let filter { peer.transport.subscribe(filter, qos: 1) }
    peer.transport.connect()
    try expect(peer, "connected") {
      !peer.connections.isEmpty && (filter.map { peer.subscriptions($0) == 1 } ?? true)
    }
    return peer
  }

  private func pair(deviceSubscribes filter: String) throws -> (service: DrivenTransport, device: DrivenTransport) {
    (try connected(Self.service), try connected(Self.device, subscribing: filter))
  }

  private func expect(_ peer: DrivenTransport, _ what: String, until isMet: () -> Bool) throws {
    guard DrivenTransport.drive([peer], until: isMet) else { throw violation("never saw: \(what)", [peer]) }
  }

  private func expect(
    _ peer: DrivenTransport, _ other: DrivenTransport, _ what: String, until isMet: () -> Bool
  ) throws {
    guard DrivenTransport.drive([peer, other], until: isMet) else {
      throw violation("never saw: \(what)", [peer, other])
    }
  }

  private func require(_ holds: Bool, _ what: String, _ peer: DrivenTransport) throws {
    guard holds else { throw violation("expected \(what)", [peer]) }
  }

  private func violation(_ sentence: String, _ peers: [DrivenTransport]) -> ContractViolation {
    let told = peers.map { peer in
      peer.events.suffix(20).map { String("\($0)".prefix(200)) }.joined(separator: ", ")
    }
    return ContractViolation(description: "\(sentence); the transports told: \(told)")
  }
}
