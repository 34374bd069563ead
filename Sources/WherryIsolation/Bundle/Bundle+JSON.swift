import WherryJSON

extension Bundle {
  package static let bytesMaximum = 4 << 20

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    version = try cursor.require("ociVersion").string()
    if let root = try cursor.optional("root") {
      self.root = Root(
        path: try root.require("path").string(), isReadOnly: try root.optional("readonly")?.bool() ?? false)
    }
    hostName = try cursor.optional("hostname")?.string()
    domainName = try cursor.optional("domainname")?.string()
    mounts = try cursor.each("mounts") { (entry) throws(JSONShapeError) in try Mount(entry) }
    process = if let process = try cursor.optional("process") { try BundleProcess(process) } else { nil }
    if let hooks = try cursor.optional("hooks") { self.hooks = try Hooks(hooks) }
    annotations = try cursor.optional("annotations")?.texts() ?? [:]
    if let linux = try cursor.optional("linux") { self.linux = try Linux(linux) }
  }
}

extension JSONCursor {
  /// An absent list is an empty one.
  fileprivate func each<T>(
    _ key: String, _ body: (JSONCursor) throws(JSONShapeError) -> T
  ) throws(JSONShapeError) -> [T] {
    var result: [T] = []
    for entry in try optional(key)?.array() ?? [] { result.append(try body(entry)) }
    return result
  }

  fileprivate func strings(_ key: String) throws(JSONShapeError) -> [String] {
    try each(key) { (entry) throws(JSONShapeError) in try entry.plain() }
  }

  /// Without a NUL, which would end it for the kernel where nobody sees it.
  fileprivate func plain() throws(JSONShapeError) -> String {
    let text = try string()
    guard !text.utf8.contains(0) else { throw fail("it holds a NUL") }
    return text
  }

  fileprivate func texts() throws(JSONShapeError) -> [String: String] {
    var result: [String: String] = [:]
    for (key, value) in try object() { result[key] = try value.plain() }
    return result
  }

  fileprivate func number<N: FixedWidthInteger>(_: N.Type) throws(JSONShapeError) -> N {
    // Beyond Int64 a number of JSON is read as a fraction: RLIM_INFINITY is such a one.
    if case .number(let value) = json, N.self == UInt64.self, value >= 9.2e18 {
      return value >= 1.8446744073709550e19 ? N.max : N(value)
    }
    let value = try integer()
    guard let number = N(exactly: value) else { throw fail("\(value) is out of range") }
    return number
  }
}

extension Bundle.Mount {
  fileprivate init(_ cursor: JSONCursor) throws(JSONShapeError) {
    let place = try cursor.require("destination")
    destination = try place.plain()
    if destination.utf8.first != UInt8(ascii: "/") { destination = "/" + destination }
    type = try cursor.optional("type")?.plain()
    source = try cursor.optional("source")?.plain()
    options = try cursor.strings("options")
    if try cursor.optional("uidMappings") != nil { throw cursor.fail("id-mapped mounts are not supported") }
  }
}

extension Bundle.Hooks {
  fileprivate init(_ cursor: JSONCursor) throws(JSONShapeError) {
    func hooks(_ key: String) throws(JSONShapeError) -> [Bundle.Hook] {
      try cursor.each(key) { (entry) throws(JSONShapeError) in
        let path = try entry.require("path")
        let text = try path.plain()
        guard text.hasPrefix("/") else { throw path.fail("\"\(text)\" is not absolute") }
        let timeout = try entry.optional("timeout")
        let seconds = try timeout?.number(Int.self)
        if let seconds, let timeout, !(1...86_400).contains(seconds) {
          throw timeout.fail("it must be more than nothing, and a day at most")
        }
        let arguments = try entry.strings("args")
        return Bundle.Hook(
          path: text, arguments: arguments.isEmpty ? [text] : arguments, environment: try entry.strings("env"),
          timeoutSeconds: seconds)
      }
    }
    prestart = try hooks("prestart")
    createRuntime = try hooks("createRuntime")
    createContainer = try hooks("createContainer")
    startContainer = try hooks("startContainer")
    poststart = try hooks("poststart")
    poststop = try hooks("poststop")
  }
}

extension Bundle.Linux {
  fileprivate init(_ cursor: JSONCursor) throws(JSONShapeError) {
    namespaces = try cursor.each("namespaces") { (entry) throws(JSONShapeError) in
      let type = try entry.require("type")
      let text = try type.string()
      guard let kind = Bundle.Namespace.Kind(rawValue: text) else { throw type.fail("\"\(text)\" is no namespace") }
      let path = try entry.optional("path")?.plain()
      if let path, !path.hasPrefix("/") { throw entry.fail("the path \"\(path)\" is not absolute") }
      return Bundle.Namespace(kind: kind, path: path.flatMap { $0.isEmpty ? nil : $0 })
    }
    if let double = Dictionary(grouping: namespaces, by: \.kind).first(where: { $0.value.count > 1 }) {
      throw cursor.fail("the namespace \(double.key.rawValue) is given twice")
    }
    userMappings = try cursor.each("uidMappings", Self.mapping)
    groupMappings = try cursor.each("gidMappings", Self.mapping)
    for (clock, value) in try cursor.optional("timeOffsets")?.object() ?? [:] {
      timeOffsets[clock] = Bundle.TimeOffset(
        seconds: try value.optional("secs")?.integer() ?? 0,
        nanoseconds: try value.optional("nanosecs")?.integer() ?? 0)
    }
    devices = try cursor.each("devices", Self.device)
    cgroupsPath = try cursor.optional("cgroupsPath")?.plain()
    resources = try cursor.optional("resources")?.json
    rootPropagation = try cursor.optional("rootfsPropagation")?.string()
    if let seccomp = try cursor.optional("seccomp") { self.seccomp = try BundleSeccomp(seccomp) }
    sysctl = try cursor.optional("sysctl")?.texts() ?? [:]
    maskedPaths = try cursor.strings("maskedPaths")
    readOnlyPaths = try cursor.strings("readonlyPaths")
    if let cache = try cursor.optional("intelRdt") { throw cache.fail("limits of caches are not supported") }
    mountLabel = try cursor.optional("mountLabel")?.string()
    personality = try cursor.optional("personality")?.require("domain").string()
  }

  private static func mapping(_ cursor: JSONCursor) throws(JSONShapeError) -> Bundle.IDMapping {
    Bundle.IDMapping(
      container: try cursor.require("containerID").number(UInt32.self),
      host: try cursor.require("hostID").number(UInt32.self), size: try cursor.require("size").number(UInt32.self))
  }

  private static func device(_ cursor: JSONCursor) throws(JSONShapeError) -> Bundle.Device {
    let type = try cursor.require("type")
    let text = try type.string()
    guard ["c", "u", "b", "p"].contains(text) else { throw type.fail("\"\(text)\" is no kind of device") }
    return Bundle.Device(
      path: try cursor.require("path").plain(), type: text, major: try cursor.optional("major")?.integer() ?? 0,
      minor: try cursor.optional("minor")?.integer() ?? 0,
      mode: try cursor.optional("fileMode")?.integer() ?? 0o666,
      user: try cursor.optional("uid")?.number(UInt32.self) ?? 0,
      group: try cursor.optional("gid")?.number(UInt32.self) ?? 0)
  }
}

extension BundleProcess {
  /// As `process` of a bundle, and as `exec --process` takes it.
  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    hasTerminal = try cursor.optional("terminal")?.bool() ?? false
    if let size = try cursor.optional("consoleSize") {
      rows = try size.require("height").integer()
      columns = try size.require("width").integer()
    }
    if let user = try cursor.optional("user") {
      self.user = try user.optional("uid")?.number(UInt32.self) ?? 0
      group = try user.optional("gid")?.number(UInt32.self) ?? 0
      groups = try user.each("additionalGids") { (entry) throws(JSONShapeError) in try entry.number(UInt32.self) }
      umask = try user.optional("umask")?.number(UInt32.self)
    }
    arguments = try cursor.strings("args")
    environment = try cursor.strings("env")
    let directory = try cursor.require("cwd")
    workingDirectory = try directory.plain()
    guard workingDirectory.hasPrefix("/") else { throw directory.fail("\"\(workingDirectory)\" is not absolute") }
    if let sets = try cursor.optional("capabilities") {
      var found: [String: [String]] = [:]
      for (name, list) in try sets.object() where list.json != .null {
        found[name] = try list.array().map { (entry) throws(JSONShapeError) in try entry.string() }
      }
      capabilities = found
    }
    limits = try cursor.each("rlimits") { (entry) throws(JSONShapeError) in
      Limit(
        type: try entry.require("type").string(), soft: try entry.require("soft").number(UInt64.self),
        hard: try entry.require("hard").number(UInt64.self))
    }
    if let double = Dictionary(grouping: limits, by: \.type).first(where: { $0.value.count > 1 }) {
      throw cursor.fail("the limit \(double.key) is given twice")
    }
    appArmorProfile = try cursor.optional("apparmorProfile")?.plain()
    selinuxLabel = try cursor.optional("selinuxLabel")?.string()
    forbidsNewPrivileges = try cursor.optional("noNewPrivileges")?.bool() ?? false
    memoryKillerScore = try cursor.optional("oomScoreAdj")?.integer()
    if let scheduler = try cursor.optional("scheduler") {
      self.scheduler = Scheduler(
        policy: try scheduler.require("policy").string(),
        nice: try scheduler.optional("nice")?.number(Int32.self) ?? 0,
        priority: try scheduler.optional("priority")?.number(UInt32.self) ?? 0, flags: try scheduler.strings("flags"),
        runtime: try scheduler.optional("runtime")?.number(UInt64.self) ?? 0,
        deadline: try scheduler.optional("deadline")?.number(UInt64.self) ?? 0,
        period: try scheduler.optional("period")?.number(UInt64.self) ?? 0)
    }
    if let priority = try cursor.optional("ioPriority") {
      ioPriority = IOPriority(
        kind: try priority.require("class").string(), priority: try priority.optional("priority")?.integer() ?? 0)
    }
  }
}

extension BundleProcess {
  /// As `exec --process` takes it: a hook in the place of the program, with this one's user and rights.
  func running(_ hook: Bundle.Hook) -> JSON {
    var json: JSON = [
      "cwd": "/", "args": .array(([hook.path] + hook.arguments.dropFirst()).map { .string($0) }),
      "env": .array(hook.environment.map { .string($0) }), "noNewPrivileges": .bool(forbidsNewPrivileges),
      "user": [
        "uid": .integer(Int64(user)), "gid": .integer(Int64(group)),
        "additionalGids": .array(groups.map { .integer(Int64($0)) }),
      ],
    ]
    if let capabilities {
      json["capabilities"] = .object(capabilities.mapValues { .array($0.map { .string($0) }) })
    }
    return json
  }
}

extension BundleSeccomp {
  fileprivate init(_ cursor: JSONCursor) throws(JSONShapeError) {
    defaultAction = try cursor.require("defaultAction").string()
    defaultErrno = try cursor.optional("defaultErrnoRet")?.number(UInt32.self)
    architectures = try cursor.strings("architectures")
    flags = try cursor.strings("flags")
    listenerPath = try cursor.optional("listenerPath")?.string()
    calls = try cursor.each("syscalls") { (entry) throws(JSONShapeError) in
      Call(
        names: try entry.strings("names"), action: try entry.require("action").string(),
        errno: try entry.optional("errnoRet")?.number(UInt32.self),
        conditions: try entry.each("args") { (argument) throws(JSONShapeError) in
          Condition(
            index: try argument.require("index").number(UInt32.self),
            value: try argument.require("value").number(UInt64.self),
            second: try argument.optional("valueTwo")?.number(UInt64.self) ?? 0,
            comparison: try argument.require("op").string())
        })
    }
  }
}
