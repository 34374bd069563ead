import CIsolation
import Glibc

struct ResolvedUser: Hashable, Sendable {
  var user: UInt32
  var group: UInt32
  var groups: [UInt32]
}

/// `uid[:gid]` or `name[:group]` in /etc/passwd and /etc/group of a root.
struct UserLookup {
  /// Where to look, topmost first: one host root, or the layers of an overlay.
  let roots: [String]

  func resolve(_ user: WorkloadUser) -> ResolvedUser? {
    switch user {
    case .ids(let user, let group, let groups): ResolvedUser(user: user, group: group, groups: groups)
    case .named(let text): resolve(text)
    }
  }

  private func resolve(_ text: String) -> ResolvedUser? {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let name = parts.first, !name.isEmpty else { return nil }
    let entries = Self.lines(file("etc/passwd"), fields: 4)
    let entry = entries.first { $0[0] == name } ?? entries.first { $0[2] == name }
    guard let user = UInt32(name) ?? entry.flatMap({ UInt32($0[2]) }) else { return nil }
    var group = entry.flatMap { UInt32($0[3]) } ?? 0
    let groupEntries = Self.lines(file("etc/group"), fields: 3)
    var groups: [UInt32] = []
    if parts.count == 2 {
      guard let found = UInt32(parts[1]) ?? groupEntries.first(where: { $0[0] == parts[1] }).flatMap({ UInt32($0[2]) })
      else { return nil }
      group = found
    } else if let login = entry?[0] {
      let memberships = groupEntries.filter { $0.count > 3 && $0[3].split(separator: ",").contains(Substring(login)) }
      groups = memberships.compactMap { UInt32($0[2]) }
    }
    return ResolvedUser(user: user, group: group, groups: groups)
  }

  private static func lines(_ text: String, fields: Int) -> [[String]] {
    text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      return parts.count >= fields ? parts : nil
    }
  }

  /// As the overlay would show it. Links are not followed: an image must not make the agent read the host's files.
  private func file(_ path: String) -> String {
    for root in roots {
      let descriptor = wherry_open_beneath(root, path)
      // A whiteout, a device that nobody has: deleted in this layer.
      if descriptor < 0, errno == ENXIO { return "" }
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return "" }
      return String(decoding: Files.read(descriptor, maximum: 1 << 20) ?? [], as: UTF8.self)
    }
    return ""
  }
}
