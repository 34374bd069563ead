import WherryModel

extension RecipeNode {
  func healthCheck() -> HealthCheck? {
    let known = ["Http", "Tcp", "Exec", "Interval", "Timeout", "Retries", "StartPeriod"]
    guard let fields = fields(known, of: "Health") else { return nil }
    let given = ["Http", "Tcp", "Exec"].filter { fields[$0] != nil }
    guard given.count == 1, let kind = given.first, let node = fields[kind] else {
      report(
        given.isEmpty ? "Health has no probe" : "Health has more than one probe (\(given.joined(separator: ", ")))",
        "give exactly one of Http, Tcp and Exec")
      return nil
    }
    let probe: HealthCheck.Probe? =
      switch kind {
      case "Http": node.httpProbe()
      case "Tcp": node.tcpProbe()
      default: node.execProbe()
      }
    // A stand-in, so that the times are looked at too; the problem with the probe is noted already.
    var check = HealthCheck(probe: probe ?? .exec([]))
    if let value = fields["Interval"]?.milliseconds(100...86_400_000) { check.intervalMilliseconds = value }
    if let value = fields["Timeout"]?.milliseconds(10...3_600_000) { check.timeoutMilliseconds = value }
    if let value = fields["Retries"]?.integer(1...1_000) { check.retries = value }
    if let value = fields["StartPeriod"]?.milliseconds(0...86_400_000) { check.startPeriodMilliseconds = value }
    return probe == nil ? nil : check
  }

  func readStop(into spec: inout ContainerSpec) {
    guard let fields = fields(["Signal", "Timeout"], of: "Stop") else { return }
    if let node = fields["Signal"], let text = node.text() {
      spec.stopSignal = SignalName.canonical(text)
      if spec.stopSignal == nil {
        node.report("\"\(text.clipped)\" is not a signal", "write a name such as SIGTERM, or its number")
      }
    }
    if let value = fields["Timeout"]?.milliseconds(0...3_600_000) {
      spec.stopTimeoutSeconds = Int((value + 999) / 1000)
    }
  }

  func restartPolicy() -> RestartPolicy {
    var policy = RestartPolicy()
    // `Restart: always` is what everybody tries first.
    if case .scalar = node {
      if let word = word(RestartWord.self) { policy.mode = word.mode }
      return policy
    }
    guard let fields = fields(["Policy", "MaxBackoff"], of: "Restart") else { return policy }
    if let word = fields["Policy"]?.word(RestartWord.self) { policy.mode = word.mode }
    if let value = fields["MaxBackoff"]?.milliseconds(1_000...86_400_000) { policy.backoffMaximumMilliseconds = value }
    return policy
  }

  private enum RestartWord: String, CaseIterable {
    case always
    case onFailure = "on-failure"
    case never
    var mode: RestartPolicy.Mode {
      switch self {
      case .always: .always
      case .onFailure: .onFailure
      case .never: .never
      }
    }
  }

  private func milliseconds(_ range: ClosedRange<Int64>) -> Int64? {
    guard let text = text() else { return nil }
    guard let value = Quantity.milliseconds(text) else {
      report("\"\(text.clipped)\" is not a duration", "write one with its unit, such as 500ms, 10s or 5m")
      return nil
    }
    guard range.contains(value) else {
      report(
        "the duration \(text) is out of bounds",
        "stay between \(Self.spelled(range.lowerBound)) and \(Self.spelled(range.upperBound))")
      return nil
    }
    return value
  }

  private static func spelled(_ milliseconds: Int64) -> String {
    if milliseconds % 3_600_000 == 0, milliseconds > 0 { return "\(milliseconds / 3_600_000)h" }
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
  }

  /// `http://:80/healthz`: the host is always the container itself.
  private func httpProbe() -> HealthCheck.Probe? {
    guard let text = text() else { return nil }
    let remedy = "write http://:PORT/PATH, such as \"http://:80/healthz\""
    guard text.lowercased().hasPrefix("http://"), text.utf8.allSatisfy({ (33...126).contains($0) }) else {
      report("\"\(text.clipped)\" is not an address for an HTTP probe", remedy)
      return nil
    }
    let rest = text.dropFirst(7)
    let authority = rest.prefix { $0 != "/" }
    let path = rest.dropFirst(authority.count)
    guard let port = Self.port(ofLocal: authority, default: 80) else {
      report("\"\(text.clipped)\" does not name a port of the container itself", remedy)
      return nil
    }
    return .http(port: port, path: path.isEmpty ? "/" : String(path))
  }

  private func tcpProbe() -> HealthCheck.Probe? {
    guard let text = text() else { return nil }
    let rest = text.lowercased().hasPrefix("tcp://") ? text.dropFirst(6) : text[...]
    if let port = Self.port(ofLocal: rest.contains(":") ? rest : ":" + rest, default: nil) { return .tcp(port: port) }
    report("\"\(text.clipped)\" is not a port for a TCP probe", "write \":PORT\", such as \":5432\"")
    return nil
  }

  private func execProbe() -> HealthCheck.Probe? {
    if case .scalar = node { return text().map { .exec(["/bin/sh", "-c", $0]) } }
    guard let words = texts() else { return nil }
    if !words.isEmpty { return .exec(words) }
    report("the probe's command is empty", "name a program")
    return nil
  }

  private static func port(ofLocal authority: Substring, default fallback: UInt16?) -> UInt16? {
    let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let host = parts.first, ["", "localhost", "127.0.0.1"].contains(host.lowercased()) else { return nil }
    guard parts.count == 2 else { return host.isEmpty ? nil : fallback }
    guard let port = UInt16(parts[1]), port > 0 else { return nil }
    return port
  }
}

/// signal(7): the names that a program may be asked to stop with.
enum SignalName {
  private static let numbers: [String: Int] = [
    "HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15, "CONT": 18,
    "STOP": 19, "WINCH": 28, "PWR": 30,
  ]

  /// `SIGTERM` for `SIGTERM`, `term` and `15`.
  static func canonical(_ text: String) -> String? {
    if let number = Int(text) { return numbers.first { $0.value == number }.map { "SIG" + $0.key } }
    let upper = text.uppercased()
    let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
    return numbers[bare] == nil ? nil : "SIG" + bare
  }
}
