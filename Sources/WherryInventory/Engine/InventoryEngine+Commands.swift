import WherryCrypto
import WherryDatabase
import WherryModel
import WherryWire

/// Commands to devices and their streamed results. They are conversations, not state: nothing of them is stored
/// apart from the audit entry, and the broker forgets them after a minute.
extension InventoryEngine {
  static let commandSeconds = 60
  /// Results that a slow reader has not taken; more end its stream rather than the service's memory.
  static let resultsMaximum = 4_096

  /// Sends the command and gives what comes back; ending the stream cancels it on the device.
  package func command(
    _ body: CommandBody, to name: DeviceName, by actor: String
  ) throws -> AsyncStream<CommandResult> {
    guard let device = try database.device(name) else { throw Self.noDevice(name) }
    guard device.isOnline, isConnected else {
      throw Refusal(
        409, "device.offline", isConnected ? "\(name) is offline" : "the service has no connection to its broker",
        remedy: "try again when `wherry device list` shows it online")
    }
    let id = Self.commandPrefix(of: name) + randomBytes(8).map { String($0, radix: 16) }.joined()
    let now = environment.now()
    try database.audit("command.\(body.verb)", subject: name.rawValue, actor: actor, detail: body.detail, at: now)
    let (stream, continuation) = AsyncStream.makeStream(
      of: CommandResult.self, bufferingPolicy: .bufferingOldest(Self.resultsMaximum))
    commandStreams[id] = continuation
    continuation.onTermination = { [weak self] _ in
      Task { await self?.endCommand(id, on: name) }
    }
    send(Command(id: id, body: body, expires: now.advanced(bySeconds: Self.commandSeconds)), to: name)
    return stream
  }

  private func send(_ command: Command, to device: DeviceName) {
    publish(
      BusMessage(
        topic: Topic.commands(device), payload: command.json.canonicalBytes, qos: 1,
        expirySeconds: UInt32(Self.commandSeconds)))
  }

  /// A command's id begins with the device's name: its answers come from that device only, and its stream is found
  /// when the device goes away. No name has a slash in it.
  private static func commandPrefix(of device: DeviceName) -> String { "\(device)/" }

  /// What another device says in this one's name is dropped.
  func deliver(_ result: CommandResult, from device: DeviceName) {
    guard result.id.hasPrefix(Self.commandPrefix(of: device)), let stream = commandStreams[result.id] else { return }
    if case .dropped = stream.yield(result) {
      stream.finish()
      return
    }
    if result.isLast {
      commandStreams[result.id] = nil
      stream.finish()
    }
  }

  /// Ends what the device was still answering: it went offline, its agent began anew and knows of no command, or it was
  /// removed. `why` is the beginning of a sentence: "kiosk-1 went offline".
  func endStreams(of device: DeviceName, why: String) {
    let prefix = Self.commandPrefix(of: device)
    for id in commandStreams.keys.filter({ $0.hasPrefix(prefix) }) { endStream(id, why: why) }
  }

  /// Ends what any device was still answering: the answers have no way to come any more.
  func endAllStreams(why: String) {
    for id in Array(commandStreams.keys) { endStream(id, why: why) }
  }

  /// Readers get the reason as their last result.
  private func endStream(_ id: String, why: String) {
    guard let stream = commandStreams.removeValue(forKey: id) else { return }
    let failure = Failure(
      .timeout, code: "device.lost", message: "\(why) before it had answered to the end",
      remedy: "try again when `wherry device list` shows it online")
    stream.yield(CommandResult(id: id, sequence: 0, lines: [], isLast: true, failure: failure))
    stream.finish()
  }

  /// The reader went away before the last result: the device need not go on.
  private func endCommand(_ id: String, on device: DeviceName) {
    guard commandStreams.removeValue(forKey: id) != nil, isConnected else { return }
    send(
      Command(
        id: "\(id)-cancel", body: .cancel(id: id),
        expires: environment.now().advanced(bySeconds: Self.commandSeconds)), to: device)
  }
}

extension CommandBody {
  var verb: String {
    switch self {
    case .logs: "logs"
    case .restart: "restart"
    case .cancel: "cancel"
    }
  }

  var detail: String {
    switch self {
    case .logs(let component, let tail, let follow): "\(component) tail \(tail)\(follow ? ", follow" : "")"
    case .restart(let component): component.rawValue
    case .cancel(let id): id
    }
  }
}
