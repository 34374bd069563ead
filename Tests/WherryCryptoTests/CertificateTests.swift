import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@Suite struct CertificateTests {
  private let directory = TemporaryDirectory()

  private func file(_ name: String, _ text: String) -> String {
    TestFile.write(Array(text.utf8), to: directory.file(name))
    return directory.file(name)
  }

  /// What OpenSSL's own command says: an opinion of code that is not ours.
  private func openssl(_ arguments: String...) -> (code: Int32, output: String)? {
    guard let program = ChildProcess.find("openssl") else {
      print("not compared with the openssl command: it is not installed")
      return nil
    }
    return ChildProcess.run(program, arguments)
  }

  @Test func `openssl accepts a server certificate for its names and only for them`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 3650)
    let root = file("ca.crt", authority.certificatePEM)
    let names = ["inventory.example.com", "*.edge.example.com", "127.0.0.1", "::1"]
    let leaf = file("server.crt", try authority.issueServer(names: names, days: 30).certificatePEM)
    let verify = { (option: String, name: String) in
      self.openssl("verify", "-x509_strict", "-CAfile", root, "-purpose", "sslserver", option, name, leaf)
    }
    for (option, name) in [
      ("-verify_hostname", "inventory.example.com"), ("-verify_hostname", "a.edge.example.com"),
      ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1"),
    ] {
      guard let result = verify(option, name) else { return }
      #expect(result.code == 0, "\(name): \(result.output)")
    }
    #expect(verify("-verify_hostname", "other.example.com")?.code != 0)
    #expect(verify("-verify_ip", "127.0.0.2")?.code != 0)
    let asClient = openssl("verify", "-CAfile", root, "-purpose", "sslclient", leaf)
    #expect(asClient?.code != 0)
  }

  @Test func `openssl accepts a client certificate made from a request`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 3650)
    let key = try PrivateKey.generate()
    let request = try key.certificateRequest(commonName: "kiosk-1")
    let certificate = try authority.sign(request: request, expectedCommonName: "kiosk-1", days: 30)
    #expect(Certificate.commonName(pem: certificate) == "kiosk-1")
    let root = file("ca.crt", authority.certificatePEM)
    let leaf = file("kiosk.crt", certificate)
    guard let result = openssl("verify", "-x509_strict", "-CAfile", root, "-purpose", "sslclient", leaf) else { return }
    #expect(result.code == 0, "\(result.output)")
    #expect(openssl("verify", "-CAfile", root, "-purpose", "sslserver", leaf)?.code != 0)
    let text = openssl("x509", "-in", leaf, "-noout", "-text")?.output ?? ""
    for expected in [
      "CA:FALSE", "Digital Signature", "TLS Web Client Authentication", "X509v3 Subject Key Identifier",
      "X509v3 Authority Key Identifier", "NIST CURVE: P-256", "Version: 3",
    ] {
      #expect(text.contains(expected), "\(expected) is missing in \(text)")
    }
  }

  @Test func `the authority says what it may do and openssl can read its key`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 3650)
    let text = openssl("x509", "-in", file("ca.crt", authority.certificatePEM), "-noout", "-text")?.output
    guard let text else { return }
    for expected in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "X509v3 Basic Constraints: critical"] {
      #expect(text.contains(expected), "\(expected) is missing in \(text)")
    }
    #expect(openssl("pkey", "-in", file("ca.key", authority.keyPEM), "-noout")?.code == 0)
  }

  @Test func `an authority read back from PEM signs certificates of the same chain`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 3650)
    let again = try CertificateAuthority(certificatePEM: authority.certificatePEM, keyPEM: authority.keyPEM)
    let leaf = file("leaf.crt", try again.issueClient(commonName: "kiosk-2", days: 1).certificatePEM)
    let result = openssl("verify", "-CAfile", file("ca.crt", authority.certificatePEM), leaf)
    #expect(result == nil || result?.code == 0)
  }

  @Test func `a certificate of another authority does not verify`() throws {
    let root = file("ca.crt", try CertificateAuthority.create(commonName: "fleet", days: 10).certificatePEM)
    let other = try CertificateAuthority.create(commonName: "fleet", days: 10)
    let leaf = file("leaf.crt", try other.issueClient(commonName: "kiosk-1", days: 1).certificatePEM)
    #expect(openssl("verify", "-CAfile", root, leaf)?.code != 0)
  }

  @Test func `no certificate outlives its authority, and each has its own serial`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 2)
    let first = try authority.issueClient(commonName: "a", days: 100).certificatePEM
    let second = try authority.issueClient(commonName: "a", days: 1).certificatePEM
    #expect(Certificate.notAfter(pem: first) == Certificate.notAfter(pem: authority.certificatePEM))
    let end = try #require(Certificate.notAfter(pem: second))
    let start = try #require(Certificate.notBefore(pem: second))
    #expect((86_400_000 + 3_595_000...86_400_000 + 3_605_000).contains(end.milliseconds(since: start)))
    #expect(Certificate.serial(pem: first) != Certificate.serial(pem: second))
    #expect(Certificate.serial(pem: first)?.count == 32)
    #expect(Certificate.fingerprint(pem: first) != Certificate.fingerprint(pem: second))
  }

  @Test func `the common name is read from DER, and junk has none`() throws {
    let authority = try CertificateAuthority.create(commonName: "fleet", days: 2)
    let pem = try authority.issueClient(commonName: "kiosk-1", days: 1).certificatePEM
    let der = try #require(Certificate.der(pem: pem))
    #expect(Certificate.commonName(der: der) == "kiosk-1")
    #expect(Certificate.commonName(der: der + [0]) == nil)
    #expect(Certificate.commonName(der: Array(der.dropLast())) == nil)
    #expect(Certificate.commonName(der: []) == nil)
    #expect(Certificate.notAfter(pem: "no certificate") == nil)
  }
}
