import WherryModel

/// What can be refused before anything is touched.
enum WorkloadCheck {
  static func check(_ spec: WorkloadSpec) throws(Failure) {
    guard isName(spec.id) else {
      throw refusal("\"\(spec.id)\" cannot name a workload", "use letters, digits, '.', '-' and '_'")
    }
    guard let program = spec.arguments.first, !program.isEmpty else {
      throw refusal("\(spec.id) names no program to run", "give the manifest a Command, or the image an entrypoint")
    }
    for text in spec.arguments + spec.environment where text.utf8.contains(0) {
      throw refusal("\(spec.id) has an argument or a variable with a NUL in it", "take it out")
    }
    for name in spec.capabilities.sorted() where Capability.normalized(name) != name {
      throw refusal("\(spec.id) asks for the capability \"\(name)\", which does not exist", "see capabilities(7)")
    }
    try check(paths: spec.mounts.flatMap { [$0.source, $0.target] } + [spec.workingDirectory], of: spec)
    for mount in spec.mounts where isReserved(mount.target) {
      throw refusal(
        "\(spec.id) asks for a mount on \(mount.target), which belongs to the runtime", "choose another path")
    }
    for (name, text) in spec.sysctls {
      let isIts = KernelSetting.kind(name).map { $0 == .ipc || spec.network != .host } ?? false
      guard isIts, !text.utf8.contains(0) else {
        throw refusal("\(spec.id) sets \(name), which is the whole machine's", "set it on the device, or leave it out")
      }
    }
    for name in spec.limits.keys where ProcessLimit.numbers[name] == nil {
      throw refusal("\(spec.id) limits \"\(name)\", which does not exist", "see getrlimit(2)")
    }
    for name in (spec.seccomp?.allowed ?? []) + (spec.seccomp?.denied ?? []) {
      guard SeccompChoice.isName(name), SeccompFilter.number(of: name) != .unknown else {
        throw refusal(
          "\(spec.id) names the system call \"\(name)\", which this device does not know", "see syscalls(2)")
      }
    }
    switch spec.root {
    case .host(let writable, let hidden): try check(paths: writable + hidden, of: spec)
    case .overlay(let lower, let upper, let work, _):
      try check(paths: lower + [upper, work], of: spec)
      guard !lower.isEmpty else { throw refusal("\(spec.id) has no layers", "build the image again: it is empty") }
    }
  }

  static func isName(_ text: String) -> Bool {
    (1...200).contains(text.utf8.count) && !text.hasPrefix(".")
      && text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || [45, 46, 95].contains(byte)
      }
  }

  private static func check(paths: [String], of spec: WorkloadSpec) throws(Failure) {
    for path in paths where !path.hasPrefix("/") || path.split(separator: "/").contains("..") {
      throw refusal("\(spec.id) has the path \"\(path)\"", "give it from the root on, without \"..\"")
    }
  }

  private static func isReserved(_ path: String) -> Bool {
    let parts = path.split(separator: "/").filter { $0 != "." }
    guard let first = parts.first else { return true }
    if first == "proc" || first == "sys" { return true }
    return parts == ["dev"]
  }

  private static func refusal(_ message: String, _ remedy: String) -> Failure {
    Failure(.rejected, code: "workload.spec", message: message, remedy: remedy)
  }
}
