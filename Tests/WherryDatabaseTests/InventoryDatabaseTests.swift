import Testing
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryDatabase

/// The contract of the inventory's storage: another driver must pass the same tests.
@Suite struct InventoryDatabaseTests {
  let directory = TemporaryDirectory()
  let now = Instant(milliseconds: 1_000)

  func open() throws -> InventoryDatabase { try InventoryDatabase(path: directory.path + "/inventory.db") }

  func device(_ name: DeviceName) -> DeviceRecord {
    DeviceRecord(
      name: name, platform: Platform(["os": "linux", "architecture": "amd64"]), labels: ["site": "hall 1"],
      certificate: "sha256:1", createdAt: now)
  }

  func report(_ sequence: Int64, _ status: DeploymentStatus, _ state: ComponentState) -> DeviceReport {
    let component = ComponentReport(name: "com.example.web", version: Version(1, 0, 0), state: state)
    return DeviceReport(sequence: sequence, generation: Generation(1), status: status, components: [component])
  }

  @Test func everythingIsThereAfterOpeningAgain() throws {
    let first = try open()
    try first.provision(device("kiosk-1"))
    try first.setSetting("key", to: "value")
    try first.createGroup("kiosks", at: now)
    #expect(try first.add("kiosk-1", to: "kiosks"))
    try first.enqueue(OutboxMessage(topic: "t", payload: [1, 2, 3]))
    first.close()

    let second = try open()
    #expect(try second.device("kiosk-1") == device("kiosk-1"))
    #expect(try second.setting("key") == "value")
    #expect(try second.members(of: "kiosks") == ["kiosk-1"])
    #expect(try second.groups(of: "kiosk-1") == ["kiosks"])
    #expect(try second.outbox() == [OutboxMessage(topic: "t", payload: [1, 2, 3])])
  }

  @Test func aTransactionThatThrowsLeavesNothing() throws {
    struct Stop: Error {}
    let database = try open()
    #expect(throws: Stop.self) {
      try database.transaction {
        try database.provision(device("kiosk-1"))
        throw Stop()
      }
    }
    #expect(try database.devices().isEmpty)
    #expect(try database.counts(.device).isEmpty)
  }

  @Test func countsFollowPresenceReportsAndRemoval() throws {
    let database = try open()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try database.provision(device(name)) }
    #expect(try database.counts(.device) == ["all": 2])

    var first = device("kiosk-1")
    let before = first
    first.isOnline = true
    first.report = report(1, .committed, .running)
    try database.recordObserved(first, was: before)
    #expect(try database.counts(.device) == ["all": 2, "online": 1])
    #expect(try database.counts(.status) == ["committed": 1])
    #expect(try database.counts(.component) == ["RUNNING": 1])

    var later = first
    later.report = report(2, .rolledBack, .broken)
    try database.recordObserved(later, was: first)
    #expect(try database.counts(.status) == ["rolledBack": 1])
    #expect(try database.counts(.component) == ["BROKEN": 1])

    try database.removeDevice("kiosk-1")
    #expect(try database.counts(.device) == ["all": 1])
    #expect(try database.counts(.status).isEmpty)
    #expect(try database.counts(.component).isEmpty)
  }

  @Test func aDeviceProvisionedAgainForgetsItsReports() throws {
    let database = try open()
    try database.provision(device("kiosk-1"))
    var online = device("kiosk-1")
    online.isOnline = true
    online.report = report(7, .committed, .running)
    try database.recordObserved(online, was: device("kiosk-1"))
    try database.setDesired(
      Generation(3), plan: Digest(bytes: Array(repeating: 1, count: 32)), expires: now, of: "kiosk-1")

    try database.provision(device("kiosk-1"))
    let again = try #require(try database.device("kiosk-1"))
    #expect(again.report == nil)
    #expect(!again.isOnline)
    #expect(again.generation == Generation(3))
    #expect(try database.counts(.device) == ["all": 1])
  }

  @Test func removingADeviceTakesItsMembershipsAndAssignments() throws {
    let database = try open()
    try database.provision(device("kiosk-1"))
    try database.createGroup("kiosks", at: now)
    #expect(try database.add("kiosk-1", to: "kiosks"))
    #expect(try !database.add("kiosk-1", to: "kiosks"))
    try database.assign(
      AssignmentRecord(
        device: "kiosk-1", target: .group("kiosks"), deployment: DeploymentID(4), generation: Generation(1)))
    try database.removeDevice("kiosk-1")
    #expect(try database.members(of: "kiosks").isEmpty)
    #expect(try database.assignments(on: DeploymentID(4)).isEmpty)
  }

  @Test func theOutboxKeepsOneMessagePerTopicAndANewerOneSurvivesTheOldOnesAcknowledgement() throws {
    let database = try open()
    let old = OutboxMessage(topic: "wherry/v1/devices/a/desired", payload: [1])
    let new = OutboxMessage(topic: "wherry/v1/devices/a/desired", payload: [2])
    try database.enqueue(old)
    try database.enqueue(new)
    #expect(try database.outbox() == [new])
    try database.dequeue(old)
    #expect(try database.outbox() == [new])
    try database.dequeue(new)
    #expect(try database.outboxCount() == 0)
  }

  @Test func assignmentsAreOnePerTarget() throws {
    let database = try open()
    try database.provision(device("kiosk-1"))
    var assignment = AssignmentRecord(
      device: "kiosk-1", target: .group("kiosks"), deployment: DeploymentID(1), generation: Generation(1))
    try database.assign(assignment)
    assignment.deployment = DeploymentID(2)
    assignment.generation = Generation(2)
    assignment.previous = DeploymentID(1)
    try database.assign(assignment)
    #expect(try database.assignments(of: "kiosk-1") == [assignment])
    try database.unassign("kiosk-1", from: .group("kiosks"))
    #expect(try database.assignments(of: "kiosk-1").isEmpty)
  }

  @Test func deploymentsAreNumberedFromOneAndKeepWhatTheyAre() throws {
    let database = try open()
    let record = try database.insertDeployment(target: .group("kiosks"), at: now) { id in
      let component = DeployedComponent(requirement: VersionRequirement(exactly: Version(1, 0, 0)))
      let deployment = Deployment(id: id, target: .group("kiosks"), components: ["com.example.web": component])
      return DeploymentRecord(deployment: deployment, state: .rolling, machine: ["x": 1], createdAt: now)
    }
    #expect(record.deployment.id == DeploymentID(1))
    var changed = record
    changed.state = .halted
    changed.reason = "wave 1 failed"
    changed.finishedAt = Instant(milliseconds: 5)
    try database.update(changed)
    #expect(try database.deployment(DeploymentID(1)) == changed)
    #expect(try database.deployments(of: .group("kiosks")) == [changed])
    #expect(try database.deployments(in: [.rolling]).isEmpty)
    #expect(try database.deployments(in: [.rolling, .halted]) == [changed])
  }

  @Test func aDeploymentThatIsNotMadeLeavesNoRow() throws {
    struct Stop: Error {}
    let database = try open()
    #expect(throws: Stop.self) {
      try database.transaction {
        _ = try database.insertDeployment(target: .device("kiosk-1"), at: now) { _ in throw Stop() }
      }
    }
    #expect(try database.deployments().isEmpty)
  }

  @Test func theFirstPinOfAnImageStays() throws {
    let database = try open()
    func image(_ byte: UInt8) -> PlannedImage {
      PlannedImage(
        reference: "r/web:1", registry: "https://r", repository: "web",
        manifest: Digest(bytes: Array(repeating: byte, count: 32)), layers: [])
    }
    try database.pin(image(1), reference: "r/web:1", deployment: DeploymentID(1), platform: "{}")
    try database.pin(image(2), reference: "r/web:1", deployment: DeploymentID(1), platform: "{}")
    #expect(try database.images(of: DeploymentID(1), platform: "{}") == ["r/web:1": image(1)])
    #expect(try database.images(of: DeploymentID(1), platform: "other").isEmpty)
  }

  @Test func componentVersionsAreListedNewestFirst() throws {
    let database = try open()
    for version in [Version(1, 2, 0), Version(1, 10, 0), Version(1, 9, 0)] {
      let recipe = Recipe(name: "com.example.web", version: version)
      try database.insert(
        ComponentRecord(
          recipe: recipe, digest: Digest(bytes: Array(repeating: UInt8(version.minor), count: 32)), source: "# mine",
          createdAt: now))
    }
    let versions = try database.components(named: "com.example.web").map(\.recipe.version)
    #expect(versions == [Version(1, 10, 0), Version(1, 9, 0), Version(1, 2, 0)])
    #expect(try database.component("com.example.web", Version(1, 9, 0))?.source == "# mine")
    #expect(throws: (any Error).self) {
      try database.insert(
        ComponentRecord(
          recipe: Recipe(name: "com.example.web", version: Version(1, 9, 0)),
          digest: Digest(bytes: Array(repeating: 9, count: 32)), source: "", createdAt: now))
    }
  }

  @Test func claimsAreFoundByHashAndCountTheirUses() throws {
    let database = try open()
    let claim = ClaimRecord(
      id: "c1", tokenHash: "h", device: "kiosk-1", groups: ["kiosks"], labels: ["a": "b"], usesLeft: 1, createdAt: now,
      expires: Instant(milliseconds: 9_000))
    try database.insert(claim)
    #expect(try database.claim(tokenHash: "h") == claim)
    #expect(try database.claim(tokenHash: "other") == nil)
    let digest = Digest(bytes: Array(repeating: 3, count: 32))
    try database.recordUse(of: claim, by: "kiosk-1", request: digest)
    let used = try #require(try database.claim(tokenHash: "h"))
    #expect(used.usesLeft == 0)
    #expect(used.lastRequest == digest)
    #expect(try database.removeClaim("c1"))
    #expect(try !database.removeClaim("c1"))
  }

  func claim(_ id: String, uses: Int = 1, expires: Int64 = 9_000, device: DeviceName? = nil) -> ClaimRecord {
    ClaimRecord(
      id: id, tokenHash: "hash of \(id)", device: device, groups: [], labels: [:], usesLeft: uses, createdAt: now,
      expires: Instant(milliseconds: expires))
  }

  @Test func usableClaimsAreThoseWithUsesLeftThatHaveNotExpired() throws {
    let database = try open()
    for record in [claim("open"), claim("once"), claim("many", uses: 2), claim("old", expires: 2_000)] {
      try database.insert(record)
    }
    let digest = Digest(bytes: Array(repeating: 3, count: 32))
    for id in ["once", "many"] { try database.recordUse(of: claim(id), by: "kiosk-1", request: digest) }
    #expect(try database.claims(usableAt: Instant(milliseconds: 2_000)).map(\.id) == ["many", "open"])
    #expect(try database.claims(usableAt: Instant(milliseconds: 1_999)).map(\.id) == ["many", "old", "open"])
  }

  @Test func aDevicesClaimsAreThoseForItAndThoseThatItUsedLast() throws {
    let database = try open()
    let records = [
      claim("used"), claim("handed on", uses: 2), claim("named", device: "kiosk-1"),
      claim("other", device: "kiosk-2"), claim("unused"),
    ]
    for record in records { try database.insert(record) }
    let digest = Digest(bytes: Array(repeating: 3, count: 32))
    try database.recordUse(of: claim("used"), by: "kiosk-1", request: digest)
    for device: DeviceName in ["kiosk-1", "kiosk-2"] {
      try database.recordUse(of: claim("handed on"), by: device, request: digest)
    }
    #expect(try database.removeClaims(of: "kiosk-1") == ["named", "used"])
    #expect(try database.claim(tokenHash: "hash of used") == nil)
    #expect(try database.claims(usableAt: now).map(\.id) == ["other", "unused"])
    #expect(try database.claim(tokenHash: "hash of handed on") != nil)
  }

  @Test func sessionsEndWithTheirTimeOrTheirToken() throws {
    let database = try open()
    try database.setToken(OperatorToken(name: "admin", role: .admin), hash: "t", at: now)
    try database.setToken(OperatorToken(name: "guest", role: .viewer), hash: "g", at: now)
    for token in ["admin", "guest"] {
      try database.insertSession(hash: "s of \(token)", token: token, expires: Instant(milliseconds: 2_000))
    }
    #expect(try database.session(hash: "s of admin", at: now) == OperatorToken(name: "admin", role: .admin))
    #expect(try database.session(hash: "s of admin", at: Instant(milliseconds: 2_000)) == nil)
    #expect(try database.token(hash: "t", at: now)?.role == .admin)

    // Whoever held the old token must not stay in with what it opened.
    try database.setToken(OperatorToken(name: "admin", role: .admin), hash: "t2", at: now)
    #expect(try database.session(hash: "s of admin", at: now) == nil)
    #expect(try database.token(hash: "t", at: now) == nil)
    #expect(try database.session(hash: "s of guest", at: now)?.name == "guest")
    try database.removeSession(hash: "s of guest")
    #expect(try database.session(hash: "s of guest", at: now) == nil)
  }

  @Test func aComponentThatCannotBeReadIsNamed() throws {
    let database = try open()
    var manifest = Manifest()
    var artifact = Artifact(uri: "wherry:hello.sh")
    artifact.size = -1
    manifest.artifacts = [artifact]
    var recipe = Recipe(name: "com.example.web", version: Version(1, 2, 0))
    recipe.manifests = [manifest]
    try database.insert(
      ComponentRecord(recipe: recipe, digest: Digest(bytes: Array(repeating: 1, count: 32)), source: "", createdAt: now)
    )
    let error = #expect(throws: DatabaseError.self) { try database.components() }
    #expect(error?.message.hasPrefix("component com.example.web 1.2.0: /manifests/0/artifacts/0/size: -1") == true)
    #expect(error?.description.contains("restore the last backup") == true)
  }

  // MARK: - Overview

  private func failing(_ name: DeviceName) -> DeviceRecord {
    var device = device(name)
    var report = report(1, .committed, .broken)
    report.components[0].failure = Failure(.start, code: "component.exited", message: "it exited with 3")
    device.report = report
    return device
  }

  @Test func failingDevicesAreFoundUntilTheyReportThatAllIsWell() throws {
    let database = try open()
    for name: DeviceName in ["kiosk-1", "kiosk-2", "kiosk-3"] { try database.provision(device(name)) }
    for name: DeviceName in ["kiosk-2", "kiosk-3"] { try database.recordObserved(failing(name), was: device(name)) }
    #expect(try database.failingDeviceCount() == 2)
    #expect(try database.failingDevices(limit: 1) == [failing("kiosk-2")])
    #expect(try database.failingDevices(limit: 9).flatMap(\.failures).count == 2)

    var well = failing("kiosk-2")
    well.report = report(2, .committed, .running)
    try database.recordObserved(well, was: failing("kiosk-2"))
    try database.provision(device("kiosk-3"))
    #expect(try database.failingDeviceCount() == 0)
    #expect(try database.failingDevices(limit: 9).isEmpty)
  }

  @Test func failingDevicesAreFoundInADatabaseOfTheFirstSchema() throws {
    let first = try open()
    try first.store.execute("PRAGMA foreign_keys = OFF")
    let tables = try first.store.query(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for table in tables { try first.store.execute("DROP TABLE \(table["name"].text ?? "")") }
    try first.store.execute(Schema.migrations[0])
    for device in [device("kiosk-1"), failing("kiosk-2")] {
      let report = device.report.map { "'\($0.json.canonical)'" } ?? "NULL"
      try first.store.execute(
        """
        INSERT INTO devices(name, platform, labels, certificate, created_at, report)
        VALUES('\(device.name)', '{}', '{}', '', 1, \(report))
        """)
    }
    try first.store.execute("PRAGMA user_version = 1")
    first.close()
    #expect(try open().failingDevices(limit: 9).map(\.name) == ["kiosk-2"])
  }

  @Test func unfinishedDeploymentsAreCountedAndListedHoweverOldTheyAre() throws {
    let database = try open()
    let states: [DeploymentState] = [.halted, .rolling, .paused, .completed, .superseded, .rolling, .completed]
    for (index, state) in states.enumerated() {
      let target = DeploymentTarget.device(DeviceName(trusted: "kiosk-\(index)"))
      _ = try database.insertDeployment(target: target, at: now) { id in
        DeploymentRecord(
          deployment: Deployment(id: id, target: target, components: [:]), state: state, machine: [:], createdAt: now)
      }
    }
    #expect(
      try database.deploymentCounts() == [.halted: 1, .rolling: 2, .paused: 1, .completed: 2, .superseded: 1])
    func older(than id: Int64, limit: Int) throws -> [Int64] {
      try database.unfinishedDeployments(before: DeploymentID(id), limit: limit).map(\.rawValue)
    }
    #expect(try older(than: 6, limit: 9) == [3, 2, 1])
    #expect(try older(than: 6, limit: 2) == [3, 1])
    #expect(try older(than: 1, limit: 9).isEmpty)
  }

  @Test func aNewerSchemaIsRefusedInOneSentence() throws {
    let database = try open()
    try database.store.execute("PRAGMA user_version = 99")
    database.close()
    let error = #expect(throws: DatabaseError.self) { try open() }
    #expect(error?.description.contains("schema is number 99") == true)
  }
}
