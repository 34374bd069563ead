import Glibc
import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

/// `wherry-fetch` as the agent starts it. Built beside the tests, or found in `WHERRY_BIN`.
enum FetchProgram {
  struct Result {
    let code: Int32
    let events: [JSON]

    /// nil unless there is exactly one failure and it is the last event.
    var failure: (code: String, failureClass: String, message: String, remedy: String)? {
      guard events.filter({ $0["failed"] != nil }).count == 1, let failed = events.last?["failed"] else { return nil }
      return (
        failed["code"]?.stringValue ?? "", failed["class"]?.stringValue ?? "", failed["message"]?.stringValue ?? "",
        failed["remedy"]?.stringValue ?? ""
      )
    }

    var finished: [String] { events.compactMap { $0["finished"]?.stringValue } }
  }

  static var path: String {
    get throws {
      var buffer = [CChar](repeating: 0, count: 4_096)
      let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
      let this = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let beside = this.lastIndex(of: "/").map { String(this[..<$0]) } ?? "."
      let directory = getenv("WHERRY_BIN").map { String(cString: $0) } ?? beside
      let path = directory + "/wherry-fetch"
      try #require(access(path, X_OK) == 0, "wherry-fetch is not built at \(path); run swift build first")
      return path
    }
  }

  static func start(_ mode: String, _ job: JSON, in directory: TemporaryDirectory, output: String = "events") throws
    -> ChildProcess
  {
    TestFile.write(job.canonicalBytes, to: directory.file("job"))
    unlink(directory.file(output))
    return try #require(
      ChildProcess(
        path, [mode], inputPath: directory.file("job"), outputPath: directory.file(output)))
  }

  static func run(_ mode: String, _ job: JSON) throws -> Result {
    let directory = TemporaryDirectory()
    let code = try start(mode, job, in: directory).wait()
    return try Result(code: code, events: events(directory.file("events")))
  }

  static func events(_ path: String) throws -> [JSON] {
    let text = String(decoding: TestFile.read(path) ?? [], as: UTF8.self)
    return try text.split(separator: "\n").map { try JSON(parsing: String($0)) }
  }

  /// Asks again until it is so; false after `seconds`.
  static func wait(seconds: Int = 120, until condition: () -> Bool) -> Bool {
    for _ in 0..<seconds * 100 {
      if condition() { return true }
      _ = poll(nil, 0, 10)
    }
    return condition()
  }
}
