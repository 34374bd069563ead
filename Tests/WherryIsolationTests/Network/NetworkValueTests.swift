import Testing
import WherryModel

@testable import WherryIsolation

struct NetworkValueTests {
  @Test(
    "a subnet is a network address with a length",
    arguments: ["10.88.0.0/24", "192.168.7.0/30", "10.0.0.0/8", "172.16.4.0/22"])
  func accepted(text: String) { #expect(IPv4Subnet(text)?.description == text) }

  @Test(
    "anything else is refused",
    arguments: [
      "", "10.88.0.0", "10.88.0.1/24", "10.88.0.0/31", "10.88.0.0/7", "10.88.0/24", "10.88.0.256/24", "010.88.0.0/24",
      "10.88.0.0/24/1", "10.88.0.0/-1", "::/64", "10.88.0.0/ 24",
    ])
  func refused(text: String) { #expect(IPv4Subnet(text) == nil) }

  @Test("the first host is the gateway and the last address the broadcast")
  func hosts() throws {
    let subnet = try #require(IPv4Subnet("10.88.1.0/29"))
    #expect(subnet.gateway.description == "10.88.1.1")
    #expect(subnet.host(0).description == "10.88.1.2")
    #expect(subnet.capacity == 5)
    #expect(subnet.host(subnet.capacity - 1).description == "10.88.1.6")
    #expect(subnet.broadcast.description == "10.88.1.7")
    #expect(subnet.number(of: subnet.host(3)) == 3)
    #expect(subnet.number(of: subnet.gateway) == nil)
  }

  @Test(
    "what names nothing in the kernel is refused with a remedy", arguments: ["", "a/b", "a-very-long-agent-id", ".."])
  func agentID(text: String) {
    let failure = #expect(throws: Failure.self) {
      try AgentNetwork(agentID: text, stateDirectory: "/nowhere", subnet: "10.0.0.0/24", publishAddress: nil)
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
