import Glibc
import WherryJSON
import WherryModel
import WherryOCI

/// `wherry-fetch unpack`: each archive in a process of its own that sees nothing but its target (`UnpackItemMode`).
/// This one only makes the target directories and moves them into place when they are whole.
struct UnpackMode {
  private let jobs: [UnpackJob]

  init(job cursor: JSONCursor) throws(Failure) {
    jobs = try Job.decode { () throws(JSONShapeError) in
      var jobs: [UnpackJob] = []
      var contents: [String: UnpackJob.Content] = [:]
      for item in try cursor.require("items").array() {
        let job = try UnpackJob(item)
        // Two images may share a layer; two different things in one place would be one of them, silently.
        if let other = contents.updateValue(job.content, forKey: job.destination), other != job.content {
          throw item.fail("goes to \(job.destination), and so does something else")
        }
        jobs.append(job)
      }
      return jobs
    }
  }

  func run() throws(Failure) {
    Confinement.endWithParent()
    Confinement.forbidNewPrivileges()
    var done: Set<String> = []
    for job in jobs where done.insert(job.destination).inserted {
      let target = UnpackTarget(path: job.destination, label: job.label)
      if !target.exists {
        try target.prepare()
        do throws(Failure) {
          try runItem(job, in: target)
          try target.commit()
        } catch {
          target.discard()
          throw error
        }
      }
      Output.event(["finished": .string(job.destination)])
    }
  }

  private func runItem(_ job: UnpackJob, in target: UnpackTarget) throws(Failure) {
    let blob = open(job.blob, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard blob >= 0 else {
      throw Failure(
        .internalError, code: "layer.file",
        message: "\(job.label) cannot be unpacked: \(job.blob) cannot be opened: \(String(cString: strerror(errno)))",
        remedy: "deploy again, so that it is fetched again")
    }
    defer { close(blob) }
    var item = job.json
    item["destination"] = .string(target.partialPath)
    let child = try ChildWorker(mode: UnpackItemMode.name, job: item, inherited: blob)
    let (output, end) = child.wait()
    if let json = try? JSON(parsing: output), let failure = json["failed"].flatMap({ Self.failure(in: $0) }) {
      // So that the next try downloads it again.
      if failure.code == "blob.digestMismatch" { unlink(job.blob) }
      throw failure
    }
    guard end == .exited(0) else {
      throw Failure(
        .internalError, code: "worker.failed", message: "\(job.label) could not be unpacked: its process \(end)",
        remedy: "see the kernel's log for why, for example too little memory")
    }
  }

  private static func failure(in json: JSON) -> Failure? {
    guard let failureClass = json["class"]?.stringValue.flatMap(FailureClass.init(rawValue:)),
      let code = json["code"]?.stringValue, let message = json["message"]?.stringValue
    else { return nil }
    return Failure(failureClass, code: code, message: message, remedy: json["remedy"]?.stringValue ?? "")
  }
}
