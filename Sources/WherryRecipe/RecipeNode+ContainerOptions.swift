import WherryModel

/// What few containers need.
extension RecipeNode {
  func ulimits() -> [String: ProcessLimit] {
    var limits: [String: ProcessLimit] = [:]
    for (key, value, keyNode) in pairs() ?? [] {
      let name = key.lowercased()
      guard ProcessLimit.numbers[name] != nil else {
        let nearest = Spelling.nearest(to: name, among: ProcessLimit.numbers.keys.sorted())
        keyNode.report(
          "\"\(key.clipped)\" is not a limit of processes",
          nearest.map { "did you mean \($0)?" } ?? "use \(ProcessLimit.numbers.keys.sorted().joined(separator: ", "))")
        continue
      }
      guard let text = value.text() else { continue }
      guard let limit = ProcessLimit(text) else {
        value.report("\"\(text.clipped)\" is not a limit", "write SOFT:HARD, one number for both, or unlimited")
        continue
      }
      limits[name] = limit
    }
    return limits
  }

  func sysctls(_ network: NetworkMode) -> [String: String] {
    var settings: [String: String] = [:]
    for (key, value, keyNode) in pairs() ?? [] {
      guard let kind = KernelSetting.kind(key) else {
        keyNode.report(
          "\"\(key.clipped)\" is a setting of the whole machine",
          "use net.…, fs.mqueue.…, kernel.msg… and kernel.shm…, or set it on the device")
        continue
      }
      if kind == .network, network == .host {
        keyNode.report("\"\(key.clipped)\" is the host's with `Network: host`", "use bridge or none, or leave it out")
      }
      if let text = value.text() { settings[key] = text }
    }
    return settings
  }

  func seccomp() -> SeccompChoice? {
    if case .scalar = node {
      guard let text = text() else { return nil }
      if text.lowercased() == "unconfined" { return SeccompChoice(isUnconfined: true) }
      if text.lowercased() == "default" { return nil }
      report(
        "\"\(text.clipped)\" is not a seccomp profile", "write default, unconfined, or { Allow: […], Deny: […] }")
      return nil
    }
    guard let fields = fields(["Allow", "Deny"], of: "Seccomp") else { return nil }
    return SeccompChoice(allowed: fields["Allow"]?.calls() ?? [], denied: fields["Deny"]?.calls() ?? [])
  }

  private func calls() -> [String] {
    var names: [String] = []
    for element in list() ?? [] {
      guard let text = element.text() else { continue }
      guard SeccompChoice.isName(text) else {
        element.report("\"\(text.clipped)\" is not a system call", "see syscalls(2) for their names")
        continue
      }
      if !names.contains(text) { names.append(text) }
    }
    return names
  }

  func appArmorProfile() -> String? {
    guard let text = text() else { return nil }
    let isPlain = text.utf8.allSatisfy { (33...126).contains($0) }
    if isPlain, (1...200).contains(text.utf8.count) { return text }
    report("\"\(text.clipped)\" is not the name of an AppArmor profile", "see /sys/kernel/security/apparmor/profiles")
    return nil
  }

  /// `0-2,4`
  func processors() -> String? {
    guard let text = text() else { return nil }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let isList = parts.allSatisfy { part in
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
      return (1...2).contains(ends.count) && !ends.contains(nil) && (ends.first ?? nil) ?? 0 <= (ends.last ?? nil) ?? 0
    }
    if isList { return text }
    report("\"\(text.clipped)\" is not a list of processors", "write numbers and ranges, such as 0-2,4")
    return nil
  }
}
