import WherryDatabase

@testable import WherryInventory

extension InventoryEngine {
  /// The service makes the administrator's token only, and tests need others as well.
  func setToken(_ owner: OperatorToken, _ token: String) throws {
    try commit { try database.setToken(owner, hash: SecretToken.hash(token), at: environment.now()) }
  }
}
