import CIsolation

/// The list of steps that turns a fresh clone into a workload, written down before the clone so that nothing is
/// decided after it. Pure: `LaunchProgram+Container.swift` and `+Process.swift` build it from a spec.
struct LaunchProgram: Hashable, Sendable {
  struct Step: Hashable, Sendable {
    /// What it does, for the sentence that says it failed: "mount the overlay root".
    var words: String
    var operation: LaunchOperation
  }

  private(set) var steps: [Step] = []
  private var slotNext = 0
  /// Where the container's user namespace is; nil = it has the host's users.
  var userSlot: Int?

  mutating func add(_ words: String, _ operation: LaunchOperation) {
    steps.append(Step(words: words, operation: operation))
  }

  mutating func add(_ step: Step) { steps.append(step) }

  mutating func newSlot() -> Int {
    slotNext += 1
    return slotNext - 1
  }

  var slotCount: Int { slotNext }

  static func slotPath(_ slot: Int) -> String { "/proc/self/fd/\(Int(WHERRY_FD_SLOTS) + slot)" }

  /// CIsolation.h, `struct wherry_program`.
  var bytes: [UInt8] { Self.assemble(body: Self.encode(steps), count: steps.count) }

  static func encode(_ steps: [Step]) -> [UInt8] {
    var body: [UInt8] = []
    for step in steps { append(step, to: &body) }
    return body
  }

  static func assemble(body: [UInt8], count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(body.count + MemoryLayout<wherry_program>.size)
    append(UInt64(WHERRY_PROGRAM_MAGIC), to: &bytes)
    append(UInt32(body.count + MemoryLayout<wherry_program>.size), to: &bytes)
    append(UInt32(count), to: &bytes)
    return bytes + body
  }

  private static func append(_ step: Step, to bytes: inout [UInt8]) {
    let encoded = step.operation.encoded
    let blobSize = (encoded.blob.count + 7) / 8 * 8
    let strings = [step.words] + encoded.strings
    let textSize = strings.reduce(0) { $0 + $1.utf8.count + 1 }
    let size = MemoryLayout<wherry_op>.size + (textSize + 7) / 8 * 8 + blobSize
    let end = bytes.count + size
    append(encoded.code, to: &bytes)
    append(UInt32(size), to: &bytes)
    append(UInt32(strings.count), to: &bytes)
    append(UInt32(blobSize), to: &bytes)
    for index in 0..<4 { append(index < encoded.numbers.count ? encoded.numbers[index] : 0, to: &bytes) }
    for text in strings {
      bytes.append(contentsOf: text.utf8)
      bytes.append(0)
    }
    bytes.append(contentsOf: repeatElement(0, count: end - blobSize - bytes.count))
    bytes.append(contentsOf: encoded.blob)
    bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
  }

  private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
  }
}

/// What is known of the machine when a program is built; the spec says the rest.
struct LaunchContext: Hashable, Sendable {
  /// The cgroup v2 to be born in; nil on a pure v1 host.
  var unifiedCgroup: String?
  /// v1 files to write "0" to.
  var cgroupFiles: [String] = []
  var memoryEvents: String?
  /// Where a number of processes can be limited. Of these files one is there at most: which controller a v1 hierarchy
  /// has does not show in its path.
  var pidsFiles: [String] {
    let directories = cgroupFiles.compactMap { file in file.lastIndex(of: "/").map { String(file[..<$0]) } }
    return (directories + [unifiedCgroup].compactMap { $0 }).map { $0 + "/pids.max" }
  }
  /// Lists the workload's processes.
  var processesFile: String?
  var user: ResolvedUser
  /// Where the overlay is mounted before it becomes the root.
  var mountPoint: String
  /// A network namespace made before, for a bridge.
  var networkNamespace: String?
  /// `/etc/hosts` and the like: host file → path in the container.
  var files: [WorkloadMount] = []
  var devices: [DeviceNode] = []
  /// Nil = none.
  var appArmorProfile: String?
  /// A named pipe; nil = no input.
  var inputPath: String?
  /// Nil = none (privileged).
  var seccompFilter: [UInt8]?
  /// Nil = the host's.
  var users: ContainerUsers?
  /// What this machine's processors tell of their heat, to be masked.
  var thermalPaths: [String] = []
}

struct DeviceNode: Hashable, Sendable {
  var path: String
  var mode: Int64
  var major: Int64
  var minor: Int64
  var group: Int64
}
