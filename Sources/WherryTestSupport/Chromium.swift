import Glibc
import WherryJSON

/// A headless Chromium, driven by the DevTools protocol through a pipe: JSON messages, each ended by a zero byte.
/// Blocking; owned by one thread.
package final class Chromium {
  package struct Problem: Error, CustomStringConvertible {
    package let description: String
  }

  package static let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
    .map { $0 as String }.first { TestFile.exists($0) }

  private static let answerMilliseconds: Int32 = 20_000
  private let process: pid_t
  private let input: Int32
  private let output: Int32
  private let profile = TemporaryDirectory()
  private var received: [UInt8] = []
  private var lastID: Int64 = 0
  private var session = ""

  package init() throws {
    guard let path = Self.path else { throw Problem(description: "chromium is not installed") }
    let commands = try Self.pipe()
    let answers = try Self.pipe()
    (input, output) = (commands.write, answers.read)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, commands.read, 3)
    posix_spawn_file_actions_adddup2(&actions, answers.write, 4)
    let arguments = [
      path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe",
      "--ignore-certificate-errors", "--user-data-dir=\(profile.path)", "--window-size=1280,1000", "about:blank",
    ]
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { pointers.forEach { free($0) } }
    var started: pid_t = 0
    let status = posix_spawn(&started, path, &actions, nil, &pointers, environ)
    close(commands.read)
    close(answers.write)
    process = started
    guard status == 0 else {
      throw Problem(description: "\(path) does not start: \(String(cString: strerror(status)))")
    }
    let target = try call("Target.createTarget", ["url": "about:blank"])
    let attached = try call(
      "Target.attachToTarget", ["targetId": target["targetId"] ?? .null, "flatten": true])
    session = attached["sessionId"]?.stringValue ?? ""
  }

  deinit {
    close(input)
    close(output)
    kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
  }

  /// High descriptors, so that 3 and 4 are free in the child.
  private static func pipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw Problem(description: "no pipe") }
    let high = ends.map { end in
      defer { close(end) }
      return fcntl(end, F_DUPFD_CLOEXEC, 32)
    }
    return (high[0], high[1])
  }

  // MARK: - Pages

  package func open(_ url: String) throws { _ = try call("Page.navigate", ["url": .string(url)]) }

  package func evaluate(_ expression: String) throws -> JSON? {
    let answer = try call("Runtime.evaluate", ["expression": .string(expression), "returnByValue": true])
    return answer["result"]?["value"]
  }

  /// Opens the dashboard and logs in until its page follows the fleet. A browser gives a page up when an interface
  /// comes or goes on the machine, as other tests make them do; then it is opened again, as a person would.
  package func logIn(to url: String, token: String) throws {
    let interrupted = "document.getElementById('main-frame-error')"
    let input = "document.querySelector('input[name=token]')"
    let live = "document.getElementById('live')?.textContent === 'live'"
    for _ in 0..<10 {
      try open(url)
      // A page whose script was given up says nothing more: then it is opened again, too.
      guard try becomes("\(interrupted) || \(input) || \(live)") else { continue }
      if try holds(live) { return }
      if try holds(interrupted) { continue }
      _ = try evaluate("\(input).value = '\(token)'; document.querySelector('button').click()")
      if try becomes("\(interrupted) || \(live)"), try holds(live) { return }
    }
    throw Problem(description: "\(url) could not be opened ten times in a row")
  }

  private func becomes(_ expression: String) throws -> Bool {
    for _ in 0..<500 {
      if try holds(expression) { return true }
      poll(nil, 0, 15)
    }
    return false
  }

  private func holds(_ expression: String) throws -> Bool {
    try evaluate("Boolean(\(expression))")?.boolValue == true
  }

  /// Looks until the page says so; what it shows instead is in the error.
  package func wait(for expression: String) throws {
    for _ in 0..<4_000 {
      if try holds(expression) { return }
      poll(nil, 0, 15)
    }
    let shown = try evaluate("document.body.innerText")?.stringValue ?? ""
    throw Problem(description: "the page never had \(expression); it shows: \(shown)")
  }

  // MARK: - Protocol

  private func call(_ method: String, _ parameters: JSON) throws -> JSON {
    lastID += 1
    var message: JSON = ["id": .integer(lastID), "method": .string(method), "params": parameters]
    if !session.isEmpty { message["sessionId"] = .string(session) }
    let bytes = message.canonicalBytes + [0]
    guard write(input, bytes, bytes.count) == bytes.count else { throw Problem(description: "chromium went away") }
    while true {
      let answer = try next()
      guard answer["id"]?.integerValue == lastID else { continue }
      if let error = answer["error"] { throw Problem(description: "\(method): \(error.canonical)") }
      return answer["result"] ?? .null
    }
  }

  private func next() throws -> JSON {
    while true {
      if let end = received.firstIndex(of: 0) {
        let message = Array(received[..<end])
        received.removeFirst(end + 1)
        return try JSON(parsing: message, limits: JSONLimits(bytesMaximum: 64 << 20))
      }
      var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, Self.answerMilliseconds) > 0 else { throw Problem(description: "chromium is silent") }
      var chunk = [UInt8](repeating: 0, count: 65_536)
      let count = read(output, &chunk, chunk.count)
      guard count > 0 else { throw Problem(description: "chromium went away") }
      received += chunk[..<count]
    }
  }
}
