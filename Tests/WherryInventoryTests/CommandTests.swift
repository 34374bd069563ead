import Hummingbird
import Synchronization
import Testing
import WherryJSON
import WherryModel
import WherryWire

@testable import WherryInventory

/// Commands are conversations: each has an end, whatever becomes of the device.
@Suite(.timeLimit(.minutes(10))) struct CommandTests {
  private func follow(
    _ fleet: EngineFixture, _ device: DeviceName
  ) async throws -> (results: AsyncStream<CommandResult>, id: String) {
    let stream = try await fleet.engine.command(
      .logs(component: "com.example.hello", tail: 10, follow: true), to: device, by: "t")
    let message = try #require(fleet.bus.messages(to: Topic.commands(device)).last)
    return (stream, try Command(JSONCursor(try JSON(parsing: message.payload))).id)
  }

  private func all(_ results: AsyncStream<CommandResult>) async -> [CommandResult] {
    var all: [CommandResult] = []
    for await result in results { all.append(result) }
    return all
  }

  /// Why a stream ended whose only result says so.
  private func reason(_ results: AsyncStream<CommandResult>) async -> String? {
    let all = await all(results)
    guard let last = all.last, all.count == 1, last.isLast, last.failure?.code == "device.lost" else { return nil }
    return last.failure?.message
  }

  @Test func logsAreStreamedUntilTheLastResult() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let stream = try await fleet.engine.command(
      .logs(component: "com.example.hello", tail: 10, follow: true), to: "kiosk-1", by: "t")
    let message = try #require(fleet.bus.messages(to: Topic.commands("kiosk-1")).last)
    #expect(message.expirySeconds == 60)
    #expect(!message.isRetained)
    let id = try Command(JSONCursor(try JSON(parsing: message.payload))).id
    for (sequence, isLast) in [(0, false), (1, true)] {
      let result = CommandResult(id: id, sequence: sequence, lines: ["line \(sequence)"], isLast: isLast, failure: nil)
      await fleet.deliver(Topic.results("kiosk-1"), result.json)
    }
    var lines: [String] = []
    for await result in stream { lines += result.lines }
    #expect(lines == ["line 0", "line 1"])
  }

  @Test func endingTheStreamCancelsTheCommandOnTheDevice() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (results, id) = try await follow(fleet, "kiosk-1")
    let reader = Task { for await _ in results {} }
    reader.cancel()
    await reader.value
    while fleet.bus.messages(to: Topic.commands("kiosk-1")).count < 2, !Task.isCancelled {
      await Task.yield()
    }
    let message = try #require(fleet.bus.messages(to: Topic.commands("kiosk-1")).last)
    #expect(try Command(JSONCursor(try JSON(parsing: message.payload))).body == .cancel(id: id))
  }

  @Test func commandsToADeviceThatIsOfflineAreRefused() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1", isOnline: false)
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await fleet.engine.command(.restart(component: "com.example.hello"), to: "kiosk-1", by: "t")
    }
    #expect(refusal?.detail == "kiosk-1 is offline")
  }

  @Test func anotherDevicesAnswersAreDropped() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (results, id) = try await follow(fleet, "kiosk-1")
    let forged = CommandResult(id: id, sequence: 0, lines: ["forged"], isLast: true)
    for other: DeviceName in ["kiosk-2", "kiosk", "kiosk-11"] { await fleet.engine.deliver(forged, from: other) }
    let own = CommandResult(id: id, sequence: 0, lines: ["own"], isLast: true)
    await fleet.engine.deliver(own, from: "kiosk-1")
    #expect(await all(results) == [own])
  }

  @Test func theStreamsOfADeviceThatGoesAwayEndWithTheReasonAndOthersGoOn() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-11"] { try await fleet.provision(name) }
    let (gone, _) = try await follow(fleet, "kiosk-1")
    let (other, id) = try await follow(fleet, "kiosk-11")
    await fleet.engine.endStreams(of: "kiosk-1", why: "kiosk-1 went offline")
    #expect(await reason(gone) == "kiosk-1 went offline before it had answered to the end")

    let line = CommandResult(id: id, sequence: 0, lines: ["line"], isLast: true)
    await fleet.engine.deliver(line, from: "kiosk-11")
    #expect(await all(other) == [line])
  }

  @Test func aStreamEndsWhenItsDeviceGoesOfflineOrStartsAnew() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (first, _) = try await follow(fleet, "kiosk-1")
    // The same agent again, after its connection was cut for a moment: it goes on answering.
    await fleet.setOnline("kiosk-1", true)
    let presence = Presence(isOnline: true, agentVersion: "1.0.0", bootID: "another boot")
    await fleet.deliver(Topic.presence("kiosk-1"), presence.json)
    #expect(await reason(first) == "kiosk-1 was started anew before it had answered to the end")

    let (second, _) = try await follow(fleet, "kiosk-1")
    await fleet.setOnline("kiosk-1", false)
    #expect(await reason(second) == "kiosk-1 went offline before it had answered to the end")
  }

  @Test func allStreamsEndWhenTheBrokerIsAway() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    let streams = [try await follow(fleet, "kiosk-1").results, try await follow(fleet, "kiosk-2").results]
    fleet.bus.push(.disconnected(reason: "test"))
    await fleet.engine.drain()
    for stream in streams {
      #expect(await reason(stream) == "the connection to the broker ended before it had answered to the end")
    }
  }

  @Test func removingADeviceEndsItsStreams() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    let (results, _) = try await follow(fleet, "kiosk-1")
    try await fleet.engine.removeDevice("kiosk-1", by: "t")
    #expect(await reason(results) == "kiosk-1 was removed before it had answered to the end")
  }

  // MARK: - As server-sent events

  /// Ends with its task only.
  private static let never: @Sendable () async -> Void = {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    for await _ in stream {}
    withExtendedLifetime(continuation) {}
  }

  private func relay(
    _ results: AsyncStream<CommandResult>, deadline: @escaping @Sendable () async -> Void = CommandTests.never
  ) async -> [String] {
    let (events, sink) = AsyncStream.makeStream(of: String.self)
    await DeviceLogs.relay(results, of: "kiosk-1", to: EventStream.Emitter(continuation: sink), deadline: deadline)
    sink.finish()
    var all: [String] = []
    for await event in events { all.append(event) }
    return all
  }

  private func stream(_ results: [CommandResult]) -> AsyncStream<CommandResult> {
    let (stream, continuation) = AsyncStream.makeStream(of: CommandResult.self)
    for result in results { continuation.yield(result) }
    continuation.finish()
    return stream
  }

  @Test func aDeviceThatDoesNotAnswerIsAFailureEventAndIsToldToStop() async throws {
    let (results, continuation) = AsyncStream.makeStream(of: CommandResult.self)
    let isCancelled = Mutex(false)
    continuation.onTermination = { reason in
      if case .cancelled = reason { isCancelled.withLock { $0 = true } }
    }
    let events = await relay(results, deadline: {})
    #expect(events.count == 2)
    #expect(events.first?.hasPrefix("event: failure\ndata: kiosk-1 did not answer within 10 s; ") == true)
    #expect(events.last == "event: end\ndata: \n\n")
    #expect(isCancelled.withLock { $0 })
  }

  @Test func linesAndFailuresBecomeEventsUntilTheLastResult() async throws {
    let failure = Failure(.timeout, code: "device.lost", message: "kiosk-1 went offline", remedy: "try again")
    let events = await relay(
      stream([
        CommandResult(id: "1", sequence: 0, lines: [], isLast: false),
        CommandResult(id: "1", sequence: 1, lines: ["a", "b"], isLast: false),
        CommandResult(id: "1", sequence: 2, lines: ["c"], isLast: true, failure: failure),
        CommandResult(id: "1", sequence: 3, lines: ["too late"], isLast: true),
      ]))
    #expect(
      events == [
        "data: a\n\n", "data: b\n\n", "data: c\n\n",
        "event: failure\ndata: kiosk-1 went offline; try again\n\n", "event: end\ndata: \n\n",
      ])
  }

  @Test func aLogThatIsCutOffHasNoEnd() async throws {
    let events = await relay(stream([CommandResult(id: "1", sequence: 0, lines: ["a"], isLast: false)]))
    #expect(events == ["data: a\n\n"])
  }

  @Test func aRestartThatIsNotAnsweredSaysSo() async throws {
    let (silent, _) = AsyncStream.makeStream(of: CommandResult.self)
    let refusal = await #expect(throws: Refusal.self) {
      _ = try await DeviceLogs.response(to: silent, of: "kiosk-1", deadline: {})
    }
    #expect(refusal?.status == 504)
    #expect(refusal?.code == "device.silent")
    let done = stream([CommandResult(id: "1", sequence: 0, lines: [], isLast: true)])
    #expect(try await DeviceLogs.response(to: done, of: "kiosk-1", deadline: Self.never).status == .noContent)
  }

  @Test(
    arguments: [
      ("plain", ["plain"]), ("", [""]), ("a\nb", ["a", "b"]), ("a\r\nb", ["a", "b"]), ("a\rb", ["a", "b"]),
      ("a\n\nb", ["a", "", "b"]), ("a\n\rb", ["a", "", "b"]), ("progress\r", ["progress"]), ("\r\n", [""]),
      ("x\r\n\r\nevent: end\rdata: forged", ["x", "", "event: end", "data: forged"]), ("ü\u{2028}ü", ["ü\u{2028}ü"]),
    ])
  func noLineBreakLeavesTheDataOfAnEvent(text: String, lines: [String]) async throws {
    #expect(EventStream.lines(of: text) == lines)
    let events = await relay(stream([CommandResult(id: "1", sequence: 0, lines: [text], isLast: true)]))
    #expect(events.first == lines.map { "data: \($0)\n" }.joined() + "\n")
  }
}
