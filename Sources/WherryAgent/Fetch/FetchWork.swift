import Glibc
import WherryJSON
import WherryModel

/// What has to be brought and unpacked before a plan can run, less what is there already.
struct FetchWork {
  struct Download: Hashable {
    var digest: Digest
    var size: Int64
    /// Nil = the service's own store.
    var url: String?
    var isLayer: Bool
    var label: String
  }
  struct Layer: Hashable {
    var layer: PlannedLayer
    var label: String
  }

  var downloads: [Download] = []
  var layers: [Layer] = []
  /// Components whose artifact directory is still to be made.
  var artifactOwners: [PlannedComponent] = []
  var bytesNeeded: Int64 = 0
  /// Artifacts that came with a local deployment and are not there any more; nobody else has them.
  var lost: [String] = []

  /// Unpacked content is larger than what travels. The true size is only known afterwards; three times is a usual
  /// upper end for layers of programs, and the unpacker still meets a full disk with a clear failure.
  static let expansion: Int64 = 3

  init() {}

  init(
    for plan: Plan, paths: AgentPaths, exists: (String) -> Bool = Files.exists,
    allocated: (String) -> Int64 = FetchWork.allocatedBytes
  ) {
    var seen: Set<Digest> = []
    var seenLayers: Set<Digest> = []
    func download(_ digest: Digest, _ size: Int64, _ url: String?, isLayer: Bool, _ label: String) {
      guard !exists(paths.blob(digest)), seen.insert(digest).inserted else { return }
      downloads.append(Download(digest: digest, size: size, url: url, isLayer: isLayer, label: label))
      // A download reserves all of its file at once, and the free space is less by that already.
      need(max(0, size - allocated("\(paths.incoming)/\(digest.hex)")))
    }
    for component in plan.components {
      if !component.artifacts.isEmpty && !exists(paths.artifacts(component)) {
        artifactOwners.append(component)
        for artifact in component.artifacts {
          if artifact.source == PlannedArtifact.localSource, !exists(paths.blob(artifact.digest)) {
            lost.append("\(artifact.fileName) of \(component.name) \(component.version)")
            continue
          }
          let url = ["wherry:", PlannedArtifact.localSource].contains(artifact.source) ? nil : artifact.source
          download(artifact.digest, artifact.size, url, isLayer: false, "\(component.name) \(artifact.fileName)")
          need(artifact.size, times: artifact.unarchive == .none ? 1 : Self.expansion + 1)
        }
      }
      for image in component.allImages {
        for (index, layer) in image.layers.enumerated() {
          let label = "\(component.name) layer \(index + 1)/\(image.layers.count)"
          guard !exists(paths.snapshot(layer.diffID)), seenLayers.insert(layer.diffID).inserted else { continue }
          layers.append(Layer(layer: layer, label: label))
          download(layer.digest, layer.size, image.url(of: layer), isLayer: true, label)
          need(layer.size, times: layer.compression == .none ? 1 : Self.expansion)
        }
      }
    }
  }

  /// Bytes of the disk that the file holds, whether written or reserved.
  static func allocatedBytes(_ path: String) -> Int64 {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 0 }
    return Int64(status.st_blocks) * 512
  }

  /// Sizes come from outside: they add up to "too much" rather than around the corner.
  private mutating func need(_ size: Int64, times factor: Int64 = 1) {
    let (product, isTooLarge) = size.multipliedReportingOverflow(by: factor)
    let (sum, isTooMuch) = bytesNeeded.addingReportingOverflow(product)
    bytesNeeded = isTooLarge || isTooMuch ? .max : sum
  }

  var isEmpty: Bool { downloads.isEmpty && layers.isEmpty && artifactOwners.isEmpty }
  var bytesToDownload: Int64 { downloads.reduce(0) { $0 &+ $1.size } }

  /// What there is room for.
  struct Room {
    var free: Int64
    /// Of it to be left free.
    var headroom: Int64
    /// What the store holds, and may hold at most; nil = there is no budget.
    var budget: (used: Int64, maximum: Int64)?
  }

  /// What cannot be brought from anywhere.
  var loss: Failure? {
    guard !lost.isEmpty else { return nil }
    return Failure(
      .verify, code: "local.artifactLost",
      message: "\(lost.prefix(5).joined(separator: ", ")) came with a local deployment and is not on this device any "
        + "more",
      remedy: "deploy it again with `wherry-agent deploy` and its --artifact-dir")
  }

  /// Why it does not fit; nil = it does.
  func shortage(_ room: Room, root: String, generation: Generation) -> Failure? {
    guard !isEmpty else { return nil }
    let needs = "generation \(generation) needs \(ByteCount.readable(bytesNeeded)) under \(root)"
    if bytesNeeded > room.free - room.headroom {
      return Failure(
        .space, code: "space.short",
        message: "\(needs), where \(ByteCount.readable(room.free)) are free and "
          + "\(ByteCount.readable(room.headroom)) have to stay so",
        remedy: "free some space, or deploy less to this device")
    }
    if let budget = room.budget, bytesNeeded > budget.maximum - budget.used {
      return Failure(
        .space, code: "space.short",
        message: "\(needs), where \(ByteCount.readable(budget.used)) of the budget of "
          + "\(ByteCount.readable(budget.maximum)) are used",
        remedy: "raise disk_budget in agent.conf, or deploy less to this device")
    }
    return nil
  }
}
