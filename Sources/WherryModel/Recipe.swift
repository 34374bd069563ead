import WherryJSON

/// A component recipe in the Greengrass v2 format (`RecipeFormatVersion: 2020-01-25`) with the container
/// extension, as a plain value: parsed, validated, keys in their canonical case.
package struct Recipe: Hashable, Sendable {
  package var name: ComponentName
  package var version: Version
  package var type: String = "aws.greengrass.generic"
  package var summary: String = ""
  package var publisher: String = ""
  package var defaultConfiguration: JSON = .object([:])
  package var dependencies: [ComponentName: Dependency] = [:]
  /// In order; the first whose platform matches the device is the one.
  package var manifests: [Manifest] = []
  /// The recipe-wide lifecycle, used where the chosen manifest has none.
  package var lifecycle: Lifecycle = Lifecycle()

  package init(name: ComponentName, version: Version) {
    self.name = name
    self.version = version
  }
}

package enum DependencyKind: String, Hashable, Sendable {
  /// The dependent stops and restarts with its dependency.
  case hard = "HARD"
  /// Start order only.
  case soft = "SOFT"
}

package struct Dependency: Hashable, Sendable {
  package var requirement: VersionRequirement
  package var kind: DependencyKind
  package init(requirement: VersionRequirement, kind: DependencyKind = .hard) {
    self.requirement = requirement
    self.kind = kind
  }
}

package struct Manifest: Hashable, Sendable {
  package var name: String = ""
  /// Attribute → value, `*`, or `/regex/` (kept verbatim). An absent attribute matches every device.
  package var platform: [String: String] = [:]
  package var lifecycle: Lifecycle = Lifecycle()
  package var selections: [String] = []
  package var artifacts: [Artifact] = []
  /// Limits of a process component; a container's are in its `Container`.
  package var resources: Resources = Resources()
  /// Present on container components only.
  package var container: ContainerSpec?
  package init() {}

  /// All that it needs, each once, as the recipe writes them.
  package var images: [String] {
    var images: [String] = []
    for image in [container?.image].compactMap({ $0 }) + artifacts.compactMap(\.image) where !images.contains(image) {
      images.append(image)
    }
    return images
  }
}

package struct Lifecycle: Hashable, Sendable {
  package var setenv: [String: String] = [:]
  package var steps: [LifecycleStep: Step] = [:]
  package init() {}
  package var isEmpty: Bool { steps.isEmpty && setenv.isEmpty }
}

package enum LifecycleStep: String, Hashable, Sendable, CaseIterable {
  case bootstrap, install, startup, run, shutdown, recover, uninstall

  /// Seconds; nil = none. Greengrass's defaults.
  package var defaultTimeoutSeconds: Int? {
    switch self {
    case .bootstrap, .install, .startup, .uninstall: 120
    case .shutdown: 15
    case .recover: 60
    case .run: nil
    }
  }
}

package struct Step: Hashable, Sendable {
  package var script: String
  package var requiresPrivilege: Bool = false
  package var setenv: [String: String] = [:]
  package var skipIf: SkipCondition?
  /// nil = the step's default.
  package var timeoutSeconds: Int?
  /// `{configuration:/…}` where the recipe leaves the choice to the configuration; decided on the device.
  package var requiresPrivilegeVariable: String?
  package var timeoutVariable: String?
  /// Of `bootstrap` only: run it also when a deployment is rolled back.
  package var bootstrapOnRollback: Bool = false
  /// 30 days: longer than any step, and far from any overflow.
  package static let timeoutSecondsMaximum = 2_592_000
  package init(script: String) { self.script = script }
}

package struct SkipCondition: Hashable, Sendable {
  package enum Test: Hashable, Sendable {
    case onPath(String)
    case exists(String)
  }
  package var test: Test
  package var isNegated: Bool
  package init(test: Test, isNegated: Bool = false) {
    self.test = test
    self.isNegated = isNegated
  }
}

package enum Unarchive: String, Hashable, Sendable {
  case none = "NONE"
  case zip = "ZIP"
  case tar = "TAR"
}

package enum ArtifactAccess: String, Hashable, Sendable {
  case none = "NONE"
  case owner = "OWNER"
  case all = "ALL"
}

package struct Artifact: Hashable, Sendable {
  /// As written in the recipe: `wherry:NAME`, `https://…`, `s3://…`, `docker:…`, `file:…`.
  package var uri: String
  package var digest: Digest?
  /// Bytes; known once published.
  package var size: Int64?
  package var unarchive: Unarchive = .none
  package var read: ArtifactAccess = .owner
  package var execute: ArtifactAccess = .none
  package init(uri: String) { self.uri = uri }

  /// The last path segment of the URI: the file's name under `{artifacts:path}`.
  package var fileName: String {
    let path = uri.split(separator: ":", maxSplits: 1).last.map(String.init) ?? uri
    return path.split(separator: "/").last.map(String.init) ?? path
  }

  /// Of `docker:` and `oci:`: the reference behind the scheme. Images are kept as layers, and are no files.
  package var image: String? {
    let parts = uri.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, ["docker", "oci"].contains(parts[0].lowercased()) else { return nil }
    return String(parts[1].hasPrefix("//") ? parts[1].dropFirst(2) : parts[1])
  }
}
