import CIsolation
import Glibc
import WherryModel

/// What the kernel says of a workload by itself, without anybody asking.
package enum WorkloadTrouble: Hashable, Sendable {
  /// For a tenth of the last ten seconds or more some process of it could not go on for want of memory.
  case shortOfMemory
  /// The same for the disk.
  case waitsForDisk
  /// The kernel has ended so many of its processes for want of memory, all in all.
  case killedForMemory(Int64)
}

/// Pressure (PSI) and memory events of workloads, watched through one descriptor that is ready when there is something.
/// Of pressure the kernel tells at most once in its window; memory events may come by the hundred, so each workload's
/// are heard once and again only after `listenAgain`.
///
/// Pressure is watched where all of the agent's workloads are together, and who of them it is their own averages say:
/// to take a trigger back waits for a grace period of the kernel, which no start and no stop shall do.
package final class PressureWatch {
  private static let trigger = "some 1000000 10000000"
  private static let eventsMaximum = 16
  /// Percent of the last ten seconds: half of what the trigger tells of, since the average follows with a delay.
  private static let stalledPercent = 5.0

  /// Pressure by the names of the cgroup's files.
  private enum Kind: String {
    case memory
    case disk = "io"
    case kills
  }

  private struct Source {
    /// Empty = all workloads.
    var id: String
    var kind: Kind
    /// What tells: a file of the cgroup, or on v1 an eventfd.
    var descriptor: Int32
    /// Of `kills`: with the `oom_kill` line.
    var file: Int32 = -1
    var kills: Int64 = 0
    var isDeaf = false
  }

  /// -1 until there is something to watch.
  package private(set) var descriptor: Int32 = -1
  private var sources: [Int32: Source] = [:]
  /// Of the workloads, on v2.
  private var directories: [String: String] = [:]

  package init() {}

  deinit {
    for source in sources.values { Self.close(source) }
    if descriptor >= 0 { Glibc.close(descriptor) }
  }

  /// What this kernel does not measure is not watched.
  func add(_ id: String, _ cgroup: Cgroup) {
    remove(id)
    if descriptor < 0 { descriptor = epoll_create1(O_CLOEXEC) }
    guard descriptor >= 0 else { return }
    if let directory = cgroup.unifiedDirectory {
      directories[id] = directory
      if let slash = directory.lastIndex(of: "/") { watchPressure(String(directory[..<slash])) }
    }
    guard let path = cgroup.layout.memoryEvents(of: cgroup.path) else { return }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    var source = Source(id: id, kind: .kills, descriptor: file, file: file)
    if let mount = cgroup.layout.legacy[.memory] {
      source.descriptor = wherry_event_descriptor()
      let order = "\(source.descriptor) \(file)"
      guard Files.write(Array(order.utf8), to: "\(mount)/\(cgroup.path)/cgroup.event_control", flags: O_WRONLY) == 0
      else { return Self.close(source) }
    }
    source.kills = Self.kills(file)
    keep(source)
  }

  private func watchPressure(_ directory: String) {
    for kind in [Kind.memory, .disk] where !sources.values.contains(where: { $0.kind == kind }) {
      let file = open("\(directory)/\(kind.rawValue).pressure", O_RDWR | O_NONBLOCK | O_CLOEXEC)
      guard file >= 0 else { continue }
      // With its NUL: the kernel takes the last byte for one.
      let isTold = Glibc.write(file, Self.trigger, Self.trigger.utf8.count + 1) > 0
      if isTold { keep(Source(id: "", kind: kind, descriptor: file)) } else { Glibc.close(file) }
    }
  }

  private func keep(_ source: Source) {
    guard control(EPOLL_CTL_ADD, source) else { return Self.close(source) }
    sources[source.descriptor] = source
  }

  private func control(_ operation: Int32, _ source: Source) -> Bool {
    var event = epoll_event()
    // Files of cgroups are ready for reading at all times, and tell news as exceptions.
    let isCounter = source.kind == .kills && source.descriptor != source.file
    event.events = isCounter ? EPOLLIN.rawValue : EPOLLPRI.rawValue
    if source.kind == .kills { event.events |= EPOLLONESHOT.rawValue }
    event.data.fd = source.descriptor
    return epoll_ctl(descriptor, operation, source.descriptor, &event) == 0
  }

  func remove(_ id: String) {
    directories[id] = nil
    for source in sources.values where source.id == id {
      sources[source.descriptor] = nil
      Self.close(source)
    }
  }

  /// How many things of it are watched; of the empty id: how many of all together.
  func count(of id: String) -> Int { sources.values.count { $0.id == id } }

  private static func close(_ source: Source) {
    if source.descriptor >= 0 { Glibc.close(source.descriptor) }
    if source.file >= 0, source.file != source.descriptor { Glibc.close(source.file) }
  }

  /// What has come since the last call; never blocks.
  package func read() -> [(id: String, trouble: WorkloadTrouble)] {
    guard descriptor >= 0 else { return [] }
    var events = [epoll_event](repeating: epoll_event(), count: Self.eventsMaximum)
    let count = epoll_wait(descriptor, &events, Int32(events.count), 0)
    guard count > 0 else { return [] }
    return events[..<Int(count)].flatMap { event -> [(id: String, trouble: WorkloadTrouble)] in
      guard let source = sources[event.data.fd] else { return [] }
      switch source.kind {
      case .memory, .disk:
        // Its cgroup is gone: it would tell so for ever.
        if event.events & EPOLLERR.rawValue != 0 {
          sources[source.descriptor] = nil
          Self.close(source)
          return []
        }
        return stalled(source.kind).map { ($0, source.kind == .memory ? .shortOfMemory : .waitsForDisk) }
      case .kills: return more(source).map { [(source.id, .killedForMemory($0))] } ?? []
      }
    }
  }

  /// Whose averages are high, or else whose is the highest.
  private func stalled(_ kind: Kind) -> [String] {
    let averages = directories.compactMapValues { Cgroup.pressure("\($0)/\(kind.rawValue).pressure") }
      .filter { $0.value > 0 }
    let high = averages.filter { $0.value >= Self.stalledPercent }.keys.sorted()
    return high.isEmpty ? averages.max { $0.value < $1.value }.map { [$0.key] } ?? [] : high
  }

  /// Nil = not more than before.
  private func more(_ source: Source) -> Int64? {
    sources[source.descriptor]?.isDeaf = true
    let kills = Self.kills(source.file)
    guard kills > source.kills else { return nil }
    sources[source.descriptor]?.kills = kills
    return kills
  }

  /// Whether somebody's memory events are not heard at present.
  package var isDeaf: Bool { sources.values.contains(where: \.isDeaf) }

  /// Also tells what came meanwhile.
  package func listenAgain() -> [(id: String, trouble: WorkloadTrouble)] {
    var troubles: [(id: String, trouble: WorkloadTrouble)] = []
    for source in sources.values where source.isDeaf {
      if source.descriptor != source.file {
        var count: UInt64 = 0
        _ = Glibc.read(source.descriptor, &count, MemoryLayout<UInt64>.size)
      }
      guard control(EPOLL_CTL_MOD, source) else { continue }
      if let kills = more(source) { troubles.append((source.id, .killedForMemory(kills))) }
      sources[source.descriptor]?.isDeaf = false
    }
    return troubles
  }

  private static func kills(_ file: Int32) -> Int64 {
    var buffer = [UInt8](repeating: 0, count: 512)
    let count = pread(file, &buffer, buffer.count, 0)
    return Cgroup.field("oom_kill", in: String(decoding: buffer[..<max(0, count)], as: UTF8.self)) ?? 0
  }
}
