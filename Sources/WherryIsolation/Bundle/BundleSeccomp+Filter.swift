import CIsolation
import CSeccomp
import Glibc
import WherryModel

extension BundleSeccomp {
  /// As the BPF that the kernel takes.
  func compiled() throws(Failure) -> [UInt8] {
    guard listenerPath == nil else {
      throw BundleProgram.refusal("seccomp.listenerPath is not supported", "leave the listener out")
    }
    guard let context = seccomp_init(try Self.action(defaultAction, defaultErrno)) else {
      throw BundleProgram.refusal("libseccomp does not take the default action \(defaultAction)", "choose another")
    }
    defer { seccomp_release(context) }
    // Without no_new_privs it is not libseccomp's to set it.
    seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0)
    for name in architectures {
      let word = name.hasPrefix("SCMP_ARCH_") ? String(name.dropFirst(10)).lowercased() : name.lowercased()
      let architecture = seccomp_arch_resolve_name(word)
      guard architecture != 0 else {
        throw BundleProgram.refusal("the architecture \(name) is not known to libseccomp", "leave it out")
      }
      let result = seccomp_arch_add(context, architecture)
      guard result == 0 || result == -EEXIST else { throw Self.failure("add the architecture \(name)", result) }
    }
    let usual = try Self.action(defaultAction, defaultErrno)
    for call in calls {
      let action = try Self.action(call.action, call.errno)
      // It would say nothing new, and libseccomp refuses it.
      if action == usual { continue }
      for name in call.names { try add(name, call, action, to: context) }
    }
    guard let filter = SeccompFilter.program(of: context) else {
      throw BundleProgram.refusal("libseccomp did not export the filter", "mend seccomp in config.json")
    }
    return filter
  }

  private func add(_ name: String, _ call: Call, _ action: UInt32, to context: scmp_filter_ctx) throws(Failure) {
    let number = seccomp_syscall_resolve_name(name)
    // One that this libseccomp does not know is passed over: the default action holds for it.
    guard number != -1 else { return }
    var conditions: [scmp_arg_cmp] = []
    for condition in call.conditions { conditions.append(try Self.comparison(condition)) }
    let indices = conditions.map(\.arg)
    // Conditions on one argument are alternatives, those on several hold together.
    let groups = Set(indices).count == indices.count ? [conditions] : conditions.map { [$0] }
    for group in groups {
      let result = seccomp_rule_add_array(context, action, number, UInt32(group.count), group)
      guard result == 0 || result == -EEXIST else { throw Self.failure("add a rule for \(name)", result) }
    }
  }

  private static func failure(_ what: String, _ result: Int32) -> Failure {
    BundleProgram.refusal("libseccomp did not \(what): \(sentence(ofErrno: -result))", "mend seccomp in config.json")
  }

  private static func action(_ name: String, _ number: UInt32?) throws(Failure) -> UInt32 {
    switch name {
    case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0
    case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
    case "SCMP_ACT_TRAP": return 0x0003_0000
    case "SCMP_ACT_ERRNO": return 0x0005_0000 | (number ?? UInt32(EPERM)) & 0xFFFF
    case "SCMP_ACT_TRACE": return 0x7FF0_0000 | (number ?? UInt32(EPERM)) & 0xFFFF
    case "SCMP_ACT_LOG": return 0x7FFC_0000
    case "SCMP_ACT_ALLOW": return 0x7FFF_0000
    default: throw BundleProgram.refusal("the seccomp action \(name) is not supported", "use SCMP_ACT_ERRNO or another")
    }
  }

  private static func comparison(_ condition: Condition) throws(Failure) -> scmp_arg_cmp {
    let operators: [String: scmp_compare] = [
      "SCMP_CMP_NE": SCMP_CMP_NE, "SCMP_CMP_LT": SCMP_CMP_LT, "SCMP_CMP_LE": SCMP_CMP_LE, "SCMP_CMP_EQ": SCMP_CMP_EQ,
      "SCMP_CMP_GE": SCMP_CMP_GE, "SCMP_CMP_GT": SCMP_CMP_GT, "SCMP_CMP_MASKED_EQ": SCMP_CMP_MASKED_EQ,
    ]
    guard let comparison = operators[condition.comparison], condition.index < 6 else {
      throw BundleProgram.refusal(
        "the condition \(condition.comparison) on argument \(condition.index) is not known", "see seccomp_rule_add(3)")
    }
    return scmp_arg_cmp(
      arg: condition.index, op: comparison, datum_a: condition.value, datum_b: condition.second)
  }
}
