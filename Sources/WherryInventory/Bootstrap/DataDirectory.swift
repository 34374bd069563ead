import Glibc

/// Everything that the service keeps, and the lock that makes it one service's.
///
/// `ca.crt` (public, for the CLI) · `inventory.db` · `blobs/` · `broker/` · `keys/` (0700)
final class DataDirectory: Sendable {
  let root: String
  /// No service has ever come as far as its database here: only then may the fleet's keys be made.
  let isNew: Bool
  private let lockDescriptor: Int32

  var database: String { "\(root)/inventory.db" }
  var blobs: String { "\(root)/blobs" }
  var broker: String { "\(root)/broker" }
  var authority: String { "\(root)/ca.crt" }

  /// Creates what is missing and takes the lock, which the kernel gives back when this process ends, however it ends.
  init(_ path: String) throws(Refusal) {
    var root = path
    while root.count > 1, root.hasSuffix("/") { root.removeLast() }
    try Self.makeParents(of: root)
    try SmallFile.makeDirectory(root, mode: 0o755)
    // mosquitto and URLs of files in messages need it absolute.
    guard let resolved = realpath(root, nil) else { throw SmallFile.failure("open", root) }
    defer { free(resolved) }
    self.root = String(cString: resolved)
    lockDescriptor = try Self.lock(self.root)
    isNew = try Self.isEmpty("\(self.root)/inventory.db")
    try SmallFile.makeDirectory("\(self.root)/keys", mode: 0o700)
    try SmallFile.makeDirectory("\(self.root)/broker", mode: 0o700)
    try SmallFile.makeDirectory("\(self.root)/blobs", mode: 0o755)
    // SQLite gives its journal the mode of the database, which holds hashes of tokens.
    let descriptor = open("\(self.root)/inventory.db", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SmallFile.failure("open", "\(self.root)/inventory.db") }
    close(descriptor)
  }

  deinit {
    // Said aloud: a child of this process that has not executed its program yet holds the descriptor, too.
    flock(lockDescriptor, LOCK_UN)
    close(lockDescriptor)
  }

  /// Whether a service has been at work in the directory.
  static func holdsInventory(_ path: String) -> Bool { (try? isEmpty("\(path)/inventory.db")) == false }

  /// SQLite writes the first page before anything else happens to a database.
  private static func isEmpty(_ database: String) throws(Refusal) -> Bool {
    var status = stat()
    if stat(database, &status) == 0 { return status.st_size == 0 }
    guard errno == ENOENT else { throw SmallFile.failure("open", database) }
    return true
  }

  private static func makeParents(of path: String) throws(Refusal) {
    var prefix = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/").dropLast() {
      prefix += "/\(part)"
      try SmallFile.makeDirectory(prefix, mode: 0o755)
    }
  }

  private static func lock(_ root: String) throws(Refusal) -> Int32 {
    let path = "\(root)/lock"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SmallFile.failure("create", path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let holder = SmallFile.text(path)?.split(separator: "\n").first.map { " (process \($0))" } ?? ""
      close(descriptor)
      throw Refusal(
        409, "data.locked", "another wherry-inventory\(holder) is using the data directory \(root)",
        remedy: "stop it first, or choose another --data directory")
    }
    let text = Array("\(getpid())\n".utf8)
    guard ftruncate(descriptor, 0) == 0, write(descriptor, text, text.count) == text.count else {
      close(descriptor)
      throw SmallFile.failure("write", path)
    }
    return descriptor
  }
}
