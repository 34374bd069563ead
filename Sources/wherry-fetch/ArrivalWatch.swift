import Glibc

/// Tells when something has been moved into a directory, which is how a blob comes into its store: whole.
final class ArrivalWatch {
  /// Can be read when something is; -1 where the kernel gives no more watches.
  let descriptor: Int32
  private var directories: Set<String> = []
  /// Some directory cannot be watched, so it has to be looked at.
  private var isBlind: Bool

  private static let intervalMilliseconds: Int32 = 200

  init() {
    descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
    isBlind = descriptor < 0
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// When to look without being told, in milliseconds; nil = there is no need to.
  var interval: Int32? { isBlind ? Self.intervalMilliseconds : nil }

  /// - Returns: whether the directory is watched from now on and was not before.
  func add(directoryOf path: String) -> Bool {
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    guard !isBlind, directories.insert(directory).inserted else { return false }
    isBlind = inotify_add_watch(descriptor, directory, UInt32(IN_MOVED_TO)) < 0
    return !isBlind
  }

  /// What came is of no interest: everything that is waited for is looked for anyway.
  func drain() {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while read(descriptor, &buffer, buffer.count) > 0 {}
  }
}
