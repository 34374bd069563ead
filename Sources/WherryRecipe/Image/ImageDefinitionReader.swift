/// Reads `image.yaml`. Every problem is collected, as with recipes; keys are found in any case.
package enum ImageDefinitionReader {
  package static func read(_ text: String, fileName: String) -> ImageDefinitionReading {
    let problems = ProblemCollector()
    let root = RecipeDocument.root(
      of: text, fileName: fileName, beginning: "begin with `Base: IMAGE`, or with `Files:`", problems: problems)
    let definition = root?.imageDefinition()
    return ImageDefinitionReading(definition: problems.hasErrors ? nil : definition, problems: problems.sorted)
  }
}

extension RecipeNode {
  private static let imageKeys = [
    "Base", "Platforms", "Files", "Entrypoint", "Command", "Env", "User", "WorkingDirectory", "Labels", "StopSignal",
    "Ports",
  ]
  private static let imageFileKeys = ["From", "To", "Text", "Link", "Owner", "Mode", "Exclude"]

  fileprivate func imageDefinition() -> ImageDefinition? {
    let aliases = ["Cmd": "Command", "Environment": "Env", "WorkingDir": "WorkingDirectory", "ExposedPorts": "Ports"]
    guard let fields = fields(Self.imageKeys, aliases: aliases, of: "an image") else { return nil }
    var definition = ImageDefinition()
    if let text = fields["Base"]?.baseImage(), text != "scratch" { definition.base = text }
    if let node = fields["Platforms"] { definition.platforms = node.platforms() }
    for element in fields["Files"]?.list() ?? [] {
      if let entry = element.imageFile() { definition.entries.append(entry) }
    }
    definition.entrypoint = fields["Entrypoint"]?.command()
    definition.command = fields["Command"]?.command()
    if let node = fields["Env"] { definition.environment = node.textMap() ?? [:] }
    definition.user = fields["User"]?.user()
    definition.workingDirectory = fields["WorkingDirectory"]?.absolutePath()
    if let node = fields["Labels"] { definition.labels = node.textMap() ?? [:] }
    if let node = fields["StopSignal"] { definition.stopSignal = node.stopSignal() }
    if let node = fields["Ports"] { definition.ports = node.exposedPorts() }
    if definition.base == nil, definition.entries.isEmpty {
      report("the image holds nothing", "name a Base, or Files that are put into it")
    }
    return definition
  }

  private func baseImage() -> String? {
    guard let text = text() else { return nil }
    guard !text.isEmpty, text.utf8.allSatisfy({ (33...126).contains($0) }), !text.contains("{") else {
      report("\"\(text.clipped)\" is not an image", "write registry.example.com/name:tag, ./layout, or scratch")
      return nil
    }
    return text
  }

  private func platforms() -> [String] {
    var result: [String] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      let parts = text.split(separator: "/", omittingEmptySubsequences: false)
      let isValid = parts.allSatisfy { part in
        !part.isEmpty && part.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) }
      }
      if !(2...3).contains(parts.count) || !isValid || parts[0] != "linux" {
        element.report(
          "\"\(text.clipped)\" is not a platform", "write linux/amd64, linux/arm64, linux/arm/v7 or the like")
      } else if result.contains(text) {
        element.report("the platform \(text) is given twice", "keep one of them")
      } else {
        result.append(text)
      }
    }
    return result
  }

  private func imageFile() -> ImageDefinition.Entry? {
    guard let fields = fields(Self.imageFileKeys, of: "an entry of Files") else { return nil }
    let target = fields.require("To", "add `To:` with the place in the image")?.absolutePath()
    guard let source = imageFileSource(fields), let target else { return nil }
    var entry = ImageDefinition.Entry(source: source, target: target)
    if target.allSatisfy({ $0 == "/" }) {
      guard case .path = source else {
        fields["To"]?.report("/ is the image itself", "name a place in it")
        return nil
      }
    }
    if let owner = fields["Owner"]?.owner() { (entry.user, entry.group) = owner }
    entry.mode = fields["Mode"]?.fileMode()
    entry.excluded = fields["Exclude"]?.texts() ?? []
    entry.isExplicit = fields["Owner"] != nil || fields["Mode"] != nil
    if let node = fields["Mode"], case .link = source {
      node.report("a symbolic link has no mode", "remove Mode")
    }
    if let node = fields["Exclude"] {
      guard case .path = source else {
        node.report("Exclude is for what From names", "remove it")
        return entry
      }
    }
    return entry
  }

  private func imageFileSource(_ fields: RecipeFields) -> ImageDefinition.Entry.Source? {
    // `Text:` with nothing behind it is an empty file.
    let given = ["From", "Text", "Link"].filter { $0 == "Text" ? fields.has($0) : fields[$0] != nil }
    guard given.count <= 1 else {
      report("\(given.joined(separator: " and ")) exclude each other", "keep one of them")
      return nil
    }
    switch given.first {
    case "From": return fields["From"]?.contextPath().map { .path($0) }
    case "Text": return .text(fields["Text"]?.text() ?? "")
    case "Link":
      guard let text = fields["Link"]?.text(), !text.isEmpty, text.utf8.count <= 4_095 else { return nil }
      return .link(text)
    default: return .directory
    }
  }

  /// Below the directory of the definition, so that what is built depends on nothing else.
  private func contextPath() -> String? {
    guard let text = text() else { return nil }
    let parts = text.split(separator: "/")
    if !text.hasPrefix("/"), !parts.contains(".."), !text.isEmpty, text.utf8.count <= 4_095 { return text }
    report("\"\(text.clipped)\" is not below the image's directory", "write a relative path without `..`")
    return nil
  }

  private func owner() -> (Int64, Int64)? {
    guard let text = text() else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
    guard (1...2).contains(parts.count), let user = parts[0], let group = parts.last ?? nil, user < .max, group < .max
    else {
      report("\"\(text.clipped)\" is not an owner", "write numbers: UID or UID:GID, such as \"1000:1000\"")
      return nil
    }
    return (Int64(user), Int64(group))
  }

  private func fileMode() -> UInt32? {
    guard let text = text() else { return nil }
    if (3...5).contains(text.utf8.count), let mode = UInt32(text, radix: 8), mode <= 0o7777 { return mode }
    report("\"\(text.clipped)\" is not a mode", "write it in octal and in quotes, such as \"0755\"")
    return nil
  }

  private func stopSignal() -> String? {
    guard let text = text() else { return nil }
    let isNumber = UInt8(text).map { (1...64).contains($0) } ?? false
    let isName =
      text.hasPrefix("SIG")
      && text.utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) || $0 == 43 || $0 == 45 }
    if isNumber || isName { return text }
    report("\"\(text.clipped)\" is not a signal", "write its name, such as SIGINT")
    return nil
  }

  private func exposedPorts() -> [String] {
    var result: [String] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      let parts = text.split(separator: "/", omittingEmptySubsequences: false)
      let transport = parts.count == 2 ? parts[1].lowercased() : "tcp"
      guard parts.count <= 2, let port = UInt16(parts[0]), port > 0, ["tcp", "udp"].contains(transport) else {
        element.report("\"\(text.clipped)\" is not a port of a container", "write 8080 or 53/udp")
        continue
      }
      result.append("\(port)/\(transport)")
    }
    return result
  }
}
