import Glibc
import WherryModel

/// Finds what no kept plan needs. Removal itself is done in small steps by the caller.
struct GarbageCollector {
  let paths: AgentPaths
  let plans: [Plan]
  /// Overlay identities of workloads that are wanted, by component.
  let identities: [ComponentName: Set<String>]

  /// Paths to remove, and the trash of earlier runs.
  func garbage() -> [String] {
    let components = plans.flatMap(\.components)
    var found = content()
    // Nothing is being fetched while this looks, so partial files are leftovers of given-up deployments.
    found += Files.names(in: paths.incoming).map { "\(paths.incoming)/\($0)" }
    let names = Set(components.map(\.name.rawValue))
    found += unwanted(in: paths.components, names)
    for (name, kept) in identities where names.contains(name.rawValue) {
      found += unwanted(in: paths.overlays(name), kept)
    }
    return found
  }

  /// Blobs, layers and artifacts; not what is on its way.
  func content() -> [String] {
    let components = kept
    let layers = components.flatMap { $0.allImages.flatMap(\.layers) }
    return unwanted(in: paths.blobs, Set(components.flatMap { $0.artifacts.map(\.digest.hex) }))
      + unwanted(in: paths.snapshots, Set(layers.map(\.diffID.hex)))
      + artifactGarbage(components)
  }

  /// Also those of a local set that the service's take the place of at present.
  private var kept: [PlannedComponent] {
    plans.flatMap { $0.components + ($0.local?.components.values.map(\.planned) ?? []) }
  }

  private func unwanted(in directory: String, _ wanted: Set<String>) -> [String] {
    Files.names(in: directory).filter { !wanted.contains($0) }.map { "\(directory)/\($0)" }
  }

  private func artifactGarbage(_ components: [PlannedComponent]) -> [String] {
    let wanted = Set(components.map { paths.artifacts($0) })
    return Files.names(in: paths.artifacts).flatMap { name -> [String] in
      let directory = "\(paths.artifacts)/\(name)"
      let versions = Files.names(in: directory).map { "\(directory)/\($0)" }
      let found = versions.filter { !wanted.contains($0) }
      return found.count == versions.count ? [directory] : found
    }
  }
}
