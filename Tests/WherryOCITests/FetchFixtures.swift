import Glibc
import WherryCrypto
import WherryModel
import WherryTestSupport

enum TestDirectory {
  static func names(_ path: String) throws -> [String] {
    guard let stream = opendir(path) else {
      throw Failure(.internalError, code: "test", message: "\(path) cannot be listed")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

/// A tmpfs of a few megabytes, unmounted with this object.
final class SmallDisk {
  let path: String

  /// nil when this process may not mount.
  init?(_ path: String, mebibytes: Int) {
    mkdir(path, 0o755)
    self.path = path
    guard geteuid() == 0, mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else { return nil }
  }

  deinit { umount2(path, Int32(MNT_DETACH)) }
}

/// Python's file server over TLS with one file, which wants a client certificate. (`openssl s_server` takes no names
/// with a colon.)
final class TLSFileServer {
  let port: String
  let authorityPEM: String
  let clientCertificatePEM: String
  let clientKeyPEM: String
  private let child: ChildProcess
  private let output: Int32

  init(directory: TemporaryDirectory, content: [UInt8], path: String) throws {
    let authority = try CertificateAuthority.create(commonName: "test fleet", days: 1)
    let server = try authority.issueServer(names: ["127.0.0.1"], days: 1)
    let client = try authority.issueClient(commonName: "kiosk-1", days: 1)
    authorityPEM = authority.certificatePEM
    (clientCertificatePEM, clientKeyPEM) = (client.certificatePEM, client.keyPEM)
    let root = directory.file("www")
    for end in path.indices where path[end] == "/" { Self.makeDirectories(root, String(path[..<end])) }
    TestFile.write(content, to: root + "/" + path)
    for (name, text) in [("ca", authority.certificatePEM), ("crt", server.certificatePEM), ("key", server.keyPEM)] {
      TestFile.write(text.utf8, to: directory.file("tls.\(name)"))
    }
    mkfifo(directory.file("tls.log"), 0o600)
    output = open(directory.file("tls.log"), O_RDWR | O_CLOEXEC)
    guard let python = ChildProcess.find("python3"),
      let child = ChildProcess(
        python, ["-c", Self.script, directory.path], outputPath: directory.file("tls.log"))
    else { throw Failure(.internalError, code: "test", message: "python3 is not installed; apt-get install python3") }
    self.child = child
    port = try Self.port(in: output)
  }

  private static let script = """
    import http.server, os, ssl, sys
    os.chdir(sys.argv[1] + "/www")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("../tls.crt", "../tls.key")
    context.load_verify_locations("../tls.ca")
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("ACCEPT 127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
    """

  deinit { close(output) }

  private static func makeDirectories(_ root: String, _ path: String) {
    mkdir(root, 0o755)
    mkdir(root + "/" + path, 0o755)
  }

  private static func port(in output: Int32) throws -> String {
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 60_000) == 1 else {
        throw Failure(.internalError, code: "test", message: "python3 did not start: \(text)")
      }
      let count = read(output, &buffer, buffer.count)
      text += String(decoding: buffer[..<max(0, count)], as: UTF8.self)
      if let start = text.firstRange(of: "ACCEPT 127.0.0.1:")?.upperBound, let end = text[start...].firstIndex(of: "\n")
      {
        return String(text[start..<end])
      }
    }
  }
}
