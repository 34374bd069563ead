import WherryJSON
import WherryModel

extension PlanChecker {
  static func problems(in component: PlannedComponent) -> [String] {
    var problems: [String] = []
    if !ComponentName.isValid(component.name.rawValue) { problems.append("it has no valid name") }
    problems += lifecycle(component) + artifacts(component) + configuration(component.configuration)
    switch (component.container, component.image) {
    case (nil, nil): break
    case (let container?, let image?):
      if !component.lifecycle.isEmpty {
        problems.append("it has a container and lifecycle steps, of which only one can be")
      }
      problems += Self.container(container) + Self.image(image)
      if container.image != image.reference {
        problems.append("its container asks for the image \(container.image), but \(image.reference) was pinned")
      }
    case (_?, nil): problems.append("its image was not pinned to a digest")
    case (nil, _?): problems.append("it has an image but no container")
    }
    problems += imageArtifacts(component.images)
    return problems.map { "\(component.name) \(component.version): \($0)" }
  }

  private static func imageArtifacts(_ images: [PlannedImage]) -> [String] {
    if images.count > imagesMaximum { return ["it has \(images.count) images, more than \(imagesMaximum)"] }
    var problems = images.flatMap(image)
    var references: Set<String> = []
    for image in images where !references.insert(image.reference).inserted {
      problems.append("two of its images are named \(image.reference)")
    }
    return problems
  }

  private static func lifecycle(_ component: PlannedComponent) -> [String] {
    var problems: [String] = []
    let steps = component.lifecycle.steps
    if steps[.run] != nil, steps[.startup] != nil { problems.append("it has both a run and a startup step") }
    for (name, step) in steps.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      if step.script.utf8.count > scriptBytesMaximum {
        problems.append(
          "the script of \(name.rawValue) has \(step.script.utf8.count) bytes, over \(scriptBytesMaximum)")
      }
      if step.script.utf8.contains(0) { problems.append("the script of \(name.rawValue) holds a NUL byte") }
      if let seconds = step.timeoutSeconds, !(1...Step.timeoutSecondsMaximum).contains(seconds) {
        problems.append("the timeout of \(name.rawValue) is \(seconds) s, not 1 to \(Step.timeoutSecondsMaximum)")
      }
      problems += variables(step.setenv)
    }
    return problems + variables(component.lifecycle.setenv)
  }

  static func variables(_ variables: [String: String]) -> [String] {
    variables.keys.sorted().compactMap { name in
      if name.isEmpty || name.utf8.contains(UInt8(ascii: "=")) || name.utf8.contains(0) {
        return "\"\(name)\" is not the name of an environment variable"
      }
      return variables[name]?.utf8.contains(0) == true ? "the environment variable \(name) holds a NUL byte" : nil
    }
  }

  private static func artifacts(_ component: PlannedComponent) -> [String] {
    if component.artifacts.count > artifactsMaximum {
      return ["it has \(component.artifacts.count) artifacts, more than \(artifactsMaximum)"]
    }
    var problems: [String] = []
    var files: Set<String> = []
    for artifact in component.artifacts {
      guard isFileName(artifact.fileName) else {
        problems.append("\"\(artifact.fileName)\" is not a file name")
        continue
      }
      if !(0...blobBytesMaximum).contains(artifact.size) {
        problems.append("the artifact \(artifact.fileName) has the size \(artifact.size)")
      }
      if !files.insert(artifact.fileName).inserted { problems.append("two artifacts are named \(artifact.fileName)") }
      let isKnown = artifact.source == "wherry:" || artifact.source == PlannedArtifact.localSource
      if !isKnown, !isAddress(artifact.source, schemes: ["https://"]) {
        problems.append("the artifact \(artifact.fileName) has the source \"\(artifact.source)\", not wherry: or https")
      }
    }
    return problems + unpacked(component.artifacts.filter { $0.unarchive != .none && isFileName($0.fileName) })
  }

  /// Each archive becomes a directory of its own. While it is being unpacked it holds a second name there.
  private static func unpacked(_ archives: [PlannedArtifact]) -> [String] {
    var problems: [String] = []
    var owners: [String: String] = [:]
    for artifact in archives {
      let name = UnpackedName.of(artifact.fileName)
      guard UnpackedName.isUsable(name) else {
        problems.append("the archive \(artifact.fileName) would be unpacked to \"\(name)\", no directory's name")
        continue
      }
      let taken = [name, name + UnpackedName.partialEnding]
      if let other = taken.compactMap({ owners[$0] }).first, other != artifact.fileName {
        problems.append("the archives \(other) and \(artifact.fileName) would be unpacked to one place; rename one")
      }
      for place in taken { owners[place] = artifact.fileName }
    }
    return problems
  }

  private static func configuration(_ update: ConfigurationUpdate) -> [String] {
    var problems: [String] = []
    if update.defaults.objectValue == nil { problems.append("its default configuration is not a map") }
    if let merge = update.merge, merge.objectValue == nil { problems.append("its configuration to merge is not a map") }
    for pointer in update.reset where !isPointer(pointer) {
      problems.append("\"\(pointer)\" to be reset is not a JSON pointer")
    }
    let bytes = update.defaults.canonicalBytes.count + (update.merge?.canonicalBytes.count ?? 0)
    if bytes > configurationBytesMaximum {
      problems.append("its configuration has \(bytes) bytes, more than \(configurationBytesMaximum)")
    }
    return problems
  }

  /// RFC 6901: empty, or parts that begin with `/`, where `~` stands before 0 or 1 only.
  private static func isPointer(_ text: String) -> Bool {
    guard !text.isEmpty else { return true }
    guard text.utf8.first == UInt8(ascii: "/") else { return false }
    var isEscape = false
    for byte in text.utf8 {
      if isEscape, byte != UInt8(ascii: "0"), byte != UInt8(ascii: "1") { return false }
      isEscape = byte == UInt8(ascii: "~")
    }
    return !isEscape
  }

  private static func isFileName(_ text: String) -> Bool {
    !text.isEmpty && text != "." && text != ".." && text.utf8.count <= 255 && !text.utf8.contains(UInt8(ascii: "/"))
      && !text.utf8.contains(0)
  }

  /// With a host, and nothing in it that could end a line or a header.
  static func isAddress(_ text: String, schemes: [String]) -> Bool {
    guard let scheme = schemes.first(where: { text.hasPrefix($0) }), text.utf8.count <= 2_048 else { return false }
    let rest = text.dropFirst(scheme.count)
    guard let first = rest.utf8.first, first != UInt8(ascii: "/") else { return false }
    return rest.utf8.allSatisfy { (33...126).contains($0) }
  }
}
