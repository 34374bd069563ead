import Glibc
import WherryCrypto
import WherryMQTT
import WherryTestSupport

/// A mosquitto with the settings that the inventory service gives its own: mutual TLS, the certificate's name as user
/// name, one ACL pattern. It listens on a free loopback port and can be killed and started again on the same one.
final class TestBroker {
  static let service = "inventory"

  let directory = TemporaryDirectory()
  let port: Int
  private let program: String
  private let authority: CertificateAuthority
  private var child: ChildProcess?

  /// nil, with the reason printed, where mosquitto is not installed.
  init?(isStarted: Bool = true, serverNames: [String] = ["127.0.0.1", "localhost"]) throws {
    guard let program = ChildProcess.find("mosquitto") else {
      print("not tested against a real broker: mosquitto is not installed (apt-get install mosquitto)")
      return nil
    }
    self.program = program
    port = Self.freePort()
    authority = try CertificateAuthority.create(commonName: "test fleet", days: 10)
    let server = try authority.issueServer(names: serverNames, days: 1)
    write("ca.crt", authority.certificatePEM)
    write("server.crt", server.certificatePEM)
    write("server.key", server.keyPEM)
    write(
      "acl",
      """
      user \(Self.service)
      topic readwrite wherry/v1/devices/#

      pattern readwrite wherry/v1/devices/%u/#

      """)
    write(
      "mosquitto.conf",
      """
      \(getuid() == 0 ? "user root" : "")
      listener \(port) 127.0.0.1
      cafile \(directory.file("ca.crt"))
      certfile \(directory.file("server.crt"))
      keyfile \(directory.file("server.key"))
      require_certificate true
      use_identity_as_username true
      acl_file \(directory.file("acl"))
      set_tcp_nodelay true
      max_queued_messages 0
      persistence false

      """)
    if isStarted { start() }
  }

  /// Returns when it listens.
  func start() {
    child = ChildProcess(program, ["-c", directory.file("mosquitto.conf")], outputPath: directory.file("log"))
    let limit = Peer.now().advanced(bySeconds: 120)
    while !Listener.answers(port: port) {
      precondition(Peer.now() < limit, "mosquitto does not start: \(log)")
      poll(nil, 0, 2)
    }
  }

  /// Without a word to anybody.
  func kill() { child = nil }

  /// Alive, but silent.
  func freeze() { child?.signal(SIGSTOP) }

  var log: String { String(decoding: TestFile.read(directory.file("log")) ?? [], as: UTF8.self) }

  /// A configuration with fast reconnects for a client with its own certificate.
  func configuration(_ name: String, host: String = "127.0.0.1") throws -> MQTTConfiguration {
    let (certificate, key) = try authority.issueClient(commonName: name, days: 1)
    write("\(name).crt", certificate)
    write("\(name).key", key)
    var configuration = MQTTConfiguration(
      host: host, port: port, clientID: name, caFile: directory.file("ca.crt"),
      certificateFile: directory.file("\(name).crt"), keyFile: directory.file("\(name).key"))
    configuration.reconnectMinimumMilliseconds = 20
    configuration.reconnectMaximumMilliseconds = 200
    return configuration
  }

  func peer(_ name: String) throws -> Peer { Peer(try MQTTTransport(configuration: configuration(name))) }

  func write(_ name: String, _ text: String) { TestFile.write(Array(text.utf8), to: directory.file(name)) }

  private static func freePort() -> Int {
    let listener = Listener()
    return listener.port
  }
}

/// A TCP listener on a free loopback port that does nothing by itself.
final class Listener {
  let descriptor: Int32
  let port: Int

  private static func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    address.sin_port = UInt16(port).bigEndian
    return address
  }

  static func answers(port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = loopback(port: port)
    return withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  init() {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.loopback(port: 0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) | listen(descriptor, 8) | getsockname(descriptor, $0, &size)
      }
    }
    precondition(code == 0, "no free loopback port")
    self.descriptor = descriptor
    port = Int(UInt16(bigEndian: address.sin_port))
  }

  /// Takes one connection, which must be there, and resets it.
  func resetOne() {
    let connection = accept(descriptor, nil, nil)
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close(connection)
  }

  deinit { close(descriptor) }
}
