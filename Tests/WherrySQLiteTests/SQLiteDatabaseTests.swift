import Testing
import WherrySQLite
import WherryTestSupport

@Suite struct SQLiteDatabaseTests {
  private let directory = TemporaryDirectory()
  private var path: String { directory.file("test.db") }

  private func open() throws -> SQLiteDatabase {
    let database = try SQLiteDatabase(path: path)
    try database.execute("CREATE TABLE IF NOT EXISTS pair(key TEXT PRIMARY KEY, value)")
    return database
  }

  private struct Interruption: Error {}

  @Test(arguments: [
    SQLiteValue.null, 42, .integer(.min), .integer(.max), 2.5, "text", "", "späte Häfen 🛶", .text("with\u{0}nul"),
    .blob([0, 1, 255]), .blob([]),
  ]) func `values come back as they were bound`(value: SQLiteValue) throws {
    let database = try open()
    try database.run("INSERT INTO pair VALUES(?, ?)", ["a", value])
    #expect(try database.query("SELECT value FROM pair").first?["value"] == value)
  }

  @Test func `what was committed is there after opening again`() throws {
    var database = try open()
    try database.run("INSERT INTO pair VALUES('a', 1)")
    database.close()
    database = try open()
    let row = try #require(try database.query("SELECT key, value FROM pair").first)
    #expect(row["key"].text == "a")
    #expect(row[1].integer == 1)
    #expect(row["value"].real == 1.0)
    #expect(row["value"].text == nil)
  }

  @Test func `commits are durable and the log is written ahead`() throws {
    let database = try open()
    #expect(try database.query("PRAGMA journal_mode").first?[0].text == "wal")
    #expect(try database.query("PRAGMA synchronous").first?[0].integer == 2)
    #expect(try database.query("PRAGMA foreign_keys").first?[0].integer == 1)
  }

  @Test func `a transaction that throws leaves nothing`() throws {
    let database = try open()
    #expect(throws: Interruption.self) {
      try database.transaction {
        try database.run("INSERT INTO pair VALUES('a', 1)")
        throw Interruption()
      }
    }
    #expect(try database.query("SELECT * FROM pair").isEmpty)
    #expect(!database.isInTransaction)
    try database.transaction { try database.run("INSERT INTO pair VALUES('a', 1)") }
    #expect(try database.query("SELECT * FROM pair").count == 1)
  }

  @Test func `a transaction within a transaction is refused and the outer one undone`() throws {
    let database = try open()
    let error = #expect(throws: SQLiteError.self) {
      try database.transaction {
        try database.run("INSERT INTO pair VALUES('a', 1)")
        try database.transaction {}
      }
    }
    #expect(error?.kind == .misuse)
    #expect(try database.query("SELECT * FROM pair").isEmpty)
  }

  @Test func `a refused row names its constraint, file and statement`() throws {
    let database = try open()
    try database.run("INSERT INTO pair VALUES('a', 1)")
    let error = #expect(throws: SQLiteError.self) { try database.run("INSERT INTO pair VALUES(?, ?)", ["a", 2]) }
    #expect(error?.kind == .constraint)
    #expect(
      error?.description == "the database \(path): UNIQUE constraint failed: pair.key, "
        + "in \"INSERT INTO pair VALUES(?, ?)\"")
  }

  @Test func `a statement can run inside a loop over itself`() throws {
    let database = try open()
    for index in 0..<4 {
      try database.run("INSERT INTO pair VALUES(?, ?)", [.text("k\(index)"), .integer(Int64(index))])
    }
    var seen = 0
    try database.forEach("SELECT key FROM pair") { _ in
      seen += try database.query("SELECT key FROM pair").count
      return true
    }
    #expect(seen == 16)
  }

  @Test func `a loop can stop early and passes on what its body throws`() throws {
    let database = try open()
    for key in ["a", "b", "c"] { try database.run("INSERT INTO pair VALUES(?, NULL)", [.text(key)]) }
    var seen: [String] = []
    try database.forEach("SELECT key FROM pair ORDER BY key") { row in
      seen.append(row["key"].text ?? "")
      return seen.count < 2
    }
    #expect(seen == ["a", "b"])
    #expect(throws: Interruption.self) { try database.forEach("SELECT key FROM pair") { _ in throw Interruption() } }
    try database.run("DELETE FROM pair")
    #expect(database.changes == 3)
  }

  @Test func `a second writer waits no longer than it was told`() throws {
    let first = try open()
    let second = try SQLiteDatabase(path: path, busyTimeoutMilliseconds: 1)
    try first.transaction {
      let error = #expect(throws: SQLiteError.self) { try second.run("INSERT INTO pair VALUES('a', 1)") }
      #expect(error?.kind == .busy)
    }
  }

  @Test func `a reader sees committed rows only and cannot write`() throws {
    let writer = try open()
    let reader = try SQLiteDatabase(path: path, readOnly: true)
    try writer.transaction {
      try writer.run("INSERT INTO pair VALUES('a', 1)")
      #expect(try reader.query("SELECT * FROM pair").isEmpty)
    }
    #expect(try reader.query("SELECT * FROM pair").count == 1)
    #expect(throws: SQLiteError.self) { try reader.run("DELETE FROM pair") }
  }

  @Test func `a missing directory and a file that is no database are told apart`() throws {
    let missing = #expect(throws: SQLiteError.self) { try SQLiteDatabase(path: directory.file("no/such.db")) }
    #expect(missing?.kind == .cannotOpen)
    TestFile.write(Array(repeating: UInt8(ascii: "x"), count: 8192), to: path)
    let junk = #expect(throws: SQLiteError.self) { try SQLiteDatabase(path: path) }
    #expect(junk?.kind == .corrupt)
  }

  @Test func `a full disk undoes the transaction and says so`() throws {
    let database = try open()
    try database.run("INSERT INTO pair VALUES('kept', 1)")
    try database.execute("PRAGMA max_page_count = 8")
    let error = #expect(throws: SQLiteError.self) {
      try database.transaction {
        for index in 0..<64 {
          try database.run(
            "INSERT INTO pair VALUES(?, ?)", [.text("k\(index)"), .blob(.init(repeating: 1, count: 4000))])
        }
      }
    }
    #expect(error?.kind == .full)
    #expect(!database.isInTransaction)
    #expect(try database.query("SELECT key FROM pair").map { $0["key"].text } == ["kept"])
  }

  @Test func `a closed database refuses work`() throws {
    let database = try open()
    database.close()
    let error = #expect(throws: SQLiteError.self) { try database.run("SELECT 1") }
    #expect(error?.message == "it is closed")
  }

  @Test func `a checkpoint empties the log`() throws {
    let database = try open()
    for index in 0..<100 { try database.run("INSERT INTO pair VALUES(?, 1)", [.text("k\(index)")]) }
    #expect(TestFile.read(path + "-wal")?.isEmpty == false)
    database.checkpoint()
    #expect(TestFile.read(path + "-wal")?.isEmpty == true)
  }
}
