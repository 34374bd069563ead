import Glibc
import WherryJSON
import WherryModel
import WherryRecipe
import WherrySystem
import WherryWire

/// Every recipe of one job.
enum Conversion {
  private static let worker = WorkerJob(of: "wherry-recipe", depthMaximum: 8)
  /// The parser's tree of a recipe of 1 MiB stays far below that.
  private static let memoryMaximum: rlim_t = 1 << 30
  private static let secondsMaximum: rlim_t = 60

  static func run() -> Int32 {
    do throws(Failure) {
      let job = try readJob()
      // What a parser of other people's text does not need.
      try job.identity.assume(by: worker.program, remedy: "run wherry-agent deploy as root")
      limit(__rlimit_resource_t(RLIMIT_AS.rawValue), memoryMaximum)
      limit(__rlimit_resource_t(RLIMIT_CPU.rawValue), secondsMaximum)
      limit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), 0)
      return job.files.map(convert).contains(false) ? 1 : 0
    } catch {
      WorkerOutput.event(["failed": error.json])
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
    WorkerOutput.event(
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
    var identity: WorkerIdentity
  }

  private static func readJob() throws(Failure) -> Job {
    let cursor = try worker.read()
    return try worker.decode { () throws(JSONShapeError) in
      let files = try cursor.require("files").list { (element) throws(JSONShapeError) in
        File(name: try element.require("name").string(), text: try element.require("text").string())
      }
      return Job(files: files, identity: try WorkerIdentity(cursor.require("user")))
    }
  }
}
