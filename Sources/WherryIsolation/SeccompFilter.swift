import CIsolation
import CSeccomp
import Glibc

/// Compiled filters, as the BPF that the kernel takes. Compiling takes milliseconds, so each profile is compiled once
/// per boot and kept in a file.
struct SeccompFilter {
  private let directory: String
  private var filters: [SeccompProfile: [UInt8]] = [:]

  init(directory: String) { self.directory = directory }

  /// Nil when libseccomp or the kernel cannot do it.
  mutating func filter(for profile: SeccompProfile) -> [UInt8]? {
    if let filter = filters[profile] { return filter }
    let path = "\(directory)/\(profile.key).bpf"
    var filter = Files.read(path) ?? []
    if filter.isEmpty || filter.count % Self.instructionSize != 0 {
      guard let compiled = Self.compile(profile) else { return nil }
      filter = compiled
      Files.makeDirectories(directory)
      if Files.write(filter, to: path + ".new") == 0 { rename(path + ".new", path) }
    }
    filters[profile] = filter
    return filter
  }

  /// One BPF instruction is eight bytes on every architecture.
  private static let instructionSize = 8

  static func compile(_ profile: SeccompProfile) -> [UInt8]? {
    let allow = UInt32(SCMP_ACT_ALLOW)
    guard let context = seccomp_init(errnoAction(EPERM)) else { return nil }
    defer { seccomp_release(context) }
    // A balanced tree instead of a list: fewer instructions on each call.
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    func add(_ name: String, _ action: UInt32, _ comparison: scmp_arg_cmp? = nil) -> Bool {
      // A call that this architecture or this libseccomp does not have leaves nothing to allow. That none is misspelled
      // is for a test to see.
      guard case .native(let number) = Self.number(of: name) else { return true }
      guard var comparison else { return seccomp_rule_add_array(context, action, number, 0, nil) == 0 }
      return seccomp_rule_add_array(context, action, number, 1, &comparison) == 0
    }
    var isComplete = true
    for name in Set(profile.allowed).sorted() where !add(name, allow) { isComplete = false }
    if !profile.mayMakeNamespaces {
      let noNamespaces = scmp_arg_cmp(
        arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: SeccompProfile.namespaceFlags, datum_b: 0)
      // Its flags lie in memory where no filter sees them; told that it is missing, libc takes clone.
      if profile.isConditional("clone"), !add("clone", allow, noNamespaces) { isComplete = false }
      if profile.isConditional("clone3"), !add("clone3", errnoAction(ENOSYS)) { isComplete = false }
    }
    for family in SeccompProfile.socketFamilies where profile.isConditional("socket") {
      let same = scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: family, datum_b: 0)
      if !add("socket", allow, same) { isComplete = false }
    }
    for personality in SeccompProfile.personalities where profile.isConditional("personality") {
      let same = scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: personality, datum_b: 0)
      if !add("personality", allow, same) { isComplete = false }
    }
    return isComplete ? export(context) : nil
  }

  enum CallNumber: Hashable {
    case native(Int32)
    case onOtherArchitectures
    /// Misspelled, or newer than libseccomp.
    case unknown
  }

  static func number(of name: String) -> CallNumber {
    // -1 is __NR_SCMP_ERROR; the other numbers below zero stand for calls of other architectures (seccomp.h).
    switch seccomp_syscall_resolve_name(name) {
    case -1: .unknown
    case ..<(-1): .onOtherArchitectures
    case let number: .native(number)
    }
  }

  private static func errnoAction(_ number: Int32) -> UInt32 { 0x0005_0000 | UInt32(number) }

  private static func export(_ context: scmp_filter_ctx) -> [UInt8]? { program(of: context).map { unknownCalls + $0 } }

  /// As the kernel takes it.
  static func program(of context: scmp_filter_ctx) -> [UInt8]? {
    let descriptor = wherry_memory_file("seccomp")
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard seccomp_export_bpf(context, descriptor) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else { return nil }
    return Files.read(descriptor, maximum: 4096 * 8)
  }

  /// In front of everything, by hand, because libseccomp has no comparison of call numbers: load the number; if it is
  /// greater than the newest known, fail with ENOSYS; else go on.
  private static var unknownCalls: [UInt8] {
    let instructions: [(code: UInt16, yes: UInt8, no: UInt8, value: UInt32)] = [
      (0x20, 0, 0, 0),  // BPF_LD | BPF_W | BPF_ABS, seccomp_data.nr
      (0x25, 0, 1, SeccompProfile.newestKnownNumber),  // BPF_JMP | BPF_JGT | BPF_K
      (0x06, 0, 0, errnoAction(ENOSYS)),  // BPF_RET | BPF_K
    ]
    return instructions.flatMap { instruction in
      withUnsafeBytes(of: instruction.code) { Array($0) } + [instruction.yes, instruction.no]
        + withUnsafeBytes(of: instruction.value) { Array($0) }
    }
  }
}
