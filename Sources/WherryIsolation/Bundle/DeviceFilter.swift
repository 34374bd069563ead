import CIsolation
import Glibc
import WherryModel

/// Device rules where the v1 controller is not there: a program that the kernel asks about each device that somebody in
/// the cgroup opens or makes (linux/bpf.h, BPF_PROG_TYPE_CGROUP_DEVICE).
struct DeviceFilter: Hashable, Sendable {
  /// One eBPF instruction.
  struct Instruction: Hashable, Sendable {
    var code: UInt8
    var target: UInt8 = 0
    var source: UInt8 = 0
    var offset: Int16 = 0
    var value: Int32 = 0

    /// As `struct bpf_insn` lies in memory on little-endian machines.
    var bytes: [UInt8] {
      [code, source << 4 | target] + withUnsafeBytes(of: offset.littleEndian) { Array($0) }
        + withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
  }

  private enum Code {
    static let loadWord: UInt8 = 0x61
    static let move: UInt8 = 0xbf
    static let moveValue: UInt8 = 0xb7
    static let and: UInt8 = 0x57
    static let shiftRight: UInt8 = 0x77
    static let jumpIfEqual: UInt8 = 0x15
    static let jumpUnlessEqual: UInt8 = 0x55
    static let jumpUnlessEqualRegister: UInt8 = 0x5d
    static let exit: UInt8 = 0x95
  }

  /// 1 = a block device, 2 = a character device.
  private static let types: [String: Int32] = ["b": 1, "c": 2]
  private static let accesses: [Character: Int32] = ["m": 1, "r": 2, "w": 4]

  let instructions: [Instruction]

  /// What no rule is about is allowed, as the v1 controller has it for a new cgroup.
  init(_ rules: [DeviceRule]) {
    // The argument, in register 1: type and access in one word, major, minor. Registers 2 to 5 keep them.
    var program = [
      Instruction(code: Code.loadWord, target: 2, source: 1), Instruction(code: Code.and, target: 2, value: 0xffff),
      Instruction(code: Code.loadWord, target: 3, source: 1), Instruction(code: Code.shiftRight, target: 3, value: 16),
      Instruction(code: Code.loadWord, target: 4, source: 1, offset: 4),
      Instruction(code: Code.loadWord, target: 5, source: 1, offset: 8),
    ]
    // The last that fits counts, so the last is asked first.
    var isOpen = true
    for rule in rules.reversed() where isOpen {
      let block = Self.instructions(rule)
      program += block
      // Behind one that is about everything nothing is ever reached, which the kernel does not take.
      isOpen = block.count > Self.verdict(true).count
    }
    instructions = isOpen ? program + Self.verdict(true) : program
  }

  private static func verdict(_ isAllowed: Bool) -> [Instruction] {
    [Instruction(code: Code.moveValue, target: 0, value: isAllowed ? 1 : 0), Instruction(code: Code.exit)]
  }

  private static func instructions(_ rule: DeviceRule) -> [Instruction] {
    var checks: [Instruction] = []
    if let type = types[rule.type] { checks.append(Instruction(code: Code.jumpUnlessEqual, target: 2, value: type)) }
    let mask = rule.access.reduce(Int32(0)) { $0 | (accesses[$1] ?? 0) }
    if mask != 7 {
      checks.append(Instruction(code: Code.move, target: 1, source: 3))
      checks.append(Instruction(code: Code.and, target: 1, value: mask))
      // Allowed is who asks for no more than that; denied who asks for any of it.
      checks.append(
        rule.isAllowed
          ? Instruction(code: Code.jumpUnlessEqualRegister, target: 1, source: 3)
          : Instruction(code: Code.jumpIfEqual, target: 1, value: 0))
    }
    if let major = rule.major {
      checks.append(Instruction(code: Code.jumpUnlessEqual, target: 4, value: Int32(truncatingIfNeeded: major)))
    }
    if let minor = rule.minor {
      checks.append(Instruction(code: Code.jumpUnlessEqual, target: 5, value: Int32(truncatingIfNeeded: minor)))
    }
    let block = checks + verdict(rule.isAllowed)
    // Whoever does not fit goes on behind the block.
    return block.enumerated().map { index, instruction in
      var instruction = instruction
      if [Code.jumpIfEqual, Code.jumpUnlessEqual, Code.jumpUnlessEqualRegister].contains(instruction.code) {
        instruction.offset = Int16(block.count - index - 1)
      }
      return instruction
    }
  }

  /// The cgroup keeps it until it is removed.
  func attach(to cgroup: String) throws(Failure) {
    let directory = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    let bytes = instructions.flatMap(\.bytes)
    let error = directory < 0 ? errno : wherry_attach_device_filter(directory, bytes, UInt32(instructions.count))
    if directory >= 0 { close(directory) }
    guard error == 0 else {
      throw Failure(
        .start, code: "workload.limit", message: "device rules are refused by \(cgroup): \(sentence(ofErrno: error))",
        remedy: "use a kernel with CONFIG_CGROUP_BPF, or leave linux.resources.devices out")
    }
  }
}
