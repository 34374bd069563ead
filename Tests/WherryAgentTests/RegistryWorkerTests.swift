import Glibc
import Testing
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryAgent

/// What download jobs are told about registries, and how commands are asked for it.
@Suite struct RegistryWorkerTests {
  private let directory = TemporaryDirectory()
  private let inner = FakeWorker()

  private func url(_ registry: String) -> String {
    "https://\(registry)/v2/team/web/blobs/\(Digest(bytes: [UInt8](repeating: 1, count: 32)))"
  }

  private func job(_ urls: String...) -> JSON {
    ["store": "/nowhere", "items": .array(urls.map { ["url": .string($0), "size": 1, "digest": "sha256:1"] })]
  }

  private func program(_ name: String, _ script: String) -> String {
    let path = directory.file(name)
    TestFile.write(Array("#!/bin/sh\n\(script)\n".utf8), to: path)
    chmod(path, 0o755)
    return path
  }

  private func settings(_ change: (inout RegistrySettings) throws -> Void) rethrows -> RegistrySettings {
    var settings = RegistrySettings()
    try change(&settings)
    return settings
  }

  private func file(_ text: String) -> String {
    TestFile.write(text.utf8, to: directory.file("registries.json"))
    return directory.file("registries.json")
  }

  /// Asked until it has ended or its worker was started; the agent would poll in between.
  private func events(of run: any WorkerRun, until isOver: () -> Bool) -> [WorkerEvent] {
    var events: [WorkerEvent] = []
    var now = Instant(milliseconds: 1)
    for _ in 0..<24_000 where !isOver() && !events.contains(where: { if case .ended = $0 { true } else { false } }) {
      var entry = pollfd(fd: run.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, run.descriptor < 0 ? 5 : 1_000)
      events += run.readEvents(now: now)
      now = now.advanced(byMilliseconds: 1)
    }
    return events
  }

  private func reported(in events: [WorkerEvent]) -> Failure? {
    for case .line(let json) in events {
      if let failed = json["failed"] { return try? Failure(JSONCursor(failed)) }
    }
    return nil
  }

  // MARK: Without commands

  @Test func aJobIsToldOfItsOwnRegistriesAndOfNoOther() throws {
    let settings = try settings { settings in
      settings.authFile = file(
        #"""
        {"auths": {
          "a.example": {"username": "u", "password": "1"}, "mirror.example": {"username": "m", "password": "2"},
          "other.example": {"username": "o", "password": "3"}
        }}
        """#)
      try settings.addMirrors("mirror.example/hub", for: "a.example")
      try settings.addMirrors("mirror2.example", for: "other.example")
      try settings.addTokenServers("auth.example", for: "a.example")
    }
    let worker = RegistryWorker(inner, settings: settings)
    _ = try worker.start(.download, job: job(url("a.example"), url("b.example"), "https://other.example/file.tar"))
    let registries = try #require(inner.jobs.last?.job["registries"]?.arrayValue)
    #expect(
      registries == [
        [
          "host": "a.example", "username": "u", "password": "1", "mirrors": ["mirror.example/hub"],
          "tokenServers": ["auth.example"],
        ],
        ["host": "mirror.example", "username": "m", "password": "2"],
      ])
    #expect(inner.jobs.last?.job["store"] == "/nowhere")
  }

  @Test func aJobThatNothingIsKnownForStaysAsItIs() throws {
    let settings = try settings { try $0.addMirrors("mirror.example", for: "a.example") }
    let worker = RegistryWorker(inner, settings: settings)
    let own: [JSON] = [
      job(url("b.example")), ["items": [["source": "wherry:"]]], [:], ["url": .string(url("a.example"))],
    ]
    for plain in own {
      _ = try worker.start(.download, job: plain)
      #expect(inner.jobs.last?.job == plain)
    }
  }

  @Test func aFileIsReadOnlyForRegistriesAndThenItHasToBeThere() throws {
    let settings = settings { $0.authFile = directory.file("missing") }
    let worker = RegistryWorker(inner, settings: settings)
    _ = try worker.start(.download, job: ["items": [["source": "wherry:"]]])
    let failure = try #require(throws: Failure.self) { try worker.start(.download, job: job(url("a.example"))) }
    #expect(failure.message.contains("missing") && !failure.remedy.isEmpty)
    #expect(inner.jobs.count == 1)
  }

  // MARK: Commands

  @Test func aCommandIsAskedWithTheRegistrysNameAndItsAnswerIsInTheJob() throws {
    let aws = program("aws", "read host && echo \"$1 for $host\" >'\(directory.file("asked"))'\necho pass-$#")
    let settings = try settings { settings in
      settings.authFile = file(#"{"auths": {"b.example": {"username": "u", "password": "1"}}}"#)
      try settings.addCommand("\(aws) \"get login\"", for: "a.example:5000")
      try settings.addCommand("\(aws) unasked", for: "other.example")
    }
    let worker = RegistryWorker(inner, settings: settings)
    let run = try worker.start(.download, job: job(url("a.example:5000"), url("b.example")))
    #expect(inner.jobs.isEmpty, "the worker begins when the credentials are there")
    #expect(events(of: run, until: { !inner.jobs.isEmpty }).isEmpty)
    #expect(TestFile.read(directory.file("asked")) == Array("get login for a.example:5000\n".utf8))
    #expect(
      inner.jobs.last?.job["registries"] == [
        ["host": "a.example:5000", "username": "token", "password": "pass-1"],
        ["host": "b.example", "username": "u", "password": "1"],
      ])
    // From here on it is the worker's own run.
    #expect(run.descriptor == -1 && run.nextDeadline == nil)
    let rest = inner.runs.last?.events ?? []
    #expect(!rest.isEmpty && run.readEvents(now: .zero) == rest)
  }

  @Test func severalCommandsAreAskedOneAfterAnother() throws {
    let (one, two) = (program("one", "echo 1"), program("two", #"echo '{"Username": "helper", "Secret": "2"}'"#))
    let settings = try settings { settings in
      try settings.addCommand(one, for: "robot@a.example")
      try settings.addCommand(two, for: "mirror.example")
      try settings.addMirrors("mirror.example", for: "a.example")
    }
    let run = try RegistryWorker(inner, settings: settings).start(.download, job: job(url("a.example")))
    #expect(events(of: run, until: { !inner.jobs.isEmpty }).isEmpty)
    #expect(
      inner.jobs.last?.job["registries"] == [
        ["host": "a.example", "username": "robot", "password": "1", "mirrors": ["mirror.example"]],
        ["host": "mirror.example", "username": "helper", "password": "2"],
      ])
  }

  @Test(arguments: [
    ("exit 3", "ended with code 3", "download.unavailable"), ("kill -9 $$", "signal 9", "download.unavailable"),
    ("echo", "neither one line", "registry.credential"), ("echo sesame; exit 1", "code 1", "download.unavailable"),
    ("while :; do echo sesame; done", "more than", "registry.credential"),
  ])
  func aCommandThatGivesNothingEndsTheRunWithItsReason(_ script: String, _ reason: String, _ code: String) throws {
    let command = program("command", script)
    let settings = try settings { try $0.addCommand(command, for: "a.example") }
    let run = try RegistryWorker(inner, settings: settings).start(.download, job: job(url("a.example")))
    let events = events(of: run, until: { false })
    let failure = try #require(reported(in: events))
    #expect(failure.code == code && failure.message.contains(reason) && failure.message.contains("a.example"))
    #expect(failure.remedy.contains(command) && !failure.description.contains("sesame"))
    #expect(events.last == .ended(isSuccess: false, detail: "it had no credentials"))
    #expect(inner.jobs.isEmpty && run.descriptor == -1)
    #expect(run.readEvents(now: .zero).isEmpty)
  }

  @Test func aProgramThatIsNotThereIsNamed() throws {
    let settings = try settings { try $0.addCommand("/nowhere/aws", for: "a.example") }
    let failure = try #require(throws: Failure.self) {
      try RegistryWorker(inner, settings: settings).start(.download, job: job(url("a.example")))
    }
    #expect(failure.code == "download.unavailable" && failure.message.contains("/nowhere/aws"))
  }

  @Test func aCommandThatHangsIsEndedWithAllThatItStarted() throws {
    let command = program("command", "sleep 1000 & echo $! >'\(directory.file("pid"))'; wait")
    let settings = try settings { try $0.addCommand(command, for: "a.example") }
    let worker = RegistryWorker(inner, settings: settings)
    var run: (any WorkerRun)? = try worker.start(.download, job: job(url("a.example")))
    let began = Instant(milliseconds: 1)
    var child: pid_t = 0
    for _ in 0..<24_000 where child == 0 {
      #expect(run?.readEvents(now: began) == [])
      let text = String(decoding: TestFile.read(directory.file("pid")) ?? [], as: UTF8.self)
      child = pid_t(text.split(separator: "\n").first ?? "") ?? 0
      poll(nil, 0, 5)
    }
    #expect(child > 0)
    let deadline = try #require(run?.nextDeadline)
    #expect(deadline == began.advanced(byMilliseconds: CredentialCommand.timeoutMilliseconds))
    let events = run?.readEvents(now: deadline) ?? []
    #expect(reported(in: events)?.message.contains("within 30 seconds") == true)
    run = nil
    // What was killed leaves when the kernel lets it.
    for _ in 0..<24_000 where worker.hasLeftovers || isAlive(child) {
      worker.tidy()
      poll(nil, 0, 5)
    }
    #expect(!worker.hasLeftovers && !isAlive(child))
  }

  /// A zombie that its new parent has not looked at yet is not alive.
  private func isAlive(_ process: pid_t) -> Bool {
    guard let bytes = TestFile.read("/proc/\(process)/stat") else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    return text.lastIndex(of: ")").map { !text[$0...].hasPrefix(") Z") } ?? false
  }

  @Test func aRunThatIsCancelledWhileItAsksEnds() throws {
    let command = program("command", "exec sleep 1000")
    let settings = try settings { try $0.addCommand(command, for: "a.example") }
    let run = try RegistryWorker(inner, settings: settings).start(.download, job: job(url("a.example")))
    run.cancel()
    #expect(reported(in: events(of: run, until: { false }))?.message.contains("signal 9") == true)
  }
}
