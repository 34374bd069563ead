import WherryClient
import WherryJSON
import WherryModel
import WherryOCI

/// How images look in text, and which one is meant.
enum ImageText {
  // MARK: - Which one

  /// Whether the person wrote a tag: without one `ImageReference` says `latest`.
  static func namesTag(_ text: String) -> Bool {
    let bare =
      text.hasPrefix(ImageReference.serviceRegistry) ? text.dropFirst(ImageReference.serviceRegistry.count) : text[...]
    return bare.split(separator: "/", omittingEmptySubsequences: false).last?.contains(":") ?? false
  }

  /// Images of a source, each with the tag that it gets.
  static func chosen(
    of images: [RegistryContent], name: String?, tag: String?, source: String
  ) throws -> [(RegistryContent, tag: String)] {
    let names = images.compactMap(\.name)
    if let wanted = name {
      guard let image = images.first(where: { $0.name == wanted }) else {
        throw UserError("\(source) has no image named \"\(wanted)\"; \(inventory(names))")
      }
      return [(image, tag: tag ?? Self.tag(in: wanted))]
    }
    guard let tag else {
      let named = images.compactMap { image in image.name.map { (image, tag: Self.tag(in: $0)) } }
      if !named.isEmpty { return named }
      guard images.count == 1 else {
        throw UserError("\(source) has \(images.count) images without names; make a layout that names them")
      }
      return [(images[0], tag: "latest")]
    }
    if let image = images.first(where: { $0.name.map(Self.tag(in:)) == tag }) { return [(image, tag: tag)] }
    guard images.count == 1 else {
      throw UserError(
        "\(source) has \(images.count) images and none is named \"\(tag)\"; choose one with --name: \(inventory(names))"
      )
    }
    return [(images[0], tag: tag)]
  }

  /// Some tools put whole references where the tag belongs: `docker.io/team/web:1.4`.
  private static func tag(in name: String) -> String { name.split(separator: ":").last.map(String.init) ?? name }

  private static func inventory(_ names: [String]) -> String {
    names.isEmpty ? "none of its images has a name" : "there are \(names.prefix(20).joined(separator: ", "))"
  }

  static func manifest(of place: ImagePlace) throws -> RegistryManifest {
    let reference = place.reference
    guard let manifest = try place.client.manifest(reference.manifestName, in: reference.repository) else {
      throw UserError(
        "there is no image \(place.text)"
          + (reference.isOfService ? "; `wherry image list \(reference.repository)` names those that there are" : ""))
    }
    return manifest
  }

  // MARK: - Tables

  static func row(_ manifest: RegistryManifest, tag: String) -> [String] {
    let platforms = manifest.manifests.map(\.platform).filter { !$0.isEmpty }
    return [
      tag, manifest.digest.short, manifest.isIndex ? "-" : Console.bytes(size(of: manifest)),
      platforms.isEmpty ? "-" : platforms.joined(separator: ", "),
    ]
  }

  private static func size(of manifest: RegistryManifest) -> Int64 {
    manifest.blobs.reduce(Int64(manifest.bytes.count)) { $0 + $1.size }
  }

  static func details(_ manifest: RegistryManifest, config: JSON?, reference: String) -> String {
    var rows = [["image", reference], ["digest", "\(manifest.digest)"], ["type", manifest.mediaType]]
    if let config { rows += facts(config) }
    var text = rows.map { row in
      row[0] + String(repeating: " ", count: max(1, 12 - row[0].count)) + plain(row[1]) + "\n"
    }.joined()
    if manifest.isIndex {
      text += Console.table(
        ["PLATFORM", "DIGEST", "SIZE"],
        manifest.manifests.map { [plain($0.platform), $0.digest.description, Console.bytes($0.size)] })
    } else {
      text += Console.table(
        ["LAYER", "SIZE", "TYPE"],
        manifest.blobs.dropFirst().map { [$0.digest.description, Console.bytes($0.size), plain($0.mediaType)] })
    }
    return text
  }

  /// What people look for first (OCI image-spec, config.md).
  private static func facts(_ config: JSON) -> [[String]] {
    func words(_ key: String) -> String? {
      let list = (config["config"]?[key]?.arrayValue ?? []).compactMap(\.stringValue)
      return list.isEmpty ? nil : list.joined(separator: " ")
    }
    let platform = ["os", "architecture", "variant"].compactMap { config[$0]?.stringValue }.joined(separator: "/")
    let facts: [(String, String?)] = [
      ("platform", platform), ("entrypoint", words("Entrypoint")), ("command", words("Cmd")),
      ("environment", words("Env")), ("user", config["config"]?["User"]?.stringValue),
      ("directory", config["config"]?["WorkingDir"]?.stringValue), ("created", config["created"]?.stringValue),
    ]
    return facts.compactMap { name, value in value.flatMap { $0.isEmpty ? nil : [name, $0] } }
  }

  /// What somebody else wrote into an image, without what a terminal would take for more than text.
  private static func plain(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 32 && !(127...159).contains($0.value) }))
  }

  // MARK: - JSON

  static func json(_ manifest: RegistryManifest, tag: String) -> JSON {
    var json: JSON = [
      "tag": .string(tag), "digest": .string("\(manifest.digest)"), "mediaType": .string(manifest.mediaType),
    ]
    if manifest.isIndex {
      json["platforms"] = .array(manifest.manifests.map { .string($0.platform) })
    } else {
      json["bytes"] = .integer(size(of: manifest))
    }
    return json
  }

  static func json(_ manifest: RegistryManifest, config: JSON?, reference: String) -> JSON {
    let limits = JSONLimits(bytesMaximum: RegistryManifest.bytesMaximum)
    return [
      "reference": .string(reference), "digest": .string("\(manifest.digest)"),
      "mediaType": .string(manifest.mediaType),
      "manifest": (try? JSON(parsing: manifest.bytes, limits: limits)) ?? .null, "config": config ?? .null,
    ]
  }
}
