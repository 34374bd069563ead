import WherryJSON
import WherryLifecycle
import WherryModel
import WherrySQLite
import WherryWire

/// The journal in `agent.db`.
package final class SQLiteJournal: Journal {
  /// Terminal reports are kept until acknowledged; a service that is away for longer than this many loses the oldest.
  static let outboxMaximum = 256
  private static let schemaVersion: Int64 = 1

  private let database: SQLiteDatabase

  package init(path: String) throws(Failure) {
    do {
      // A small deployment writes a few pages: neither cache nor log need be large.
      database = try SQLiteDatabase(path: path, cacheKiB: 64, checkpointPages: 200)
      try database.execute(
        """
        CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS plans (digest TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS outbox (
          sequence INTEGER PRIMARY KEY, subject TEXT NOT NULL, report TEXT NOT NULL);
        """)
      try Self.checkVersion(database)
    } catch { throw Self.failure("opened", path, error) }
  }

  private static func checkVersion(_ database: SQLiteDatabase) throws {
    let version = try database.query("PRAGMA user_version").first?[0].integer ?? 0
    guard version <= schemaVersion else {
      throw Failure(
        .internalError, code: "journal.newer",
        message: "\(database.path) was written by a newer agent (schema \(version), this one knows \(schemaVersion))",
        remedy: "install that agent again, or remove the file to start anew")
    }
    if version < schemaVersion { try database.execute("PRAGMA user_version = \(schemaVersion)") }
  }

  package func load() throws(Failure) -> JournalContents {
    do {
      var contents = JournalContents(state: nil, plans: [:], provenTime: .zero, isOutboxEmpty: true)
      if let text = try database.query("SELECT value FROM meta WHERE name = 'state'").first?[0].text {
        contents.state = try DeviceState(JSONCursor(JSON(parsing: text, limits: Self.limits)))
      }
      try database.forEach("SELECT digest, text FROM plans") { row in
        guard let digest = row[0].text.flatMap({ Digest($0) }), let text = row[1].text else { return true }
        contents.plans[digest] = try Plan(JSONCursor(JSON(parsing: text, limits: Self.limits)))
        return true
      }
      let time = try database.query("SELECT value FROM meta WHERE name = 'provenTime'").first?[0].integer
      contents.provenTime = Instant(milliseconds: time ?? 0)
      contents.isOutboxEmpty = try database.query("SELECT 1 FROM outbox LIMIT 1").isEmpty
      return contents
    } catch { throw Self.failure("read", database.path, error) }
  }

  private static let limits = JSONLimits(bytesMaximum: 16 << 20)

  package func save(_ write: JournalWrite) throws(Failure) {
    guard !write.isEmpty else { return }
    do {
      try database.transaction {
        for (digest, text) in write.plans {
          try database.run(
            "INSERT OR REPLACE INTO plans VALUES (?, ?)", [.text(digest.description), .text(text)])
        }
        if let kept = write.keptPlans { try removePlans(except: kept) }
        if let state = write.state { try set("state", .text(state.json.canonical)) }
        if let time = write.provenTime { try set("provenTime", .integer(time.milliseconds)) }
        if let sequence = write.acknowledged {
          try database.run("DELETE FROM outbox WHERE sequence <= ?", [.integer(sequence)])
        }
        try enqueue(write.reports)
      }
    } catch { throw Self.failure("written", database.path, error) }
  }

  private func set(_ name: String, _ value: SQLiteValue) throws {
    try database.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", [.text(name), value])
  }

  private func removePlans(except kept: Set<Digest>) throws {
    for row in try database.query("SELECT digest FROM plans") {
      guard let text = row[0].text, Digest(text).map({ kept.contains($0) }) != true else { continue }
      try database.run("DELETE FROM plans WHERE digest = ?", [.text(text)])
    }
  }

  /// Each report says everything, so it replaces those before it, apart from the ends of other deployments: of those
  /// the service learns each one.
  private func enqueue(_ reports: [DeviceReport]) throws {
    for report in reports {
      let subject = Self.subject(of: report)
      try database.run(
        "DELETE FROM outbox WHERE subject IN ('', ?) AND sequence < ?", [.text(subject), .integer(report.sequence)])
      try database.run(
        "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?)",
        [.integer(report.sequence), .text(subject), .text(report.json.canonical)])
    }
    guard !reports.isEmpty else { return }
    try database.run(
      "DELETE FROM outbox WHERE sequence <= (SELECT sequence FROM outbox ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
      [.integer(Int64(Self.outboxMaximum))])
  }

  private static func subject(of report: DeviceReport) -> String {
    var ends: [String] = []
    if let status = report.status, status.isTerminal { ends.append("\(report.generation) \(status.rawValue)") }
    if let local = report.local, local.status.isTerminal { ends.append("local \(local.id) \(local.status.rawValue)") }
    return ends.joined(separator: ", ")
  }

  package func outbox(after sequence: Int64, limit: Int) throws(Failure) -> [DeviceReport] {
    do {
      return try database.query(
        "SELECT report FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
        [.integer(sequence), .integer(Int64(limit))]
      ).compactMap { row in
        guard let text = row[0].text else { return nil }
        return try DeviceReport(JSONCursor(JSON(parsing: text, limits: Self.limits)))
      }
    } catch { throw Self.failure("read", database.path, error) }
  }

  package func releaseMemory() { database.releaseMemory() }

  package func close() {
    database.checkpoint()
    database.close()
  }

  private static func failure(_ verb: String, _ path: String, _ error: any Error) -> Failure {
    if let failure = error as? Failure { return failure }
    return Failure(
      .internalError, code: "journal.failed", message: "the journal \(path) cannot be \(verb): \(error)",
      remedy: "check the disk's free space and health; if the file is damaged, move it away and restart the agent")
  }
}
