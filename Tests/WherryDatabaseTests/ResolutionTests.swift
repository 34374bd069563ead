import Testing
import WherryModel
import WherryTestSupport

@testable import WherryDatabase

@Suite struct ResolutionTests {
  let directory = TemporaryDirectory()

  func open() throws -> InventoryDatabase { try InventoryDatabase(path: directory.path + "/inventory.db") }

  @Test func theFirstResolutionOfASetOfDeploymentsStays() throws {
    let database = try open()
    let first: [ComponentName: Version] = ["lib": Version(1, 0, 0), "web": Version(2, 0, 0, build: ["a"])]
    try database.addResolution(first, of: [DeploymentID(5), DeploymentID(12)], platform: "{}")
    try database.addResolution(
      ["lib": Version(1, 1, 0)], of: [DeploymentID(12), DeploymentID(5)], platform: "{}")
    try database.addResolution(["lib": Version(1, 1, 0)], of: [DeploymentID(5)], platform: "arm")
    #expect(try database.resolutions(of: [DeploymentID(12), DeploymentID(5)]) == ["{}": first])
    #expect(try database.resolutions(of: [DeploymentID(5)]) == ["arm": ["lib": Version(1, 1, 0)]])
    #expect(try database.resolutions(of: [DeploymentID(51), DeploymentID(2)]).isEmpty)
  }

  @Test func aDatabaseOfTheSecondSchemaIsBroughtUpToDate() throws {
    let old = try open()
    try old.store.execute("PRAGMA foreign_keys = OFF")
    let tables = try old.store.query(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for table in tables { try old.store.execute("DROP TABLE \(table["name"].text ?? "")") }
    for migration in Schema.migrations.prefix(2) { try old.store.execute(migration) }
    try old.store.execute("PRAGMA user_version = 2")
    try old.createGroup("kiosks", at: Instant(milliseconds: 1_000))
    old.close()
    let new = try open()
    #expect(try new.hasGroup("kiosks"))
    #expect(try new.resolutions(of: [DeploymentID(1)]).isEmpty)
  }

  @Test func aMessageIsOwedUntilTheBrokerHasIt() throws {
    let database = try open()
    let message = OutboxMessage(topic: "wherry/v1/devices/a/desired", payload: [1])
    #expect(try !database.isOwed(message.topic))
    try database.enqueue(message)
    #expect(try database.isOwed(message.topic))
    #expect(try !database.isOwed("wherry/v1/devices/b/desired"))
    try database.dequeue(message)
    #expect(try !database.isOwed(message.topic))
  }

  @Test func devicesWithAnOrderAreThoseThatAreOnlineAndWereToldSomething() throws {
    let database = try open()
    let now = Instant(milliseconds: 1_000)
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] {
      let device = DeviceRecord(
        name: name, platform: Platform([:]), labels: [:], certificate: "sha256:1", createdAt: now)
      try database.provision(device)
      var online = device
      online.isOnline = name != "kiosk-3"
      try database.recordObserved(online, was: device)
    }
    let plan = Digest(bytes: Array(repeating: 1, count: 32))
    for name: DeviceName in ["kiosk-2", "kiosk-3"] {
      try database.setDesired(Generation(1), plan: plan, expires: now, of: name)
    }
    #expect(try database.devicesOnlineWithOrder().map(\.name) == ["kiosk-2"])
  }
}
