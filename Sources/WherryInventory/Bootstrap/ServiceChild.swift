import Glibc

/// A program that the service starts: in a process group of its own, with no signal blocked or ignored, and with
/// nothing open but what it is given.
enum ServiceChild {
  /// - Parameter arguments: begin with the program's path.
  /// - Parameter connect: gives it its standard descriptors.
  /// - Returns: its process, or the reason that there is none as a negative errno.
  static func start(_ arguments: [String], connect: (inout posix_spawn_file_actions_t) -> Void) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    connect(&actions)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setpgroup(&attributes, 0)
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    // A child that outlives a killed service must not keep what that was started with.
    Descriptors.closeOnExec()
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    pointers.append(nil)
    defer { pointers.forEach { free($0) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, arguments[0], &actions, &attributes, pointers, environ)
    return status == 0 ? process : -status
  }
}
