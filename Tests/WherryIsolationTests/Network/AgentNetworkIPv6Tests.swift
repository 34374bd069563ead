import Glibc
import Testing
import WherryModel

@testable import WherryIsolation

@Suite(.serialized, .enabled(if: NetworkMachine.hasIPv6, "needs root, network namespaces and IPv6"))
struct AgentNetworkIPv6Tests {
  private func fixture(_ agentID: String, _ number: Int, publishAddress6: String? = nil) throws -> NetworkFixture {
    var settings = NetworkSettings(subnet: "10.214.\(number).0/24", ipv6: .subnet("fd57:214:\(number)::/64"))
    settings.publishAddress6 = publishAddress6
    return try NetworkFixture(agentID, settings)
  }

  @Test("a port is published for both families, until detach")
  func publishing() throws {
    let fixture = try fixture("t6pub", 1)
    let port = PublishedPort(host: 28_180, container: 80)
    let lease = try fixture.network.attach(workload: "web.run", ports: [port])
    #expect(lease.address == "10.214.1.2")
    #expect(lease.address6 == "fd57:214:1::2")
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 80, address: "::") })
    #expect(answers(listener, at: "fd57:214:1::2", 80), "the workload's own address")
    #expect(answers(listener, at: "fd57:214:1::1", 28_180))
    #expect(answers(listener, at: "10.214.1.1", 28_180), "a listener of both")
    let other = TestSocket.listening(port: 28_180, address: "::1")
    #expect(other == nil, "the port is held")
    fixture.network.detach(workload: "web.run")
    #expect(TestSocket.connected("fd57:214:1::1", 28_180) == nil)
  }

  @Test("a publish address of IPv6 is the only one")
  func publishAddress() throws {
    let fixture = try fixture("t6at", 2, publishAddress6: "fd57:214:2::1")
    let beyond = try self.fixture("t6atw", 3)
    let port = PublishedPort(host: 28_181, container: 80)
    let lease = try fixture.network.attach(workload: "web.run", ports: [port])
    let outside = try beyond.network.attach(workload: "b.run", ports: [])
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 80, address: "::") })
    #expect(try inside(outside) { answers(listener, at: "fd57:214:2::1", 28_181) })
    #expect(try inside(outside) { TestSocket.connected("fd57:214:3::1", 28_181) } == nil)
  }

  @Test("the world sees the host's address; what is not published it does not reach")
  func world() throws {
    let fixture = try fixture("t6home", 4)
    let beyond = try self.fixture("t6world", 5)
    let workload = try fixture.network.attach(workload: "a.run", ports: [])
    let outside = try beyond.network.attach(workload: "b.run", ports: [PublishedPort(host: 28_182, container: 81)])
    let listener = try #require(try inside(outside) { TestSocket.listening(port: 81, address: "::") })
    let client = try #require(try inside(workload) { TestSocket.connected("fd57:214:5::1", 28_182) })
    let server = try #require(listener.accepted())
    #expect(server.peerAddress == "fd57:214:5::1")
    server.send("answer")
    #expect(client.receive() == "answer")
    #expect(try inside(workload) { TestSocket.connected(outside.address6 ?? "", 81) } == nil)
    #expect(answers(listener, at: outside.address6 ?? "", 81), "the machine itself, for health checks")
  }

  @Test("neighbours reach each other, directly and by published port")
  func neighbours() throws {
    let fixture = try fixture("t6nbr", 6)
    let first = try fixture.network.attach(workload: "a.run", ports: [PublishedPort(host: 28_183, container: 80)])
    let second = try fixture.network.attach(workload: "b.run", ports: [])
    let listener = try #require(try inside(first) { TestSocket.listening(port: 80, address: "::") })
    #expect(try inside(second) { answers(listener, at: first.address6 ?? "", 80) })
    #expect(try inside(second) { answers(listener, at: "fd57:214:6::1", 28_183) })
  }

  @Test("who is restricted is so by every address, also by the one that its link gave itself")
  func egress() throws {
    let fixture = try fixture("t6egr", 7)
    let beyond = try self.fixture("t6egrw", 8)
    let outside = try beyond.network.attach(
      workload: "b.run",
      ports: [PublishedPort(host: 28_184, container: 81), PublishedPort(host: 28_185, container: 82)])
    let listeners = try inside(outside) { [81, 82].compactMap { TestSocket.listening(port: $0, address: "::") } }
    #expect(listeners.count == 2)
    let allowed = try #require(EgressRule("[fd57:214:8::/64]:81/tcp"))
    let lease = try fixture.network.attach(workload: "a.run", ports: [], egress: [allowed])
    let nobody = try fixture.network.attach(workload: "d.run", ports: [], egress: [])
    let free = try fixture.network.attach(workload: "c.run", ports: [])
    let host = try #require(TestSocket.listening(port: 28_186, address: "::"))
    // Of another one nothing is accepted.
    let byLink = try #require(TestSocket.listening(port: 28_188, address: "::"))
    defer { withExtendedLifetime(byLink) {} }
    let gateway = try #require(Subnet("10.214.7.0/24")).gateway
    let bridge = IPAddress.linkLocal(NetworkLease.hardwareAddress(gateway))
    func check(_ when: String) throws {
      #expect(try inside(lease) { answers(listeners[0], at: "fd57:214:8::1", 28_184) }, "\(when)")
      #expect(try inside(lease) { TestSocket.connected("fd57:214:8::1", 28_185) } == nil, "\(when)")
      #expect(try inside(nobody) { TestSocket.connected("fd57:214:8::1", 28_184) } == nil, "\(when)")
      #expect(try inside(free) { answers(listeners[1], at: "fd57:214:8::1", 28_185) }, "\(when)")
      #expect(try inside(free) { answers(host, at: "fd57:214:7::1", 28_186) }, "\(when)")
      #expect(try inside(nobody) { TestSocket.connected("fd57:214:7::1", 28_186) } == nil, "\(when)")
      #expect(try inside(free) { NetworkMachine.reaches(bridge, port: 28_188) }, "\(when)")
      #expect(try inside(nobody) { NetworkMachine.reaches(bridge, port: 28_188) } == false, "\(when)")
    }
    try check("at first")
    let restarted = try fixture.restarted()
    restarted.reconcile(alive: ["a.run", "c.run", "d.run"])
    try check("after the agent came back")
    restarted.detach(workload: "d.run")
  }

  @Test("a machine that begins to forward goes on listening to its routers")
  func routerAdvertisements() throws {
    let namespace = try NetworkNamespace()
    try NetworkNamespace.inside(namespace.descriptor) {
      let root = "/proc/sys/net/ipv6/conf"
      #expect(KernelSwitch("\(root)/all/forwarding").text == "0")
      let links = ["default", "lo"]
      let before = links.map { KernelSwitch("\(root)/\($0)/accept_ra").text }
      try AgentNetwork.forwardIPv6()
      #expect(KernelSwitch("\(root)/all/forwarding").text == "1")
      for (link, text) in zip(links, before) {
        #expect(KernelSwitch("\(root)/\(link)/accept_ra").text == (text == "1" ? "2" : text), "\(link)")
      }
      #expect(before.contains("1"), "else this shows nothing")
    }
  }

  @Test("a machine without IPv6: auto does without it and says so; a subnet of one's own is a must")
  func without() throws {
    let namespace = try NetworkNamespace()
    try NetworkNamespace.inside(namespace.descriptor) {
      try KernelSwitch("/proc/sys/net/ipv6/conf/default/disable_ipv6").turn("1")
      var settings = NetworkSettings(subnet: "10.214.9.0/24", ipv6: .auto)
      let fixture = try NetworkFixture("t6none", settings)
      let lease = try fixture.network.attach(workload: "a.run", ports: [PublishedPort(host: 28_187, container: 80)])
      #expect(lease.address6 == nil)
      #expect(fixture.network.ipv6Obstacle != nil)
      fixture.network.tearDown()
      settings.ipv6 = .subnet("fd57:214:9::/64")
      let must = try NetworkFixture("t6must", settings)
      let failure = #expect(throws: Failure.self) { try must.network.attach(workload: "a.run", ports: []) }
      #expect(failure?.code == "network.noIPv6")
    }
  }
}
