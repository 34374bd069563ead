import CIsolation
import Glibc
import WherryModel

/// Cgroups limit whole disks, by their numbers: `8:0`.
enum DiskNumber {
  /// Of a block device, or of the one that the file system at `path` is on. Nil = there is none.
  static func of(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let device = UInt64(status.st_mode & S_IFMT == S_IFBLK ? status.st_rdev : status.st_dev)
    let entry = "/sys/dev/block/\(wherry_major(device)):\(wherry_minor(device))"
    // A partition's directory lies in its disk's.
    let number = Files.exists(entry + "/partition") ? Files.text(entry + "/../dev") : Files.text(entry + "/dev")
    return number.map { String($0.prefix { $0 != "\n" }) }
  }
}

extension WorkloadPreparation {
  /// With disks by their numbers.
  func resources() throws(Failure) -> Resources {
    var resources = spec.resources
    for index in resources.diskLimits.indices {
      let path = resources.diskLimits[index].device ?? ownFiles
      guard let number = DiskNumber.of(path) else {
        throw Failure(
          .start, code: "workload.disk",
          message: "\(spec.id) has a limit for the disk of \(path), and there is no such disk on this host",
          remedy: "name the block device in DiskLimits, such as /dev/mmcblk0, or leave the limit out")
      }
      resources.diskLimits[index].device = number
    }
    return resources
  }

  private var ownFiles: String {
    switch spec.root {
    case .host(let writable, _): writable.first ?? "/"
    case .overlay(let lower, let upper, _, _): Files.exists(upper) ? upper : lower.first ?? "/"
    }
  }
}
