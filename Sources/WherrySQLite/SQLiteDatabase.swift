import CSQLite

/// One connection to one SQLite file in WAL mode, every commit on disk before it returns (`synchronous = FULL`).
/// Used by one thread at a time and therefore not `Sendable`.
package final class SQLiteDatabase {
  package let path: String
  private var connection: OpaquePointer?
  /// Prepared statements by their text; the ones in use are not in here.
  private var idle: [String: SQLiteStatement] = [:]
  private static let idleMaximum = 128
  /// Below this cache size the owner is short of memory, and SQLite's look-aside buffer (~120 KiB) is not made.
  private static let smallCacheKiB = 1000

  /// - Parameters:
  ///   - cacheKiB: page cache at most; allocated as it fills.
  ///   - checkpointPages: pages (4 KiB) in the write-ahead log before they are copied into the file. Fewer make a
  ///     smaller log and more writes.
  package init(
    path: String, readOnly: Bool = false, busyTimeoutMilliseconds: Int32 = 5000, cacheKiB: Int = 2000,
    checkpointPages: Int = 1000
  ) throws(SQLiteError) {
    self.path = path
    let access = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let code = sqlite3_open_v2(path, &connection, flags, nil)
    guard code == SQLITE_OK, let connection else {
      let error = error(code, "open")
      sqlite3_close_v2(self.connection)
      self.connection = nil
      throw error
    }
    if cacheKiB < Self.smallCacheKiB { _ = wherry_sqlite_no_lookaside(connection) }
    sqlite3_busy_timeout(connection, busyTimeoutMilliseconds)
    try execute("PRAGMA cache_size = -\(cacheKiB); PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON")
    guard !readOnly else { return }
    // EXTRA while the file turns to WAL mode: it syncs the directory. A rollback journal that comes back after a power
    // cut would undo the turn, and with it everything that was committed since.
    try execute(
      """
      PRAGMA synchronous = EXTRA; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = \(checkpointPages); PRAGMA journal_size_limit = \(checkpointPages * 4096)
      """)
  }

  deinit { close() }

  /// Later calls on this object fail.
  package func close() {
    idle.removeAll()
    sqlite3_close_v2(connection)
    connection = nil
  }

  // MARK: - Statements

  /// A script: any number of statements, no bindings, rows thrown away.
  package func execute(_ sql: String) throws(SQLiteError) {
    guard let connection else { throw error(SQLITE_MISUSE, sql) }
    let code = sqlite3_exec(connection, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(code, sql) }
  }

  /// One statement; its rows, if any, are thrown away.
  package func run(_ sql: String, _ bindings: [SQLiteValue] = []) throws(SQLiteError) {
    try step(sql, bindings) { _ in true }
  }

  package func query(_ sql: String, _ bindings: [SQLiteValue] = []) throws(SQLiteError) -> [SQLiteRow] {
    var rows: [SQLiteRow] = []
    try step(sql, bindings) { statement in
      rows.append(statement.row)
      return true
    }
    return rows
  }

  /// Row by row, without holding all of them; `body` returns false to stop.
  package func forEach(_ sql: String, _ bindings: [SQLiteValue] = [], _ body: (SQLiteRow) throws -> Bool) throws {
    var failure: (any Error)?
    try step(sql, bindings) { statement in
      do { return try body(statement.row) } catch {
        failure = error
        return false
      }
    }
    if let failure { throw failure }
  }

  /// Rows that the last INSERT, UPDATE or DELETE touched.
  package var changes: Int { connection.map { Int(sqlite3_changes64($0)) } ?? 0 }
  package var lastInsertedRow: Int64 { connection.map { sqlite3_last_insert_rowid($0) } ?? 0 }

  private func step(_ sql: String, _ bindings: [SQLiteValue], _ body: (SQLiteStatement) -> Bool) throws(SQLiteError) {
    let statement = try take(sql)
    defer { giveBack(statement) }
    guard Int(sqlite3_bind_parameter_count(statement.pointer)) == bindings.count else {
      let expected = sqlite3_bind_parameter_count(statement.pointer)
      preconditionFailure("\"\(sql)\" takes \(expected) values, not \(bindings.count)")
    }
    let bound = statement.bind(bindings)
    guard bound == SQLITE_OK else { throw error(bound, sql) }
    while true {
      switch sqlite3_step(statement.pointer) {
      case SQLITE_ROW: if !body(statement) { return }
      case SQLITE_DONE: return
      case let code: throw error(code, sql)
      }
    }
  }

  private func take(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
    if let statement = idle.removeValue(forKey: sql) { return statement }
    guard let connection else { throw error(SQLITE_MISUSE, sql) }
    var pointer: OpaquePointer?
    let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
    guard code == SQLITE_OK, let pointer else { throw error(code == SQLITE_OK ? SQLITE_MISUSE : code, sql) }
    return SQLiteStatement(pointer, sql: sql)
  }

  private func giveBack(_ statement: SQLiteStatement) {
    statement.reset()
    guard connection != nil else { return }
    // Programs have a fixed set of statements; more than this means texts made up at run time.
    if idle.count >= Self.idleMaximum { idle.removeAll() }
    idle[statement.sql] = statement
  }

  // MARK: - Transactions

  package var isInTransaction: Bool { connection.map { sqlite3_get_autocommit($0) == 0 } ?? false }

  /// All of `body` or, when it throws, nothing. Takes the write lock at once, so that a busy database shows here and
  /// not in the middle. A transaction within one is refused: nobody could tell what its rollback would mean.
  package func transaction<T>(_ body: () throws -> T) throws -> T {
    guard !isInTransaction else {
      throw SQLiteError(
        code: SQLITE_MISUSE, path: path, operation: "BEGIN", message: "a transaction began within another one")
    }
    try run("BEGIN IMMEDIATE")
    do {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      // SQLite itself has rolled back after some errors, a full disk among them; the first error is the one to tell.
      if isInTransaction { try? run("ROLLBACK") }
      throw error
    }
  }

  /// Copies the write-ahead log into the file and empties it, unless a reader is in the way.
  package func checkpoint() {
    guard let connection else { return }
    _ = sqlite3_wal_checkpoint_v2(connection, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
  }

  /// Gives cached pages back to the allocator.
  package func releaseMemory() {
    idle.removeAll()
    if let connection { sqlite3_db_release_memory(connection) }
  }

  private func error(_ code: Int32, _ operation: String) -> SQLiteError {
    let message: String
    if code & 0xff == SQLITE_MISUSE {
      message = connection == nil ? "it is closed" : "the statement is empty or misused"
    } else {
      message =
        connection.flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) } ?? String(cString: sqlite3_errstr(code))
    }
    return SQLiteError(code: code, path: path, operation: operation, message: message)
  }
}
