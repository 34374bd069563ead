import Glibc
import WherryIsolation
import WherryJSON
import WherryModel
import WherrySystem

struct Command {
  let runtime: BundleRuntime

  private typealias Misuse = Options.Misuse

  func run(_ verb: String, _ arguments: [String]) throws -> Int32 {
    switch verb {
    case "create": try create(arguments, andStart: false)
    case "run": return try create(arguments, andStart: true)
    case "start": try runtime.start(try id(arguments))
    case "state": say(try runtime.state(try id(arguments)))
    case "kill": try kill(arguments)
    case "delete":
      let options = try Options(arguments, taking: [], flags: [["--force", "-f"]])
      try runtime.delete(try Self.id(in: options), force: options.has("--force"))
    case "exec": return try execute(arguments)
    case "pause": try runtime.freeze(try id(arguments), true)
    case "resume": try runtime.freeze(try id(arguments), false)
    case "ps": try processes(arguments)
    case "update": try update(arguments)
    case "list": try list(arguments)
    case "features": say(Features.json)
    case "spec": try Specification.write(arguments)
    default: throw Misuse(description: "the command \(verb) is not known")
    }
    return 0
  }

  private func say(_ json: JSON) { FileHandle.standardOutput.write(json.canonical + "\n") }

  private static func id(in options: Options) throws -> String {
    guard let id = options.words.first, options.words.count == 1 else {
      throw Misuse(description: "the ID of one container is needed")
    }
    return id
  }

  private func id(_ arguments: [String]) throws -> String {
    try Self.id(in: try Options(arguments, taking: [], flags: []))
  }

  // MARK: - Making

  @discardableResult
  private func create(_ arguments: [String], andStart: Bool) throws -> Int32 {
    let options = try Options(
      arguments,
      taking: [["--bundle", "-b"], ["--pid-file"], ["--console-socket"], ["--preserve-fds"]],
      flags: [["--no-pivot"], ["--no-new-keyring"], ["--detach", "-d"], ["--keep"], ["--no-subreaper"]])
    let id = try Self.id(in: options)
    if let count = options["--preserve-fds"], count != "0" {
      throw Misuse(description: "--preserve-fds \(count) is not supported: only 0 to 2 are passed on")
    }
    guard !options.has("--no-pivot") else {
      throw Misuse(description: "--no-pivot is not supported: the root is always changed with pivot_root")
    }
    var request = BundleRequest(id: id)
    request.keepsKeyring = options.has("--no-new-keyring")
    request.pidFile = options["--pid-file"]
    request.consoleSocket = options["--console-socket"]
    let isAttached = andStart && !options.has("--detach")
    let terminal = isAttached && request.consoleSocket == nil ? try OwnTerminal() : nil
    if let terminal { request.consoleSocket = terminal.path }
    let signals = isAttached ? SignalWatch(hasChildren: true) : nil
    let pid = try runtime.create(request, bundle: options["--bundle"] ?? ".")
    guard andStart else { return 0 }
    do { try runtime.start(id) } catch {
      try? runtime.delete(id, force: true)
      throw error
    }
    guard let signals else { return 0 }
    let code = Attendant(pid: pid, terminal: terminal, signals: signals).wait()
    if !options.has("--keep") { try runtime.delete(id, force: true) }
    return code
  }

  private func execute(_ arguments: [String]) throws -> Int32 {
    let options = try Options(
      arguments,
      taking: [
        ["--process", "-p"], ["--pid-file"], ["--console-socket"], ["--cwd"], ["--env", "-e"], ["--user", "-u"],
        ["--preserve-fds"], ["--cap", "-c"],
      ],
      flags: [["--detach", "-d"], ["--tty", "-t"], ["--no-new-privs"]], stopsAtWord: true)
    guard let id = options.words.first else { throw Misuse(description: "the ID of a container is needed") }
    var request = BundleRequest(id: id)
    request.pidFile = options["--pid-file"]
    request.consoleSocket = options["--console-socket"]
    let process = try process(options, id)
    let isAttached = !options.has("--detach")
    let terminal = isAttached && process.hasTerminal && request.consoleSocket == nil ? try OwnTerminal() : nil
    if let terminal { request.consoleSocket = terminal.path }
    let signals = isAttached ? SignalWatch(hasChildren: true) : nil
    let pid = try runtime.execute(process, request)
    return signals.map { Attendant(pid: pid, terminal: terminal, signals: $0).wait() } ?? 0
  }

  private func process(_ options: Options, _ id: String) throws -> BundleProcess {
    if let path = options["--process"] {
      guard let bytes = Self.bytes(path) else { throw Misuse(description: "\(path) cannot be read") }
      return try BundleProcess(JSONCursor(try JSON(parsing: bytes)))
    }
    let command = Array(options.words.dropFirst())
    guard !command.isEmpty else { throw Misuse(description: "a command or --process is needed") }
    var process = try runtime.process(of: id)
    process.arguments = command
    process.hasTerminal = options.has("--tty")
    process.environment += options.all("--env")
    if let directory = options["--cwd"] { process.workingDirectory = directory }
    if options.has("--no-new-privs") { process.forbidsNewPrivileges = true }
    if let user = options["--user"] {
      let parts = user.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
      guard (1...2).contains(parts.count), let number = parts[0] else {
        throw Misuse(description: "--user \(user) must be UID or UID:GID")
      }
      process.user = number
      if parts.count == 2, let group = parts[1] { process.group = group }
      process.groups = []
    }
    for name in options.all("--cap") {
      for set in ["bounding", "effective", "permitted"] { process.capabilities?[set, default: []].append(name) }
    }
    return process
  }

  static func bytes(_ path: String) -> [UInt8]? {
    let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count <= Bundle.bytesMaximum {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
    return nil
  }

  // MARK: - The rest

  private func kill(_ arguments: [String]) throws {
    let options = try Options(arguments, taking: [["--signal", "-s"]], flags: [["--all", "-a"]])
    guard let id = options.words.first, options.words.count <= 2 else {
      throw Misuse(description: "the ID of one container is needed, and a signal")
    }
    let text = options["--signal"] ?? (options.words.count == 2 ? options.words[1] : "TERM")
    guard let number = SignalName.number(text) else { throw Misuse(description: "the signal \(text) is not known") }
    try runtime.kill(id, signal: number, all: options.has("--all"))
  }

  private func processes(_ arguments: [String]) throws {
    let options = try Options(arguments, taking: [["--format", "-f"]], flags: [], stopsAtWord: true)
    guard let id = options.words.first else { throw Misuse(description: "the ID of a container is needed") }
    let found = try runtime.processes(id)
    if options["--format"] == "json" { return say(.array(found.map { .integer(Int64($0)) })) }
    FileHandle.standardOutput.write("PID\n" + found.map { "\($0)\n" }.joined())
  }

  private func update(_ arguments: [String]) throws {
    let options = try Options(arguments, taking: [["--resources", "-r"]], flags: [])
    guard let path = options["--resources"], let bytes = Self.bytes(path) else {
      throw Misuse(description: "--resources FILE is needed")
    }
    try runtime.update(try Self.id(in: options), try JSON(parsing: bytes))
  }

  private func list(_ arguments: [String]) throws {
    let options = try Options(arguments, taking: [["--format", "-f"]], flags: [["--quiet", "-q"]])
    let found = runtime.list()
    if options.has("--quiet") {
      return FileHandle.standardOutput.write(found.map { $0.record.id + "\n" }.joined())
    }
    if options["--format"] == "json" {
      return say(.array(found.map { runtime.json($0.record, $0.status) }))
    }
    let rows =
      [["ID", "PID", "STATUS", "BUNDLE"]]
      + found.map { [$0.record.id, "\($0.record.pid)", $0.status.rawValue, $0.record.bundle] }
    let widths = (0..<3).map { column in rows.map { $0[column].utf8.count }.max() ?? 0 }
    for row in rows {
      let cells = (0..<3).map { row[$0] + String(repeating: " ", count: widths[$0] + 2 - row[$0].utf8.count) }
      FileHandle.standardOutput.write(cells.joined() + row[3] + "\n")
    }
  }
}

enum SignalName {
  /// signal(7); the numbers are those of x86 and ARM.
  private static let numbers: [String: Int32] = [
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19,
    "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
    "IO": 29, "PWR": 30, "SYS": 31, "RTMIN": 34, "RTMAX": 64,
  ]

  static func number(_ text: String) -> Int32? {
    if let number = Int32(text) { return (0...64).contains(number) ? number : nil }
    let upper = text.uppercased()
    let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
    if let number = numbers[bare] { return number }
    guard bare.hasPrefix("RTMIN+"), let offset = Int32(bare.dropFirst(6)), (0...30).contains(offset) else { return nil }
    return 34 + offset
  }
}
