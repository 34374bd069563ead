/// Prometheus text exposition format 0.0.4.
enum Metrics {
  private struct Page {
    private(set) var text = ""

    mutating func family(_ name: String, _ kind: String, _ help: String, _ samples: [(labels: String, value: Int)]) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
      for sample in samples {
        text += name + (sample.labels.isEmpty ? "" : "{\(sample.labels)}") + " \(sample.value)\n"
      }
    }
  }

  static func text(of engine: InventoryEngine) async throws -> String {
    let fleet = try await engine.fleet()
    let statistics = await engine.statistics
    let outbox = try await engine.outboxCount()
    let isReady = await engine.isReady
    var page = Page()
    page.family("wherry_devices", "gauge", "Devices in the inventory.", [("", fleet.devices)])
    page.family("wherry_devices_online", "gauge", "Devices connected to the broker.", [("", fleet.online)])
    page.family(
      "wherry_devices_by_status", "gauge", "Devices by the status of their last deployment.",
      samples(fleet.byStatus, label: "status"))
    page.family(
      "wherry_components_by_state", "gauge", "Components on devices by state.",
      samples(fleet.byComponentState, label: "state"))
    page.family("wherry_broker_connected", "gauge", "1 while the broker is connected.", [("", isReady ? 1 : 0)])
    page.family(
      "wherry_broker_connections_total", "counter", "Connections made to the broker.", [("", statistics.connections)])
    page.family("wherry_outbox_messages", "gauge", "Messages that the broker has not acknowledged.", [("", outbox)])
    page.family("wherry_transactions_total", "counter", "Committed transactions.", [("", statistics.transactions)])
    page.family("wherry_reports_total", "counter", "Device reports stored.", [("", statistics.reports)])
    page.family(
      "wherry_reports_duplicate_total", "counter", "Device reports that were known.",
      [("", statistics.duplicateReports)])
    page.family(
      "wherry_messages_refused_total", "counter", "Messages that were not understood.",
      [("", statistics.refusedMessages)])
    page.family("wherry_messages_published_total", "counter", "Messages published.", [("", statistics.published)])
    page.family("wherry_plans_composed_total", "counter", "Plans composed.", [("", statistics.plansComposed)])
    return page.text
  }

  private static func samples(_ counts: [String: Int], label: String) -> [(labels: String, value: Int)] {
    counts.sorted { $0.key < $1.key }.map { ("\(label)=\"\($0.key)\"", $0.value) }
  }
}
