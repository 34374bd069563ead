import WherryModel

/// What the kernel is told of the process's standing among others (config.md, "Linux Process").
extension BundleProgram {
  mutating func addPriorities(_ process: BundleProcess) throws(Failure) {
    if let scheduler = process.scheduler {
      program.add("set the scheduler \(scheduler.policy)", .scheduler(try scheduler.attributes))
    }
    if let priority = process.ioPriority {
      let classes: [String: Int64] = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
      guard let number = classes[priority.kind], (0...7).contains(priority.priority) else {
        throw Self.refusal(
          "the I/O priority \(priority.kind) \(priority.priority) is not known",
          "use IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE, with 0 to 7")
      }
      program.add("set the I/O priority", .ioPriority(number << 13 | priority.priority))
    }
  }
}

extension BundleProcess.Scheduler {
  /// linux/sched.h.
  private static let policies: [String: UInt32] = [
    "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
  ]
  private static let flagBits: [String: UInt64] = [
    "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
  ]

  /// linux/sched/types.h, `struct sched_attr` in its first version.
  fileprivate var attributes: [UInt8] {
    get throws(Failure) {
      guard let policy = Self.policies[policy] else {
        throw BundleProgram.refusal("the scheduler \(policy) is not known", "use SCHED_OTHER or another of sched(7)")
      }
      var bits: UInt64 = 0
      for flag in flags {
        guard let bit = Self.flagBits[flag] else {
          throw BundleProgram.refusal("the scheduler's flag \(flag) is not known", "leave it out")
        }
        bits |= bit
      }
      func bytes(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
      return bytes(UInt32(48)) + bytes(policy) + bytes(bits) + bytes(nice) + bytes(priority)
        + bytes(runtime) + bytes(deadline) + bytes(period)
    }
  }
}

extension BundleSeccomp {
  /// linux/seccomp.h, SECCOMP_FILTER_FLAG_….
  var flagBits: Int64 {
    get throws(Failure) {
      let known: [String: Int64] = [
        "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
      ]
      var bits: Int64 = 0
      for flag in flags {
        guard let bit = known[flag] else {
          throw BundleProgram.refusal("the seccomp flag \(flag) is not supported", "leave it out")
        }
        bits |= bit
      }
      return bits
    }
  }
}
