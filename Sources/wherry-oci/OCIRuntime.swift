import CIsolation
import Glibc
import WherryIsolation
import WherryJSON
import WherryModel

/// The OCI runtime's command line, as runc and crun have it and as conmon, containerd's shim and the specification's
/// test suite call it. Exit codes: 0 done, 1 failed, 2 misuse; `run` and `exec` end with their process's own.
enum OCIRuntime {
  static let version = "0.1.0"
  static let specification = "1.2.0"

  static let usage = """
    usage: wherry-oci [--root DIR] [--log FILE] [--log-format text|json] COMMAND

      create --bundle DIR [--pid-file FILE] [--console-socket PATH] ID
      start ID
      run --bundle DIR [--detach] [--pid-file FILE] [--console-socket PATH] ID
      state ID                    its state as JSON
      kill [--all] ID [SIGNAL]    TERM unless another is named
      delete [--force] ID
      exec [--cwd DIR] [--env K=V] [--user UID[:GID]] [--detach] [--pid-file FILE] [--process FILE] ID COMMAND…
      pause ID, resume ID
      ps ID                       processes of the container
      update --resources FILE ID  limits anew
      list [--format table|json]
      features                    what this runtime can do
      spec [--bundle DIR]         writes a config.json to begin with

    Example: wherry-oci run --bundle mycontainer test1

    """

  static func run(_ arguments: [String]) -> Int32 {
    var log = RuntimeLog(path: nil, isJSON: false)
    do {
      let options = try Options(
        arguments.dropFirst(), taking: [["--root"], ["--log"], ["--log-format"], ["--log-level"], ["--rootless"]],
        flags: [["--debug"], ["--systemd-cgroup"], ["--version", "-v"], ["--help", "-h"]], stopsAtWord: true)
      log = RuntimeLog(path: options["--log"], isJSON: options["--log-format"] == "json")
      if options.has("--version") {
        print("wherry-oci \(version)\nspec: \(specification)")
        return 0
      }
      if options.has("--help") || options.words.first == "help" {
        print(usage, terminator: "")
        return 0
      }
      if options.has("--systemd-cgroup") {
        throw Options.Misuse(description: "--systemd-cgroup is not supported; use cgroupfs as the cgroup manager")
      }
      guard let verb = options.words.first else { throw Options.Misuse(description: "a command is missing") }
      if ["create", "run", "exec"].contains(verb) { try protect(arguments) }
      let root = options["--root"] ?? (geteuid() == 0 ? "/run/wherry-oci" : "/tmp/wherry-oci-\(geteuid())")
      let runtime = BundleRuntime(root: root) { [log] in log.write($0, level: "warning") }
      return try Command(runtime: runtime).run(verb, Array(options.words.dropFirst()))
    } catch let error as Options.Misuse {
      log.write("\(error)", level: "error")
      FileHandle.standardError.write("see `wherry-oci --help`\n")
      return 2
    } catch {
      log.write("\(error)", level: "error")
      return 1
    }
  }
}

extension OCIRuntime {
  /// Before it executes what a container is, a child of this program is inside already, and an image can have the
  /// kernel execute the program there once more: `#!/proc/self/exe`. Root inside would then get at this program's file
  /// (CVE-2019-5736). So whatever makes processes in containers is executed from a mount that nobody can write to.
  private static func protect(_ arguments: [String]) throws {
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let error = wherry_protect_program(words)
    guard error == 0 else {
      throw Options.Misuse(
        description: "the program cannot be executed from a read-only mount of its own: "
          + "\(String(cString: strerror(error))); run it as root")
    }
  }
}

/// Standard error, for the few lines that go there.
enum FileHandle {
  struct Stream: Sendable {
    let descriptor: Int32
    func write(_ text: String) {
      let bytes = Array(text.utf8)
      _ = Glibc.write(descriptor, bytes, bytes.count)
    }
  }
  static let standardError = Stream(descriptor: STDERR_FILENO)
  static let standardOutput = Stream(descriptor: STDOUT_FILENO)
}

/// What whoever called reads when something failed: conmon and containerd want it in a file, as JSON.
struct RuntimeLog: Sendable {
  let path: String?
  let isJSON: Bool

  func write(_ text: String, level: String) {
    FileHandle.standardError.write("wherry-oci: \(text)\n")
    guard let path else { return }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let line: JSON = ["level": .string(level), "msg": .string(text), "time": .string(Self.now)]
    FileHandle.Stream(descriptor: descriptor).write((isJSON ? line.canonical : "\(level): \(text)") + "\n")
  }

  /// RFC 3339.
  private static var now: String {
    var (seconds, parts) = (time(nil), tm())
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 40)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
