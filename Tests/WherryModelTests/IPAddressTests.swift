import Testing
import WherryModel

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("192.0.2.7", "192.0.2.7"), ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fd00::2", "fd00::2"),
    ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("0:1:0:0:2:0:0:0", "0:1:0:0:2::"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("::ffff:192.0.2.7", "::ffff:c000:207"),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("ff02:0000::0001", "ff02::1"),
  ])
  func isReadAndWrittenInOneWay(_ text: String, _ canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: [
    "", ":", ":::", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "+1.2.3.4", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3", "12345::", "g::", "+1::", "::1%eth0", "1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7::8", ":1::", "::1:", " ::1",
    "::ffff:192.0.2.07",
  ])
  func nothingElseIs(_ text: String) { #expect(IPAddress(text) == nil) }

  @Test func aNetworkHoldsWhatItsPrefixSays() throws {
    let network = try #require(IPNetwork("2001:db8:8000::/33"))
    #expect(network.mask.prefix(5) == [0xff, 0xff, 0xff, 0xff, 0x80])
    #expect(network.contains(try #require(IPAddress("2001:db8:ffff::1"))))
    #expect(!network.contains(try #require(IPAddress("2001:db8:7fff::1"))))
    #expect(!network.contains(try #require(IPAddress("10.0.0.1"))))
    #expect(IPNetwork("0.0.0.0/0")?.contains(try #require(IPAddress("203.0.113.9"))) == true)
    #expect(IPNetwork("192.0.2.7")?.description == "192.0.2.7")
  }

  @Test(arguments: ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "::1/0", "::/129", "10.0.0.0/8/8"])
  func otherNetworksAreRefused(_ text: String) { #expect(IPNetwork(text) == nil) }
}
