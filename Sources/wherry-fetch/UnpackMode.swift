import WherryJSON
import WherryModel
import WherryOCI

/// `wherry-fetch unpack`: each archive in a process of its own that sees nothing but its target (`UnpackItemMode`).
/// This one only makes the target directories and moves them into place when they are whole (`UnpackQueue`).
struct UnpackMode {
  private let jobs: [UnpackJob]
  /// So many archives at a time.
  private let parallel: Int
  /// Blobs that are not there yet are on their way; otherwise they are missing.
  private let waits: Bool

  private static let parallelMaximum: Int64 = 16

  init(job cursor: JSONCursor) throws(Failure) {
    (jobs, parallel, waits) = try Job.worker.decode { () throws(JSONShapeError) in
      var jobs: [UnpackJob] = []
      var contents: [String: UnpackJob.Content] = [:]
      for item in try cursor.require("items").array() {
        let job = try UnpackJob(item)
        // Two images may share a layer; two different things in one place would be one of them, silently.
        guard let other = contents.updateValue(job.content, forKey: job.destination) else {
          jobs.append(job)
          continue
        }
        guard other == job.content else { throw item.fail("goes to \(job.destination), and so does something else") }
      }
      return (jobs, try Self.parallel(cursor), try cursor.optional("waits")?.bool() ?? false)
    }
  }

  private static func parallel(_ cursor: JSONCursor) throws(JSONShapeError) -> Int {
    guard let value = try cursor.optional("parallel") else { return 1 }
    let number = try value.integer()
    guard (1...parallelMaximum).contains(number) else { throw value.fail("must be from 1 to \(parallelMaximum)") }
    return Int(number)
  }

  func run() throws(Failure) {
    Confinement.endWithParent()
    Confinement.forbidNewPrivileges()
    try UnpackQueue(jobs, parallel: parallel, waits: waits).run()
  }
}
