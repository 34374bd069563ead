import CIsolation
import Glibc
import WherryDocker
import WherryJSON
import WherryModel
import WherrySystem

/// One connection to the agent.
final class AgentCall {
  let descriptor: Int32
  private var pending: [UInt8] = []

  /// Beside this program, wherever the component sees it: `…/docker/bin/docker` and `…/docker/socket`.
  static let socketPath: String = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let path = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let parts = path.split(separator: "/").dropLast(2)
    return "/" + parts.joined(separator: "/") + "/socket"
  }()

  init() throws(DockerMisuse) {
    descriptor = Self.connect()
    guard descriptor >= 0 else {
      throw DockerMisuse(
        "docker: no agent answers at \(Self.socketPath): \(String(cString: strerror(errno))); it works within "
          + "components whose recipe lists docker: artifacts or depends on aws.greengrass.DockerApplicationManager")
    }
  }

  /// An agent that came back.
  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  static func connect() -> Int32 {
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(socketPath.utf8)
    guard socket >= 0, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return -1 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result == 0 { return socket }
    let error = errno
    close(socket)
    errno = error
    return -1
  }

  func ask(_ request: JSON, with descriptors: [Int32] = []) throws(DockerMisuse) {
    let bytes = request.canonicalBytes + [UInt8(ascii: "\n")]
    // The descriptors come with the first byte; the rest may take several calls.
    let count = wherry_send_with(descriptor, bytes, bytes.count, descriptors, UInt32(descriptors.count))
    guard count > 0, count == bytes.count || Descriptor.write(Array(bytes[count...]), to: descriptor) == 0 else {
      throw DockerMisuse("docker: the agent cannot be asked: \(String(cString: strerror(errno))); try again")
    }
  }

  /// The answers that are there; nil = the agent ended the connection. Waits for the next bytes.
  func answers() -> [JSON]? {
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(descriptor, &buffer, buffer.count)
    if count < 0, errno == EINTR || errno == EAGAIN { return [] }
    guard count > 0 else { return nil }
    pending += buffer[..<count]
    var answers: [JSON] = []
    while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
      let line = Array(pending[..<end])
      pending.removeSubrange(...end)
      if let json = try? JSON(parsing: line, limits: JSONLimits(bytesMaximum: 8 << 20)) { answers.append(json) }
    }
    return answers
  }

  /// All answers until the last; `show` prints one and says what exit code is in it.
  func listen(_ show: (JSON) -> Int32?) -> Int32 {
    var code: Int32 = 0
    while let answers = answers() {
      for answer in answers { code = show(answer) ?? code }
    }
    return code
  }

  func listen(printsLogs: Bool = false) -> Int32 { listen { Self.show($0, printsLogs: printsLogs) } }

  /// - Returns: the exit code that it says.
  static func show(_ answer: JSON, printsLogs: Bool = false) -> Int32? {
    for line in answer["lines"]?.arrayValue ?? [] {
      let text = line.stringValue ?? ""
      if printsLogs { log(text) } else { Streams.print(text) }
    }
    if let failure = answer["failure"] {
      let remedy = failure["remedy"]?.stringValue ?? ""
      let message = failure["message"]?.stringValue ?? "it failed"
      Streams.complain("docker: \(message)" + (remedy.isEmpty ? "" : "; \(remedy)"))
      return Int32(clamping: answer["exit"]?.integerValue ?? 1)
    }
    return answer["exit"]?.integerValue.map { Int32(clamping: $0) }
  }

  private static func log(_ text: String) {
    guard let line = LogLine(text) else { return Streams.print(text) }
    Descriptor.write(Array(line.written.utf8), to: line.isError ? STDERR_FILENO : STDOUT_FILENO)
  }
}
