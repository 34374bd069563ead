import HTTPTypes
import WherryDatabase

/// Who asks the registry for something, and what that one may do.
///
/// Today an operator's role says it for every repository alike. Permissions by repository, and devices that come with
/// their certificate and may pull what their desired state names, are further ways to make one of these: the handlers
/// ask nothing but `require`.
struct RegistryActor: Sendable {
  enum Action: String, Hashable, Sendable { case pull, push, delete }

  /// For the audit, and the owner of an upload.
  let name: String
  private let actions: Set<Action>

  init(_ token: OperatorToken) {
    name = token.name
    switch token.role {
    case .viewer: actions = [.pull]
    case .operator, .admin: actions = [.pull, .push, .delete]
    }
  }

  /// - Parameter repository: nil for the registry as a whole: the list of its repositories.
  func may(_ action: Action, in repository: RepositoryName?) -> Bool { actions.contains(action) }

  func require(_ action: Action, in repository: RepositoryName?) throws {
    guard may(action, in: repository) else {
      let place = repository.map { "the repository \($0)" } ?? "this registry"
      throw RegistryError(
        .forbidden, .denied, "the token \(name) may not \(action.rawValue) in \(place)",
        remedy: "use an operator's or an administrator's token")
    }
  }
}
