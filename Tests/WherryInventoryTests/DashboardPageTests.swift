import Testing
import WherryModel
import WherryWire

@testable import WherryInventory

/// What the first page says, whatever the size of the fleet.
@Suite struct DashboardPageTests {
  private func card(_ label: String, of page: DashboardPage) -> Int? {
    let cards = page.values["cards"] as? [[String: Any]]
    return cards?.first { $0["label"] as? String == label }?["value"] as? Int
  }

  private func fail(_ fleet: EngineFixture, _ name: DeviceName, _ sequence: Int64) async throws {
    let failure = Failure(
      .start, code: "component.exited", message: "com.example.hello exited with 1", component: "com.example.hello")
    try await fleet.report(name, sequence, .rolledBack, failure: failure)
  }

  @Test func aHaltedDeploymentIsCountedAndListedHoweverManyCameAfterIt() async throws {
    let fleet = try await EngineFixture()
    try await fleet.provision("kiosk-1")
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fail(fleet, "kiosk-1", 1)
    for number in 1...DashboardPage.deploymentsMaximum {
      let group = GroupName(trusted: "group-\(number)")
      _ = try await fleet.engine.createGroup(group, by: "t")
      _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)], to: .group(group))
    }

    let page = try await DashboardPage(of: fleet.engine)
    #expect(card("deployments halted", of: page) == 1)
    let shown = page.overview.deployments.map(\.id)
    #expect(shown.count == DashboardPage.deploymentsMaximum + 1)
    #expect(shown.last == DeploymentID(1))
    #expect(shown == shown.sorted(by: >))
  }

  @Test func aFailureIsListedHoweverFarDownItsDeviceStands() async throws {
    let fleet = try await EngineFixture()
    for name: DeviceName in ["kiosk-1", "kiosk-2"] { try await fleet.provision(name) }
    try await fleet.publish(EngineFixture.recipe("1.0.0"))
    _ = try await fleet.deploy(["com.example.hello": Version(1, 0, 0)])
    try await fail(fleet, "kiosk-2", 1)

    let page = try await DashboardPage(of: fleet.engine, devicesMaximum: 1)
    #expect(page.overview.devices.map(\.name) == ["kiosk-1"])
    let failures = page.values["failures"] as? [[String: Any]]
    #expect(failures?.compactMap { $0["device"] as? String } == ["kiosk-2"])
    #expect(page.values["hasMoreFailures"] as? Bool == false)
    #expect(page.values["more"] as? Int == 1)

    try await fleet.report("kiosk-2", 2, .committed)
    let later = try await DashboardPage(of: fleet.engine)
    #expect(later.overview.failing.isEmpty)
    #expect(later.values["hasFailures"] as? Bool == false)
  }

  @Test func moreFailuresThanFitAreCounted() async throws {
    let fleet = try await EngineFixture()
    let names = (1...DashboardPage.failingMaximum + 2).map { DeviceName(trusted: "kiosk-\($0)") }
    for name in names {
      try await fleet.provision(name)
      try await fail(fleet, name, 1)
    }
    let page = try await DashboardPage(of: fleet.engine)
    #expect(page.overview.failing.count == DashboardPage.failingMaximum)
    #expect(page.values["failuresMore"] as? Int == 2)
  }
}
