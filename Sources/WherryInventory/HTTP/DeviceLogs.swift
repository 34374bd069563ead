import Hummingbird
import WherryJSON
import WherryModel
import WherryWire

/// `GET /v1/devices/{device}/logs`: a component's log, streamed from the device through the broker.
struct DeviceLogs: Sendable {
  static let tailMaximum = 10_000
  let engine: InventoryEngine

  func response(to request: Request, context: OperatorContext) async throws -> Response {
    guard let component = request.query("component") else {
      throw Refusal.badRequest("the component is missing", remedy: "add ?component=NAME")
    }
    let tail = request.query("tail").map { Int($0) } ?? 100
    guard let tail, (0...Self.tailMaximum).contains(tail) else {
      throw Refusal.badRequest("tail must be a number from 0 to \(Self.tailMaximum)", remedy: "correct it")
    }
    let follow = ["1", "true"].contains(request.query("follow") ?? "")
    let device: DeviceName = try context.name("device")
    let results = try await engine.command(
      .logs(component: try ComponentName(validating: component), tail: tail, follow: follow), to: device,
      by: context.actorName)
    return EventStream.response(to: request) { emitter in await Self.relay(results, of: device, to: emitter) }
  }

  /// One event per line; what went wrong is a `failure` event. The last event is `end`: where it is missing, the log
  /// was cut off.
  static func relay(
    _ results: AsyncStream<CommandResult>, of device: DeviceName, to emitter: EventStream.Emitter,
    deadline: @escaping @Sendable () async -> Void = DeviceLogs.answerDeadline
  ) async {
    guard var result = await firstAnswer(of: results, before: deadline) else {
      emitter.data("\(silence(of: device))", event: "failure")
      emitter.data("", event: "end")
      return
    }
    while true {
      for line in result.lines where !emitter.data(line) { return }
      if let failure = result.failure { emitter.data("\(failure)", event: "failure") }
      if result.isLast { break }
      // Without its last result a stream ends when it was not read fast enough, or when the service ends.
      guard let following = await next(of: results) else { return }
      result = following
    }
    emitter.data("", event: "end")
  }

  // MARK: - The first answer

  /// A device answers every command at once, a log that has no line yet included.
  static let answerSeconds = 10

  static let answerDeadline: @Sendable () async -> Void = {
    try? await Task.sleep(for: .seconds(DeviceLogs.answerSeconds))
  }

  /// For commands with one answer.
  static func response(
    to results: AsyncStream<CommandResult>, of device: DeviceName,
    deadline: @escaping @Sendable () async -> Void = DeviceLogs.answerDeadline
  ) async throws -> Response {
    guard let result = await firstAnswer(of: results, before: deadline) else { throw silence(of: device) }
    if let failure = result.failure { throw failure }
    return Response(status: .noContent)
  }

  /// nil when the deadline comes first; the command is then cancelled on the device.
  private static func firstAnswer(
    of results: AsyncStream<CommandResult>, before deadline: @escaping @Sendable () async -> Void
  ) async -> CommandResult? {
    await withTaskGroup(of: CommandResult?.self) { group in
      group.addTask { await next(of: results) }
      group.addTask {
        await deadline()
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }

  private static func next(of results: AsyncStream<CommandResult>) async -> CommandResult? {
    for await result in results { return result }
    return nil
  }

  private static func silence(of device: DeviceName) -> Refusal {
    Refusal(
      504, "device.silent", "\(device) did not answer within \(answerSeconds) s",
      remedy: "see with `wherry device list` whether it is online, and try again")
  }
}
