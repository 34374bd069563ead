import Glibc

/// A program started by a test. It is killed when this object goes, whatever the test did.
package final class ChildProcess {
  package private(set) var processID: pid_t
  private var status: Int32?

  /// Finds `name` on `PATH` and in the usual administrators' directories; nil when it is not installed.
  package static func find(_ name: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    return (path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"])
      .map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }

  /// Standard output and standard error go to `outputPath`, which is added to. No signal is blocked or ignored in it,
  /// whatever the test runner's threads do.
  /// - Parameter environment: replaces the test's own when given.
  /// - Parameter hasOwnGroup: it leads a process group, as a command that a shell starts in a terminal does.
  package init?(
    _ program: String, _ arguments: [String], inputPath: String = "/dev/null", outputPath: String = "/dev/null",
    environment: [String: String]? = nil, hasOwnGroup: Bool = false
  ) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var vector: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { vector.forEach { free($0) } }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (hasOwnGroup ? POSIX_SPAWN_SETPGROUP : 0)
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var variables: [UnsafeMutablePointer<CChar>?] = (environment ?? [:]).map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { variables.forEach { free($0) } }
    processID = 0
    let status = variables.withUnsafeMutableBufferPointer { own in
      posix_spawn(&processID, program, &actions, &attributes, &vector, environment == nil ? environ : own.baseAddress)
    }
    guard status == 0 else { return nil }
  }

  package func signal(_ number: Int32) {
    if status == nil { _ = Glibc.kill(processID, number) }
  }

  /// The exit code, or 128 + the signal's number. Blocks until the end.
  @discardableResult
  package func wait() -> Int32 {
    if let status { return status }
    var raw: Int32 = 0
    while waitpid(processID, &raw, 0) < 0, errno == EINTR {}
    let code = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
    status = code
    return code
  }

  /// Runs a program to its end and gives its exit code and what it printed.
  package static func run(_ program: String, _ arguments: [String]) -> (code: Int32, output: String)? {
    let directory = TemporaryDirectory()
    let path = directory.file("output")
    guard let child = ChildProcess(program, arguments, outputPath: path) else { return nil }
    let code = child.wait()
    return (code, String(decoding: TestFile.read(path) ?? [], as: UTF8.self))
  }

  deinit {
    signal(SIGKILL)
    wait()
  }
}
