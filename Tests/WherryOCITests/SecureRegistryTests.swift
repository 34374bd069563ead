import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// Debian's docker-registry over TLS, with a password file. Gone with this object.
private final class SecureRegistry {
  /// `127.0.0.1:PORT`.
  let host: String
  let http: HTTPClient
  private let directory: TemporaryDirectory
  private let child: ChildProcess
  private let log: Int32

  static let user = "kiosk"
  static let password = "correct horse"
  /// bcrypt of the password, as `htpasswd -B` writes it; that program is not installed everywhere.
  private static let passwordLine = "kiosk:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"

  init(_ program: String) throws {
    let directory = TemporaryDirectory()
    self.directory = directory
    let authority = try CertificateAuthority.create(commonName: "test registry", days: 1)
    let server = try authority.issueServer(names: ["127.0.0.1"], days: 1)
    for (name, text) in [
      ("crt", server.certificatePEM), ("key", server.keyPEM), ("htpasswd", Self.passwordLine),
      (
        "registry.yml",
        """
        version: 0.1
        log: {level: info, accesslog: {disabled: true}}
        storage: {filesystem: {rootdirectory: \(directory.file("data"))}}
        http:
          addr: "127.0.0.1:0"
          secret: test
          tls: {certificate: \(directory.file("crt")), key: \(directory.file("key"))}
        auth: {htpasswd: {realm: test, path: \(directory.file("htpasswd"))}}
        """
      ),
    ] {
      TestFile.write(text.utf8, to: directory.file(name))
    }
    var configuration = HTTPClientConfiguration()
    configuration.caPEM = authority.certificatePEM
    http = HTTPClient(configuration: configuration)
    // Opened for both directions, so that neither side waits for the other.
    let path = directory.file("log")
    try #require(mkfifo(path, 0o600) == 0)
    let log = open(path, O_RDWR | O_CLOEXEC)
    self.log = log
    child = try #require(ChildProcess(program, ["serve", directory.file("registry.yml")], outputPath: path))
    host = try Self.address(from: log)
  }

  deinit { close(log) }

  /// It chooses a port and says which in its log: `listening on 127.0.0.1:44707, tls`.
  private static func address(from log: Int32) throws -> String {
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      var waiting = pollfd(fd: log, events: Int16(POLLIN), revents: 0)
      try #require(poll(&waiting, 1, 60_000) == 1, "docker-registry did not start: \(text)")
      let count = read(log, &buffer, buffer.count)
      text += String(decoding: buffer[..<max(0, count)], as: UTF8.self)
      if let start = text.firstRange(of: "listening on ")?.upperBound, let end = text[start...].firstIndex(of: ",") {
        return String(text[start..<end])
      }
    }
  }

  static var credential: RegistryCredential? { RegistryCredential(user: user, secret: password) }

  private func send(_ method: String, _ url: String, type: String? = nil, body: [UInt8]) throws -> HTTPResponse {
    let authorization = try #require(Self.credential).basicAuthorization
    let headers = [("Authorization", authorization)] + (type.map { [("Content-Type", $0)] } ?? [])
    return try http.send(
      HTTPRequest(method: method, url: url, headers: headers, body: body), maximumBodyBytes: 10_000)
  }

  func push(_ image: TestImage, to repository: String, tag: String) throws {
    let base = "https://\(host)/v2/\(repository)"
    for blob in image.layers.map(\.blob) + [image.config.canonicalBytes] {
      let begin = try send("POST", base + "/blobs/uploads/", body: [])
      let location = try #require(begin.headers["location"], "upload refused with \(begin.status)")
      let url = location + (location.contains("?") ? "&" : "?") + "digest=\(SHA256.digest(of: blob))"
      try #require(try send("PUT", url, type: "application/octet-stream", body: blob).status == 201)
    }
    let end = try send(
      "PUT", base + "/manifests/\(tag)", type: image.manifestType, body: image.manifest.canonicalBytes)
    try #require(end.status == 201)
  }
}

/// The client against a registry as people run it.
@Suite struct SecureRegistryTests {
  private static let amd64 = Platform(["os": "linux", "architecture": "amd64"])

  @Test func aPasswordOpensATLSRegistryAndNothingElseDoes() throws {
    guard let program = ChildProcess.find("docker-registry") else {
      return print("SKIPPED the registry with TLS and passwords: apt-get install docker-registry")
    }
    let registry = try SecureRegistry(program)
    var tar = TarBuilder()
    tar.file("serve", "#!/bin/sh\n", mode: 0o755)
    let image = TestImage(layers: [try TestLayer(tar.archive, .gzip)])
    try registry.push(image, to: "team/web", tag: "1")
    let host = try #require(RegistryHost(registry.host))
    func resolve(_ credential: RegistryCredential?) throws(Failure) -> PlannedImage {
      let known = credential.map { [host: $0] } ?? [:]
      return try ImageResolver(http: registry.http, access: RegistryAccess(credentials: KnownCredentials(known)))
        .resolve("\(host)/team/web:1", platform: Self.amd64)
    }
    let planned = try resolve(SecureRegistry.credential)
    #expect(planned.registry == "https://\(registry.host)")
    #expect(planned.manifest == SHA256.digest(of: image.manifest.canonicalBytes))
    #expect(planned.layers.map(\.digest) == image.layers.map(\.digest))
    for wrong in [nil, RegistryCredential(user: SecureRegistry.user, secret: "wrong")] {
      let failure = #expect(throws: Failure.self) { try resolve(wrong) }
      #expect(failure?.code == "image.unauthorized")
    }
    // Without the authority's certificate nobody gets as far as the password.
    let failure = #expect(throws: Failure.self) {
      try ImageResolver(http: HTTPClient()).resolve("\(host)/team/web:1", platform: Self.amd64)
    }
    #expect(failure?.code == "download.untrusted")
  }
}
