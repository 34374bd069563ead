import WherryJSON
import WherryModel

/// What `wherry-agent images` shows: the images that the kept plans name, and what their layers take of the disk.
struct ImageList {
  struct Image: Hashable {
    var reference: String
    var manifest: Digest
    /// Bottom first, by the digests under which they are unpacked.
    var layers: [Digest]
    /// `com.example.web 1.0.0`, in order.
    var users: [String]
    /// Of the best that one of its plans is: a running state before a coming one before a former one.
    var use: Use
  }
  enum Use: String, CaseIterable, Comparable {
    case running, coming, former
    static func < (left: Use, right: Use) -> Bool {
      allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
    }
  }

  private(set) var images: [Image] = []

  mutating func add(_ plan: Plan, _ use: Use) {
    for (component, image) in plan.components.flatMap({ component in component.allImages.map { (component, $0) } }) {
      let user = "\(component.name) \(component.version)"
      guard let index = images.firstIndex(where: { $0.manifest == image.manifest }) else {
        images.append(
          Image(
            reference: image.reference, manifest: image.manifest, layers: image.layers.map(\.diffID), users: [user],
            use: use))
        continue
      }
      if !images[index].users.contains(user) { images[index].users.append(user) }
      images[index].use = min(images[index].use, use)
    }
  }

  /// - Parameter size: bytes that an unpacked layer takes; nil = it is not there.
  func json(size: (Digest) -> Int64?) -> JSON {
    var sizes: [Digest: Int64] = [:]
    for layer in Set(images.flatMap(\.layers)) { sizes[layer] = size(layer) }
    let rows = images.sorted { ($0.use, $0.reference) < ($1.use, $1.reference) }.map { image -> JSON in
      let others = Set(images.filter { $0.manifest != image.manifest }.flatMap(\.layers))
      let own = Set(image.layers)
      let bytes = own.reduce(0) { $0 + (sizes[$1] ?? 0) }
      let shared = own.intersection(others).reduce(0) { $0 + (sizes[$1] ?? 0) }
      return [
        "image": .string(image.reference), "digest": .string(image.manifest.description), "bytes": .integer(bytes),
        "sharedBytes": .integer(shared), "layers": .int(image.layers.count),
        "layersPresent": .int(image.layers.count { sizes[$0] != nil }), "use": .string(image.use.rawValue),
        "components": .strings(image.users.sorted()),
      ]
    }
    return ["images": .array(rows), "storedBytes": .integer(sizes.values.reduce(0, +))]
  }
}

extension AgentEngine {
  /// Plans as digests of layers: the sizes are looked up by the command, which has the time.
  var imagesJSON: JSON {
    let state = machine.state
    var list = ImageList()
    for (digest, plan) in plans.sorted(by: { $0.key < $1.key }) {
      list.add(plan, use(of: digest, state.current?.digest, state.aim?.digest, state.deployment?.reference.digest))
    }
    return .array(
      list.images.map { image in
        [
          "reference": .string(image.reference), "manifest": .string(image.manifest.description),
          "layers": .strings(image.layers.map(\.description)), "users": .strings(image.users),
          "use": .string(image.use.rawValue),
        ]
      })
  }

  private func use(of plan: Digest, _ current: Digest?, _ aim: Digest?, _ coming: Digest?) -> ImageList.Use {
    if plan == current || (plan == aim && current == nil) { return .running }
    return plan == coming || plan == aim ? .coming : .former
  }
}

extension ImageList {
  /// From the agent's answer.
  init(_ rows: [JSON]) throws(JSONShapeError) {
    for row in rows {
      let cursor = JSONCursor(row)
      let layers = try cursor.require("layers").list { (layer) throws(JSONShapeError) in try layer.digest() }
      images.append(
        Image(
          reference: try cursor.require("reference").string(), manifest: try cursor.require("manifest").digest(),
          layers: layers, users: try cursor.require("users").strings(),
          use: Use(rawValue: try cursor.require("use").string()) ?? .former))
    }
  }
}
