import Glibc
import WherryModel

/// Held for as long as an agent lives; the kernel lets go of it however the process ends.
package struct RunLock {
  private let path: String
  private let descriptor: Int32

  /// One agent per run directory.
  package init(of paths: AgentPaths) throws(Failure) {
    path = paths.lock
    descriptor = try Self.lock(
      path, message: "an agent runs already with \(path)",
      remedy: "stop it first, or give this one its own root, run, logs and agent_id in agent.conf")
  }

  /// One agent per agent ID, whatever its directories are: cgroups, bridge and tables are named by it, and an agent
  /// ends what it does not know among them.
  /// - Parameter place: the same for all agents of this machine, and only for root to write in. A name that others
  ///   could take, such as an abstract socket's, would let any component keep the agent from starting.
  package init(agentID: String, place: String = "/run") throws(Failure) {
    path = "\(place)/wherry-agent-\(agentID).lock"
    descriptor = try Self.lock(
      path, message: "an agent with the agent_id \"\(agentID)\" runs already on this machine",
      remedy: "stop it first, or give this one its own agent_id, subnet, root, run and logs in agent.conf")
  }

  private static func lock(_ path: String, message: String, remedy: String) throws(Failure) -> Int32 {
    while true {
      let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard file >= 0 else { throw Files.failure("open", path) }
      guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
        close(file)
        throw Failure(.internalError, code: "agent.running", message: message, remedy: remedy)
      }
      // Its former holder may have removed it meanwhile; then the next one would lock another file of that name.
      if isSame(file, path) { return file }
      close(file)
    }
  }

  private static func isSame(_ file: Int32, _ path: String) -> Bool {
    var opened = stat()
    var named = stat()
    return fstat(file, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino
      && opened.st_dev == named.st_dev
  }

  package func release() {
    // Said aloud: a child of this process that has not executed its program yet holds the descriptor, too.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  /// For who leaves nothing behind.
  package func remove() {
    unlink(path)
    close(descriptor)
  }
}
