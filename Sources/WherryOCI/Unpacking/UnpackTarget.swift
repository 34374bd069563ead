import CArchive
import Glibc
import WherryModel

/// The directory that an archive becomes: made beside its place and moved there when it is whole and on the disk.
///
///     <path>.partial/lock   held by whoever is at it, this process and the one that writes the tree
///     <path>.partial/tree   what becomes <path>
package final class UnpackTarget {
  package let path: String
  /// Held while the target is claimed; an empty file, so a process that has it open can do nothing with it.
  package private(set) var lock: Int32 = -1
  private let problem: UnpackProblem

  private var partialPath: String { path + UnpackedName.partialEnding }
  private var lockPath: String { partialPath + "/lock" }
  package var treePath: String { partialPath + "/tree" }

  package init(path: String, label: String) {
    self.path = path
    problem = UnpackProblem(label: label, bytesAllowed: 0)
  }

  deinit { if lock >= 0 { close(lock) } }

  package var exists: Bool { access(path, F_OK) == 0 }

  /// Makes it this process's to fill, whatever an earlier one left.
  /// - Returns: false while another process is at it.
  package func claim() throws(Failure) -> Bool {
    while true {
      guard mkdir(partialPath, 0o755) == 0 || errno == EEXIST else { throw problem.system("made", partialPath) }
      let descriptor = open(lockPath, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard descriptor >= 0 else {
        // Its holder has just finished, and removed all of it.
        if errno == ENOENT { continue }
        // Something else is in its place, which no run of this program has made.
        let isStrange = [ENOTDIR, EISDIR, ELOOP].contains(errno)
        guard isStrange, TreeRemoval.remove(path: partialPath) else { throw problem.system("made", lockPath) }
        continue
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        let number = errno
        close(descriptor)
        if number == EAGAIN { return false }
        errno = number
        throw problem.system("locked", lockPath)
      }
      if Self.isStill(descriptor, at: lockPath) {
        lock = descriptor
        return true
      }
      close(descriptor)
    }
  }

  /// A lock on a file that was removed in the meantime keeps nobody away.
  private static func isStill(_ descriptor: Int32, at path: String) -> Bool {
    var (held, named) = (stat(), stat())
    return fstat(descriptor, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino
      && held.st_dev == named.st_dev
  }

  /// What a process left that was ended between the move to the place and the release. Whoever holds it releases it.
  package func removeLeftovers() {
    guard access(partialPath, F_OK) == 0, (try? claim()) == true else { return }
    release()
  }

  /// An empty tree in place of what an earlier run left.
  package func prepare() throws(Failure) {
    guard TreeRemoval.remove(path: treePath) else { throw problem.system("removed", treePath) }
    guard mkdir(treePath, 0o755) == 0 else { throw problem.system("made", treePath) }
  }

  /// Removes what is left of it, which after a commit is the lock alone.
  package func release() {
    guard lock >= 0 else { return }
    _ = TreeRemoval.remove(path: partialPath)
    close(lock)
    lock = -1
  }

  /// - Parameter number: of the system call that failed.
  fileprivate func notCommitted(_ number: Int32) -> Failure {
    errno = number
    return problem.system("brought to the disk", path)
  }
}

/// Targets on their way to their places: everything of theirs to the disk first, then the moves. That waits for the
/// disk, so a process of its own does it, while others unpack what comes next; all that became whole in the meantime
/// shares the next one.
package final class UnpackCommit {
  package let targets: [UnpackTarget]
  /// Can be read when it is done; -1 = ask at once, which waits.
  package let descriptor: Int32
  private let process: pid_t

  package init(_ targets: [UnpackTarget]) throws(Failure) {
    precondition(!targets.isEmpty, "nothing to commit")
    self.targets = targets
    let trees: [UnsafeMutablePointer<CChar>?] = targets.map { strdup($0.treePath) }
    let places: [UnsafeMutablePointer<CChar>?] = targets.map { strdup($0.path) }
    defer { for text in trees + places { free(text) } }
    process = carchive_commit_apart(trees, places, Int32(targets.count))
    guard process > 0 else { throw targets[0].notCommitted(errno) }
    descriptor = carchive_process_descriptor(process)
  }

  /// Waits for its end. On failure some may be in their places, and those are whole.
  package func conclude() throws(Failure) {
    if descriptor >= 0 { close(descriptor) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 {
      guard errno == EINTR else { throw targets[0].notCommitted(errno) }
    }
    guard status != 0 else { return }
    throw targets[0].notCommitted(status & 0x7f == 0 ? (status >> 8) & 0xff : EINTR)
  }
}
