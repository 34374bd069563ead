import WherryModel
import WherryWire

/// Follows a deployment to its end across connections that break: the service may be restarted or upgraded meanwhile,
/// and the rollout goes on.
package struct DeploymentFollower {
  /// Before each new attempt; together half a minute. A sign of life starts the row again.
  package static let pausesMilliseconds = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000]

  private let client: InventoryClient
  /// Waits so many milliseconds.
  private let pause: (Int) -> Void
  /// Is told what went wrong before each new attempt.
  private let onInterruption: (ClientError) -> Void

  package init(
    client: InventoryClient, pause: @escaping (Int) -> Void,
    onInterruption: @escaping (ClientError) -> Void = { _ in }
  ) {
    self.client = client
    self.pause = pause
    self.onInterruption = onInterruption
  }

  /// Hands over the deployment at each change until `onChange` returns false or it has ended. A service that was not
  /// there to begin with is not waited for.
  package func follow(_ id: DeploymentID, onChange: (DeploymentSummary) -> Bool) throws {
    var attempts = 0
    var wasThere = false
    while true {
      do {
        try client.watch(id) { summary in
          attempts = 0
          wasThere = true
          return onChange(summary)
        }
        return
      } catch let error as ClientError where error.isTransient && wasThere {
        guard attempts < Self.pausesMilliseconds.count else { throw error }
        onInterruption(error)
        pause(Self.pausesMilliseconds[attempts])
        attempts += 1
      }
    }
  }
}
