/// What a token may do in some repositories: `team/*:pull,push`.
package struct RepositoryGrant: Hashable, Sendable, CustomStringConvertible {
  package enum Action: String, Hashable, Sendable, CaseIterable { case pull, push, delete }

  package struct Problem: Error, Hashable, Sendable {
    package var message: String
    package var remedy: String
  }

  /// A repository's name; one that ends in `/*` means all below it, `*` alone means all.
  package let pattern: String
  package let actions: Set<Action>

  package static let countMaximum = 64

  package init(_ text: String) throws(Problem) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let pattern = String(parts[0])
    let name = pattern.hasSuffix("/*") ? String(pattern.dropLast(2)) : pattern
    guard pattern == "*" || RepositoryName(name) != nil else {
      throw Problem(
        message: "\"\(pattern.prefix(80))\" names no repositories",
        remedy: "write a repository's name, team/* for all below team, or * for all")
    }
    var actions: Set<Action> = []
    for word in parts.count > 1 ? parts[1].split(separator: ",", omittingEmptySubsequences: false) : ["pull"] {
      guard let action = Action(rawValue: String(word)) else {
        throw Problem(
          message: "\"\(word.prefix(40))\" in \"\(text.prefix(120))\" is nothing that can be done in a repository",
          remedy: "use pull, push and delete, separated by commas")
      }
      actions.insert(action)
    }
    self.pattern = pattern
    self.actions = actions
  }

  package func covers(_ repository: RepositoryName) -> Bool {
    if pattern == "*" { return true }
    return pattern.hasSuffix("/*") ? repository.rawValue.hasPrefix(pattern.dropLast()) : repository.rawValue == pattern
  }

  package var description: String {
    "\(pattern):" + Action.allCases.filter(actions.contains).map(\.rawValue).joined(separator: ",")
  }
}
