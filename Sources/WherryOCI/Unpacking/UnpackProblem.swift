import Glibc
import WherryModel

/// The sentences of a failed unpacking.
struct UnpackProblem {
  /// What is being unpacked, for people: `com.example.web layer 2/3`.
  let label: String
  /// Bytes that are allowed at all; what is within them and yet too much is too much for the disk.
  let bytesAllowed: Int64

  func escapes(_ entry: String, _ reason: String) -> Failure {
    Failure(
      .verify, code: "layer.escapes", message: "\(label) is hostile or broken: its entry \"\(entry)\" has \(reason)",
      remedy: "do not use this content; build it again from a source that you trust")
  }

  func corrupt(_ reason: String) -> Failure {
    Failure(
      .verify, code: "layer.corrupt", message: "\(label) cannot be unpacked: \(reason)",
      remedy: "build and publish the content again")
  }

  func tooLarge(_ reason: String, bytes: Int64? = nil) -> Failure {
    if let bytes, bytes <= bytesAllowed { return spaceFull() }
    return Failure(
      .verify, code: "layer.tooLarge", message: "\(label) is larger than allowed: \(reason)",
      remedy: "make the content smaller, or look whether it is an archive bomb")
  }

  func windowTooLarge(bytes: Int64) -> Failure {
    Failure(
      .verify, code: "layer.tooLarge",
      message: "\(label) is compressed in a way that takes more than \(bytes >> 20) MiB of memory to unpack",
      remedy: "compress it again with a smaller window, as zstd does without --long and --ultra")
  }

  func outOfMemory() -> Failure {
    Failure(
      .internalError, code: "worker.failed", message: "there is no memory to unpack \(label) with",
      remedy: "look at the device's memory limits")
  }

  func spaceFull() -> Failure {
    Failure(
      .space, code: "space.full", message: "no space is left on the disk to unpack \(label)",
      remedy: "free some space, or remove components that are no longer needed")
  }

  /// The failure of a system call, from `errno`.
  func system(_ what: String, _ entry: String) -> Failure {
    let number = errno
    switch number {
    case ENOSPC, EDQUOT: return spaceFull()
    case EXDEV, ELOOP: return escapes(entry, "a path through a link that leads out")
    case ENOTDIR: return corrupt("its entry \"\(entry)\" lies in something that is not a directory")
    default:
      return Failure(
        .internalError, code: "layer.file",
        message: "\(label) cannot be unpacked: \"\(entry)\" cannot be \(what): \(String(cString: strerror(number)))",
        remedy: "check the agent's rights and the file system that it keeps its snapshots on")
    }
  }
}
