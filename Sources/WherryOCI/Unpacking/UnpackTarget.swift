import CArchive
import Glibc
import WherryModel

/// The directory that an archive becomes: made beside its place and moved there when it is whole and on the disk.
package struct UnpackTarget {
  package let path: String
  package var partialPath: String { path + ".partial" }
  private let problem: UnpackProblem

  package init(path: String, label: String) {
    self.path = path
    problem = UnpackProblem(label: label, bytesAllowed: 0)
  }

  package var exists: Bool { access(path, F_OK) == 0 }

  /// An empty partial directory, whatever an earlier run left.
  package func prepare() throws(Failure) {
    guard TreeRemoval.remove(path: partialPath) else { throw problem.system("removed", partialPath) }
    guard mkdir(partialPath, 0o755) == 0 else { throw problem.system("made", partialPath) }
  }

  package func commit() throws(Failure) {
    let partial = open(partialPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard partial >= 0 else { throw problem.system("opened", partialPath) }
    defer { close(partial) }
    // One call for all files; a sync of each costs seconds on slow storage.
    guard syncfs(partial) == 0 else { throw problem.system("written to disk", partialPath) }
    guard rename(partialPath, path) == 0 else { throw problem.system("moved into place", path) }
    let end = path.lastIndex(of: "/").map { path[..<$0] } ?? "."
    let parent = open(end.isEmpty ? "/" : String(end), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { throw problem.system("opened", String(end)) }
    defer { close(parent) }
    guard fsync(parent) == 0 else { throw problem.system("written to disk", String(end)) }
  }

  package func discard() { _ = TreeRemoval.remove(path: partialPath) }
}
