import Testing
import WherryModel

@Suite struct EgressRuleTests {
  @Test(arguments: [
    ("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.7", "192.0.2.7"), ("192.0.2.7/32:443", "192.0.2.7:443"),
    ("10.1.0.0/16:53/UDP", "10.1.0.0/16:53/udp"), ("*", "*"), ("*:443/tcp", "*:443/tcp"), ("0.0.0.0/0", "0.0.0.0/0"),
    ("::/0", "::/0"), ("2001:DB8::/32", "2001:db8::/32"), ("[2001:db8::/32]:443/tcp", "[2001:db8::/32]:443/tcp"),
    ("[fd00::1]:53", "[fd00::1]:53"), ("2001:db8::1/udp", "2001:db8::1/udp"), ("[fd00::1]", "fd00::1"),
    ("10.0.0.0/8/tcp", "10.0.0.0/8/tcp"),
  ])
  func isReadAndWrittenTheSameWay(_ text: String, _ canonical: String) throws {
    let rule = try #require(EgressRule(text))
    #expect(rule.description == canonical)
    #expect(EgressRule(canonical) == rule)
  }

  @Test(arguments: [
    "", ":", "/", "*:0", "*:65536", "*:", "10.0.0.1/8", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.256",
    "010.0.0.1", "1.2.3.4.5", "example.com:443", "2001:db8::1/32", "[2001:db8::1]443",
    "[10.0.0.1]:1", "[fd00::1", "fd00::1]:1", "[fd00::1]:", "[*]:1", "fd00::/129", "10.0.0.0/8:443/icmp", "10.0.0.0//8",
    "*/8", "+1.2.3.4",
  ])
  func nothingElseIs(_ text: String) { #expect(EgressRule(text) == nil) }
}
