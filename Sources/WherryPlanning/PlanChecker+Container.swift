import WherryModel

extension PlanChecker {
  static func container(_ spec: ContainerSpec) -> [String] {
    var problems = variables(spec.environment)
    if let command = spec.command {
      if command.isEmpty { problems.append("its command is empty") }
      if command.contains(where: { $0.utf8.contains(0) }) { problems.append("its command holds a NUL byte") }
    }
    if spec.network != .bridge, !spec.ports.isEmpty {
      problems.append("it publishes ports, which the network \(spec.network.rawValue) cannot")
    }
    if spec.ports.contains(where: { $0.host == 0 || $0.container == 0 }) { problems.append("it publishes port 0") }
    problems += paths(spec) + limits(spec)
    if let health = spec.health { problems += Self.health(health) }
    return problems
  }

  private static func paths(_ spec: ContainerSpec) -> [String] {
    var problems: [String] = []
    var mounted: Set<String> = []
    for volume in spec.volumes {
      if !isAbsolute(volume.path) || volume.path == "/" {
        problems.append("\"\(volume.path)\" is not a place for a volume")
      }
      if !mounted.insert(volume.path).inserted { problems.append("two volumes are mounted at \(volume.path)") }
      switch volume.source {
      case .named(let name):
        if !ComponentName.isValid(name) { problems.append("\"\(name)\" is not the name of a volume") }
      case .hostPath(let path):
        if !isAbsolute(path) { problems.append("\"\(path)\" is not an absolute path of the host") }
      }
    }
    for device in spec.devices where !isAbsolute(device) || !device.hasPrefix("/dev/") {
      problems.append("\"\(device)\" is not a device node")
    }
    if let directory = spec.workingDirectory, !isAbsolute(directory) {
      problems.append("\"\(directory)\" is not an absolute working directory")
    }
    return problems
  }

  private static func limits(_ spec: ContainerSpec) -> [String] {
    var problems: [String] = []
    if let millis = spec.resources.cpuMillis, !(1...1_024_000).contains(millis) {
      problems.append("its limit of \(millis) thousandths of a CPU makes no sense")
    }
    if let bytes = spec.resources.memoryBytes, !((1 << 20)...(1 << 53)).contains(bytes) {
      problems.append("its limit of \(bytes) bytes of memory makes no sense")
    }
    if let pids = spec.resources.pids, !(1...4_194_304).contains(pids) {
      problems.append("its limit of \(pids) processes makes no sense")
    }
    if !(0...3_600).contains(spec.stopTimeoutSeconds) {
      problems.append("its stop timeout of \(spec.stopTimeoutSeconds) s is not between 0 and an hour")
    }
    if !(1_000...86_400_000).contains(spec.restart.backoffMaximumMilliseconds) {
      problems.append(
        "its longest restart delay of \(spec.restart.backoffMaximumMilliseconds) ms is not between a second and a day")
    }
    return problems
  }

  private static func health(_ check: HealthCheck) -> [String] {
    var problems: [String] = []
    switch check.probe {
    case .http(let port, let path):
      if port == 0 { problems.append("its health check asks port 0") }
      if !path.hasPrefix("/") || !path.utf8.allSatisfy({ (33...126).contains($0) }) {
        problems.append("its health check asks for the path \"\(path)\"")
      }
    case .tcp(let port):
      if port == 0 { problems.append("its health check asks port 0") }
    case .exec(let command):
      if command.isEmpty || command.contains(where: { $0.utf8.contains(0) }) {
        problems.append("its health check has no command that could be run")
      }
    }
    let isSensible =
      (1...86_400_000).contains(check.intervalMilliseconds) && (1...3_600_000).contains(check.timeoutMilliseconds)
      && (1...1_000).contains(check.retries) && (0...86_400_000).contains(check.startPeriodMilliseconds)
    if !isSensible { problems.append("the times or retries of its health check make no sense") }
    return problems
  }

  static func image(_ image: PlannedImage) -> [String] {
    var problems: [String] = []
    if image.layers.isEmpty { problems.append("the image \(image.reference) has no layers") }
    if image.layers.count > layersMaximum {
      problems.append("the image \(image.reference) has \(image.layers.count) layers, more than \(layersMaximum)")
    }
    if image.layers.contains(where: { !(0...blobBytesMaximum).contains($0.size) }) {
      problems.append("a layer of \(image.reference) has an impossible size")
    }
    for layer in image.layers where layer.compression == .none && layer.digest != layer.diffID {
      problems.append("an uncompressed layer of \(image.reference) has two different digests")
    }
    if image.registry != PlannedImage.serviceRegistry, !isAddress(image.registry, schemes: ["https://", "http://"]) {
      problems.append("\"\(image.registry)\" is not the address of a registry")
    }
    if !isRepository(image.repository) { problems.append("\"\(image.repository)\" is not a repository") }
    return problems
  }

  /// It is put into a URL path: OCI distribution-spec's characters, and no `..`.
  private static func isRepository(_ text: String) -> Bool {
    guard !text.isEmpty, text.utf8.count <= 255 else { return false }
    return text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      !part.isEmpty && part != "." && part != ".."
        && part.utf8.allSatisfy { byte in
          (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
    }
  }

  private static func isAbsolute(_ path: String) -> Bool {
    path.hasPrefix("/") && path.utf8.count <= 4_095 && !path.utf8.contains(0)
      && !path.split(separator: "/").contains("..")
  }
}
