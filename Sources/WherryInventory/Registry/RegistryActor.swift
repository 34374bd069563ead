import HTTPTypes
import WherryDatabase

/// Who asks the registry for something, and what that one may do.
///
/// An operator's role says it for every repository alike; a token that is for some repositories may do there what it
/// says, and its role allows, and nothing elsewhere. The handlers ask nothing but `require` and `may`.
struct RegistryActor: Sendable {
  typealias Action = RepositoryGrant.Action

  /// For the audit, and the owner of an upload.
  let name: String
  private let actions: Set<Action>
  private let grants: [RepositoryGrant]

  init(_ token: OperatorToken) {
    name = token.name
    grants = token.repositories
    switch token.role {
    case .viewer: actions = [.pull]
    case .operator, .admin, .registry: actions = [.pull, .push, .delete]
    }
  }

  /// Whether what it sees depends on the repository.
  var isConfined: Bool { !grants.isEmpty }

  /// - Parameter repository: nil for the registry as a whole: all of its repositories.
  func may(_ action: Action, in repository: RepositoryName?) -> Bool {
    guard actions.contains(action) else { return false }
    guard isConfined else { return true }
    guard let repository else { return false }
    return grants.contains { $0.covers(repository) && $0.actions.contains(action) }
  }

  func require(_ action: Action, in repository: RepositoryName?) throws {
    guard may(action, in: repository) else {
      let place = repository.map { "the repository \($0)" } ?? "this registry"
      throw RegistryError(
        .forbidden, .denied, "the token \(name) may not \(action.rawValue) in \(place)",
        remedy: isConfined
          ? "use a token for that repository; `wherry token list` shows what each is for"
          : "use an operator's or an administrator's token")
    }
  }
}
