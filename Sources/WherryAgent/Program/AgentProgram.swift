import Glibc
import WherryModel

/// The command line of `wherry-agent`.
package enum AgentProgram {
  /// Exit codes: 0 done, 1 failed, 2 misuse.
  package static func run(_ arguments: [String]) -> Int32 {
    // Whoever started this may have had signals blocked (threads of libdispatch have); a mask is inherited.
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    signal(SIGPIPE, SIG_IGN)
    let words = Array(arguments.dropFirst())
    guard let verb = words.first else {
      Output.print(AgentUsage.program, terminator: "")
      return 2
    }
    let isKnown = AgentUsage.verbs[verb] != nil
    // Help on a command that does not exist is misuse like the command itself.
    if (isKnown || verb.hasPrefix("-")) && (words.contains("--help") || words.contains("-h")) {
      Output.print(AgentUsage.text(of: verb), terminator: "")
      return 0
    }
    if words.contains("--version") {
      Output.print("wherry-agent \(AgentVersion.text)")
      return 0
    }
    do {
      let command = try AgentCommand(words)
      let configuration = try AgentConfiguration.load(command.configurationFile, programs: programs())
      return try command.run(configuration)
    } catch let misuse as Misuse {
      Output.complain("\(misuse.message); see wherry-agent \(isKnown ? verb + " " : "")--help")
      return 2
    } catch {
      Output.complain("\(error)")
      return 1
    }
  }

  /// Where this program was started from; "" = nobody knows. The kernel puts a word behind it when the file was
  /// replaced.
  static func path() -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The directory of this program: its helpers lie beside it.
  private static func programs() -> String {
    let path = path()
    guard !path.isEmpty else { return "/usr/libexec/wherry" }
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}

struct Misuse: Error {
  let message: String
}

enum Output {
  static func print(_ text: String, terminator: String = "\n") {
    _ = Files.writeAll(Array((text + terminator).utf8), to: STDOUT_FILENO)
  }

  static func complain(_ text: String) {
    _ = Files.writeAll(Array("wherry-agent: \(text)\n".utf8), to: STDERR_FILENO)
  }
}

/// What was typed.
enum AgentCommand {
  case run(configuration: String?)
  case provision(ProvisionOptions, configuration: String?)
  case status(configuration: String?)
  case components(configuration: String?)
  case images(asJSON: Bool, configuration: String?)
  case logs(ComponentName, tail: Int, follow: Bool, configuration: String?)
  case restart(ComponentName, configuration: String?)
  case stats(asJSON: Bool, configuration: String?)
  case pause(ComponentName, Bool, configuration: String?)
  case exec(ExecOptions, configuration: String?)
  case attach(ComponentName, hasInput: Bool, configuration: String?)
  case deploy(DeployOptions, configuration: String?)
  case deployStatus(id: String?, asJSON: Bool, configuration: String?)
  case deployList(asJSON: Bool, configuration: String?)
  case teardown(configuration: String?)

  struct ExecOptions {
    var component: ComponentName
    /// Also where input and output are no terminal, or not even where they are; nil = where both are.
    var terminal: Bool?
    var command: [String]
  }

  struct ProvisionOptions {
    var claim: String
    var name: DeviceName
    var labels: [String: String]
    var force: Bool
  }

  init(_ words: [String]) throws {
    var scanner = WordScanner(Array(words.dropFirst()))
    let verb = words.first ?? ""
    if verb == "exec" {
      // What comes behind the component is not this command's.
      self = try Self.exec(Array(words.dropFirst()))
      return
    }
    let configuration = try scanner.value(of: "--config")
    switch verb {
    case "run": self = .run(configuration: configuration)
    case "provision": self = .provision(try Self.provision(&scanner), configuration: configuration)
    case "status": self = .status(configuration: configuration)
    case "components": self = .components(configuration: configuration)
    case "images": self = .images(asJSON: scanner.flag("--json"), configuration: configuration)
    case "logs":
      let follow = scanner.flag("-f") || scanner.flag("--follow")
      let text = try scanner.value(of: "-n") ?? "100"
      guard let tail = Int(text), tail >= 0 else { throw Misuse(message: "-n takes a number, not \"\(text)\"") }
      self = .logs(try scanner.component(), tail: tail, follow: follow, configuration: configuration)
    case "restart": self = .restart(try scanner.component(), configuration: configuration)
    case "attach":
      let hasInput = !scanner.flag("--no-stdin")
      self = .attach(try scanner.component(), hasInput: hasInput, configuration: configuration)
    case "stats": self = .stats(asJSON: scanner.flag("--json"), configuration: configuration)
    case "pause": self = .pause(try scanner.component(), true, configuration: configuration)
    case "resume": self = .pause(try scanner.component(), false, configuration: configuration)
    case "deploy": self = try Self.deploy(&scanner, configuration)
    case "teardown": self = .teardown(configuration: configuration)
    default: throw Misuse(message: "there is no command \"\(verb.prefix(80))\"")
    }
    try scanner.end()
  }

  private static func deploy(_ scanner: inout WordScanner, _ configuration: String?) throws -> AgentCommand {
    if scanner.leads("status") {
      let asJSON = scanner.flag("--json")
      return .deployStatus(id: scanner.operand(), asJSON: asJSON, configuration: configuration)
    }
    if scanner.leads("list") { return .deployList(asJSON: scanner.flag("--json"), configuration: configuration) }
    return .deploy(try DeployOptions(&scanner), configuration: configuration)
  }

  private static func exec(_ words: [String]) throws -> AgentCommand {
    let end = words.indices.first { index in
      !words[index].hasPrefix("-") && (index == 0 || words[index - 1] != "--config")
    }
    var scanner = WordScanner(Array(words[..<(end ?? words.endIndex)]))
    let configuration = try scanner.value(of: "--config")
    let isWanted = scanner.flag("-t") || scanner.flag("--terminal")
    let isUnwanted = scanner.flag("-T") || scanner.flag("--no-terminal")
    try scanner.end()
    var rest = WordScanner(end.map { [words[$0]] } ?? [])
    let component = try rest.component()
    var command = Array(words[((end ?? words.endIndex) + 1)...])
    if command.first == "--" { command.removeFirst() }
    let options = ExecOptions(
      component: component, terminal: isUnwanted ? false : isWanted ? true : nil,
      command: command.isEmpty ? ["/bin/sh"] : command)
    return .exec(options, configuration: configuration)
  }

  private static func provision(_ scanner: inout WordScanner) throws -> ProvisionOptions {
    guard let claim = try scanner.value(of: "--claim") else { throw Misuse(message: "provision needs --claim") }
    guard let name = try scanner.value(of: "--name") else { throw Misuse(message: "provision needs --name") }
    var labels: [String: String] = [:]
    while let label = try scanner.value(of: "--label") {
      guard let equals = label.firstIndex(of: "="), equals != label.startIndex else {
        throw Misuse(message: "the label \"\(label.prefix(80))\" is not KEY=VALUE")
      }
      labels[String(label[..<equals])] = String(label[label.index(after: equals)...])
    }
    let device: DeviceName
    do { device = try DeviceName(validating: name) } catch { throw Misuse(message: error.description) }
    return ProvisionOptions(claim: claim, name: device, labels: labels, force: scanner.flag("--force"))
  }

  var configurationFile: String? {
    switch self {
    case .run(let file), .provision(_, let file), .status(let file), .components(let file), .images(_, let file),
      .logs(_, _, _, let file), .restart(_, let file), .stats(_, let file), .pause(_, _, let file), .exec(_, let file),
      .attach(_, _, let file), .deploy(_, let file), .deployStatus(_, _, let file), .deployList(_, let file),
      .teardown(let file):
      file
    }
  }

  /// Gives the exit code.
  func run(_ configuration: AgentConfiguration) throws -> Int32 {
    let local = LocalConnection.Commands(socket: AgentPaths(configuration).socket)
    switch self {
    case .run: if try AgentService(configuration).run() { AgentService.startAgain() }
    case .provision(let options, _): try Provisioning(configuration, options).run()
    case .status: try local.status()
    case .components: try local.components()
    case .images(let asJSON, _): try local.images(AgentPaths(configuration), asJSON: asJSON)
    case .logs(let component, let tail, let follow, _): try local.logs(component, tail: tail, follow: follow)
    case .restart(let component, _): try local.restart(component)
    case .stats(let asJSON, _): try local.stats(asJSON: asJSON)
    case .pause(let component, let isPaused, _): try local.setPaused(component, isPaused)
    case .exec(let options, _): return try local.exec(options, configuration)
    case .attach(let component, let hasInput, _): return try local.attach(component, hasInput: hasInput, configuration)
    case .deploy(let options, _): return try LocalDeployment(configuration, options).run()
    case .deployStatus(let id, let asJSON, _): return try LocalDeploymentStatus(local, asJSON: asJSON).show(id)
    case .deployList(let asJSON, _): try LocalDeploymentStatus(local, asJSON: asJSON).list()
    case .teardown: try AgentService(configuration).tearDown()
    }
    return 0
  }
}

/// Options in any order, `--name value` or `--name=value`.
struct WordScanner {
  private var words: [String]
  init(_ words: [String]) { self.words = words }

  mutating func value(of option: String) throws -> String? {
    if let index = words.firstIndex(where: { $0.hasPrefix(option + "=") }) {
      return String(words.remove(at: index).dropFirst(option.count + 1))
    }
    guard let index = words.firstIndex(of: option) else { return nil }
    guard index + 1 < words.count else { throw Misuse(message: "\(option) needs a value") }
    words.remove(at: index)
    return words.remove(at: index)
  }

  mutating func flag(_ option: String) -> Bool {
    guard let index = words.firstIndex(of: option) else { return false }
    words.remove(at: index)
    return true
  }

  /// Whether this word stands first; then it is taken.
  mutating func leads(_ word: String) -> Bool {
    guard words.first == word else { return false }
    words.removeFirst()
    return true
  }

  mutating func operand() -> String? {
    guard let index = words.firstIndex(where: { !$0.hasPrefix("-") }) else { return nil }
    return words.remove(at: index)
  }

  mutating func component() throws -> ComponentName {
    guard let index = words.firstIndex(where: { !$0.hasPrefix("-") }) else {
      throw Misuse(message: "a component's name is missing")
    }
    do { return try ComponentName(validating: words.remove(at: index)) } catch {
      throw Misuse(message: "\(error)")
    }
  }

  func end() throws {
    if let word = words.first { throw Misuse(message: "\"\(word.prefix(80))\" is not expected here") }
  }
}
