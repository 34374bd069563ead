import WherryModel

/// `docker run`.
enum DockerRunParser {
  static func run(_ flags: DockerFlags) throws(DockerMisuse) -> DockerRun {
    guard let image = flags.words.first, !image.isEmpty else {
      throw DockerMisuse("usage: docker run [FLAGS] IMAGE [COMMAND…]")
    }
    var run = DockerRun(image: image)
    run.arguments = Array(flags.words.dropFirst())
    run.name = try flags.last("name").map(name)
    run.isDetached = flags.has("detach")
    run.isRemovedAtEnd = flags.has("rm")
    run.takesInput = flags.has("interactive")
    run.environment = flags.all("env")
    run.environmentFiles = flags.all("env-file")
    for text in flags.all("publish") { run.ports.append(try port(text)) }
    for text in flags.all("volume") { run.volumes.append(try volume(text)) }
    for text in flags.all("mount") { run.volumes.append(try mount(text)) }
    run.network = try network(flags.last("network") ?? flags.last("net"))
    if run.network != .bridge, !run.ports.isEmpty { run.ports = [] }
    run.devices = try devices(flags.all("device"))
    run.isPrivileged = flags.has("privileged")
    run.capabilitiesAdded = flags.all("cap-add")
    run.capabilitiesDropped = flags.all("cap-drop")
    run.user = flags.last("user")
    run.entrypoint = flags.last("entrypoint")
    run.workingDirectory = flags.last("workdir")
    run.hostName = flags.last("hostname")
    run.hasReadOnlyRoot = flags.has("read-only")
    try limits(flags, &run)
    run.restart = try restart(flags.last("restart"))
    if run.restart != .never, run.isRemovedAtEnd {
      throw DockerMisuse("docker run: --rm and --restart cannot be together; leave one out")
    }
    run.stopSignal = flags.last("stop-signal")
    run.stopSeconds = try flags.integer("stop-timeout", 0...3_600)
    for option in flags.all("security-opt") where !["no-new-privileges", "no-new-privileges:true"].contains(option) {
      throw DockerMisuse(
        "docker run: --security-opt \(option.prefix(60)) is not carried out here; use a component with a Container")
    }
    return run
  }

  static func name(_ text: String) throws(DockerMisuse) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || [45, 46, 95].contains(byte)
    }
    guard (1...63).contains(text.utf8.count), isPlain, !text.hasPrefix("."), !text.hasPrefix("-") else {
      throw DockerMisuse(
        "docker run: \"\(text.prefix(80))\" cannot name a container; use at most 63 letters, digits, '_', '.' and '-'")
    }
    return text
  }

  /// `[ADDRESS:]HOST:CONTAINER[/udp]`. The address is the agent's to choose.
  private static func port(_ text: String) throws(DockerMisuse) -> PublishedPort {
    let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let numbers = halves[0].split(separator: ":", omittingEmptySubsequences: false).suffix(2).map { UInt16($0) ?? 0 }
    let transport = halves.count == 2 ? PublishedPort.Transport(rawValue: String(halves[1])) : .tcp
    guard numbers.count == 2, !numbers.contains(0), let transport else {
      throw DockerMisuse("docker run: -p takes HOST:CONTAINER[/tcp or /udp], not \"\(text.prefix(60))\"")
    }
    return PublishedPort(host: numbers[0], container: numbers[1], transport: transport)
  }

  private static func volume(_ text: String) throws(DockerMisuse) -> DockerVolume {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (2...3).contains(parts.count), !parts[0].isEmpty, isPlace(parts[1]) else {
      throw DockerMisuse("docker run: -v takes SOURCE:PATH[:ro], not \"\(text.prefix(80))\"")
    }
    var volume = DockerVolume(source: parts[0], path: parts[1])
    for option in parts.count == 3 ? parts[2].split(separator: ",") : [] {
      switch option {
      case "ro", "readonly": volume.isReadOnly = true
      // Labels of SELinux, and who sees mounts made later.
      case "rw", "z", "Z", "cached", "delegated", "consistent", "rprivate", "private": continue
      default: throw DockerMisuse("docker run: -v …:\(option.prefix(40)) is not carried out here; use ro or rw")
      }
    }
    return volume
  }

  private static func isPlace(_ path: String) -> Bool {
    path.hasPrefix("/") && path != "/" && !path.split(separator: "/").contains("..") && !path.utf8.contains(0)
  }

  /// `type=bind,source=/a,target=/b,readonly`
  private static func mount(_ text: String) throws(DockerMisuse) -> DockerVolume {
    var fields: [String: String] = [:]
    for part in text.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      fields[pair[0]] = pair.count == 2 ? pair[1] : "true"
    }
    let source = fields["source"] ?? fields["src"] ?? ""
    let path = fields["target"] ?? fields["destination"] ?? fields["dst"] ?? ""
    let kind = fields["type"] ?? "volume"
    guard ["bind", "volume"].contains(kind), !source.isEmpty, isPlace(path) else {
      throw DockerMisuse(
        "docker run: --mount takes type=bind or volume,source=…,target=…[,readonly], not \"\(text.prefix(80))\"")
    }
    let flag = fields["readonly"] ?? fields["ro"] ?? "false"
    return DockerVolume(source: source, path: path, isReadOnly: ["true", "1"].contains(flag))
  }

  private static func network(_ text: String?) throws(DockerMisuse) -> NetworkMode {
    switch text {
    case nil, "bridge", "default": return .bridge
    case "host": return .host
    case "none": return NetworkMode.none
    case let name?:
      throw DockerMisuse(
        "docker run: there is no network \"\(name.prefix(60))\" here; use bridge, host or none")
    }
  }

  private static func devices(_ texts: [String]) throws(DockerMisuse) -> [String] {
    var devices: [String] = []
    for text in texts {
      let parts = text.split(separator: ":").map(String.init)
      guard let source = parts.first, source.hasPrefix("/dev/") else {
        throw DockerMisuse("docker run: --device takes /dev/NAME[:/dev/OTHER], not \"\(text.prefix(60))\"")
      }
      devices.append(parts.count > 1 && parts[1].hasPrefix("/") ? "\(source):\(parts[1])" : source)
    }
    return devices
  }

  private static func limits(_ flags: DockerFlags, _ run: inout DockerRun) throws(DockerMisuse) {
    run.memoryBytes = try flags.last("memory").map(bytes)
    if let text = flags.last("cpus") {
      guard let cpus = Double(text), cpus > 0, cpus <= 1024 else {
        throw DockerMisuse("docker run: --cpus takes a number such as 0.5, not \"\(text.prefix(40))\"")
      }
      run.cpuMillis = max(1, Int(cpus * 1000))
    }
    run.pids = try flags.last("pids-limit") == "-1" ? nil : flags.integer("pids-limit", 1...4_194_304)
    for text in flags.all("ulimit") {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, ProcessLimit.numbers[parts[0]] != nil, let limit = ProcessLimit(parts[1]) else {
        throw DockerMisuse("docker run: --ulimit takes NAME=SOFT[:HARD], not \"\(text.prefix(60))\"")
      }
      run.limits[parts[0]] = limit
    }
  }

  private static func bytes(_ text: String) throws(DockerMisuse) -> Int64 {
    var digits = text.lowercased()[...]
    if digits.hasSuffix("b"), digits.dropLast().last?.isLetter == true { digits = digits.dropLast() }
    let shifts: [Character: Int64] = ["b": 0, "k": 10, "m": 20, "g": 30]
    let shift = digits.last.flatMap { shifts[$0] }
    if shift != nil { digits = digits.dropLast() }
    guard let number = Int64(digits), (1...(1 << 20)).contains(number) || (shift ?? 0) == 0,
      case let bytes = number << (shift ?? 0), ((1 << 20)...(1 << 50)).contains(bytes)
    else { throw DockerMisuse("docker run: --memory takes a size such as 64m, not \"\(text.prefix(40))\"") }
    return bytes
  }

  private static func restart(_ text: String?) throws(DockerMisuse) -> DockerRestart {
    let parts = (text ?? "no").split(separator: ":", maxSplits: 1).map(String.init)
    switch parts.first {
    case "no" where parts.count == 1: return .never
    case "always" where parts.count == 1, "unless-stopped" where parts.count == 1: return .always
    case "on-failure":
      if parts.count == 1 { return .onFailure(maximum: nil) }
      if let count = Int(parts[1]), (0...1_000_000).contains(count) {
        return .onFailure(maximum: count == 0 ? nil : count)
      }
    default: break
    }
    throw DockerMisuse(
      "docker run: --restart takes no, on-failure[:N], always or unless-stopped, not \"\(text?.prefix(40) ?? "")\"")
  }
}
