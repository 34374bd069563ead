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

  /// - Parameter jitter: 0 to 999 thousandths: the last quarter of the delay is cut by that share, so that what failed
  ///   together on many devices is not tried again together. nil = the whole delay.
  static func delayMilliseconds(strikes: Int, isDeploying: Bool, maximum: Int64, jitter: Int64? = nil) -> Int64 {
    let base = isDeploying ? deployingBaseMilliseconds : baseMilliseconds
    let whole = min(base << Int64(min(max(strikes, 1) - 1, 20)), max(maximum, base))
    guard let jitter else { return whole }
    return whole - whole / 4 * jitter / 1000
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

/// Chance from a seed that the shell gives, so that the same seed gives the same times.
enum Jitter {
  /// 0 to 999, by splitmix64's mixing (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
  static func share(seed: UInt64, of name: String, at now: Instant) -> Int64 {
    var mixed = name.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } &+ UInt64(bitPattern: now.milliseconds)
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int64((mixed ^ (mixed >> 31)) % 1000)
  }
}
