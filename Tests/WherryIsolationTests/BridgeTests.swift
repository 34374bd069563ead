import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Containers on the agent's bridge, from start to tear-down.
@Suite(.serialized) struct BridgeTests {
  private func server(_ bench: Workbench, _ id: String, port: UInt16) -> WorkloadSpec {
    TestFile.write(Array("hello from inside\n".utf8), to: bench.directory.file("layer/data/index.html"))
    var spec = bench.container(id, ["httpd", "-f", "-p", "80", "-h", "/data"])
    spec.user = .named("app")
    spec.network = .bridge(NetworkAttachment(ports: [PublishedPort(host: port, container: 80)]))
    return spec
  }

  private func fetch(_ address: String, _ port: UInt16) -> String? {
    guard let socket = TestSocket.connected(address, port) else { return nil }
    socket.send("GET /index.html HTTP/1.0\r\n\r\n")
    var text = ""
    while let part = socket.receive(), !part.isEmpty { text += part }
    return text
  }

  @Test func aPublishedPortAnswersAlsoAfterAnAgentRestartAndNoMoreAfterRelease() throws {
    guard let bench = Workbench(#function, subnet: "10.213.41.0/24") else { return }
    let link = try bench.host.start(server(bench, "web.run", port: 18_341), identity: "")
    #expect(link.waitForStart() != nil)
    let address = try #require(bench.host.address(of: "web.run"))
    #expect(address.hasPrefix("10.213.41."))
    bench.wait { fetch(address, 80) != nil }
    #expect(fetch(address, 80)?.contains("hello from inside") == true)
    #expect(fetch("127.0.0.1", 18_341)?.contains("hello from inside") == true)
    link.close()
    try bench.restartAgent()
    #expect(bench.host.adopt().first?.link != nil)
    #expect(bench.host.address(of: "web.run") == address)
    #expect(fetch("127.0.0.1", 18_341)?.contains("hello from inside") == true)
    bench.host.release("web.run")
    #expect(fetch("127.0.0.1", 18_341) == nil)
    #expect(bench.host.address(of: "web.run") == nil)
  }

  @Test func neighboursKnowEachOtherByName() throws {
    guard let bench = Workbench(#function, subnet: "10.213.44.0/24") else { return }
    func start(_ name: String) throws -> String {
      var spec = bench.container("\(name).run", ["sh", "-c", "sleep 1000"])
      spec.hostName = "com-example-" + name
      spec.network = .bridge(NetworkAttachment(names: [spec.hostName, "com.example." + name]))
      #expect(try bench.host.start(spec, identity: "").waitForStart() != nil)
      bench.waitForPid("\(name).run")
      return try #require(bench.host.address(of: "\(name).run"))
    }
    func knows(_ id: String, _ line: String) throws -> Bool {
      try bench.host.execute(in: id, arguments: ["grep", "-qx", line, "/etc/hosts"]).waitForEnd() == .exited(code: 0)
    }
    let first = try start("a")
    #expect(try knows("a.run", "\(first) com-example-a com.example.a"))
    let second = try start("b")
    #expect(try knows("a.run", "\(second) com-example-b com.example.b"))
    #expect(try knows("b.run", "\(first) com-example-a com.example.a"))
    try bench.restartAgent()
    #expect(bench.host.adopt().count == 2)
    bench.host.release("b.run")
    #expect(try !knows("a.run", ".*com.example.b.*"))
    #expect(try knows("a.run", "\(first) com-example-a com.example.a"))
  }

  @Test func tearDownRemovesTheBridge() throws {
    guard let bench = Workbench(#function, subnet: "10.213.42.0/24") else { return }
    let link = try bench.host.start(server(bench, "web.run", port: 18_342), identity: "")
    #expect(link.waitForStart() != nil)
    let bridge = "wh-" + bench.configuration.agentID
    #expect(if_nametoindex(bridge) != 0)
    bench.host.tearDown()
    #expect(if_nametoindex(bridge) == 0)
    #expect(bench.cgroups.isEmpty)
  }

  @Test func withoutASubnetABridgeIsRefused() throws {
    guard let bench = Workbench(#function) else { return }
    let failure = #expect(throws: Failure.self) {
      try bench.host.start(server(bench, "web.run", port: 18_343), identity: "")
    }
    #expect(failure?.code == "network.subnet")
    #expect(bench.cgroups.isEmpty)
  }
}
