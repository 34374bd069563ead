import Glibc
import WherryJSON
import WherryModel

/// The user that a download runs as: nobody who owns anything but the store.
struct Identity {
  let user: uid_t
  let group: gid_t

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    user = try Self.number(cursor.require("uid"))
    group = try Self.number(cursor.require("gid"))
  }

  private static func number(_ cursor: JSONCursor) throws(JSONShapeError) -> UInt32 {
    guard let number = UInt32(exactly: try cursor.integer()), number != .max else { throw cursor.fail("is no id") }
    return number
  }

  /// For good. Root's capabilities go with the user.
  func assume() throws(Failure) {
    if geteuid() == 0, user != 0 {
      guard setgroups(0, nil) == 0, setgid(group) == 0, setuid(user) == 0, setuid(0) != 0 else {
        throw Failure(
          .internalError, code: "worker.privileges",
          message: "wherry-fetch cannot become user \(user): \(String(cString: strerror(errno)))",
          remedy: "start the agent as root")
      }
    }
  }
}
