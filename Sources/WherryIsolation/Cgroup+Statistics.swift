import WherryModel

extension Cgroup {
  var statistics: WorkloadStatistics {
    var statistics = WorkloadStatistics()
    let unified = unifiedDirectory
    let memory = layout.legacy[.memory].map { "\($0)/\(path)" }
    statistics.memoryBytes = Self.number(
      (memory.map { $0 + "/memory.usage_in_bytes" }) ?? unified.map { $0 + "/memory.current" })
    let limit = Self.number((memory.map { $0 + "/memory.limit_in_bytes" }) ?? unified.map { $0 + "/memory.max" })
    // v1 says the largest number of pages for none; v2 a word.
    statistics.memoryMaximum = limit.flatMap { $0 < 1 << 60 ? $0 : nil }
    statistics.pids = Self.number((layout.legacy[.pids] ?? layout.unified).map { "\($0)/\(path)/pids.current" })
      .map { Int($0) }
    statistics.cpuMicroseconds = Self.field("usage_usec", of: unified.map { $0 + "/cpu.stat" })
    statistics.memoryKills = Self.field(
      "oom_kill", of: (memory.map { $0 + "/memory.oom_control" }) ?? unified.map { $0 + "/memory.events" })
    for kind in ["cpu", "memory", "io"] {
      statistics.pressure[kind] = unified.flatMap { Self.pressure("\($0)/\(kind).pressure") }
    }
    return statistics
  }

  private static func number(_ path: String?) -> Int64? {
    path.flatMap(Files.text).flatMap { text in Int64(text.filter { $0 != "\n" }) }
  }

  private static func field(_ name: String, of path: String?) -> Int64? {
    path.flatMap(Files.text).flatMap { field(name, in: $0) }
  }

  /// Of lines `name number`.
  static func field(_ name: String, in text: String) -> Int64? {
    text.split(separator: "\n").lazy
      .compactMap { line in line.hasPrefix(name + " ") ? Int64(line.dropFirst(name.count + 1)) : nil }.first
  }

  /// `some avg10=0.12 avg60=…`, in percent; kernels that do not measure it have no such file, or nothing in it.
  static func pressure(_ path: String) -> Double? {
    let line = Files.text(path)?.split(separator: "\n").first { $0.hasPrefix("some ") }
    let word = line?.split(separator: " ").first { $0.hasPrefix("avg10=") }
    return word.flatMap { Double($0.dropFirst(6)) }
  }
}
