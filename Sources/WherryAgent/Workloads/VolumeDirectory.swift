import Glibc
import WherryModel

/// The directory of a named volume. It is made once; owner and mode are the component's affair from then on. A database
/// that shut others out of its data would not start a second time on one that was opened again.
enum VolumeDirectory {
  /// `data` is there and lets nobody but root in: through it anybody on the host could run a set-uid program that root
  /// in a container has put into its volume (CVE-2021-41091).
  /// - Returns: the directory's path.
  static func make(_ name: String, in data: String, owner: UserAccount?) throws(Failure) -> String {
    let path = "\(data)/\(name)"
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw Files.failure("use the volume", path, number: ENOTDIR) }
      return path
    }
    // Under another name until it is complete, so that no crash leaves one with a wrong owner behind. No volume's name
    // begins with a dot.
    let fresh = "\(data)/.new-\(name)"
    try Files.makeDirectory(fresh, owner: owner)
    guard rename(fresh, path) == 0 else { throw Files.failure("make the volume", path) }
    Files.syncParent(of: path)
    return path
  }
}
