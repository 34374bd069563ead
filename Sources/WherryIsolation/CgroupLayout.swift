import WherryModel

/// Which cgroup hierarchies the host has. On a hybrid host the v2 tree gives identity, birth and kill, and the v1
/// controllers the limits; crun and others refuse such hosts.
struct CgroupLayout: Hashable, Sendable {
  enum Controller: String, Hashable, Sendable, CaseIterable {
    case cpu, memory, pids
    /// Only for whom a limit asks for them: each hierarchy of v1 more is one more to join.
    case cpuset, io, hugetlb

    var isRare: Bool { [.cpuset, .io, .hugetlb].contains(self) }

    /// Where v1 has it.
    var legacyDirectories: [String] {
      switch self {
      case .cpu: ["cpu", "cpu,cpuacct"]
      case .io: ["blkio"]
      default: [rawValue]
      }
    }
  }

  /// Mount point of the v2 tree.
  var unified: String?
  /// Controllers that the v2 tree can give.
  var unifiedControllers: Set<Controller> = []
  /// Mount points of v1 hierarchies.
  var legacy: [Controller: String] = [:]

  /// By what lies under `root`, so that a test can lay out a tree.
  static func detect(root: String) -> CgroupLayout {
    var layout = CgroupLayout()
    for candidate in [root, root + "/unified"] {
      guard let text = Files.text(candidate + "/cgroup.controllers") else { continue }
      layout.unified = candidate
      let names = Set(text.split { $0 == " " || $0 == "\n" }.map(String.init))
      layout.unifiedControllers = Set(Controller.allCases.filter { names.contains($0.rawValue) })
      break
    }
    for controller in Controller.allCases where !layout.unifiedControllers.contains(controller) {
      if let found = controller.legacyDirectories.first(where: { Files.exists("\(root)/\($0)/tasks") }) {
        layout.legacy[controller] = "\(root)/\(found)"
      }
    }
    return layout
  }

  func has(_ controller: Controller) -> Bool { unifiedControllers.contains(controller) || legacy[controller] != nil }

  /// `path` is relative: `wherry/<agentID>/<workload>`. Without resources: all that there may be.
  func directories(of path: String, for resources: Resources? = nil) -> [String] {
    ([unified].compactMap { $0 } + mounts(for: resources)).map { "\($0)/\(path)" }
  }

  private func mounts(for resources: Resources?) -> [String] {
    let asked = resources.map(rare)
    return sortedLegacy.filter { !$0.controller.isRare || asked?.contains($0.controller) ?? true }.map(\.mount)
  }

  var sortedLegacy: [(controller: Controller, mount: String)] {
    legacy.sorted { $0.key.rawValue < $1.key.rawValue }.map { (controller: $0.key, mount: $0.value) }
  }

  struct Setting: Hashable, Sendable {
    var file: String
    var value: String
    /// Kernels without swap accounting do not have the file.
    var isOptional = false
  }

  private static let cpuPeriodMicroseconds = 100_000

  func settings(for resources: Resources, at path: String) -> [Setting] {
    var settings: [Setting] = []
    func add(_ mount: String, _ file: String, _ value: String, isOptional: Bool = false) {
      settings.append(Setting(file: "\(mount)/\(path)/\(file)", value: value, isOptional: isOptional))
    }
    let period = Self.cpuPeriodMicroseconds
    if let millis = resources.cpuMillis {
      // The kernel refuses a quota under 1 ms.
      let quota = max(1000, millis * period / 1000)
      if let mount = legacy[.cpu] {
        add(mount, "cpu.cfs_period_us", "\(period)")
        add(mount, "cpu.cfs_quota_us", "\(quota)")
      } else if let unified {
        add(unified, "cpu.max", "\(quota) \(period)")
      }
    }
    if let bytes = resources.memoryBytes {
      if let mount = legacy[.memory] {
        add(mount, "memory.limit_in_bytes", "\(bytes)")
        let swap = resources.swapBytes ?? 0
        add(mount, "memory.memsw.limit_in_bytes", "\(bytes + swap)", isOptional: swap == 0)
      } else if let unified {
        add(unified, "memory.max", "\(bytes)")
        let swap = resources.swapBytes ?? 0
        add(unified, "memory.swap.max", "\(swap)", isOptional: swap == 0)
        // One process of a component less is a broken component: all or none.
        add(unified, "memory.oom.group", "1", isOptional: true)
      }
    }
    if let processors = resources.processors, let mount = legacy[.cpuset] ?? unified {
      add(mount, "cpuset.cpus", processors)
    }
    for (size, bytes) in resources.hugePages.sorted(by: { $0.key < $1.key }) {
      let file = "hugetlb.\(HugePageSize.name(size))"
      if let mount = legacy[.hugetlb] {
        add(mount, file + ".limit_in_bytes", "\(bytes)")
      } else if let unified {
        add(unified, file + ".max", "\(bytes)")
      }
    }
    addDisk(resources) { add($0, $1, $2) }
    if let pids = resources.pids, let mount = legacy[.pids] ?? unified { add(mount, "pids.max", "\(pids)") }
    return settings
  }

  private func addDisk(_ resources: Resources, _ add: (String, String, String) -> Void) {
    if let weight = resources.diskWeight {
      if let mount = legacy[.io] {
        // 10 to 1000 with 500 for everybody, where v2 has 1 to 10000 and 100.
        add(mount, "blkio.weight", "\(min(1000, max(10, weight * 5)))")
      } else if let unified {
        add(unified, "io.weight", "default \(weight)")
      }
    }
    for limit in resources.diskLimits {
      let device = limit.device ?? ""
      let parts: [(legacy: String, unified: String, value: Int64?)] = [
        ("read_bps", "rbps", limit.readBytes), ("write_bps", "wbps", limit.writeBytes),
        ("read_iops", "riops", limit.readOperations), ("write_iops", "wiops", limit.writeOperations),
      ]
      if let mount = legacy[.io] {
        for part in parts {
          if let value = part.value { add(mount, "blkio.throttle.\(part.legacy)_device", "\(device) \(value)") }
        }
      } else if let unified {
        let words = parts.compactMap { part in part.value.map { "\(part.unified)=\($0)" } }
        add(unified, "io.max", ([device] + words).joined(separator: " "))
      }
    }
  }

  /// Controllers that limits ask for and this host does not have.
  func missing(for resources: Resources) -> [Controller] {
    let asked: [(Controller, Bool)] =
      [
        (.cpu, resources.cpuMillis != nil), (.memory, resources.memoryBytes != nil), (.pids, resources.pids != nil),
      ] + rare(resources).sorted { $0.rawValue < $1.rawValue }.map { ($0, true) }
    return asked.filter { $0.1 && !has($0.0) }.map(\.0)
  }

  /// Controllers that are handed down only where they are asked for.
  func rare(_ resources: Resources) -> Set<Controller> {
    var asked: Set<Controller> = []
    if resources.processors != nil { asked.insert(.cpuset) }
    if resources.diskWeight != nil || !resources.diskLimits.isEmpty { asked.insert(.io) }
    if !resources.hugePages.isEmpty { asked.insert(.hugetlb) }
    return asked
  }

  /// What a process writes "0" to when it joins. A v1 `tasks` file and not `cgroup.procs`: a thread that moves itself
  /// skips the lock whose writer waits 6 to 20 ms for a grace period of the kernel.
  func joinFiles(of path: String, for resources: Resources) -> [String] {
    mounts(for: resources).map { "\($0)/\(path)/tasks" }
  }

  /// The file with the `oom_kill` count.
  func memoryEvents(of path: String) -> String? {
    if let mount = legacy[.memory] { return "\(mount)/\(path)/memory.oom_control" }
    return unifiedControllers.contains(.memory) ? unified.map { "\($0)/\(path)/memory.events" } : nil
  }
}
