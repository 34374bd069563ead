import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryTestSupport
import WherryTransfer

extension HTTPClient: HTTPGetting {
  package func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    do throws(TransferError) {
      let response = try send(HTTPRequest(url: url, headers: headers), maximumBodyBytes: bodyBytesMaximum)
      return HTTPAnswer(
        status: response.status, headers: response.headers, body: response.body,
        isFromElsewhere: response.isFromElsewhere)
    } catch { throw error.failure }
  }
}

/// Debian's docker-registry on a free loopback port, gone with this object.
final class TestRegistry {
  /// `127.0.0.1:PORT`.
  let host: String
  private let directory = TemporaryDirectory()
  private let child: ChildProcess
  private let log: Int32
  private let http = HTTPClient()

  init() throws {
    guard let program = ChildProcess.find("docker-registry") else {
      throw Self.problem("docker-registry is not installed; apt-get install docker-registry")
    }
    let configuration = """
      version: 0.1
      log: {level: info, accesslog: {disabled: true}}
      storage: {filesystem: {rootdirectory: \(directory.file("data"))}}
      http: {addr: "127.0.0.1:0", secret: test}
      """
    TestFile.write(configuration.utf8, to: directory.file("registry.yml"))
    // Opened for both directions, so that neither side waits for the other.
    guard mkfifo(directory.file("log"), 0o600) == 0 else { throw Self.problem("no named pipe could be made") }
    log = open(directory.file("log"), O_RDWR | O_CLOEXEC)
    guard
      let child = ChildProcess(
        program, ["serve", directory.file("registry.yml")], outputPath: directory.file("log"))
    else { throw Self.problem("docker-registry could not be started") }
    self.child = child
    host = try Self.address(from: log)
  }

  deinit { close(log) }

  /// It chooses a port and says which in its log.
  private static func address(from log: Int32) throws -> String {
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      var poll = pollfd(fd: log, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, 60_000) == 1 else { throw problem("docker-registry did not start: \(text)") }
      let count = read(log, &buffer, buffer.count)
      text += String(decoding: buffer[..<max(0, count)], as: UTF8.self)
      if let start = text.firstRange(of: "listening on ")?.upperBound, let end = text[start...].firstIndex(of: "\"") {
        return String(text[start..<end])
      }
    }
  }

  private static func problem(_ message: String) -> Failure { Failure(.internalError, code: "test", message: message) }

  func push(_ blob: [UInt8], to repository: String) throws {
    let begin = try http.send(
      HTTPRequest(method: "POST", url: "http://\(host)/v2/\(repository)/blobs/uploads/", body: []),
      maximumBodyBytes: 10_000)
    guard let location = begin.headers["location"] else { throw Self.problem("upload refused: \(begin.status)") }
    let url = location + (location.contains("?") ? "&" : "?") + "digest=\(SHA256.digest(of: blob))"
    let end = try http.send(
      HTTPRequest(method: "PUT", url: url, headers: [("Content-Type", "application/octet-stream")], body: blob),
      maximumBodyBytes: 10_000)
    guard end.status == 201 else { throw Self.problem("upload of a blob ended with \(end.status)") }
  }

  @discardableResult
  func push(manifest: JSON, type: String, to repository: String, tag: String) throws -> Digest {
    let bytes = manifest.canonicalBytes
    let answer = try http.send(
      HTTPRequest(
        method: "PUT", url: "http://\(host)/v2/\(repository)/manifests/\(tag)", headers: [("Content-Type", type)],
        body: bytes), maximumBodyBytes: 10_000)
    guard answer.status == 201 else {
      throw Self.problem("manifest refused: \(String(decoding: answer.body, as: UTF8.self))")
    }
    return SHA256.digest(of: bytes)
  }

  /// Pushes a whole image and gives its manifest's descriptor as JSON.
  @discardableResult
  func push(image: TestImage, to repository: String, tag: String) throws -> JSON {
    for layer in image.layers { try push(layer.blob, to: repository) }
    try push(image.config.canonicalBytes, to: repository)
    let digest = try push(manifest: image.manifest, type: image.manifestType, to: repository, tag: tag)
    return [
      "mediaType": .string(image.manifestType), "digest": .string(digest.description),
      "size": .integer(Int64(image.manifest.canonicalBytes.count)),
      "platform": ["os": "linux", "architecture": .string(image.architecture)],
    ]
  }
}

/// An image as JSON documents and layers, in OCI's words or Docker's.
struct TestImage {
  var layers: [TestLayer]
  var architecture = "amd64"
  var isDocker = false
  var manifestType: String { isDocker ? MediaType.dockerManifest : MediaType.ociManifest }

  var config: JSON {
    [
      "os": "linux", "architecture": .string(architecture),
      "config": [
        "Entrypoint": ["/serve"], "Cmd": ["--port", "80"], "Env": ["PATH=/bin"], "User": "1000", "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
      ],
      "rootfs": ["type": "layers", "diff_ids": .array(layers.map { .string($0.diffID.description) })],
    ]
  }

  private func layerType(_ layer: TestLayer) -> String {
    switch layer.compression {
    case .none: isDocker ? "application/vnd.docker.image.rootfs.diff.tar" : "application/vnd.oci.image.layer.v1.tar"
    case .gzip:
      isDocker ? "application/vnd.docker.image.rootfs.diff.tar.gzip" : "application/vnd.oci.image.layer.v1.tar+gzip"
    case .zstd: "application/vnd.oci.image.layer.v1.tar+zstd"
    }
  }

  var manifest: JSON {
    let config = config.canonicalBytes
    return [
      "schemaVersion": 2, "mediaType": .string(manifestType),
      "config": [
        "mediaType": .string(
          isDocker
            ? "application/vnd.docker.container.image.v1+json" : "application/vnd.oci.image.config.v1+json"),
        "digest": .string(SHA256.digest(of: config).description), "size": .integer(Int64(config.count)),
      ],
      "layers": .array(
        layers.map {
          [
            "mediaType": .string(layerType($0)), "digest": .string($0.digest.description),
            "size": .integer(Int64($0.blob.count)),
          ]
        }),
    ]
  }
}
