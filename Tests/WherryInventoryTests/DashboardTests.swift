import Testing
import WherryJSON
import WherryMQTT
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryInventory

/// What a person sees, in a real browser.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(
    if: RunningService.isBrokerInstalled && Chromium.path != nil,
    "mosquitto or chromium is not installed: apt-get install mosquitto chromium"))
struct DashboardTests {
  let directory = TemporaryDirectory()

  @Test func thePageFollowsTheFleetWithoutBeingLoadedAgain() async throws {
    let service = try await RunningService(RunningService.configuration(directory))
    do {
      let token = try #require(service.token)
      let (identity, _) = try await service.provision("kiosk-1", token: token)
      let device = try BrokerDevice(
        "kiosk-1", identity, authority: service.authority, port: service.endpoints.brokerPort, directory)
      defer { device.stop() }
      try await OwnThread.run { try Self.watch(service, device, token: token) }
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  private static func watch(_ service: RunningService, _ device: BrokerDevice, token: String) throws {
    let browser = try Chromium()
    try browser.logIn(to: service.endpoints.operatorURL, token: token)
    try browser.wait(for: "document.querySelector('tr[data-device=kiosk-1] .dot.online')")
    // Lost if the page were loaded again.
    _ = try browser.evaluate("window.sameVisit = true")

    var report = DeviceReport(
      sequence: 1, generation: Generation(0), status: .rolledBack,
      components: [ComponentReport(name: "com.example.web", version: Version(2, 0, 0), state: .running)])
    report.failure = Failure(
      .start, code: "component.exited", message: "com.example.web: step run exited with code 3",
      component: "com.example.web", log: ["fatal: <no certificate>"])
    device.publish(Topic.reported("kiosk-1"), report.json)
    let cell = "document.querySelector('tr[data-device=kiosk-1] td[data-component=\"com.example.web\"]')"
    try browser.wait(for: "\(cell)?.innerText.includes('RUNNING')")
    try browser.wait(for: "\(cell)?.innerText.includes('2.0.0')")
    try browser.wait(for: "document.querySelector('.failure pre')?.textContent === 'fatal: <no certificate>'")
    try browser.wait(for: "window.sameVisit === true")
  }
}
