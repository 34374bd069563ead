import WherryJSON

/// What one or many alike devices shall run: exact versions and digests, nothing left to choose. It carries no
/// device name, so alike devices share one plan and its digest; the signed envelope names device and generation.
package struct Plan: Hashable, Sendable {
  /// The deployments that it was composed from, ascending.
  package var deployments: [DeploymentID]
  /// In start order: a component comes after everything that it depends on.
  package var components: [PlannedComponent]
  package var policy: ApplyPolicy
  /// What was deployed on the device itself. Only a device makes such a plan, out of the service's and this.
  package var local: LocalSet?
  /// Components that are here because of that alone.
  package var localNames: Set<ComponentName> = []
  /// Of the service's plan in it; nil = there is none, or it is the service's.
  package var ordered: Digest?
  package init(deployments: [DeploymentID] = [], components: [PlannedComponent], policy: ApplyPolicy = ApplyPolicy()) {
    self.deployments = deployments
    self.components = components
    self.policy = policy
  }
  package subscript(name: ComponentName) -> PlannedComponent? { components.first { $0.name == name } }

  /// Every blob that it names, and with that all that its device has a reason to fetch beside the plan itself.
  package var blobs: Set<Digest> {
    var blobs: Set<Digest> = []
    for component in components {
      blobs.insert(component.recipe)
      blobs.formUnion(component.artifacts.map(\.digest))
      for image in component.allImages {
        blobs.insert(image.manifest)
        blobs.formUnion(image.layers.map(\.digest))
      }
    }
    return blobs
  }
}

package struct ApplyPolicy: Hashable, Sendable {
  package enum FailureHandling: String, Hashable, Sendable {
    case rollback = "ROLLBACK"
    case doNothing = "DO_NOTHING"
  }
  package enum UpdateAction: String, Hashable, Sendable {
    case notify = "NOTIFY_COMPONENTS"
    case skip = "SKIP_NOTIFY_COMPONENTS"
  }
  /// 7 days.
  package static let updateTimeoutSecondsMaximum = 604_800
  package var failureHandling: FailureHandling = .rollback
  /// Whether running components may hold their own update off, and for how long at most. Greengrass's defaults.
  package var updateAction: UpdateAction = .notify
  package var updateTimeoutSeconds: Int = 60
  /// How long everything must stay healthy before the device commits.
  package var settleMilliseconds: Int64 = 3_000
  /// From the first change on the device to commit; then it fails with class `timeout`.
  package var timeoutSeconds: Int = 1_800
  package init() {}
}

/// One component of a plan, resolved for the platform that the plan is for.
package struct PlannedComponent: Hashable, Sendable {
  package var name: ComponentName
  package var version: Version
  /// Of the canonical recipe that it was made from.
  package var recipe: Digest
  package var dependencies: [ComponentName: DependencyKind] = [:]
  package var lifecycle: Lifecycle = Lifecycle()
  package var artifacts: [PlannedArtifact] = []
  /// Limits of a process component; a container's are in its `container`.
  package var resources: Resources = Resources()
  /// Both present on container components, both absent on process components.
  package var container: ContainerSpec?
  package var image: PlannedImage?
  /// Those that the recipe lists as artifacts, in its order: its scripts may run them (`docker run`).
  package var images: [PlannedImage] = []
  package var configuration: ConfigurationUpdate = ConfigurationUpdate()
  package init(name: ComponentName, version: Version, recipe: Digest) {
    self.name = name
    self.version = version
    self.recipe = recipe
  }

  /// Everything of it that consists of layers.
  package var allImages: [PlannedImage] { [image].compactMap { $0 } + images }
}

/// Applied on the device: RESET paths are dropped, then the recipe's defaults fill what is missing, then MERGE.
package struct ConfigurationUpdate: Hashable, Sendable {
  package var defaults: JSON = .object([:])
  /// JSON pointers (RFC 6901); `""` = everything.
  package var reset: [String] = []
  package var merge: JSON?
  package init() {}

  package var changesNothing: Bool { reset.isEmpty && merge == nil }
}

package struct PlannedArtifact: Hashable, Sendable {
  package var fileName: String
  package var digest: Digest
  /// Bytes, declared before the first is fetched.
  package var size: Int64
  /// `wherry:` = the service's own blob store by digest, else an `https://` URL.
  package var source: String
  package var unarchive: Unarchive = .none
  package var read: ArtifactAccess = .owner
  package var execute: ArtifactAccess = .none
  package init(fileName: String, digest: Digest, size: Int64, source: String = "wherry:") {
    self.fileName = fileName
    self.digest = digest
    self.size = size
    self.source = source
  }
}

package enum LayerCompression: String, Hashable, Sendable { case none, gzip, zstd }

package struct PlannedLayer: Hashable, Sendable {
  /// Of the bytes as transferred.
  package var digest: Digest
  package var size: Int64
  package var compression: LayerCompression
  /// Of the uncompressed tar (OCI image-spec, config.md, `rootfs.diff_ids`).
  package var diffID: Digest
  package init(digest: Digest, size: Int64, compression: LayerCompression, diffID: Digest) {
    self.digest = digest
    self.size = size
    self.compression = compression
    self.diffID = diffID
  }
}

/// An image pinned by the service when the deployment was created.
package struct PlannedImage: Hashable, Sendable {
  /// As the recipe wrote it, for people.
  package var reference: String
  /// Scheme and authority: `https://registry.example.com` or, where the operator allowed it, `http://…`; or
  /// `serviceRegistry`.
  package var registry: String
  package var repository: String
  package var manifest: Digest
  /// Bottom first.
  package var layers: [PlannedLayer]
  /// From the image's config.
  package var entrypoint: [String] = []
  package var command: [String] = []
  /// `NAME=value`.
  package var environment: [String] = []
  package var user: String = ""
  package var workingDirectory: String = ""
  package var stopSignal: String = ""
  package init(reference: String, registry: String, repository: String, manifest: Digest, layers: [PlannedLayer]) {
    self.reference = reference
    self.registry = registry
    self.repository = repository
    self.manifest = manifest
    self.layers = layers
  }

  /// The `registry` of an image of the service's own: its layers are blobs of the service, as artifacts are.
  package static let serviceRegistry = "wherry:"

  /// Where a device gets the layer; nil = from the service, by digest.
  package func url(of layer: PlannedLayer) -> String? {
    registry == Self.serviceRegistry ? nil : "\(registry)/v2/\(repository)/blobs/\(layer.digest)"
  }
}
