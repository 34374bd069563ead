import WherryIsolation
import WherryJSON
import WherryLifecycle
import WherryModel
import WherryWire

/// Where the lines of a log go.
protocol LogReceiver: AnyObject {
  /// False = nobody listens any more.
  func deliver(_ lines: [String], isLast: Bool) -> Bool
}

/// One reader that wants to see a log grow.
struct LogFollowing {
  let id: String
  var follower: LogFollower
  let receiver: any LogReceiver
  let until: Instant
}

/// What people ask of the device right now, over the broker or the local socket.
extension AgentEngine {
  static let followersMaximum = 8
  static let followSeconds = 3_600
  static let followIntervalMilliseconds: Int64 = 200
  static let tailMaximum = 10_000

  func command(_ payload: [UInt8]) {
    let command: Command
    do {
      command = try Command(JSONCursor(JSON(parsing: payload, limits: JSONLimits(bytesMaximum: 64 << 10))))
    } catch {
      log.warning("a command cannot be read", ["why": "\(error)"])
      return
    }
    // The broker drops what is late, too; this clock and the service's may differ.
    let latest = command.expires.advanced(byMilliseconds: DesiredVerifier.clockToleranceMilliseconds)
    guard latest > ports.clock.wall else {
      log.warning("a command came too late", ["id": command.id])
      return
    }
    let answer = ResultPublisher(id: command.id, device: identity.name, transport: ports.transport)
    do throws(Failure) {
      switch command.body {
      case .logs(let component, let tail, let follow):
        try sendLog(of: component, tail: tail, follow: follow, id: command.id, to: answer)
      case .restart(let component):
        try restart(component)
        _ = answer.deliver([], isLast: true)
      case .cancel(let id): cancelFollowing(id)
      }
    } catch {
      answer.fail(error)
    }
  }

  func restart(_ component: ComponentName) throws(Failure) {
    guard machine.state.components[component] != nil else { throw unknown(component) }
    log.info("restart requested", ["component": component.rawValue])
    receive(.restartRequested(component))
  }

  func unknown(_ component: ComponentName) -> Failure {
    let names = machine.state.components.keys.sorted().map(\.rawValue).joined(separator: ", ")
    return Failure(
      .rejected, code: "component.unknown", message: "there is no component \(component) on \(identity.name)",
      remedy: names.isEmpty ? "deploy one first" : "it has: \(names)", component: component)
  }

  func sendLog(
    of component: ComponentName, tail: Int, follow: Bool, id: String, to receiver: any LogReceiver
  ) throws(Failure) {
    let path = paths.log(component)
    guard machine.state.components[component] != nil || Files.exists(path) else { throw unknown(component) }
    try sendLog(at: path, tail: tail, follow: follow, id: id, to: receiver)
  }

  func sendLog(
    at path: String, tail: Int, follow: Bool, id: String, to receiver: any LogReceiver
  ) throws(Failure) {
    if follow && followers.count >= Self.followersMaximum {
      throw Failure(
        .rejected, code: "logs.tooMany", message: "\(Self.followersMaximum) readers follow logs of this device already",
        remedy: "end one of them")
    }
    // The follower starts where the file ends now, before the tail is read: a line in between comes twice rather than
    // not at all.
    let follower = follow ? LogFollower(path: path, fromEnd: true) : nil
    let lines = tail > 0 ? LogFile.tail(path: path, lines: min(tail, Self.tailMaximum)) : []
    guard receiver.deliver(lines, isLast: !follow), let follower else { return }
    followers.append(
      LogFollowing(
        id: id, follower: follower, receiver: receiver, until: now.advanced(bySeconds: Self.followSeconds)))
  }

  func cancelFollowing(_ id: String) {
    for index in followers.indices.reversed() where followers[index].id == id {
      followers[index].follower.close()
      followers.remove(at: index)
    }
  }

  func advanceFollowers() {
    for index in followers.indices.reversed() {
      let lines = followers[index].follower.readLines()
      let isOver = now >= followers[index].until
      guard !lines.isEmpty || isOver else { continue }
      if followers[index].receiver.deliver(lines, isLast: isOver) && !isOver { continue }
      followers[index].follower.close()
      followers.remove(at: index)
    }
  }
}

/// Sends lines as results, in pieces that fit a message.
final class ResultPublisher: LogReceiver {
  private static let linesMaximum = 500
  private static let bytesMaximum = 128 << 10
  private static let expirySeconds: UInt32 = 60

  private let id: String
  private let topic: String
  private unowned let transport: any Transport
  private var sequence = 0

  init(id: String, device: DeviceName, transport: any Transport) {
    self.id = id
    topic = Topic.results(device)
    self.transport = transport
  }

  func deliver(_ lines: [String], isLast: Bool) -> Bool {
    var rest = lines[...]
    repeat {
      var count = 0
      var bytes = 0
      for line in rest.prefix(Self.linesMaximum) {
        bytes += line.utf8.count
        if bytes > Self.bytesMaximum && count > 0 { break }
        count += 1
      }
      let piece = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
      send(CommandResult(id: id, sequence: sequence, lines: piece, isLast: isLast && rest.isEmpty))
    } while !rest.isEmpty
    return true
  }

  func fail(_ failure: Failure) {
    send(CommandResult(id: id, sequence: sequence, lines: [], isLast: true, failure: failure))
  }

  private func send(_ result: CommandResult) {
    transport.publish(
      topic, payload: result.json.canonicalBytes, qos: 1, retain: false, expirySeconds: Self.expirySeconds)
    sequence += 1
  }
}
