import Glibc

/// Everything that the service keeps, and the lock that makes it one service's.
///
/// `ca.crt` (public, for the CLI) · `inventory.db` · `blobs/` · `broker/` · `keys/` (0700)
final class DataDirectory: Sendable {
  let root: String
  private let lockDescriptor: Int32

  var database: String { "\(root)/inventory.db" }
  var blobs: String { "\(root)/blobs" }
  var broker: String { "\(root)/broker" }
  var keys: String { "\(root)/keys" }
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
    try SmallFile.makeDirectory("\(self.root)/keys", mode: 0o700)
    try SmallFile.makeDirectory("\(self.root)/broker", mode: 0o700)
    try SmallFile.makeDirectory("\(self.root)/blobs", mode: 0o755)
    // SQLite gives its journal the mode of the database, which holds hashes of tokens.
    let descriptor = open("\(self.root)/inventory.db", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SmallFile.failure("open", "\(self.root)/inventory.db") }
    close(descriptor)
  }

  deinit { close(lockDescriptor) }

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
