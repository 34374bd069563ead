import Glibc
import WherryJSON
import WherryModel

/// The user that a short-lived worker runs as: nobody who owns more than the work needs.
package struct WorkerIdentity {
  package let user: uid_t
  package let group: gid_t

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    user = try Self.number(cursor.require("uid"))
    group = try Self.number(cursor.require("gid"))
  }

  private static func number(_ cursor: JSONCursor) throws(JSONShapeError) -> UInt32 {
    guard let number = UInt32(exactly: try cursor.integer()), number != .max else { throw cursor.fail("is no id") }
    return number
  }

  /// For good. Root's capabilities go with the user.
  /// - Parameter program: whose sentence it is, should it fail; `remedy`: what helps then.
  package func assume(by program: String, remedy: String) throws(Failure) {
    guard geteuid() == 0, user != 0 else { return }
    guard setgroups(0, nil) == 0, setgid(group) == 0, setuid(user) == 0, setuid(0) != 0 else {
      throw Failure(
        .internalError, code: "worker.privileges",
        message: "\(program) cannot become user \(user): \(String(cString: strerror(errno)))", remedy: remedy)
    }
  }
}
