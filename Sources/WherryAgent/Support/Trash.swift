import Glibc
import WherryModel

/// Where things lie that are being removed: out of their place at once, so that half of one is never taken for the
/// whole.
struct Trash {
  let directory: String

  /// - Parameter name: in the trash; a number follows it where an earlier removal of that name has not ended.
  /// - Returns: where it lies now; nil = it could not be moved, or was not there.
  func take(_ path: String, as name: String) throws(Failure) -> String? {
    try Files.makeDirectory(directory, mode: 0o700)
    var target = "\(directory)/\(name)"
    var number = 0
    while Files.exists(target) {
      number += 1
      target = "\(directory)/\(name).\(number)"
    }
    return rename(path, target) == 0 ? target : nil
  }
}
