import Glibc
import WherryJSON
import WherryModel
import WherryRecipe
import WherryWire

/// Every recipe of one job.
enum Conversion {
  private static let jobBytesMaximum = 16 << 20
  /// The parser's tree of a recipe of 1 MiB stays far below that.
  private static let memoryMaximum: rlim_t = 1 << 30
  private static let secondsMaximum: rlim_t = 60

  static func run() -> Int32 {
    do throws(Failure) {
      let job = try readJob()
      try Rights.giveUp(to: job.user, group: job.group)
      limit(__rlimit_resource_t(RLIMIT_AS.rawValue), memoryMaximum)
      limit(__rlimit_resource_t(RLIMIT_CPU.rawValue), secondsMaximum)
      limit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), 0)
      return job.files.map(convert).contains(false) ? 1 : 0
    } catch {
      Output.event(["failed": error.json])
      return 1
    }
  }

  /// A limit more than there was is no reason to refuse work.
  private static func limit(_ resource: __rlimit_resource_t, _ maximum: rlim_t) {
    var limit = rlimit(rlim_cur: maximum, rlim_max: maximum)
    setrlimit(resource, &limit)
  }

  /// False = it has no recipe in it.
  private static func convert(_ file: File) -> Bool {
    let reading = RecipeReader.read(file.text, fileName: file.name)
    let problems = reading.problems.map { problem -> JSON in
      .string("\(file.name), \(problem.description)")
    }
    Output.event(
      .members([
        ("file", .string(file.name)), ("recipe", reading.recipe?.json), ("problems", .array(problems)),
      ]))
    return reading.recipe != nil
  }

  struct File {
    var name: String
    var text: String
  }

  private struct Job {
    var files: [File]
    var user: uid_t
    var group: gid_t
  }

  private static func readJob() throws(Failure) -> Job {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0, bytes.count + count <= jobBytesMaximum else { throw malformed("it is too long") }
      if count == 0 { break }
      bytes.append(contentsOf: buffer[..<count])
    }
    do {
      let cursor = JSONCursor(
        try JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: jobBytesMaximum, depthMaximum: 8)))
      let user = try cursor.require("user")
      let files = try cursor.require("files").list { (element) throws(JSONShapeError) in
        File(name: try element.require("name").string(), text: try element.require("text").string())
      }
      return Job(
        files: files, user: try id(user.require("uid")), group: try id(user.require("gid")))
    } catch { throw malformed("\(error)") }
  }

  private static func id(_ cursor: JSONCursor) throws(JSONShapeError) -> UInt32 {
    guard let number = UInt32(exactly: try cursor.integer()), number != .max else { throw cursor.fail("is no id") }
    return number
  }

  private static func malformed(_ reason: String) -> Failure {
    Failure(
      .internalError, code: "worker.job", message: "wherry-recipe cannot use its job: \(reason)",
      remedy: "agent and worker may be of different versions; install them together")
  }
}

/// What a parser of other people's text does not need.
enum Rights {
  /// For good. Root's capabilities go with the user.
  static func giveUp(to user: uid_t, group: gid_t) throws(Failure) {
    guard geteuid() == 0, user != 0 else { return }
    guard setgroups(0, nil) == 0, setgid(group) == 0, setuid(user) == 0, setuid(0) != 0 else {
      throw Failure(
        .internalError, code: "worker.privileges",
        message: "wherry-recipe cannot become user \(user): \(String(cString: strerror(errno)))",
        remedy: "run wherry-agent deploy as root")
    }
  }
}

/// Standard output, one event per line, unbuffered.
enum Output {
  static func event(_ json: JSON) { text(json.canonical + "\n", to: STDOUT_FILENO) }

  static func text(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { exit(1) }
      done += count
    }
  }
}
