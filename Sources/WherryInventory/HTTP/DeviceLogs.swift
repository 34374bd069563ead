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
    let results = try await engine.command(
      .logs(component: try ComponentName(validating: component), tail: tail, follow: follow),
      to: try context.name("device"), by: context.actorName)
    return EventStream.response(to: request) { emitter in
      for await result in results {
        for line in result.lines where !emitter.data(line) { return }
        if let failure = result.failure { emitter.data("\(failure)", event: "failure") }
        if result.isLast { break }
      }
      emitter.data("", event: "end")
    }
  }

  /// For commands with one answer. A device that does not answer is given ten seconds.
  static func firstResult(of results: AsyncStream<CommandResult>) async throws -> Response {
    let result = await withTaskGroup(of: CommandResult?.self) { group in
      group.addTask {
        for await result in results { return result }
        return nil
      }
      group.addTask {
        try? await Task.sleep(for: .seconds(10))
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
    guard let result else {
      throw Refusal(504, "device.silent", "the device did not answer within 10 s", remedy: "see whether it is online")
    }
    if let failure = result.failure { throw failure }
    return Response(status: .noContent)
  }
}
