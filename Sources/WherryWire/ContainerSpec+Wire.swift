import WherryJSON
import WherryModel

extension ContainerSpec: WireValue {
  package var json: JSON {
    .members([
      ("image", .string(image)), ("command", command.map(JSON.strings)),
      ("environment", environment.nonEmpty.map(JSON.map)), ("user", user.map(JSON.string)),
      ("workingDirectory", workingDirectory.map(JSON.string)),
      ("ports", ports.nonEmpty.map { .array($0.map(\.json)) }),
      ("volumes", volumes.nonEmpty.map { .array($0.map(\.json)) }), ("devices", devices.nonEmpty.map(JSON.strings)),
      ("network", .string(network.rawValue)), ("egress", egress.map { .strings($0.map(\.description)) }),
      ("userNamespace", (userNamespace?.rawValue).map(JSON.string)),
      ("resources", resources == Resources() ? nil : resources.json),
      ("readOnlyRoot", .bool(readOnlyRoot)), ("capabilitiesAdded", capabilitiesAdded.nonEmpty.map(JSON.strings)),
      ("capabilitiesDropped", capabilitiesDropped.nonEmpty.map(JSON.strings)), ("health", health?.json),
      ("limits", limits.nonEmpty.map { .map($0.mapValues(\.description)) }),
      ("sysctls", sysctls.nonEmpty.map(JSON.map)),
      ("seccomp", seccomp?.json), ("appArmorProfile", appArmorProfile.map(JSON.string)),
      ("clocks", clocks.map { ["monotonic": .integer($0.monotonic), "boot": .integer($0.boot)] }),
      ("hasInput", hasInput ? true : nil),
      ("stopSignal", stopSignal.map(JSON.string)), ("stopTimeoutSeconds", .int(stopTimeoutSeconds)),
      ("restart", restart.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(image: try cursor.require("image").string())
    command = try cursor.optional("command")?.strings()
    environment = try cursor.optional("environment")?.stringMap() ?? [:]
    user = try cursor.optional("user")?.string()
    workingDirectory = try cursor.optional("workingDirectory")?.string()
    ports =
      try cursor.optional("ports")?.list { (element) throws(JSONShapeError) in try PublishedPort(element) } ?? []
    volumes = try cursor.optional("volumes")?.list { (element) throws(JSONShapeError) in try Volume(element) } ?? []
    devices = try cursor.optional("devices")?.strings() ?? []
    if let value = try cursor.optional("network") { network = try value.word() }
    egress = try cursor.optional("egress")?.list { (element) throws(JSONShapeError) in
      guard let rule = EgressRule(try element.string()) else { throw element.fail("this is no rule of egress") }
      return rule
    }
    userNamespace = try cursor.optional("userNamespace")?.word()
    if let value = try cursor.optional("resources") { resources = try Resources(value) }
    readOnlyRoot = try cursor.optional("readOnlyRoot")?.bool() ?? true
    capabilitiesAdded = try cursor.optional("capabilitiesAdded")?.strings() ?? []
    capabilitiesDropped = try cursor.optional("capabilitiesDropped")?.strings() ?? []
    for (name, text) in try cursor.optional("limits")?.stringMap() ?? [:] {
      guard ProcessLimit.numbers[name] != nil, let limit = ProcessLimit(text) else {
        throw cursor.fail("\(name.prefix(40)) has no limit of processes")
      }
      limits[name] = limit
    }
    sysctls = try cursor.optional("sysctls")?.stringMap() ?? [:]
    if let value = try cursor.optional("seccomp") { seccomp = try SeccompChoice(value) }
    appArmorProfile = try cursor.optional("appArmorProfile")?.string()
    if let value = try cursor.optional("clocks") {
      clocks = ClockOffsets(
        monotonic: try value.require("monotonic").integer(), boot: try value.require("boot").integer())
    }
    hasInput = try cursor.optional("hasInput")?.bool() ?? false
    if let value = try cursor.optional("health") { health = try HealthCheck(value) }
    stopSignal = try cursor.optional("stopSignal")?.string()
    if let value = try cursor.optional("stopTimeoutSeconds") {
      let seconds = try value.int()
      guard (0...Step.timeoutSecondsMaximum).contains(seconds) else {
        throw value.fail("\(seconds) is not between 0 and \(Step.timeoutSecondsMaximum) seconds")
      }
      stopTimeoutSeconds = seconds
    }
    if let value = try cursor.optional("restart") { restart = try RestartPolicy(value) }
  }
}

extension SeccompChoice: WireValue {
  package var json: JSON {
    .members([
      ("isUnconfined", isUnconfined ? true : nil), ("allowed", allowed.nonEmpty.map(JSON.strings)),
      ("denied", denied.nonEmpty.map(JSON.strings)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      isUnconfined: try cursor.optional("isUnconfined")?.bool() ?? false,
      allowed: try cursor.optional("allowed")?.strings() ?? [], denied: try cursor.optional("denied")?.strings() ?? [])
  }
}

extension PublishedPort: WireValue {
  package var json: JSON {
    ["host": .integer(Int64(host)), "container": .integer(Int64(container)), "transport": .string(transport.rawValue)]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      host: try cursor.require("host").port(), container: try cursor.require("container").port(),
      transport: try cursor.optional("transport")?.word() ?? .tcp)
  }
}

extension Volume: WireValue {
  package var json: JSON {
    let source: (String, JSON?) =
      switch self.source {
      case .named(let name): ("name", .string(name))
      case .hostPath(let path): ("hostPath", .string(path))
      }
    return .members([source, ("path", .string(path)), ("readOnly", readOnly ? true : nil)])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let source: Source
    if let name = try cursor.optional("name")?.string() {
      source = .named(name)
    } else {
      source = .hostPath(try cursor.require("hostPath").string())
    }
    self.init(
      source: source, path: try cursor.require("path").string(),
      readOnly: try cursor.optional("readOnly")?.bool() ?? false)
  }
}

extension Resources: WireValue {
  package var json: JSON {
    .members([
      ("cpuMillis", cpuMillis.map(JSON.int)), ("memoryBytes", memoryBytes.map(JSON.integer)),
      ("pids", pids.map(JSON.int)), ("processors", processors.map(JSON.string)),
      ("swapBytes", swapBytes.map(JSON.integer)), ("diskWeight", diskWeight.map(JSON.int)),
      ("diskLimits", diskLimits.nonEmpty.map { .array($0.map(\.json)) }),
      ("hugePages", hugePages.nonEmpty.map { .array($0.sorted { $0.key < $1.key }.map(Self.hugePages)) }),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      cpuMillis: try cursor.optional("cpuMillis")?.count(), memoryBytes: try cursor.optional("memoryBytes")?.size(),
      pids: try cursor.optional("pids")?.count())
    processors = try cursor.optional("processors")?.string()
    swapBytes = try cursor.optional("swapBytes")?.size()
    diskWeight = try cursor.optional("diskWeight")?.count()
    diskLimits =
      try cursor.optional("diskLimits")?.list { (element) throws(JSONShapeError) in try DiskLimit(element) } ?? []
    for pages in try cursor.optional("hugePages")?.array() ?? [] {
      hugePages[try pages.require("size").size()] = try pages.require("bytes").size()
    }
  }
}

extension Resources {
  fileprivate static func hugePages(_ size: Int64, _ bytes: Int64) -> JSON {
    ["size": .integer(size), "bytes": .integer(bytes)]
  }
}

extension DiskLimit: WireValue {
  package var json: JSON {
    .members([
      ("device", device.map(JSON.string)), ("readBytes", readBytes.map(JSON.integer)),
      ("writeBytes", writeBytes.map(JSON.integer)), ("readOperations", readOperations.map(JSON.integer)),
      ("writeOperations", writeOperations.map(JSON.integer)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(device: try cursor.optional("device")?.string())
    readBytes = try cursor.optional("readBytes")?.size()
    writeBytes = try cursor.optional("writeBytes")?.size()
    readOperations = try cursor.optional("readOperations")?.size()
    writeOperations = try cursor.optional("writeOperations")?.size()
  }
}

extension HealthCheck: WireValue {
  package var json: JSON {
    let probe: JSON =
      switch self.probe {
      case .http(let port, let path): ["http": .string(path), "port": .integer(Int64(port))]
      case .tcp(let port): ["tcp": .integer(Int64(port))]
      case .exec(let command): ["exec": .strings(command)]
      }
    return [
      "probe": probe, "intervalMilliseconds": .integer(intervalMilliseconds),
      "timeoutMilliseconds": .integer(timeoutMilliseconds), "retries": .int(retries),
      "startPeriodMilliseconds": .integer(startPeriodMilliseconds),
    ]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let probe = try cursor.require("probe")
    if let path = try probe.optional("http")?.string() {
      self.init(probe: .http(port: try probe.require("port").port(), path: path))
    } else if let port = try probe.optional("tcp")?.port() {
      self.init(probe: .tcp(port: port))
    } else {
      self.init(probe: .exec(try probe.require("exec").strings()))
    }
    intervalMilliseconds = try cursor.require("intervalMilliseconds").size()
    timeoutMilliseconds = try cursor.require("timeoutMilliseconds").size()
    retries = try cursor.require("retries").count()
    startPeriodMilliseconds = try cursor.require("startPeriodMilliseconds").size()
  }
}

extension RestartPolicy: WireValue {
  package var json: JSON {
    ["mode": .string(mode.rawValue), "backoffMaximumMilliseconds": .integer(backoffMaximumMilliseconds)]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      mode: try cursor.require("mode").word(),
      backoffMaximumMilliseconds: try cursor.require("backoffMaximumMilliseconds").size())
  }
}
