import CIsolation
import Glibc
import WherryDocker
import WherryJSON
import WherryModel
import WherrySystem

/// One call of `docker`.
struct DockerProgram {
  let words: [String]
  init(_ words: [String]) { self.words = words }

  /// Docker's own: it could not do what was asked.
  private static let failed: Int32 = 125

  func run() -> Int32 {
    do throws(DockerMisuse) {
      switch try DockerParser.parse(words) {
      case .help:
        Streams.print(DockerText.usage)
        return 0
      case .version:
        Streams.print("Docker version 27.0.0, build wherry (an agent's docker command: `docker --help`)")
        return 0
      case .login(let registry):
        Streams.complain(
          "docker login: nothing to do: images are fetched by the agent with the credentials that the device has for "
            + "\(registry ?? "the registry") (registry_auth in agent.conf)")
        Streams.print("Login Succeeded")
        return 0
      case .run(let run): return try start(run)
      case .logs: return try ask(printsLogs: true)
      case .wait(let names): return try wait(names)
      case .stop, .kill, .remove, .pull, .list, .images, .removeImages, .inspect:
        return try ask()
      }
    } catch {
      Streams.complain(error.description)
      return Self.failed
    }
  }

  private func ask(printsLogs: Bool = false) throws(DockerMisuse) -> Int32 {
    let call = try AgentCall()
    try call.ask(request(environment: []))
    return call.listen(printsLogs: printsLogs)
  }

  /// One after the other; what they end with is printed, and is not this command's own end.
  private func wait(_ names: [String]) throws(DockerMisuse) -> Int32 {
    var code: Int32 = 0
    for name in names {
      let call = try AgentCall()
      try call.ask(["docker": ["wait", .string(name)]])
      let failed = call.listen { answer in
        guard answer["failure"] == nil, let end = answer["exit"]?.integerValue else { return AgentCall.show(answer) }
        Streams.print("\(end)")
        return nil
      }
      if failed != 0 { code = failed }
    }
    return code
  }

  private func request(environment: [String]) -> JSON {
    var buffer = [CChar](repeating: 0, count: 4096)
    let directory = getcwd(&buffer, buffer.count).map { String(cString: $0) } ?? "/"
    return [
      "docker": .array(words.map(JSON.string)), "environment": .array(environment.map(JSON.string)),
      "directory": .string(directory),
    ]
  }

  private func start(_ run: DockerRun) throws(DockerMisuse) -> Int32 {
    var environment: [String] = []
    for file in run.environmentFiles { environment += try Self.variables(in: file) }
    environment += run.environment
    // A name alone stands for the caller's own, where it has one.
    environment = environment.compactMap { line in
      line.contains("=") ? line : getenv(line).map { "\(line)=\(String(cString: $0))" }
    }
    for volume in run.volumes where !volume.isNamed { Self.makeDirectories(volume.source) }
    let request = request(environment: environment)
    guard !run.isDetached else {
      let call = try AgentCall()
      try call.ask(request)
      return call.listen()
    }
    let attended = try AttendedContainer(takesInput: run.takesInput)
    return try attended.run(request)
  }

  /// `NAME=value` or `NAME` on each line.
  private static func variables(in path: String) throws(DockerMisuse) -> [String] {
    guard let bytes = Streams.file(path, maximum: 1 << 20) else {
      throw DockerMisuse("docker run: the file \(path.prefix(200)) of --env-file cannot be read; see that it is there")
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
    return lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }
  }

  /// As Docker does for what is not there; with this user's rights.
  private static func makeDirectories(_ path: String) {
    guard access(path, F_OK) != 0 else { return }
    var partial = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      partial += "/" + part
      mkdir(partial, 0o755)
    }
  }
}

enum Streams {
  static func print(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
    Descriptor.write(Array((text + "\n").utf8), to: descriptor)
  }
  static func complain(_ text: String) { Streams.print(text, to: STDERR_FILENO) }

  static func file(_ path: String, maximum: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return Descriptor.bytes(of: descriptor, maximum: maximum)
  }
}
