import Synchronization
import WherryCrypto
import WherryJSON
import WherryMQTT
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryInventory

/// A device's side of the broker, with its own certificate.
final class BrokerDevice: Sendable {
  private let thread: MQTTThread
  private let messages: AsyncStream<TransportMessage>
  /// What became of each message: true = the broker took it.
  private let outcomes: AsyncStream<Bool>
  private let name: DeviceName

  init(
    _ name: DeviceName, _ identity: RunningService.Identity, authority: String, port: Int,
    _ directory: TemporaryDirectory
  ) throws {
    self.name = name
    let files = ["ca", "crt", "key"].map { directory.file("\(name).\($0)") }
    for (path, text) in zip(files, [authority, identity.certificate, identity.key]) {
      TestFile.write(Array(text.utf8), to: path)
    }
    let thread = try MQTTThread(
      configuration: MQTTConfiguration(
        host: "127.0.0.1", port: port, clientID: name.rawValue, caFile: files[0], certificateFile: files[1],
        keyFile: files[2]))
    let (stream, continuation) = AsyncStream.makeStream(of: TransportMessage.self)
    messages = stream
    let (outcomes, outcome) = AsyncStream.makeStream(of: Bool.self)
    self.outcomes = outcomes
    self.thread = thread
    try thread.start { event in
      switch event {
      case .connected:
        thread.subscribe(Topic.desired(name))
        thread.subscribe(Topic.acked(name))
        thread.publish(
          Topic.presence(name), payload: Presence(isOnline: true, agentVersion: "1", bootID: "b").json.canonicalBytes,
          retain: true)
      case .received(let message): continuation.yield(message)
      case .published: outcome.yield(true)
      case .refused: outcome.yield(false)
      case .disconnected, .subscribed: break
      }
    }
  }

  func publish(_ topic: String, _ json: JSON) { thread.publish(topic, payload: json.canonicalBytes) }
  func subscribe(_ filter: String) { thread.subscribe(filter) }
  func stop() { thread.stop() }

  /// The topics of everything that came up to the first message on `last`.
  func topics(upTo last: String) async -> [String] {
    var topics: [String] = []
    for await message in messages {
      topics.append(message.topic)
      if message.topic == last { break }
    }
    return topics
  }

  /// Publishes again and again until the broker refuses.
  func publishUntilRefused(_ topic: String) async {
    thread.publish(topic, payload: Array("{}".utf8))
    for await isTaken in outcomes {
      if !isTaken { return }
      thread.publish(topic, payload: Array("{}".utf8))
    }
  }

  private func next(on topic: String) async throws -> JSON {
    for await message in messages where message.topic == topic { return try JSON(parsing: message.payload) }
    throw Refusal(500, "test", "nothing came on \(topic)", remedy: "")
  }

  func firstOrder() async throws -> DesiredStatement {
    let message = try DesiredMessage(JSONCursor(try await next(on: Topic.desired(name))))
    return try DesiredStatement(JSONCursor(try JSON(parsing: message.envelope.payload)))
  }

  func firstAcknowledgement() async throws -> Int64 {
    try Acknowledgement(JSONCursor(try await next(on: Topic.acked(name)))).sequence
  }
}
