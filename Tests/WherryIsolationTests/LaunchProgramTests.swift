import CIsolation
import Testing
import WherryModel

@testable import WherryIsolation

/// The programs that launches are made of, whole: what a workload may see and do is decided here and nowhere else.
@Suite struct LaunchProgramTests {
  private static func container() -> (WorkloadSpec, LaunchContext) {
    let root = WorkloadRoot.overlay(lower: ["/l/2", "/l/1"], upper: "/s/upper", work: "/s/work", readOnly: true)
    var spec = WorkloadSpec(
      id: "com.example.web.run", root: root, arguments: ["serve", "--fast"], user: .named("app"), logPath: "/log/web")
    spec.environment = ["PATH=/usr/bin:/bin"]
    spec.capabilities = Capability.containerDefault
    spec.hostName = "web"
    spec.mounts = [WorkloadMount(source: "/d/data", target: "/data")]
    var context = LaunchContext(
      user: ResolvedUser(user: 1000, group: 1001, groups: [44]), mountPoint: "/run/w/root")
    context.unifiedCgroup = "/cg/unified/w"
    context.files = [WorkloadMount(source: "/run/w/hosts", target: "/etc/hosts", readOnly: true)]
    context.seccompFilter = [1, 2, 3, 4, 5, 6, 7, 8]
    return (spec, context)
  }

  private func words(_ program: LaunchProgram) -> [String] { program.steps.map(\.words) }

  @Test func aContainerIsMadeInThisOrder() {
    let (spec, context) = Self.container()
    let program = LaunchProgram.build(spec, context)
    #expect(
      words(program).filter { !$0.hasPrefix("make /dev/") && !$0.hasPrefix("mask ") } == [
        "clone", "be born in the cgroup", "write the log", "set the memory killer's score",
        "make a cgroup namespace", "bring the loopback up",
        "set the host name", "limit core files", "limit open files", "make mounts private", "open /d/data",
        "open /run/w/hosts", "mount a scratch directory",
        "make the scratch directory upper", "make the scratch directory work", "make the scratch directory root",
        "open /l/2", "open /l/1", "open /run/w/root/upper", "open /run/w/root/work", "mount the overlay root",
        "make the overlay the root", "mount /tmp", "mount /run", "mount /var/tmp", "mount /d/data on /data",
        "mount /run/w/hosts on /etc/hosts", "mount /dev", "mount /dev/pts", "mount /dev/shm", "mount /dev/mqueue",
        "mount /sys", "mount /sys/fs/cgroup", "mount /proc", "open the low ports", "make /proc/bus read-only",
        "make /proc/fs read-only", "make /proc/irq read-only", "make /proc/sys read-only",
        "make /proc/sysrq-trigger read-only", "protect the root", "open its own /dev/null",
        "drop capabilities from the bounding set", "become the user", "set capabilities", "close what is open",
        "change to the working directory",
        "forbid new privileges",
        "load the seccomp filter", "execute serve",
      ])
  }

  @Test func aContainersStepsSayWhatTheyDo() throws {
    let (spec, context) = Self.container()
    let steps = LaunchProgram.build(spec, context).steps
    func step(_ words: String) throws -> LaunchOperation {
      try #require(steps.first { $0.words == words }?.operation, "no step \"\(words)\"")
    }
    // NEWNS, NEWPID, NEWIPC, NEWUTS, and NEWNET.
    #expect(try step("clone") == .clone(namespaces: 0x6C02_0000))
    #expect(
      try step("mount the overlay root")
        == .overlay(
          mountPoint: "/run/w/root/root",
          options: """
            lowerdir=/proc/self/fd/66:/proc/self/fd/67,upperdir=/proc/self/fd/68,workdir=/proc/self/fd/69
            """))
    #expect(
      try step("mount /run/w/hosts on /etc/hosts")
        == .attach(slot: 1, target: "/etc/hosts", [.readOnly, .noSetuid, .noDevices]))
    #expect(
      try step("protect the root")
        == .setAttributes(path: "/", [.readOnly, .noSetuid, .noDevices], recursively: false))
    #expect(try step("become the user") == .user(1000, group: 1001, groups: [44]))
    #expect(try step("set capabilities") == .capabilities(effective: 0, ambient: 0))
    #expect(
      try step("execute serve")
        == .execute(
          candidates: ["/usr/bin/serve", "/bin/serve"], arguments: ["serve", "--fast"],
          environment: ["PATH=/usr/bin:/bin"]))
  }

  @Test func aWritableRootKeepsItsUpperDirectoryOnDisk() {
    var (spec, context) = Self.container()
    spec.root = .overlay(lower: ["/l/1"], upper: "/s/upper", work: "/s/work", readOnly: false)
    spec.mounts = []
    context.files = []
    let steps = LaunchProgram.build(spec, context).steps
    #expect(
      steps.drop { $0.words != "make mounts private" }.prefix(6).map(\.words) == [
        "make mounts private", "open /l/1", "open /s/upper", "open /s/work", "mount the overlay root",
        "make the overlay the root",
      ])
    let protect = LaunchOperation.setAttributes(path: "/", [.noSetuid, .noDevices], recursively: false)
    #expect(steps.first { $0.words == "protect the root" }?.operation == protect)
    #expect(!steps.contains { $0.words == "mount /tmp" })
  }

  @Test func theCgroupNamespaceIsMadeAfterJoining() {
    var (spec, context) = Self.container()
    context.cgroupFiles = ["/cg/cpu/w/tasks", "/cg/memory/w/tasks"]
    context.memoryEvents = "/cg/memory/w/memory.oom_control"
    spec.network = .bridge(NetworkAttachment())
    context.networkNamespace = "/proc/7/fd/9"
    let program = LaunchProgram.build(spec, context)
    #expect(
      words(program).prefix(11) == [
        "clone", "be born in the cgroup", "watch the memory", "write the log", "set the memory killer's score",
        "join the cgroup /cg/cpu/w/tasks", "join the cgroup /cg/memory/w/tasks", "make a cgroup namespace",
        "open the network namespace", "enter the network namespace", "set the host name",
      ])
    #expect(program.steps.first?.operation == .clone(namespaces: 0x2C02_0000))
    #expect(!words(program).contains("mount /sys/fs/cgroup"))
  }

  @Test func aProcessComponentSeesTheHostReadOnly() {
    let root = WorkloadRoot.host(writable: ["/w/work"], hidden: ["/w/trust"])
    var spec = WorkloadSpec(id: "a.run", root: root, arguments: ["/bin/sh"], user: .named("nobody"), logPath: "/log/a")
    spec.network = .host
    let user = ResolvedUser(user: 65534, group: 65534, groups: [])
    var context = LaunchContext(user: user, mountPoint: "/run/a/root")
    context.seccompFilter = [0, 0, 0, 0, 0, 0, 0, 0]
    let kept = words(LaunchProgram.build(spec, context)).filter {
      !$0.hasPrefix("mask ") && !$0.hasPrefix("make /proc")
    }
    #expect(
      kept == [
        "clone", "write the log", "set the memory killer's score", "make a cgroup namespace", "limit core files",
        "limit open files",
        "make mounts private", "open /w/work", "make the host read-only", "mount its own /tmp",
        "mount its own /var/tmp", "mount its own /dev/shm", "mount its own /dev/mqueue", "hide /w/trust",
        "mount /w/work on /w/work", "seal /w/trust", "mount /proc", "open its own /dev/null",
        "forbid writing elsewhere", "drop capabilities from the bounding set", "become the user", "set capabilities",
        "close what is open",
        "change to the working directory",
        "forbid new privileges",
        "load the seccomp filter", "execute /bin/sh",
      ])
    spec.isPrivileged = true
    context.seccompFilter = nil
    let lifted = Set(kept).subtracting(words(LaunchProgram.build(spec, context)))
    #expect(
      lifted == [
        "make mounts private", "make the host read-only", "forbid writing elsewhere", "forbid new privileges",
        "load the seccomp filter",
      ])
  }

  @Test func aMaskIsSealedByItselfAndNotByItsPath() {
    let root = WorkloadRoot.host(writable: ["/w/work"], hidden: ["/w", "/v"])
    let spec = WorkloadSpec(id: "a.run", root: root, arguments: ["/bin/sh"], user: .root, logPath: "/log/a")
    let context = LaunchContext(user: ResolvedUser(user: 0, group: 0, groups: []), mountPoint: "/run/a/root")
    let steps = LaunchProgram.build(spec, context).steps
    let masks = steps.filter { $0.words.hasPrefix("hide ") || $0.words.hasPrefix("seal ") }.map(\.operation)
    #expect(
      masks == [.mask(path: "/w", slot: 1), .mask(path: "/v", slot: 2), .seal(slot: 1), .seal(slot: 2)])
  }

  @Test func aNumberOfProcessesThatNobodyAskedForIsLimitedWhereTheHostCan() {
    var (spec, context) = Self.container()
    spec.pidsWanted = 1024
    context.cgroupFiles = ["/cg/memory/w/tasks", "/cg/pids/w/tasks"]
    func limits() -> [LaunchOperation] {
      LaunchProgram.build(spec, context).steps.filter { $0.words.hasPrefix("limit the processes") }.map(\.operation)
    }
    let files = ["/cg/memory/w/pids.max", "/cg/pids/w/pids.max", "/cg/unified/w/pids.max"]
    #expect(limits() == files.map { LaunchOperation.writeFile(path: $0, text: "1024", mayFail: true) })
    // What a recipe asks for is written when the cgroup is made.
    spec.resources.pids = 7
    #expect(limits().isEmpty)
  }

  @Test func theInterpreterReadsBackWhatWasWritten() {
    let (spec, context) = Self.container()
    let program = LaunchProgram.build(spec, context)
    let bytes = program.bytes
    bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return }
      let header = base.assumingMemoryBound(to: wherry_program.self)
      #expect(wherry_is_valid(header, buffer.count) == 1)
      var operation = wherry_first(header)
      for step in program.steps {
        guard let current = operation else { return }
        #expect(current.pointee.code == step.operation.encoded.code)
        let texts = (0..<current.pointee.strings).map { String(cString: wherry_string(current, $0)) }
        #expect(texts == [step.words] + step.operation.encoded.strings)
        operation = wherry_next(current)
      }
    }
  }

  @Test func aDamagedProgramIsNotCarriedOut() {
    let (spec, context) = Self.container()
    let good = LaunchProgram.build(spec, context).bytes
    func isValid(_ bytes: [UInt8]) -> Bool {
      bytes.withUnsafeBytes { buffer in
        wherry_is_valid(buffer.baseAddress?.assumingMemoryBound(to: wherry_program.self), buffer.count) == 1
      }
    }
    #expect(isValid(good))
    #expect(!isValid(Array(good.prefix(8))))
    #expect(!isValid(Array(good.dropLast(8))))
    // Magic, count, size and number of strings of the first operation.
    for (place, value) in [(0, UInt8(0)), (13, 1), (20, 7), (23, 255), (24, 200)] {
      var bad = good
      bad[place] = value
      #expect(!isValid(bad), "byte \(place)")
    }
  }
}
