import Testing
import WherryModel

@testable import WherryIsolation

struct NetworkValueTests {
  @Test(
    "a subnet is a network address with a length",
    arguments: [
      "10.88.0.0/24", "192.168.7.0/30", "10.0.0.0/8", "172.16.4.0/22", "fd00:1::/64", "2001:db8::/32", "fd00::/104",
    ])
  func accepted(text: String) { #expect(Subnet(text)?.description == text) }

  @Test(
    "anything else is refused",
    arguments: [
      "", "10.88.0.0", "10.88.0.1/24", "10.88.0.0/31", "10.88.0.0/7", "10.88.0/24", "10.88.0.256/24", "010.88.0.0/24",
      "10.88.0.0/24/1", "10.88.0.0/-1", "::1/64", "10.88.0.0/ 24", "fd00::/105", "fd00::/31", "fd00::",
    ])
  func refused(text: String) { #expect(Subnet(text) == nil) }

  @Test("the first host is the gateway and the last address the broadcast")
  func hosts() throws {
    let subnet = try #require(Subnet("10.88.1.0/29"))
    #expect(subnet.gateway.description == "10.88.1.1")
    #expect(subnet.host(0).description == "10.88.1.2")
    #expect(subnet.capacity == 5)
    #expect(subnet.host(subnet.capacity - 1).description == "10.88.1.6")
    #expect(subnet.broadcast.description == "10.88.1.7")
    #expect(subnet.number(of: subnet.host(3)) == 3)
    #expect(subnet.number(of: subnet.gateway) == nil)
  }

  @Test("a workload has the same number in both subnets")
  func hosts6() throws {
    let subnet = try #require(Subnet("fd00:1::/64"))
    #expect(subnet.gateway.description == "fd00:1::1")
    #expect(subnet.host(0).description == "fd00:1::2")
    #expect(subnet.number(of: subnet.host(70_000)) == 70_000)
    #expect(subnet.number(of: subnet.gateway) == nil)
    #expect(subnet.number(of: try #require(IPAddress("fd00:1::1:0:0:5"))) == nil)
    #expect(IPAddress.linkLocal([2, 0x57, 10, 88, 1, 2]).description == "fe80::57:aff:fe58:102")
  }

  @Test("the derived network of IPv6 is unique local, and another for each agent")
  func uniqueNetwork() throws {
    let text = NetworkSettings.uniqueNetwork("wherry")
    #expect(Subnet(text)?.network.address.bytes.first == 0xfd)
    #expect(text != NetworkSettings.uniqueNetwork("other"))
  }

  @Test("settings that name nothing are refused, with the key to mend")
  func settings() {
    var settings = NetworkSettings(subnet: "10.0.0.0/24", ipv6: .subnet("10.1.0.0/24"))
    #expect((#expect(throws: Failure.self) { try settings.ipv6("a") })?.remedy.contains("subnet6") == true)
    settings.ipv6 = .auto
    settings.publishAddress6 = "192.0.2.1"
    #expect((#expect(throws: Failure.self) { try settings.ipv6("a") })?.remedy.contains("publish_address6") == true)
    settings.publishAddress6 = nil
    settings.publishAddress = "192.0.2.1"
    #expect((try? settings.ipv6("a"))??.publication == .nowhere, "who chose where to publish did not choose IPv6")
  }

  @Test(
    "what names nothing in the kernel is refused with a remedy", arguments: ["", "a/b", "a-very-long-agent-id", ".."])
  func agentID(text: String) {
    let failure = #expect(throws: Failure.self) {
      try AgentNetwork(agentID: text, stateDirectory: "/nowhere", NetworkSettings(subnet: "10.0.0.0/24"))
    }
    #expect(failure?.remedy.contains("agent_id") == true)
  }

  @Test("attributes with lengths that lie end the list instead of leaving the bytes")
  func hostileAttributes() {
    let bytes: [UInt8] = [8, 0, 1, 0, 1, 2, 3, 4, 255, 255, 2, 0, 9, 9, 9, 9]
    let attributes = NetlinkReader(bytes[...]).attributes(after: 0)
    #expect(attributes.keys.sorted() == [1])
    #expect(NetlinkReader([3, 0, 1, 0][...]).attributes(after: 0).isEmpty)
    #expect(NetlinkReader([][...]).attributes(after: 4).isEmpty)
  }

  @Test("nested attributes carry their length and are padded to four bytes")
  func layout() {
    var message = NetlinkMessage("test", type: 16, flags: 0, body: [])
    message.nest(1) { $0.put(2, "ab") }
    let bytes = message.numbered(7, wantsAcknowledgement: true)
    #expect(bytes[..<16] == [28, 0, 0, 0, 16, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0])
    #expect(bytes[16...] == [12, 0, 1, 128, 7, 0, 2, 0, 97, 98, 0, 0])
  }
}
