import WherryLifecycle
import WherryModel

/// What happened, line by line, for a person who looks for the cause of a violation.
package struct Transcript: Hashable, Sendable, CustomStringConvertible {
  package private(set) var lines: [String] = []
  package private(set) var linesDropped = 0
  let linesMaximum: Int

  init(linesMaximum: Int) { self.linesMaximum = linesMaximum }

  mutating func add(_ time: Int64, _ who: String, _ what: String) {
    if lines.count >= max(2, linesMaximum) {
      linesDropped += lines.count / 2
      lines.removeFirst(lines.count / 2)
    }
    let fraction = String(time % 1000)
    let padded = String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
    lines.append("\(time / 1000).\(padded) \(who): \(what)")
  }

  package var description: String {
    (linesDropped > 0 ? "(\(linesDropped) lines before)\n" : "") + lines.joined(separator: "\n")
  }
}

extension DeviceEvent {
  /// In one line, the same each time.
  var line: String {
    switch self {
    case .started(let alive, let ended, let bootID):
      "started, boot \(bootID), alive [\(Self.list(alive.keys))], ended [\(Self.list(ended.keys))]"
    case .desired(let generation, let digest, _): "desired generation \(generation), plan \(digest.short)"
    case .refused(let generation, _, let failure): "refused generation \(generation): \(failure.message)"
    case .fetchProgress(let generation, let done, let total, _):
      "fetched \(done) of \(total) of generation \(generation)"
    case .fetchWaits(let generation, _, _, let why): "fetch of generation \(generation) waits: \(why.code)"
    case .fetched(let generation): "fetched generation \(generation)"
    case .fetchFailed(let generation, let failure): "fetch of generation \(generation) failed: \(failure.code)"
    case .workloadStarted(let id): "\(id) started"
    case .workloadFailed(let id, let failure): "\(id) could not start: \(failure.code)"
    case .workloadEnded(let id, let status, _): "\(id) \(status)"
    case .holding(_, let names): "held off by [\(names.map(\.rawValue).joined(separator: " "))]"
    case .health(let name, let isHealthy, _): "\(name) is \(isHealthy ? "healthy" : "unhealthy")"
    case .restartRequested(let name): "restart of \(name) requested"
    case .reportsKnown(let sequence): "the service knows reports up to \(sequence)"
    case .tick: "tick"
    }
  }

  private static func list(_ ids: Dictionary<WorkloadID, String>.Keys) -> String {
    ids.sorted().map(\.description).joined(separator: " ")
  }

  private static func list(_ ids: Dictionary<WorkloadID, WorkloadEnd>.Keys) -> String {
    ids.sorted().map(\.description).joined(separator: " ")
  }
}

extension DeviceAction {
  var line: String {
    switch self {
    case .fetch(let generation, _): "fetch generation \(generation)"
    case .cancelFetch(let generation): "cancel fetch of generation \(generation)"
    case .run(let id, let planned, _, _): "run \(id) \(planned.version)"
    case .stop(let id, _): "stop \(id)"
    case .kill(let id): "kill \(id)"
    case .ask(_, let names): "ask \(names.map(\.rawValue).joined(separator: " "))"
    case .restart(let kind): "restart the \(kind.rawValue)"
    case .probe(let name, _, _): "probe \(name)"
    case .forget(let name): "forget \(name)"
    case .report(let report): "report \(report.line)"
    case .commit(let reference): "commit generation \(reference.generation)"
    }
  }
}

extension DeviceReport {
  var line: String {
    let states = components.map { "\($0.name)=\($0.version) \($0.state.rawValue)" }.joined(separator: ", ")
    return "\(sequence): generation \(generation) \(status?.rawValue ?? "-") [\(states)]"
  }
}
