import WherryModel

/// How long a failed component rests, and when it is given up.
enum RestartBackoff {
  static let strikesMaximum = 3
  /// Strikes further apart than this do not add up.
  static let strikeWindowMilliseconds: Int64 = 3_600_000
  /// A container that ran this long starts its backoff anew.
  static let stableMilliseconds: Int64 = 60_000
  static let processMaximumMilliseconds: Int64 = 300_000
  /// A deployment is being decided: with 200 and 400 ms between three tries a broken version is known in under two
  /// seconds, yet one unlucky start does not fail a rollout.
  static let deployingBaseMilliseconds: Int64 = 200
  static let baseMilliseconds: Int64 = 1_000

  static func delayMilliseconds(strikes: Int, isDeploying: Bool, maximum: Int64) -> Int64 {
    let base = isDeploying ? deployingBaseMilliseconds : baseMilliseconds
    return min(base << Int64(min(max(strikes, 1) - 1, 20)), max(maximum, base))
  }

  /// `strikes` counts the latest failure. A container that is to be restarted is never given up outside a deployment:
  /// on an unattended device what it waits for may come back, and its backoff grows to the policy's maximum.
  static func isBroken(strikes: Int, policy: RestartPolicy?, isDeploying: Bool) -> Bool {
    switch policy?.mode {
    case .never: true
    case .always, .onFailure: isDeploying && strikes >= strikesMaximum
    case nil: strikes >= strikesMaximum
    }
  }
}
