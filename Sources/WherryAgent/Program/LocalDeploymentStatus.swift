import Glibc
import WherryJSON
import WherryModel
import WherryWire

/// `wherry-agent deploy status` and `list`, and `--watch`.
struct LocalDeploymentStatus {
  private let commands: LocalConnection.Commands
  private let asJSON: Bool
  private static let lookMicroseconds: UInt32 = 250_000
  private static let patienceMilliseconds: Int64 = 300_000

  init(_ commands: LocalConnection.Commands, asJSON: Bool) {
    self.commands = commands
    self.asJSON = asJSON
  }

  /// Oldest first.
  private func reports() throws -> [LocalReport] {
    try commands.localContext()["deployments"]?.arrayValue?.map { try LocalReport(JSONCursor($0)) } ?? []
  }

  func list() throws {
    let reports = try reports()
    guard !asJSON else {
      return Output.print(JSON.object(["deployments": .array(reports.map(\.json))]).canonical)
    }
    var rows = [["DEPLOYMENT", "STATUS", "FAILURE"]]
    for report in reports.reversed() { rows.append([report.id, report.status.rawValue, report.failure?.code ?? "-"]) }
    Output.print(LocalConnection.Commands.table(rows), terminator: "")
  }

  /// Of the newest, unless one is named. Exit code 1 when it ended without success.
  func show(_ id: String?) throws -> Int32 {
    guard let report = try find(id) else { throw unknown(id) }
    print(report)
    return Self.exitCode(report)
  }

  /// Until it has ended. The agent may be away for a while: a component's `bootstrap` may want it started again.
  func watch(_ id: String) throws -> Int32 {
    let clock = SystemClock()
    var told: DeploymentStatus?
    var seen = clock.now
    while true {
      do {
        guard let report = try find(id) else { throw unknown(id) }
        seen = clock.now
        if report.status.isTerminal {
          print(report)
          return Self.exitCode(report)
        }
        if report.status != told, !asJSON { Output.print("\(report.id)  \(report.status.rawValue)") }
        told = report.status
      } catch {
        guard clock.now.milliseconds(since: seen) < Self.patienceMilliseconds else { throw error }
      }
      usleep(Self.lookMicroseconds)
    }
  }

  private func find(_ id: String?) throws -> LocalReport? {
    let reports = try reports()
    return id == nil ? reports.last : reports.last { $0.id == id }
  }

  private func unknown(_ id: String?) -> Failure {
    Failure(
      .rejected, code: "local.unknown",
      message: id.map { "this device knows no local deployment \($0.prefix(40))" }
        ?? "nothing was ever deployed on this device itself",
      remedy: id == nil ? "begin with `wherry-agent deploy --merge`" : "see `wherry-agent deploy list`")
  }

  private static func exitCode(_ report: LocalReport) -> Int32 {
    report.status.isTerminal && report.status != .committed ? 1 : 0
  }

  private func print(_ report: LocalReport) {
    guard !asJSON else { return Output.print(report.json.canonical) }
    Output.print("\(report.id)  \(report.status.rawValue)")
    guard let failure = report.failure else { return }
    Output.print("  \(failure) [\(failure.code)]")
    for line in failure.log { Output.print("  | \(line)") }
  }
}

extension LocalConnection.Commands {
  func localContext() throws -> JSON {
    var context: JSON = [:]
    try ask(["request": "local"]) { context = $0 }
    return context
  }
}
