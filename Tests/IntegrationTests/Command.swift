import Foundation
import Glibc
import Synchronization

/// What a finished command said.
struct Outcome {
  var status: Int32
  var output: String
  var error: String
  var text: String { output + error }
}

/// Programs run as a user would run them.
enum Command {
  /// Beside the test bundle, or where WHERRY_BIN says.
  static let binaries: String = {
    if let path = ProcessInfo.processInfo.environment["WHERRY_BIN"] { return path }
    var path = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    // The runner lies in the build folder or in a bundle below it: the nearest folder that has the agent is the one.
    for _ in 0..<6 {
      path.deleteLastPathComponent()
      if access(path.path + "/wherry-agent", X_OK) == 0 { return path.path }
    }
    return ".build/debug"
  }()

  /// Every command that ran, so that a test can see that the documents show none that never did.
  static let executed = Mutex<[[String]]>([])

  static func program(_ name: String) -> String { name.contains("/") ? name : binaries + "/" + name }

  static func process(_ arguments: [String], environment: [String: String]) -> Process {
    executed.withLock { $0.append(arguments) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program(arguments[0]))
    process.arguments = Array(arguments.dropFirst())
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    return process
  }

  /// Runs to the end. Output goes through files, so a child that outlives the command cannot hold us up.
  static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let process = process(arguments, environment: environment)
    process.standardOutput = try writer(folder + "/out")
    process.standardError = try writer(folder + "/err")
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, output: text(folder + "/out"), error: text(folder + "/err"))
  }

  static func writer(_ path: String) throws -> FileHandle {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  }

  static func text(_ path: String) -> String {
    (FileManager.default.contents(atPath: path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  static func temporaryFolder() throws -> String {
    var template = Array("/tmp/wherry-test.XXXXXX".utf8CString)
    guard let path = mkdtemp(&template) else { throw StoryError("no temporary folder could be made") }
    // Workers and components do not run as root, and must be able to reach what is theirs below it.
    chmod(path, 0o755)
    return String(cString: path)
  }

  /// A loopback port that was free a moment ago.
  static func freePort() throws -> Int {
    guard let port = bound(to: 0) else { throw StoryError("no free port on 127.0.0.1") }
    return port
  }

  static func isFree(port: Int) -> Bool { bound(to: port) != nil }

  /// The port that a loopback socket got; it is let go again.
  private static func bound(to port: Int) -> Int? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    return isBound ? Int(UInt16(bigEndian: address.sin_port)) : nil
  }

  /// Looks at a condition until it holds.
  static func eventually(
    _ what: String, seconds: Double = 120, _ condition: () throws -> Bool
  ) throws {
    let end = Date().addingTimeInterval(seconds)
    while !(try condition()) {
      guard Date() < end else { throw StoryError("after \(seconds) s it still was not so that \(what)") }
      usleep(20_000)  // between two looks at the condition
    }
  }
}

struct StoryError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
