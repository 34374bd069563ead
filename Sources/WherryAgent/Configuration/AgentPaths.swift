import WherryModel

/// Where one agent keeps what. Components and digests are validated names, so no path can leave its place.
package struct AgentPaths: Hashable, Sendable {
  package let root: String
  package let run: String
  package let logs: String

  package init(root: String, run: String, logs: String) {
    self.root = root
    self.run = run
    self.logs = logs
  }

  package init(_ configuration: AgentConfiguration) {
    self.init(root: configuration.root, run: configuration.run, logs: configuration.logs)
  }

  var database: String { root + "/agent.db" }
  var trust: String { root + "/trust" }
  var trash: String { root + "/trash" }
  var lock: String { run + "/agent.lock" }
  package var socket: String { run + "/agent.sock" }

  var blobStore: String { root + "/blobs" }
  package var blobs: String { blobStore + "/sha256" }
  var incoming: String { blobStore + "/incoming" }
  /// Artifacts of local deployments before the agent takes them.
  package var staged: String { blobStore + "/staged" }
  package func stagedBlob(_ digest: Digest) -> String { "\(staged)/\(digest.hex)" }
  package func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.hex)" }

  package var snapshots: String { root + "/snapshots" }
  /// An unpacked layer: images that share it share the directory.
  package func snapshot(_ diffID: Digest) -> String { "\(snapshots)/\(diffID.hex)" }

  /// `files/` are the artifacts as they came, `unpacked/` those with `Unarchive`.
  package var artifacts: String { root + "/artifacts" }
  package func artifacts(_ component: PlannedComponent) -> String {
    "\(artifacts)/\(component.name)/\(component.version)-\(component.recipe.short)"
  }
  func artifactFiles(_ component: PlannedComponent) -> String { artifacts(component) + "/files" }
  func artifactsUnpacked(_ component: PlannedComponent) -> String { artifacts(component) + "/unpacked" }

  package var components: String { root + "/components" }
  func component(_ name: ComponentName) -> String { "\(components)/\(name)" }
  func work(_ name: ComponentName) -> String { component(name) + "/work" }
  /// While it is there, its component is not changed by a deployment that asks.
  package func holdFile(_ name: ComponentName) -> String { work(name) + "/hold-update" }
  /// There while an update waits for its component.
  package func updateFile(_ name: ComponentName) -> String { work(name) + "/update-waiting" }
  /// The fleet's certificate authority, where components may read it.
  var authorityCopy: String { root + "/ca.crt" }
  func data(_ name: ComponentName) -> String { component(name) + "/data" }
  /// Upper directories of containers, one per identity.
  func overlays(_ name: ComponentName) -> String { component(name) + "/overlay" }
  /// Containers that its scripts started, each in a directory of its own.
  func scriptContainers(_ name: ComponentName) -> String { component(name) + "/docker" }
  /// One socket for each component that may call `docker`; in its own view its own is here.
  var docker: String { run + "/docker" }
  package func log(_ name: ComponentName) -> String { "\(logs)/\(name).log" }
}
