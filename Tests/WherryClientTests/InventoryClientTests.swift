import Testing
import WherryClient
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@Suite struct InventoryClientTests {
  private static let conflict = """
    {"detail":"component com.example.web 1.0.0 is there already","errors":["line 1: a","line 2: b"],\
    "remedy":"publish it under another version","status":409,"title":"Conflict","type":"about:blank"}
    """

  private func client(_ server: LoopbackServer) -> InventoryClient {
    InventoryClient(url: server.origin, token: "secret", authorityPEM: nil)
  }

  /// The lines that came and what ended them.
  private func log(_ answer: LoopbackServer.Response, lines: Int = .max) -> ([String], ClientError?) {
    let server = Script([answer]).serve()
    defer { server.stop() }
    var came: [String] = []
    let failure = Script.failure {
      try client(server).logs(of: "com.example.web", on: "kiosk-1", tail: 10, follow: true) { line in
        came.append(line)
        return came.count < lines
      }
    }
    return (came, failure)
  }

  // MARK: - Refusals

  @Test func aRefusalIsToldInTheServicesOwnWords() {
    let server = Script([Script.problem(409, Self.conflict)]).serve()
    defer { server.stop() }
    let failure = Script.failure { try client(server).createGroup("kiosks") }
    #expect(
      failure?.description == """
        component com.example.web 1.0.0 is there already
          line 1: a
          line 2: b
        publish it under another version
        """)
    #expect(failure?.isTransient == false)
    #expect(server.requests.first?.headers["authorization"] == "Bearer secret")
  }

  @Test func aStreamThatIsRefusedSaysWhyToo() {
    let (lines, failure) = log(Script.problem(409, Self.conflict))
    #expect(lines.isEmpty)
    #expect(failure?.description.hasPrefix("component com.example.web 1.0.0 is there already") == true)
  }

  @Test func anAnswerOfSomethingElseIsCalledThat() {
    let server = Script([LoopbackServer.Response(502, text: "<html>"), LoopbackServer.Response(text: "{}")]).serve()
    defer { server.stop() }
    let gateway = Script.failure { _ = try client(server).fleet() }
    #expect(gateway?.description.contains("status 502 without an explanation") == true)
    let shape = Script.failure { _ = try client(server).fleet() }
    #expect(shape?.description.contains("the service's answer to fleet could not be read") == true)
  }

  @Test func aServiceThatIsNotThereIsNamed() {
    let server = Script([]).serve()
    server.stop()
    let failure = Script.failure { _ = try client(server).fleet() }
    #expect(failure?.description.hasPrefix("the inventory service at \(server.origin) could not be reached") == true)
    #expect(failure?.isTransient == true)
  }

  // MARK: - Logs

  @Test func logLinesComeInOrderUntilTheEnd() {
    let (lines, failure) = log(Script.stream("data: one\n\ndata: two\n\nevent: end\ndata: \n\ndata: more\n\n"))
    #expect(lines == ["one", "two"])
    #expect(failure == nil)
  }

  @Test func whatTheDeviceCouldNotDoIsNoLogLine() {
    let sentence = "there is no component com.example.web; `wherry device show` names them"
    let (lines, failure) = log(
      Script.stream("data: one\n\nevent: failure\ndata: \(sentence)\n\nevent: end\ndata: \n\n"))
    #expect(lines == ["one"])
    #expect(failure?.description == sentence)
    #expect(failure?.isTransient == false)
  }

  @Test func aLogThatEndsWithoutAnEndWasCut() {
    for answer in [Script.stream("data: one\n\n"), Script.brokenStream("data: one\n\n")] {
      let (lines, failure) = log(answer)
      #expect(lines == ["one"])
      #expect(failure?.isTransient == true)
    }
    let (_, cut) = log(Script.stream("data: one\n\n"))
    #expect(cut?.description.contains("the log of com.example.web on kiosk-1") == true)
  }

  @Test func whoHasReadEnoughIsNotToldOfACut() {
    let (lines, failure) = log(Script.stream("data: one\n\ndata: two\n\n"), lines: 1)
    #expect(lines == ["one"])
    #expect(failure == nil)
  }

  // MARK: - Deployments

  @Test func aDeploymentToManyDevicesIsOneEvent() throws {
    let devices = (0..<20_000).map { number in
      DeploymentDevice(
        name: DeviceName(trusted: "device-\(number)"), wave: 1, status: "committed", generation: Generation(1),
        failure: nil)
    }
    let text = Samples.deployment("completed", devices: devices).json.canonical
    #expect(text.utf8.count > 1 << 20)
    let server = Script([Script.stream("data: \(text)\n\n")]).serve()
    defer { server.stop() }
    var counts: [Int] = []
    try client(server).watch(DeploymentID(3)) { summary in
      counts.append(summary.devices.count)
      return true
    }
    #expect(counts == [20_000])
  }

  @Test func aStateThatCannotBeReadEndsTheWatch() {
    let server = Script([Script.stream("data: {\"id\":3}\n\n")]).serve()
    defer { server.stop() }
    let failure = Script.failure { try client(server).watch(DeploymentID(3)) { _ in true } }
    #expect(failure?.description.contains("the CLI and the service may be of different versions") == true)
    #expect(failure?.isTransient == false)
  }
}
