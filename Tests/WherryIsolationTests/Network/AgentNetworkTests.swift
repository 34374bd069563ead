import Glibc
import Testing
import WherryModel

@testable import WherryIsolation

@Suite(.serialized, .enabled(if: NetworkMachine.isAvailable, "needs root and network namespaces"))
struct AgentNetworkTests {
  @Test("a published port answers on the publish address, and after detach no more")
  func publishing() throws {
    let fixture = try NetworkFixture("tpub", subnet: "10.213.1.0/24", publishAddress: "10.213.1.1")
    let lease = try fixture.network.attach(workload: "web.run", ports: [PublishedPort(host: 28080, container: 80)])
    #expect(lease.address == "10.213.1.2")
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 80) })
    #expect(answers(listener, at: "10.213.1.1", 28080))
    #expect(answers(listener, at: "10.213.1.2", 80), "the workload's own address, for health checks")
    fixture.network.detach(workload: "web.run")
    #expect(TestSocket.connected("10.213.1.1", 28080) == nil)
    #expect(fixture.network.lease(of: "web.run") == nil)
  }

  @Test("without a publish address a port answers on loopback and on the machine's other addresses")
  func everyAddress() throws {
    let fixture = try NetworkFixture("tall", subnet: "10.213.2.0/24")
    let lease = try fixture.network.attach(workload: "web.run", ports: [PublishedPort(host: 28081, container: 80)])
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 80) })
    #expect(answers(listener, at: "127.0.0.1", 28081))
    #expect(answers(listener, at: "10.213.2.1", 28081))
  }

  @Test("udp is published as well")
  func datagrams() throws {
    let fixture = try NetworkFixture("tudp", subnet: "10.213.3.0/24", publishAddress: "10.213.3.1")
    let lease = try fixture.network.attach(
      workload: "dns.run", ports: [PublishedPort(host: 28053, container: 53, transport: .udp)])
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 53, stream: false) })
    let client = try #require(TestSocket.connected("10.213.3.1", 28053, stream: false))
    client.send("ping")
    listener.echoDatagram()
    #expect(client.receive() == "ping")
  }

  @Test("workloads reach each other directly and by published port")
  func neighbours() throws {
    let fixture = try NetworkFixture("tnbr", subnet: "10.213.4.0/24", publishAddress: "10.213.4.1")
    let first = try fixture.network.attach(workload: "a.run", ports: [PublishedPort(host: 28082, container: 80)])
    let second = try fixture.network.attach(workload: "b.run", ports: [])
    let listener = try #require(try inside(first) { TestSocket.listening(port: 80) })
    #expect(try inside(second) { answers(listener, at: first.address, 80) })
    #expect(try inside(second) { answers(listener, at: "10.213.4.1", 28082) })
    #expect(try inside(first) { answers(listener, at: "127.0.0.1", 80) }, "its own loopback is up")
  }

  @Test("the world sees the host's address, and reaches a workload by its published port only with translation")
  func world() throws {
    // A second agent's network plays the world: routed, not bridged, from the first one's point of view.
    let fixture = try NetworkFixture("thome", subnet: "10.213.12.0/24", publishAddress: "10.213.12.1")
    let beyond = try NetworkFixture("tworld", subnet: "10.213.13.0/24")
    let workload = try fixture.network.attach(workload: "a.run", ports: [PublishedPort(host: 28095, container: 80)])
    let outside = try beyond.network.attach(workload: "b.run", ports: [PublishedPort(host: 28_096, container: 81)])
    let listener = try #require(try inside(outside) { TestSocket.listening(port: 81) })
    let client = try #require(try inside(workload) { TestSocket.connected("10.213.13.1", 28_096) })
    let server = try #require(listener.accepted())
    #expect(server.peerAddress == "10.213.13.1")
    server.send("answer")
    #expect(client.receive() == "answer")
    #expect(try inside(workload) { TestSocket.connected(outside.address, 81) } == nil, "what is not published")
    let published = try #require(try inside(workload) { TestSocket.listening(port: 80) })
    #expect(try inside(outside) { answers(published, at: "10.213.12.1", 28095) })
  }

  @Test("who is restricted reaches what its list names, its neighbours, and whoever connects to it")
  func egress() throws {
    let fixture = try NetworkFixture("tegr", subnet: "10.213.14.0/24", publishAddress: "10.213.14.1")
    let beyond = try NetworkFixture("tegrw", subnet: "10.213.15.0/24")
    let ports = [81, 82].map { PublishedPort(host: 28_022 + $0, container: $0) }
    let outside = try beyond.network.attach(workload: "b.run", ports: ports)
    let world = "10.213.15.1"
    let listeners = try inside(outside) { [81, 82].compactMap { TestSocket.listening(port: $0) } }
    #expect(listeners.count == 2)
    let allowed = try #require(EgressRule("\(outside.address):81/tcp"))
    let lease = try fixture.network.attach(
      workload: "a.run", ports: [PublishedPort(host: 28_102, container: 80)], egress: [allowed])
    let host = try #require(TestSocket.listening(port: 28_101, address: "10.213.14.1"))
    let neighbour = try fixture.network.attach(workload: "c.run", ports: [])
    let nobody = try fixture.network.attach(workload: "d.run", ports: [], egress: [])
    let next = try #require(try inside(neighbour) { TestSocket.listening(port: 83) })
    let published = try #require(try inside(lease) { TestSocket.listening(port: 80) })

    func check(_ when: String) throws {
      #expect(try inside(lease) { answers(listeners[0], at: world, 28_103) }, "\(when)")
      #expect(try inside(lease) { TestSocket.connected(world, 28_104) } == nil, "\(when)")
      #expect(try inside(lease) { TestSocket.connected("10.213.14.1", 28_101) } == nil, "\(when)")
      #expect(try inside(lease) { answers(next, at: neighbour.address, 83) }, "\(when)")
      #expect(answers(published, at: "10.213.14.1", 28_102), "\(when)")
      #expect(try inside(outside) { answers(published, at: "10.213.14.1", 28_102) }, "\(when)")
      #expect(try inside(neighbour) { answers(listeners[1], at: world, 28_104) }, "\(when)")
      #expect(try inside(neighbour) { answers(host, at: "10.213.14.1", 28_101) }, "\(when)")
      #expect(try inside(nobody) { TestSocket.connected(world, 28_103) } == nil, "\(when)")
    }
    try check("at first")
    let restarted = try fixture.restarted()
    restarted.reconcile(alive: ["a.run", "c.run", "d.run"])
    try check("after the agent came back")
    restarted.detach(workload: "a.run")
    restarted.detach(workload: "d.run")
    let again = try restarted.attach(workload: "a.run", ports: [])
    #expect(try inside(again) { answers(listeners[1], at: world, 28_104) })
  }

  @Test("a workload cannot reach what listens on the host's loopback only")
  func hostLoopbackIsClosed() throws {
    let fixture = try NetworkFixture("tlo", subnet: "10.213.5.0/24")
    let secret = try #require(TestSocket.listening(port: 28083, address: "127.0.0.1"))
    let lease = try fixture.network.attach(workload: "a.run", ports: [])
    let reached = try inside(lease) {
      // What a hostile workload with CAP_NET_ADMIN would do: lead 127.0.0.0/8 out of its own namespace.
      try takeLoopbackAddress()
      #expect(write("1", to: "/proc/sys/net/ipv4/conf/all/route_localnet"))
      return TestSocket.connected("127.0.0.1", 28083) != nil
    }
    #expect(!reached)
    withExtendedLifetime(secret) {}
  }

  private func write(_ text: String, to path: String) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    defer { close(descriptor) }
    return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
  }

  /// Without its address 127.0.0.0/8 is reached like any other network.
  private func takeLoopbackAddress() throws {
    let loopback: [UInt8] = [UInt8(AF_INET), 8, 0, 0] + NetlinkMessage.native(UInt32(1))
    var message = NetlinkMessage("take the loopback's address", type: 21, flags: 0, body: loopback)
    message.put(2, [127, 0, 0, 1])
    try NetlinkSocket(.route).request([message])
  }

  @Test("a host port that another program has is refused before anything is changed")
  func takenByOthers() throws {
    let fixture = try NetworkFixture("tbusy", subnet: "10.213.6.0/24")
    let other = try #require(TestSocket.listening(port: 28084, address: "127.0.0.1"))
    let failure = #expect(throws: Failure.self) {
      try fixture.network.attach(workload: "web.run", ports: [PublishedPort(host: 28084, container: 80)])
    }
    #expect(failure?.code == "network.portTaken")
    #expect(fixture.network.lease(of: "web.run") == nil)
    withExtendedLifetime(other) {}
  }

  @Test("two components cannot publish one port; tcp and udp of one number are two ports")
  func takenByNeighbour() throws {
    let fixture = try NetworkFixture("tdup", subnet: "10.213.7.0/24", publishAddress: "10.213.7.1")
    let network = fixture.network
    _ = try network.attach(workload: "a.run", ports: [PublishedPort(host: 28085, container: 80)])
    _ = try network.attach(workload: "b.run", ports: [PublishedPort(host: 28085, container: 80, transport: .udp)])
    let failure = #expect(throws: Failure.self) {
      try network.attach(workload: "c.run", ports: [PublishedPort(host: 28085, container: 81)])
    }
    #expect(failure?.message.contains("a.run") == true)
    network.detach(workload: "a.run")
    _ = try network.attach(workload: "c.run", ports: [PublishedPort(host: 28085, container: 81)])
  }

  @Test("after a crash the workloads that live keep address and port, the others lose theirs")
  func reconciling() throws {
    let fixture = try NetworkFixture("tcrash", subnet: "10.213.8.0/24", publishAddress: "10.213.8.1")
    let lease = try fixture.network.attach(workload: "a.run", ports: [PublishedPort(host: 28086, container: 80)])
    let gone = try fixture.network.attach(workload: "b.run", ports: [PublishedPort(host: 28087, container: 80)])
    let listener = try #require(try inside(lease) { TestSocket.listening(port: 80) })
    // The dead agent's descriptors would go with it; here the workload's socket keeps the namespace.
    let next = try fixture.restarted()
    next.reconcile(alive: ["a.run"])
    #expect(answers(listener, at: "10.213.8.1", 28086))
    #expect(next.lease(of: "a.run")?.address == lease.address)
    #expect(next.lease(of: "b.run") == nil)
    #expect(if_nametoindex(gone.link) == 0)
    let another = try next.attach(workload: "c.run", ports: [PublishedPort(host: 28089, container: 80)])
    #expect(another.address != lease.address)
    next.tearDown()
    #expect(!fixture.bridgeExists)
  }

  @Test("tear-down leaves no link, no table and no file")
  func tearDown() throws {
    let fixture = try NetworkFixture("tdown", subnet: "10.213.9.0/24")
    // Other tests have networks of their own meanwhile; of this one nothing is there yet.
    #expect(!fixture.bridgeExists)
    #expect(try !NetworkMachine.tables().contains("wherry_tdown"))
    var names: Set = ["wh-tdown"]
    for number in 1...3 {
      let lease = try fixture.network.attach(
        workload: "w\(number).run", ports: [PublishedPort(host: 28090 + UInt16(number), container: 80)])
      names.insert(lease.link)
    }
    // The agent's number in the name of each of its workloads' links.
    let prefixes = Set(names.map { $0.prefix(9) })
    #expect(names.count == 4 && prefixes.count == 2)
    #expect(try NetworkMachine.links().filter { prefixes.contains($0.prefix(9)) } == names)
    #expect(try NetworkMachine.tables().contains("wherry_tdown"))
    fixture.network.tearDown()
    #expect(try NetworkMachine.links().filter { prefixes.contains($0.prefix(9)) }.isEmpty)
    #expect(try !NetworkMachine.tables().contains("wherry_tdown"))
    #expect(access(fixture.directory + "/network", F_OK) != 0)
    // With nothing there it has nothing to do, and says nothing.
    fixture.network.tearDown()
  }

  @Test("attaching again gives a fresh namespace and leaves one link")
  func attachingAgain() throws {
    let fixture = try NetworkFixture("tagain", subnet: "10.213.10.0/24", publishAddress: "10.213.10.1")
    let port = PublishedPort(host: 28088, container: 80)
    let first = try fixture.network.attach(workload: "web.run", ports: [port])
    let second = try fixture.network.attach(workload: "web.run", ports: [port])
    #expect(first.address != second.address, "addresses are given out in turn")
    let listener = try #require(try inside(second) { TestSocket.listening(port: 80) })
    #expect(answers(listener, at: "10.213.10.1", 28088))
  }

  @Test("a subnet in which another link has an address is refused before anything is changed")
  func foreignAddress() throws {
    let other = try NetworkFixture("tthere", subnet: "10.213.12.0/25")
    _ = try other.network.attach(workload: "a.run", ports: [])
    let fixture = try NetworkFixture("thither", subnet: "10.213.12.0/24")
    let failure = #expect(throws: Failure.self) { try fixture.network.attach(workload: "b.run", ports: []) }
    #expect(failure?.code == "network.subnetTaken")
    #expect(failure?.message.contains("wh-tthere has the address 10.213.12.1") == true)
    #expect(!fixture.bridgeExists)
    other.network.tearDown()
    _ = try fixture.network.attach(workload: "b.run", ports: [])
  }

  @Test("a subnet with one place takes one workload")
  func exhaustion() throws {
    let fixture = try NetworkFixture("tfull", subnet: "10.213.11.0/30")
    _ = try fixture.network.attach(workload: "a.run", ports: [])
    let failure = #expect(throws: Failure.self) { try fixture.network.attach(workload: "b.run", ports: []) }
    #expect(failure?.code == "network.exhausted")
    fixture.network.detach(workload: "a.run")
    _ = try fixture.network.attach(workload: "b.run", ports: [])
  }
}
