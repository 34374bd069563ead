import WherryJSON

/// What `linux.resources` asks of the cgroup file system (runtime-spec, config-linux.md, "Control groups").
struct BundleResources {
  private let json: JSONCursor
  private let cgroup: BundleCgroup
  private var found: [BundleSetting] = []

  init(_ json: JSONCursor, for cgroup: BundleCgroup) {
    self.json = json
    self.cgroup = cgroup
  }

  func settings() throws(JSONShapeError) -> [BundleSetting] {
    var reader = self
    try reader.memory()
    try reader.processor()
    try reader.processes()
    try reader.blocks()
    try reader.hugePages()
    try reader.network()
    try reader.devices()
    try reader.others()
    return reader.found
  }

  private mutating func add(
    _ name: String, _ legacy: (controller: String, file: String)?, _ unified: String?, _ value: String,
    unifiedValue: String? = nil, isOptional: Bool = false
  ) {
    if let legacy, let directory = cgroup.directory(of: legacy.controller) {
      found.append(
        BundleSetting(name: name, file: "\(directory)/\(legacy.file)", value: value, isOptional: isOptional))
    } else if let unified, cgroup.legacy.isEmpty || legacy.map({ cgroup.directory(of: $0.controller) == nil }) ?? true,
      let directory = cgroup.unifiedDirectory
    {
      found.append(
        BundleSetting(
          name: name, file: "\(directory)/\(unified)", value: unifiedValue ?? value, isOptional: isOptional))
    } else if !isOptional {
      found.append(BundleSetting(name: name, file: nil, value: value))
    }
  }

  private static func limit(_ bytes: Int64) -> String { bytes < 0 ? "max" : "\(bytes)" }

  private mutating func memory() throws(JSONShapeError) {
    guard let memory = try json.optional("memory") else { return }
    let limit = try memory.optional("limit")?.integer()
    if let limit {
      add(
        "memory.limit", ("memory", "memory.limit_in_bytes"), "memory.max", "\(limit)", unifiedValue: Self.limit(limit))
    }
    if let bytes = try memory.optional("reservation")?.integer() {
      add(
        "memory.reservation", ("memory", "memory.soft_limit_in_bytes"), "memory.low", "\(bytes)",
        unifiedValue: Self.limit(bytes))
    }
    if let bytes = try memory.optional("swap")?.integer() {
      // v1 counts memory and swap together, v2 swap alone.
      let swap = bytes < 0 ? "max" : "\(max(0, bytes - max(0, limit ?? 0)))"
      add("memory.swap", ("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max", "\(bytes)", unifiedValue: swap)
    }
    if let bytes = try memory.optional("kernelTCP")?.integer() {
      add("memory.kernelTCP", ("memory", "memory.kmem.tcp.limit_in_bytes"), nil, "\(bytes)")
    }
    // Newer kernels have no limit of its own for that, and the specification asks nobody to keep it.
    if let bytes = try memory.optional("kernel")?.integer() {
      add("memory.kernel", ("memory", "memory.kmem.limit_in_bytes"), nil, "\(bytes)", isOptional: true)
    }
    if let number = try memory.optional("swappiness")?.integer() {
      guard (0...100).contains(number) else { throw memory.fail("swappiness is from 0 to 100") }
      add("memory.swappiness", ("memory", "memory.swappiness"), nil, "\(number)")
    }
    if try memory.optional("disableOOMKiller")?.bool() == true {
      add("memory.disableOOMKiller", ("memory", "memory.oom_control"), nil, "1")
    }
    if try memory.optional("useHierarchy")?.bool() == true {
      add("memory.useHierarchy", ("memory", "memory.use_hierarchy"), nil, "1", isOptional: true)
    }
  }

  private mutating func processor() throws(JSONShapeError) {
    guard let cpu = try json.optional("cpu") else { return }
    if let shares = try cpu.optional("shares")?.integer(), shares != 0 {
      let weight = 1 + (max(2, min(shares, 262_144)) - 2) * 9_999 / 262_142
      add("cpu.shares", ("cpu", "cpu.shares"), "cpu.weight", "\(shares)", unifiedValue: "\(weight)")
    }
    let period = try cpu.optional("period")?.integer()
    let quota = try cpu.optional("quota")?.integer()
    if cgroup.directory(of: "cpu") == nil, period != nil || quota != nil {
      let value = "\((quota ?? -1) > 0 ? "\(quota ?? 0)" : "max") \(period ?? 100_000)"
      add("cpu.quota", nil, "cpu.max", value)
    } else {
      if let period { add("cpu.period", ("cpu", "cpu.cfs_period_us"), nil, "\(period)") }
      if let quota { add("cpu.quota", ("cpu", "cpu.cfs_quota_us"), nil, "\(quota)") }
    }
    if let burst = try cpu.optional("burst")?.integer() {
      add("cpu.burst", ("cpu", "cpu.cfs_burst_us"), "cpu.max.burst", "\(burst)")
    }
    // The runtime's part of a period, so the period comes first.
    if let period = try cpu.optional("realtimePeriod")?.integer(), period != 0 {
      add("cpu.realtimePeriod", ("cpu", "cpu.rt_period_us"), nil, "\(period)")
    }
    if let runtime = try cpu.optional("realtimeRuntime")?.integer(), runtime != 0 {
      add("cpu.realtimeRuntime", ("cpu", "cpu.rt_runtime_us"), nil, "\(runtime)")
    }
    if let idle = try cpu.optional("idle")?.integer() { add("cpu.idle", ("cpu", "cpu.idle"), "cpu.idle", "\(idle)") }
    for key in ["cpus", "mems"] {
      if let list = try cpu.optional(key)?.string(), !list.isEmpty {
        add("cpu.\(key)", ("cpuset", "cpuset.\(key)"), "cpuset.\(key)", list)
      }
    }
  }

  private mutating func processes() throws(JSONShapeError) {
    guard let limit = try json.optional("pids")?.optional("limit")?.integer() else { return }
    add("pids.limit", ("pids", "pids.max"), "pids.max", limit <= 0 ? "max" : "\(limit)")
  }

  private mutating func blocks() throws(JSONShapeError) {
    guard let blocks = try json.optional("blockIO") else { return }
    func weight(_ cursor: JSONCursor, _ key: String) throws(JSONShapeError) -> Int64? {
      guard let value = try cursor.optional(key), try value.integer() != 0 else { return nil }
      let number = try value.integer()
      guard (1...10_000).contains(number) else { throw value.fail("\(number) is no weight") }
      return number
    }
    let scheduler = cgroup.directory(of: "blkio").map { Files.exists($0 + "/blkio.bfq.weight") } ?? false
    let prefix = scheduler ? "blkio.bfq." : "blkio."
    if let weight = try weight(blocks, "weight") {
      add(
        "blockIO.weight", ("blkio", prefix + "weight"), "io.weight", "\(weight)",
        unifiedValue: "default \(1 + max(0, weight - 10) * 9_999 / 990)")
    }
    if let weight = try weight(blocks, "leafWeight") {
      add("blockIO.leafWeight", ("blkio", prefix + "leaf_weight"), nil, "\(weight)")
    }
    for device in try blocks.optional("weightDevice")?.array() ?? [] {
      let number = try Self.number(of: device)
      if let weight = try weight(device, "weight") {
        add(
          "blockIO.weightDevice", ("blkio", prefix + "weight_device"), "io.weight", "\(number) \(weight)",
          unifiedValue: "\(number) \(1 + max(0, weight - 10) * 9_999 / 990)")
      }
      if let weight = try weight(device, "leafWeight") {
        add("blockIO.weightDevice", ("blkio", prefix + "leaf_weight_device"), nil, "\(number) \(weight)")
      }
    }
    let throttles = [
      ("throttleReadBpsDevice", "read_bps_device", "rbps"), ("throttleWriteBpsDevice", "write_bps_device", "wbps"),
      ("throttleReadIOPSDevice", "read_iops_device", "riops"),
      ("throttleWriteIOPSDevice", "write_iops_device", "wiops"),
    ]
    for (key, file, word) in throttles {
      for device in try blocks.optional(key)?.array() ?? [] {
        let number = try Self.number(of: device)
        let rate = try device.require("rate").integer()
        add(
          "blockIO.\(key)", ("blkio", "blkio.throttle.\(file)"), "io.max", "\(number) \(rate)",
          unifiedValue: "\(number) \(word)=\(rate)")
      }
    }
  }

  private static func number(of device: JSONCursor) throws(JSONShapeError) -> String {
    "\(try device.require("major").integer()):\(try device.require("minor").integer())"
  }

  private mutating func hugePages() throws(JSONShapeError) {
    for entry in try json.optional("hugepageLimits")?.array() ?? [] {
      let size = try entry.require("pageSize")
      let text = try size.string()
      guard text.allSatisfy({ $0.isLetter || $0.isNumber }) else { throw size.fail("\"\(text)\" is no size") }
      let limit = try entry.require("limit").number
      add("hugepageLimits", ("hugetlb", "hugetlb.\(text).limit_in_bytes"), "hugetlb.\(text).max", limit)
    }
  }

  private mutating func network() throws(JSONShapeError) {
    guard let network = try json.optional("network") else { return }
    if let number = try network.optional("classID")?.integer() {
      add("network.classID", ("net_cls", "net_cls.classid"), nil, "\(number)")
    }
    for entry in try network.optional("priorities")?.array() ?? [] {
      let value = "\(try entry.require("name").string()) \(try entry.require("priority").integer())"
      add("network.priorities", ("net_prio", "net_prio.ifpriomap"), nil, value)
    }
  }

  /// v1 only; on v2 a program in the kernel judges them (`DeviceFilter`).
  private mutating func devices() throws(JSONShapeError) {
    guard cgroup.directory(of: "devices") != nil else { return }
    for rule in try DeviceRule.list(json) {
      add("devices", ("devices", rule.isAllowed ? "devices.allow" : "devices.deny"), nil, rule.text)
    }
  }

  private mutating func others() throws(JSONShapeError) {
    for (device, limits) in try json.optional("rdma")?.object().sorted(by: { $0.key < $1.key }) ?? [] {
      var line = device
      for (key, word) in [("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")] {
        if let number = try limits.optional(key)?.integer() { line += " \(word)=\(number)" }
      }
      add("rdma", ("rdma", "rdma.max"), "rdma.max", line)
    }
    for (key, value) in try json.optional("unified")?.object().sorted(by: { $0.key < $1.key }) ?? [] {
      guard !key.contains("/") else { throw value.fail("it is no name of a file") }
      add("unified.\(key)", nil, key, try value.string())
    }
  }
}

extension JSONCursor {
  /// Beyond Int64 too, as text.
  fileprivate var number: String {
    get throws(JSONShapeError) {
      if case .number(let value) = json, value >= 9.2e18 { return "max" }
      return "\(try integer())"
    }
  }
}

/// Which devices may be used, one after the other; the last that fits counts.
struct DeviceRule: Hashable, Sendable {
  var isAllowed: Bool
  /// `a` = all.
  var type: String
  var major: Int64?
  var minor: Int64?
  var access: String

  /// As the v1 controller takes it: `c 1:3 rwm`.
  var text: String {
    if type == "a", major == nil, minor == nil { return "a" }
    return "\(type) \(major.map { "\($0)" } ?? "*"):\(minor.map { "\($0)" } ?? "*") \(access)"
  }

  /// The bundle's, and after them what every container may use, if it was about devices at all.
  static func list(_ resources: JSONCursor) throws(JSONShapeError) -> [DeviceRule] {
    var rules: [DeviceRule] = []
    for entry in try resources.optional("devices")?.array() ?? [] {
      func number(_ key: String) throws(JSONShapeError) -> Int64? {
        guard let value = try entry.optional(key)?.integer(), value >= 0 else { return nil }
        return value
      }
      let access = try entry.optional("access")
      let letters = try access?.string() ?? "rwm"
      guard letters.allSatisfy({ "rwm".contains($0) }) else { throw entry.fail("\"\(letters)\" is no access") }
      rules.append(
        DeviceRule(
          isAllowed: try entry.require("allow").bool(), type: try entry.optional("type")?.string() ?? "a",
          major: try number("major"), minor: try number("minor"), access: letters.isEmpty ? "rwm" : letters))
    }
    guard !rules.isEmpty else { return [] }
    // null, zero, full, random, urandom, tty, ptmx and the terminals behind it (config-linux.md, "Default Devices").
    let standard: [(Int64, Int64?)] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, nil)]
    return rules
      + standard.map { DeviceRule(isAllowed: true, type: "c", major: $0.0, minor: $0.1, access: "rwm") }
  }
}
