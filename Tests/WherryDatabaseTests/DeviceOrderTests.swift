import Testing
import WherryModel
import WherryTestSupport

@testable import WherryDatabase

/// Which plans a device was given: what it may fetch hangs on them.
@Suite struct DeviceOrderTests {
  let directory = TemporaryDirectory()
  let now = Instant(milliseconds: 1_000)

  func open() throws -> InventoryDatabase { try InventoryDatabase(path: directory.path + "/inventory.db") }

  private func plan(_ byte: UInt8) -> Digest { Digest(bytes: Array(repeating: byte, count: 32)) }

  private func record() -> DeviceRecord {
    DeviceRecord(name: "kiosk-1", platform: Platform([:]), labels: [:], certificate: "", createdAt: now)
  }

  private func order(_ byte: UInt8, _ generation: Int64, of database: InventoryDatabase) throws {
    try database.setDesired(Generation(generation), plan: plan(byte), expires: now, of: "kiosk-1")
  }

  private func report(_ sequence: Int64, _ byte: UInt8?, to database: InventoryDatabase) throws {
    let old = try #require(try database.device("kiosk-1"))
    var device = old
    device.report = DeviceReport(sequence: sequence, generation: Generation(1), status: .fetching, components: [])
    device.report?.plan = byte.map(plan)
    try database.recordObserved(device, was: old)
  }

  private func plans(_ database: InventoryDatabase) throws -> [Digest?] {
    let device = try #require(try database.device("kiosk-1"))
    return [device.plan, device.previousPlan, device.heldPlan]
  }

  @Test func theOrderBeforeIsRememberedAndTheSameOneAgainIsNone() throws {
    let database = try open()
    try database.provision(record())
    #expect(try plans(database) == [nil, nil, nil])
    try order(1, 1, of: database)
    #expect(try plans(database) == [plan(1), nil, nil])
    try order(2, 2, of: database)
    try order(2, 3, of: database)
    #expect(try plans(database) == [plan(2), plan(1), nil])
  }

  @Test func whatADeviceSpeaksOfIsHeldWhenItWasToldIt() throws {
    let database = try open()
    try database.provision(record())
    try order(1, 1, of: database)
    try report(1, 1, to: database)
    #expect(try plans(database) == [plan(1), nil, plan(1)])
    for (byte, generation) in [(UInt8(2), Int64(2)), (3, 3)] { try order(byte, generation, of: database) }
    // A plan that it was not given, none at all, and one that it was given before.
    try report(2, 9, to: database)
    try report(3, nil, to: database)
    #expect(try plans(database) == [plan(3), plan(2), plan(1)])
    try report(4, 2, to: database)
    #expect(try plans(database) == [plan(3), plan(2), plan(2)])
  }

  @Test func aDeviceThatIsProvisionedAgainHoldsNothing() throws {
    let database = try open()
    try database.provision(record())
    for (byte, generation) in [(UInt8(1), Int64(1)), (2, 2)] { try order(byte, generation, of: database) }
    try report(1, 1, to: database)
    try database.provision(record())
    #expect(try plans(database) == [plan(2), nil, nil])
  }

  @Test func aDatabaseOfTheSchemaBeforeIsBroughtUpToDate() throws {
    let old = try open()
    try old.store.execute("PRAGMA foreign_keys = OFF")
    let tables = try old.store.query(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for table in tables { try old.store.execute("DROP TABLE \(table["name"].text ?? "")") }
    for migration in Schema.migrations.prefix(4) { try old.store.execute(migration) }
    try old.store.execute("PRAGMA user_version = 4")
    try old.provisionOfBefore("kiosk-1", plan: plan(1))
    old.close()
    let new = try open()
    #expect(try plans(new) == [plan(1), nil, nil])
    try order(2, 2, of: new)
    #expect(try plans(new) == [plan(2), plan(1), nil])
  }

  @Test func aRegistryPasswordEndsInTimeAndWithItsToken() throws {
    let database = try open()
    let token = OperatorToken(name: "admin", role: .admin)
    try database.setToken(token, hash: "t", at: now)
    let later = now.advanced(bySeconds: 60)
    for hash in ["a", "b"] { try database.insertRegistryPassword(hash: hash, token: "admin", expires: later) }
    #expect(try database.registryPassword(hash: "a", at: now) == token)
    #expect(try database.registryPassword(hash: "c", at: now) == nil)
    #expect(try database.registryPassword(hash: "a", at: later) == nil)
    try database.removeRegistryPasswords(expiredBefore: later)
    #expect(try database.registryPassword(hash: "a", at: now) == nil)
    try database.insertRegistryPassword(hash: "a", token: "admin", expires: later)
    try database.setToken(token, hash: "u", at: now)
    #expect(try database.registryPassword(hash: "a", at: now) == nil)
  }
}

extension InventoryDatabase {
  /// As a version without the newer columns stored it.
  fileprivate func provisionOfBefore(_ name: DeviceName, plan: Digest) throws {
    try store.execute(
      """
      INSERT INTO devices(name, platform, labels, certificate, created_at, generation, plan)
      VALUES('\(name)', '{}', '{}', '', 1, 1, '\(plan)')
      """)
  }
}
