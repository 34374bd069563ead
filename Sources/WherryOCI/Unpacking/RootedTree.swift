import CArchive
import Glibc
import WherryModel

/// Makes and replaces files below one directory and nowhere else. Each parent directory is resolved by the kernel
/// with RESOLVE_BENEATH, so that no link inside the tree, whenever it was made, leads out of it; the last part of a
/// name is never followed.
final class RootedTree {
  let root: Int32
  private let followsLinks: Bool
  private let problem: UnpackProblem
  /// Entries come directory by directory, so the last parent is mostly the next one too.
  private var cached: (path: [CChar], descriptor: Int32)?
  private var stale: Int32?

  /// - Parameter followsLinks: whether a link inside the tree may be a part of an entry's path.
  init(root: Int32, followsLinks: Bool, problem: UnpackProblem) {
    self.root = root
    self.followsLinks = followsLinks
    self.problem = problem
  }

  deinit {
    forgetParent()
    closeStale()
  }

  private func closeStale() {
    if let stale { close(stale) }
    stale = nil
  }

  func forgetParent() {
    if let cached { close(cached.descriptor) }
    cached = nil
  }

  /// Something was removed that may be, or be part of, the remembered parent. The one in use stays open, but is asked
  /// for anew next time.
  func forgetOthers(than parent: Int32) {
    guard let cached else { return }
    guard cached.descriptor == parent else { return forgetParent() }
    stale = cached.descriptor
    self.cached = nil
  }

  private func open(_ path: [CChar]) -> Int32 {
    carchive_open_beneath(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, followsLinks ? 0 : 1)
  }

  /// The open parent directory of an entry; valid until the next call. Missing ones are made when `creating`.
  func parent(of path: EntryPath, creating: Bool = true) throws(Failure) -> Int32 {
    if path.parent.isEmpty { return root }
    closeStale()
    if let cached, cached.path == path.parent { return cached.descriptor }
    forgetParent()
    var descriptor = open(path.parent)
    if descriptor < 0, errno == ENOENT, creating { descriptor = try makeParents(of: path) }
    guard descriptor >= 0 else { throw problem.system("reached", path.text) }
    cached = (path.parent, descriptor)
    return descriptor
  }

  /// The directory at this path, itself not a link; negative when there is none.
  func openDirectory(_ path: EntryPath) -> Int32 {
    let whole = path.parent.isEmpty ? path.name : path.parent.dropLast() + [0x2f] + path.name
    return carchive_open_beneath(
      root, whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, followsLinks ? 0 : 1)
  }

  /// Opens one directory more at each round and makes it where it is missing.
  private func makeParents(of path: EntryPath) throws(Failure) -> Int32 {
    let slash = CChar(0x2f)
    let parts = path.parent.dropLast().split(separator: slash)
    var current = dup(root)
    for count in 1...parts.count {
      let prefix = Array(parts[..<count].joined(separator: [slash])) + [0]
      var next = open(prefix)
      if next < 0, errno == ENOENT {
        let name = Array(parts[count - 1]) + [0]
        if mkdirat(current, name, 0o755) != 0 {
          // Something is there and yet leads nowhere: a dangling link.
          if errno == EEXIST { errno = ELOOP }
        } else {
          next = open(prefix)
          // Whatever the process's umask.
          if next >= 0 { _ = fchmod(next, 0o755) }
        }
      }
      let number = errno
      close(current)
      guard next >= 0 else {
        errno = number
        throw problem.system("made", path.text)
      }
      current = next
    }
    return current
  }

  enum Existing { case nothing, directory, whiteout, other }

  func existing(_ path: EntryPath, in parent: Int32) throws(Failure) -> Existing {
    var status = stat()
    guard fstatat(parent, path.name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return .nothing }
      throw problem.system("examined", path.text)
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: return .directory
    case S_IFCHR where status.st_rdev == 0: return .whiteout
    default: return .other
    }
  }

  /// Makes way for a new entry. A later entry of the same name replaces an earlier one.
  /// - Returns: what was there.
  func clear(_ path: EntryPath, in parent: Int32) throws(Failure) -> Existing {
    let existing = try existing(path, in: parent)
    switch existing {
    case .nothing: break
    case .directory:
      guard TreeRemoval.remove(path.name, in: parent) else { throw problem.system("replaced", path.text) }
    case .whiteout, .other:
      guard unlinkat(parent, path.name, 0) == 0 else { throw problem.system("replaced", path.text) }
    }
    return existing
  }
}
