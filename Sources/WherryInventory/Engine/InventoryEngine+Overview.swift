import WherryDatabase
import WherryModel
import WherryWire

/// The fleet on one page, as of one moment. Lists are bounded; counts are of everything.
package struct FleetOverview: Sendable {
  package struct FailingDevice: Sendable {
    package var name: DeviceName
    /// Its deployment's first, then its components'.
    package var failures: [Failure]
  }

  package var fleet: FleetSummary
  /// By name.
  package var devices: [DeviceSummary]
  /// The newest, and older ones that have not ended; newest first.
  package var deployments: [DeploymentSummary]
  package var deploymentCounts: [DeploymentState: Int]
  /// By name.
  package var failing: [FailingDevice]
  package var failingCount: Int
}

extension InventoryEngine {
  /// - Parameters:
  ///   - devices: as many at most.
  ///   - deployments: so many of the newest at most, and as many of the older ones that have not ended.
  ///   - failing: devices with failures, as many at most.
  package func overview(devices: Int, deployments: Int, failing: Int) throws -> FleetOverview {
    var shown = try self.deployments(limit: deployments)
    if let oldest = shown.last {
      shown += try database.unfinishedDeployments(before: oldest.id, limit: deployments).map { try summary(of: $0) }
    }
    return FleetOverview(
      fleet: try fleet(), devices: try self.devices(limit: devices), deployments: shown,
      deploymentCounts: try database.deploymentCounts(),
      failing: try database.failingDevices(limit: failing).map { .init(name: $0.name, failures: $0.failures) },
      failingCount: try database.failingDeviceCount())
  }
}
