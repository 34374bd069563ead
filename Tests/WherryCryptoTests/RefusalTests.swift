import Testing
import WherryCrypto

/// Requests, keys and names that the authority must not accept.
@Suite struct RefusalTests {
  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test func `a request for another name is refused`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let request = try PrivateKey.generate().certificateRequest(commonName: "kiosk-2")
    let text = message { _ = try authority.sign(request: request, expectedCommonName: "kiosk-1", days: 1) }
    #expect(text == "the certificate request is not for \"kiosk-1\"")
  }

  @Test func `a request changed after it was signed is refused`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let request = try PrivateKey.generate().certificateRequest(commonName: "kiosk-1")
    // The last line holds the signature's end; letters swapped there keep the PEM and DER well-formed.
    var lines = request.split(separator: "\n").map(String.init)
    let index = lines.count - 3
    lines[index] = String(lines[index].map { $0 == "A" ? "B" : $0 == "g" ? "h" : $0 == "z" ? "y" : $0 })
    let changed = lines.joined(separator: "\n") + "\n"
    try #require(changed != request)
    let text = message { _ = try authority.sign(request: changed, expectedCommonName: "kiosk-1", days: 1) }
    #expect(text.hasPrefix("the certificate request "))
  }

  @Test func `junk, an empty text and a megabyte of junk are no requests`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    for junk in ["", "junk", String(repeating: "A", count: 2 << 20), "-----BEGIN CERTIFICATE REQUEST-----\n"] {
      let text = message { _ = try authority.sign(request: junk, expectedCommonName: "kiosk-1", days: 1) }
      #expect(text.hasPrefix("the certificate request is not a PEM request"))
    }
  }

  @Test(arguments: [
    "", "a,DNS:evil.example.com", "a b", "-a", "a-", "a..b", "*", "a.*.b", "dns:x", String(repeating: "a", count: 64),
  ]) func `a server name that is neither DNS name nor address is refused`(name: String) throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let text = message { _ = try authority.issueServer(names: ["fine", name], days: 1) }
    #expect(text == "\"\(name)\" is not a DNS name or IP address")
  }

  @Test func `a key of another authority is refused`() throws {
    let first = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let second = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let text = message { _ = try CertificateAuthority(certificatePEM: first.certificatePEM, keyPEM: second.keyPEM) }
    #expect(text.hasPrefix("the authority's key does not belong to its certificate"))
  }

  @Test func `a leaf certificate is no authority`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let (certificate, key) = try authority.issueClient(commonName: "kiosk-1", days: 1)
    let text = message { _ = try CertificateAuthority(certificatePEM: certificate, keyPEM: key) }
    #expect(text == "the authority's certificate may not sign certificates")
  }

  @Test func `an empty or long common name and a wrong duration are refused`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 10)
    #expect(throws: CryptoError.self) { try authority.issueClient(commonName: "", days: 1) }
    let long = String(repeating: "a", count: 65)
    #expect(throws: CryptoError.self) { try authority.issueClient(commonName: long, days: 1) }
    #expect(throws: CryptoError.self) { try authority.issueClient(commonName: "a", days: 0) }
  }

  @Test func `an Ed25519 key is no P-256 key`() throws {
    let pem = """
      -----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
      -----END PRIVATE KEY-----
      """
    #expect(message { _ = try PrivateKey(pem: pem) } == "the private key is not a P-256 key")
  }
}
