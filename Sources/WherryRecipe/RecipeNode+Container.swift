import WherryModel

extension RecipeNode {
  private static let containerKeys = [
    "Image", "Command", "Env", "User", "WorkingDirectory", "Ports", "Volumes", "Devices", "Network", "Resources",
    "ReadOnlyRoot", "Capabilities", "Health", "Stop", "Restart", "UserNamespace",
    "Egress", "Ulimits", "Sysctls", "Seccomp", "AppArmor", "Clocks", "Stdin",
  ]

  func containerSpec() -> ContainerSpec? {
    let aliases = ["Environment": "Env", "Setenv": "Env", "WorkDir": "WorkingDirectory", "HealthCheck": "Health"]
    guard let fields = fields(Self.containerKeys, aliases: aliases, of: "a Container"),
      let image = fields.require("Image", "add `Image: registry.example.com/name:tag`")
    else { return nil }
    var spec = ContainerSpec(image: image.imageReference() ?? "")
    spec.command = fields["Command"]?.command()
    if let node = fields["Env"] { spec.environment = node.textMap() ?? [:] }
    spec.user = fields["User"]?.user()
    spec.workingDirectory = fields["WorkingDirectory"]?.absolutePath()
    if let node = fields["Ports"] { spec.ports = node.ports() }
    if let node = fields["Volumes"] { spec.volumes = node.volumes() }
    if let node = fields["Devices"] { spec.devices = node.devices() }
    if let word = fields["Network"]?.word(NetworkWord.self) { spec.network = word.mode }
    if let node = fields["Egress"] { spec.egress = node.egress(spec.network) }
    if let word = fields["UserNamespace"]?.word(UserNamespaceWord.self) {
      spec.userNamespace = word == .own ? .own : .host
    }
    if let node = fields["Resources"] { spec.resources = node.resources() }
    if let node = fields["Ulimits"] { spec.limits = node.ulimits() }
    if let node = fields["Sysctls"] { spec.sysctls = node.sysctls(spec.network) }
    spec.seccomp = fields["Seccomp"]?.seccomp()
    spec.appArmorProfile = fields["AppArmor"]?.appArmorProfile()
    spec.clocks = fields["Clocks"]?.clocks()
    spec.hasInput = fields["Stdin"]?.bool() ?? false
    spec.readOnlyRoot = fields["ReadOnlyRoot"]?.bool() ?? true
    if let capabilities = fields["Capabilities"]?.fields(["Add", "Drop"], of: "Capabilities") {
      spec.capabilitiesAdded = capabilities["Add"]?.capabilities() ?? []
      spec.capabilitiesDropped = capabilities["Drop"]?.capabilities() ?? []
    }
    if let node = fields["Health"] { spec.health = node.healthCheck() }
    if let node = fields["Stop"] { node.readStop(into: &spec) }
    if let node = fields["Restart"] { spec.restart = node.restartPolicy() }
    if let node = fields["Ports"], spec.network != .bridge, !spec.ports.isEmpty {
      node.report(
        "Ports are published only with `Network: bridge`",
        spec.network == .host ? "remove Ports: with the host's network every port is the host's" : "use bridge")
    }
    return spec
  }

  private enum UserNamespaceWord: String, CaseIterable { case own, host }

  private enum NetworkWord: String, CaseIterable {
    case none, host, bridge
    var mode: NetworkMode {
      switch self {
      case .none: .none
      case .host: .host
      case .bridge: .bridge
      }
    }
  }

  private func imageReference() -> String? {
    guard let text = text(), checkImage(text) else { return nil }
    return text
  }

  /// False = it was reported.
  @discardableResult
  func checkImage(_ text: String) -> Bool {
    if text.contains("{") {
      report("the image \"\(text.clipped)\" holds a variable", "write the image out: it is pinned when it is deployed")
      return false
    }
    let isPlain = text.utf8.allSatisfy { (33...126).contains($0) && $0 != UInt8(ascii: "\"") }
    guard !text.isEmpty, text.utf8.count <= 512, isPlain, !text.contains("://") else {
      report("\"\(text.clipped)\" is not an image reference", "write registry.example.com/name:tag, without a scheme")
      return false
    }
    if text.hasPrefix(PlannedImage.serviceRegistry), !Self.isServiceImage(text) {
      report(
        "\"\(text.clipped)\" is not an image of the service's own registry",
        "write wherry:REPOSITORY:TAG or wherry:REPOSITORY@DIGEST, such as wherry:team/web:1.4")
      return false
    }
    return true
  }

  /// `wherry:repository[:tag][@digest]`. Only the service reads the others, where they are pinned: what is ours can be
  /// told here, with its place in the recipe.
  private static func isServiceImage(_ text: String) -> Bool {
    let halves = text.dropFirst(PlannedImage.serviceRegistry.count)
      .split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    if halves.count == 2, Digest(String(halves[1])) == nil { return false }
    let names = halves[0].split(separator: ":", omittingEmptySubsequences: false)
    guard names.count <= 2, names.allSatisfy({ $0.utf8.first.map { $0 != 45 && $0 != 46 } ?? false }) else {
      return false
    }
    if names.count == 2, !names[1].utf8.allSatisfy({ isTagByte($0) }) { return false }
    return names[0].split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      !part.isEmpty && part.utf8.allSatisfy { isTagByte($0) && !(65...90).contains($0) }
    }
  }

  private static func isTagByte(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains(byte)
  }

  /// A list runs as it is; a single text goes through the image's shell.
  func command() -> [String]? {
    if case .scalar = node { return text().map { ["/bin/sh", "-c", $0] } }
    guard let words = texts() else { return nil }
    if words.isEmpty { report("the command is empty", "name a program, or remove the key") }
    return words
  }

  func user() -> String? {
    guard let text = text() else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let isValid = parts.allSatisfy { part in
      !part.isEmpty && part.utf8.count <= 64 && part.utf8.allSatisfy { (33...126).contains($0) && $0 != 47 }
    }
    if parts.count <= 2, isValid { return text }
    report("\"\(text.clipped)\" is not a user", "write uid, uid:gid, or names that the image knows")
    return nil
  }

  func absolutePath() -> String? {
    guard let text = text() else { return nil }
    let parts = text.split(separator: "/", omittingEmptySubsequences: true)
    if text.hasPrefix("/"), !parts.contains(".."), !text.utf8.contains(0), text.utf8.count <= 4_095 { return text }
    report("\"\(text.clipped)\" is not an absolute path", "begin it with / and leave out `..`")
    return nil
  }

  private func ports() -> [PublishedPort] {
    var result: [PublishedPort] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      guard let port = PublishedPort(recipe: text) else {
        element.report("\"\(text.clipped)\" is not a published port", "write HOST:CONTAINER, such as \"8080:80/tcp\"")
        continue
      }
      if result.contains(where: { $0.host == port.host && $0.transport == port.transport }) {
        element.report("port \(port.host)/\(port.transport.rawValue) is published twice", "keep one of them")
      }
      result.append(port)
    }
    return result
  }

  private func egress(_ network: NetworkMode) -> [EgressRule] {
    var rules: [EgressRule] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      guard let rule = EgressRule(text) else {
        element.report(
          "\"\(text.clipped)\" is not what can be reached",
          "write ADDRESS[/BITS][:PORT][/tcp or /udp], such as 10.0.0.0/8:443/tcp, or *:443 for everywhere")
        continue
      }
      rules.append(rule)
    }
    if rules.count > EgressRule.countMaximum {
      report(
        "\(rules.count) rules of egress are too many", "use \(EgressRule.countMaximum) at the most; networks take one")
    }
    if network != .bridge {
      report("Egress restricts only what is on the bridge", "use `Network: bridge`, or remove Egress")
    }
    return rules
  }

  private func volumes() -> [Volume] {
    var result: [Volume] = []
    for element in list() ?? [] {
      guard let fields = element.fields(["Name", "HostPath", "Path", "ReadOnly"], of: "a volume") else { continue }
      let path = fields.require("Path", "add `Path:` with the place inside the container")?.absolutePath()
      let isReadOnly = fields["ReadOnly"]?.bool() ?? false
      guard let path, let source = element.volumeSource(fields) else { continue }
      if result.contains(where: { $0.path == path }) {
        element.report("two volumes are mounted at \(path)", "keep one of them")
      }
      result.append(Volume(source: source, path: path, readOnly: isReadOnly))
    }
    return result
  }

  private func volumeSource(_ fields: RecipeFields) -> Volume.Source? {
    switch (fields["Name"], fields["HostPath"]) {
    case (let name?, nil):
      guard let text = name.text() else { return nil }
      if ComponentName.isValid(text) { return .named(text) }
      name.report("\"\(text.clipped)\" is not a volume name", "use letters, digits, `-`, `_` or `.`")
      return nil
    case (nil, let hostPath?):
      return hostPath.absolutePath().map { .hostPath($0) }
    case (nil, nil), (_?, _?):
      report("a volume needs either Name or HostPath", "give exactly one of them")
      return nil
    }
  }

  private func devices() -> [String] {
    (list() ?? []).compactMap { element in
      guard let path = element.absolutePath() else { return nil }
      if path.hasPrefix("/dev/"), path.utf8.count > 5 { return path }
      element.report("\"\(path.clipped)\" is not a device node", "name one below /dev")
      return nil
    }
  }

  private func capabilities() -> [String] {
    var names: [String] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      let upper = text.uppercased()
      let name = upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
      guard name == "ALL" || CapabilityName.all.contains(name) else {
        let nearest = Spelling.nearest(to: name, among: CapabilityName.all)
        element.report(
          "\"\(text.clipped)\" is not a Linux capability",
          nearest.map { "did you mean \($0)?" } ?? "see capabilities(7) for their names")
        continue
      }
      if !names.contains(name) { names.append(name) }
    }
    return names
  }
}

extension PublishedPort {
  /// `8080:80`, `8080:80/udp`.
  init?(recipe text: String) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    let ports = halves[0].split(separator: ":", omittingEmptySubsequences: false)
    guard halves.count <= 2, ports.count == 2, let host = UInt16(ports[0]), let container = UInt16(ports[1]), host > 0,
      container > 0, let transport = halves.count == 1 ? .tcp : Transport(rawValue: halves[1].lowercased())
    else { return nil }
    self.init(host: host, container: container, transport: transport)
  }
}

/// capabilities(7), without the prefix.
private enum CapabilityName {
  static let all = [
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE",
    "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN",
    "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP",
    "SETGID",
    "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT",
    "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
  ]
}
