import Glibc
import Testing
import WherryAgent
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// `wherry-agent` as typed, with a shell script in the place of wherry-fetch.
@Suite struct ProgramTests {
  private let directory = TemporaryDirectory()
  private var trust: TrustStore { TrustStore(directory: directory.file("lib/trust")) }

  private func script(_ text: String) -> String {
    let path = directory.file("fetch")
    TestFile.write(Array("#!/bin/sh\n\(text)\n".utf8), to: path)
    chmod(path, 0o755)
    return path
  }

  private func answer(_ status: Int, _ body: JSON) {
    let event: JSON = ["status": .int(status), "body": .string(body.canonical)]
    TestFile.write(event.canonicalBytes + [10], to: directory.file("answer"))
  }

  private func run(_ words: String...) -> Int32 {
    let configuration = directory.file("agent.conf")
    let lines = [
      "root = \(directory.file("lib"))", "run = \(directory.file("run"))", "logs = \(directory.file("log"))",
      "fetch = \(script("cat > '\(directory.file("job"))'; cat '\(directory.file("answer"))'"))",
    ]
    TestFile.write(Array(lines.joined(separator: "\n").utf8), to: configuration)
    return AgentProgram.run(["wherry-agent"] + words + ["--config", configuration])
  }

  private func response(_ device: DeviceName) -> ProvisioningResponse {
    ProvisioningResponse(
      device: device, certificate: "certificate", authority: "authority",
      trust: TrustRoot(version: 1, keys: [SigningKey(id: "k", publicKey: [UInt8](repeating: 1, count: 32))]),
      brokerHost: "broker", brokerPort: 8883, deviceURL: "https://service:8444")
  }

  private let claim = Claim(url: "https://service:8443/", token: "secret", authority: "ca").text

  @Test func aClaimBuysAnIdentityAndTheKeyStaysHere() throws {
    answer(201, response("kiosk-1").json)
    #expect(run("provision", "--claim", claim, "--name", "kiosk-1", "--label", "site=berlin") == 0)
    #expect(try trust.load().name == "kiosk-1")
    let job = try JSON(parsing: try #require(TestFile.read(directory.file("job"))))
    #expect(job["url"] == "https://service:8443/v1/provision")
    #expect(job["headers"]?["Authorization"] == "Bearer secret")
    let request = try ProvisioningRequest(JSONCursor(JSON(parsing: job["body"]?.stringValue ?? "")))
    #expect(request.labels == ["site": "berlin"] && request.platform.attributes["os"] == "linux")
    #expect(request.csr.hasPrefix("-----BEGIN CERTIFICATE REQUEST-----"))
    let key = String(decoding: try #require(TestFile.read(trust.directory + "/device.key")), as: UTF8.self)
    #expect(key.contains("PRIVATE KEY") && !job.canonical.contains("PRIVATE KEY"))
  }

  @Test func anIdentityIsReplacedOnlyByForceAndOnlyWhenTheServiceAgrees() throws {
    answer(201, response("kiosk-1").json)
    #expect(run("provision", "--claim", claim, "--name", "kiosk-1") == 0)
    answer(201, response("kiosk-2").json)
    #expect(run("provision", "--claim", claim, "--name", "kiosk-2") == 1)
    answer(403, ["detail": "the claim was used", "remedy": "make a new one"])
    #expect(run("provision", "--claim", claim, "--name", "kiosk-2", "--force") == 1)
    #expect(try trust.load().name == "kiosk-1", "a refusal leaves the old identity whole")
    answer(201, response("kiosk-3").json)
    #expect(run("provision", "--claim", claim, "--name", "kiosk-2", "--force") == 1, "an answer for somebody else")
    answer(201, response("kiosk-2").json)
    #expect(run("provision", "--claim", claim, "--name", "kiosk-2", "--force") == 0)
    #expect(try trust.load().name == "kiosk-2")
  }

  @Test func misuseIsTwoAndFailureIsOne() {
    #expect(AgentProgram.run(["wherry-agent"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "dance"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "logs"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "status", "--config"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "status", "more"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "provision", "--claim", "x", "--name", "a/b"]) == 2)
    #expect(AgentProgram.run(["wherry-agent", "--version"]) == 0)
    #expect(run("provision", "--claim", "junk", "--name", "kiosk-1") == 1)
    #expect(run("status") == 1, "no agent answers")
    #expect(AgentProgram.run(["wherry-agent", "run", "--config", "/no/such/file"]) == 1)
  }

  // MARK: The worker

  private func events(_ script: String, cancelling: Bool = false) throws -> [WorkerEvent] {
    let worker = ProcessWorker(program: self.script(script), directory: directory.path)
    let run = try worker.start(.download, job: ["hello": "worker"])
    if cancelling { run.cancel() }
    var events: [WorkerEvent] = []
    var now = Instant(milliseconds: 1)
    for _ in 0..<1_000 {
      var entry = pollfd(fd: run.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, run.descriptor < 0 ? 5 : 1_000)
      events += run.readEvents(now: now)
      if case .ended = events.last { return events }
      now = now.advanced(byMilliseconds: 100)
    }
    Issue.record("the worker never ended")
    return events
  }

  @Test func aWorkerSaysWhatItDoesLineByLine() throws {
    let events = try events("cat; echo; echo 'no json'; echo '{\"progress\":{\"done\":1,\"total\":2}}'")
    #expect(
      events == [
        .line(["hello": "worker"]), .line(["progress": ["done": 1, "total": 2]]),
        .ended(isSuccess: true, detail: "it exited with code 0"),
      ])
  }

  @Test func aWorkerThatFailsOrIsCancelledIsReaped() throws {
    #expect(try events("exit 3") == [.ended(isSuccess: false, detail: "it exited with code 3")])
    #expect(
      try events("exec sleep 1000", cancelling: true) == [.ended(isSuccess: false, detail: "it was ended by signal 9")])
  }

  @Test func aWorkerThatSaysNothingMoreAndStaysIsEnded() throws {
    let events = try events("exec >&-; exec sleep 1000")
    #expect(events == [.ended(isSuccess: false, detail: "it was ended by signal 9")])
  }

  @Test func aWorkerWhoseChildKeepsTheOutputOpenIsNotWaitedFor() throws {
    // The child ends by itself once the reader is gone.
    let events = try events("(while echo; do :; done) & exit 0")
    #expect(events.last == .ended(isSuccess: true, detail: "it exited with code 0"))
  }

  @Test func aMissingWorkerIsNamed() throws {
    let worker = ProcessWorker(program: "/no/such/fetch", directory: directory.path)
    let failure = try #require(throws: Failure.self) { try worker.start(.download, job: [:]) }
    #expect(failure.message.contains("/no/such/fetch"))
  }
}
