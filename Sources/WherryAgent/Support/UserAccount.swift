import Glibc
import WherryModel

/// A user of this host. Read from /etc/passwd and /etc/group directly: the resolver of libc would load modules into a
/// program that has to stay small.
package struct UserAccount: Hashable, Sendable {
  package var name: String
  package var user: UInt32
  package var group: UInt32
  package var groups: [UInt32] = []

  package init(name: String, user: UInt32, group: UInt32, groups: [UInt32] = []) {
    self.name = name
    self.user = user
    self.group = group
    self.groups = groups
  }

  package static let root = UserAccount(name: "root", user: 0, group: 0)

  /// Whoever downloads: as configured, or a user of its own where there is one. Without one it shares `nobody` with
  /// components, which cannot reach it (they have namespaces of their own) and of whose blobs nothing is believed
  /// unverified.
  package static func fetching(
    _ configured: String?, passwd: String = "/etc/passwd", groupFile: String = "/etc/group"
  ) throws(Failure) -> UserAccount {
    if let configured { return try named(configured, passwd: passwd, groupFile: groupFile) }
    if let own = try? named("wherry-fetch", passwd: passwd, groupFile: groupFile) { return own }
    return try named("nobody", passwd: passwd, groupFile: groupFile)
  }

  /// `name`, or `uid:gid`.
  package static func named(
    _ text: String, passwd: String = "/etc/passwd", groupFile: String = "/etc/group"
  ) throws(Failure) -> UserAccount {
    let numbers = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
    if numbers.count == 2, let user = numbers[0], let group = numbers[1] {
      return UserAccount(name: text, user: user, group: group)
    }
    for line in try Files.text(passwd).split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count >= 4, fields[0] == text, let user = UInt32(fields[2]), let group = UInt32(fields[3]) else {
        continue
      }
      return UserAccount(name: text, user: user, group: group, groups: groups(of: text, in: groupFile))
    }
    throw Failure(
      .internalError, code: "user.unknown", message: "there is no user \"\(text)\" in \(passwd)",
      remedy: "correct default_user or fetch_user in agent.conf, or add the user")
  }

  private static func groups(of name: String, in path: String) -> [UInt32] {
    guard let text = try? Files.text(path) else { return [] }
    return text.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count >= 4, fields[3].split(separator: ",").contains(where: { $0 == name }) else { return nil }
      return UInt32(fields[2])
    }
  }
}
