import WherryJSON
import WherryModel

extension RecipeNode {
  private static let manifestKeys = [
    "Name", "Platform", "Lifecycle", "Selections", "Artifacts", "Resources", "Container",
  ]

  func manifests(_ global: GlobalLifecycle) -> [Manifest] {
    var result: [Manifest] = []
    var catchAll: Int?
    for (index, element) in (list() ?? []).enumerated() {
      guard let manifest = element.manifest(global) else { continue }
      if let catchAll {
        element.report(
          "this manifest is never chosen: manifest \(catchAll) before it fits every device",
          "put manifests without a Platform last", severity: .warning)
      } else if manifest.platform.values.allSatisfy({ ["*", "all", "any"].contains($0.lowercased()) }) {
        catchAll = index
      }
      result.append(manifest)
    }
    return result
  }

  private func manifest(_ global: GlobalLifecycle) -> Manifest? {
    guard let fields = fields(Self.manifestKeys, of: "a manifest") else { return nil }
    var manifest = Manifest()
    manifest.name = fields["Name"]?.text() ?? ""
    if let node = fields["Platform"] { manifest.platform = node.platform() }
    manifest.selections = fields["Selections"]?.texts() ?? []
    if let node = fields["Artifacts"] { manifest.artifacts = node.artifacts() }
    if let node = fields["Lifecycle"] { manifest.lifecycle = node.lifecycle() ?? Lifecycle() }
    if let node = fields["Resources"] { manifest.resources = node.resources() }
    guard let container = fields["Container"] else {
      if manifest.lifecycle.isEmpty {
        manifest.lifecycle = global.lifecycle(selecting: GlobalLifecycle.selectors(of: manifest))
      }
      return manifest
    }
    manifest.container = container.containerSpec()
    if let node = fields["Lifecycle"], !manifest.lifecycle.isEmpty {
      node.report(
        "a manifest with a Container has no Lifecycle: the image's program is what runs",
        "move the steps into the image or Container.Command, and Setenv to Container.Env")
    }
    fields["Resources"]?.report(
      "a manifest with a Container takes its limits from the Container", "move Resources into Container")
    return manifest
  }

  private func platform() -> [String: String] {
    var result: [String: String] = [:]
    for (key, value, keyNode) in pairs() ?? [] {
      let attribute = key.lowercased()
      guard !attribute.isEmpty, attribute.utf8.count <= 128 else {
        keyNode.report("\"\(key.clipped)\" is not a platform attribute", "use os, architecture or one of your own")
        continue
      }
      if result[attribute] != nil {
        keyNode.report("the platform attribute \(attribute) is given twice", "keep one of them")
      }
      guard let text = value.text() else { continue }
      if let problem = Self.patternProblem(text) { value.report(problem, "write /regex/ or a plain value") }
      result[attribute] = text
    }
    return result
  }

  private static func patternProblem(_ text: String) -> String? {
    guard text.hasPrefix("/") else { return text.isEmpty ? "the platform value is empty" : nil }
    guard text.utf8.count > 2, text.hasSuffix("/") else { return "\"\(text.clipped)\" lacks the closing slash" }
    guard text.utf8.count <= 256 else { return "the platform regex is longer than 256 bytes" }
    return PlatformPattern(slashed: text) == nil
      ? "\"\(text.clipped)\" is not a regular expression that is read here" : nil
  }

  private func artifacts() -> [Artifact] {
    var result: [Artifact] = []
    var names: Set<String> = []
    var unpackedNames: Set<String> = []
    if let count = list()?.count, count > 1_000 {
      report("\(count) artifacts are too many", "pack them into an archive")
    }
    for element in list() ?? [] {
      guard let artifact = element.artifact() else { continue }
      if artifact.image == nil, !names.insert(artifact.fileName).inserted {
        element.report(
          "two artifacts have the file name \(artifact.fileName.clipped)", "rename one: both go into one directory")
      }
      if artifact.unarchive != .none { element.checkUnpackedName(of: artifact, taken: &unpackedNames) }
      result.append(artifact)
    }
    return result
  }

  private func checkUnpackedName(of artifact: Artifact, taken: inout Set<String>) {
    let name = UnpackedName.of(artifact.fileName)
    guard UnpackedName.isUsable(name) else {
      return report(
        "\(artifact.fileName.clipped) cannot be unpacked to a directory named \"\(name.clipped)\"", "rename the archive"
      )
    }
    // While it is unpacked it has another name, which must be free, too.
    if taken.contains(name) || taken.contains(name + UnpackedName.partialEnding) {
      report("two archives are unpacked to the directory \(name.clipped)", "rename one of them")
    }
    taken.formUnion([name, name + UnpackedName.partialEnding])
  }

  private func artifact() -> Artifact? {
    let known = ["Uri", "Digest", "Algorithm", "Unarchive", "Permission", "Size"]
    guard let fields = fields(known, aliases: ["Url": "Uri", "Permissions": "Permission"], of: "an artifact"),
      let uri = fields.require("Uri", "add `Uri: wherry:FILE` or `Uri: https://…`"), let text = uri.text()
    else { return nil }
    var artifact = Artifact(uri: text)
    uri.checkURI(artifact)
    if let node = fields["Algorithm"], let name = node.text(), !["SHA-256", "SHA256"].contains(name.uppercased()) {
      node.report("the digest algorithm \"\(name.clipped)\" is not known", "use SHA-256")
    }
    artifact.digest = fields["Digest"]?.digest()
    artifact.size = fields["Size"]?.integer(0...(1 << 50)).map(Int64.init)
    if let node = fields["Unarchive"], let word = node.word(UnarchiveWord.self) { artifact.unarchive = word.unarchive }
    if let permission = fields["Permission"]?.fields(["Read", "Execute"], of: "Permission") {
      if let word = permission["Read"]?.word(AccessWord.self) { artifact.read = word.access }
      if let word = permission["Execute"]?.word(AccessWord.self) { artifact.execute = word.access }
    }
    return artifact
  }

  private func checkURI(_ artifact: Artifact) {
    let schemes = ["wherry", "https", "s3", "greengrass", "docker", "oci", "file"]
    let parts = artifact.uri.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let scheme = parts[0].lowercased()
    if let image = artifact.image {
      checkImage(image)
      return
    }
    guard parts.count == 2, schemes.contains(scheme) else {
      let remedy =
        scheme == "http" && parts.count == 2
        ? "use https, or upload the file with `wherry:NAME`"
        : "write `wherry:FILE` for a file beside the recipe, or `https://…`"
      report("\"\(artifact.uri.clipped)\" is not an artifact URI that Wherry reads", remedy)
      return
    }
    let rest = parts[1].drop { $0 == "/" }
    if rest.isEmpty || rest.hasSuffix("/") || [".", ".."].contains(artifact.fileName) {
      report(
        "the artifact URI \"\(artifact.uri.clipped)\" names no file", "write the file's name, such as `wherry:app.sh`")
    } else if scheme == "wherry", parts[1].split(separator: "/", omittingEmptySubsequences: false).contains("..") {
      report("\"\(artifact.uri.clipped)\" leads out of the recipe's directory", "put the file beside the recipe")
    } else if artifact.fileName.utf8.count > 255 || artifact.fileName.utf8.contains(0) {
      report("the artifact's file name is longer than 255 bytes or holds a NUL", "shorten it")
    }
  }

  /// `sha256:<hex>`, bare hex, or base64 as Greengrass writes it.
  private func digest() -> Digest? {
    guard let text = text() else { return nil }
    let lower = text.lowercased()
    if let digest = Digest(lower) ?? Digest(hex: lower) { return digest }
    if let bytes = Base64Digest.bytes(text) { return Digest(bytes: bytes) }
    report(
      "\"\(text.clipped)\" is not a SHA-256 digest",
      "write `sha256:` and 64 hexadecimal digits, or leave Digest out: publishing fills it in")
    return nil
  }
}

private enum UnarchiveWord: String, CaseIterable {
  case none = "NONE"
  case zip = "ZIP"
  case tar = "TAR"
  case tarGzip = "TAR.GZ"
  case tgz = "TGZ"
  /// The unpacker tells compressions apart by itself.
  var unarchive: Unarchive {
    switch self {
    case .none: .none
    case .zip: .zip
    case .tar, .tarGzip, .tgz: .tar
    }
  }
}

private enum AccessWord: String, CaseIterable {
  case none = "NONE"
  case owner = "OWNER"
  case all = "ALL"
  var access: ArtifactAccess {
    switch self {
    case .none: .none
    case .owner: .owner
    case .all: .all
    }
  }
}

enum Base64Digest {
  /// The 32 bytes of 44 base64 characters; nil for anything else.
  static func bytes(_ text: String) -> [UInt8]? {
    guard text.utf8.count == 44, text.hasSuffix("=") else { return nil }
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    var buffer: UInt32 = 0
    var bits = 0
    for byte in text.utf8.dropLast() {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      buffer = (buffer << 6 | UInt32(value)) & 0xFFFF
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(buffer >> UInt32(bits) & 0xFF))
      }
    }
    return bytes.count == 32 ? bytes : nil
  }
}
