import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// What few recipes ask for.
@Suite struct OptionTests {
  @Test(arguments: [UserNamespaceMode.own, .host]) func limitsOfProcessesAreExact(users: UserNamespaceMode) throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "ulimit -n; ulimit -Hn; ulimit -s"])
    spec.users = users
    spec.limits = ["nofile": ProcessLimit(soft: 200, hard: 300), "stack": ProcessLimit(soft: 1 << 20, hard: 1 << 20)]
    #expect(try bench.run(spec).output == ["200", "300", "1024"])
  }

  @Test func aLimitBeyondTheHostsIsSaidWhereItCannotBeKept() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "ulimit -Hn"])
    spec.limits = ["nofile": ProcessLimit(soft: 1 << 30, hard: 1 << 31)]
    guard case .failedToStart(let step, _, _) = try bench.run(spec).end else {
      Issue.record("it started with more than the kernel has")
      return
    }
    #expect(step == "limit nofile to 1073741824:2147483648")
  }

  @Test func settingsAreItsOwn() throws {
    guard let bench = Workbench(#function) else { return }
    let ours = Files.text("/proc/sys/net/core/somaxconn")
    var spec = bench.container("a.run", ["sh", "-c", "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax"])
    spec.sysctls = ["net.core.somaxconn": "77", "kernel.msgmax": "4096"]
    #expect(try bench.run(spec).output == ["77", "4096"])
    #expect(Files.text("/proc/sys/net/core/somaxconn") == ours)
  }

  @Test(arguments: [
    "kernel.core_pattern", "vm.swappiness", "net..core", "net.core/../../kernel", "kernel.hostname", "",
  ])
  func theMachinesSettingsAreRefused(_ name: String) throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.sysctls = [name: "1"]
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.spec")
  }

  @Test func withTheHostsNetworkItsSettingsAreTheHosts() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.network = .host
    spec.sysctls = ["net.core.somaxconn": "77"]
    #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
  }

  @Test func callsAreTakenAwayAndAdded() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "mkdir /tmp/a && echo made; unshare -U true && echo apart"])
    #expect(try bench.run(spec).output.filter { !$0.contains(":") } == ["made"])
    spec.seccomp = SeccompChoice(allowed: ["unshare"], denied: ["mkdir", "mkdirat"])
    spec.id = "b.run"
    spec.logPath = bench.directory.file("logs/b.run.log")
    #expect(try bench.run(spec).output.filter { !$0.contains(":") } == ["apart"])
  }

  @Test func withoutAFilterThereIsNone() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["grep", "Seccomp:", "/proc/self/status"])
    spec.seccomp = SeccompChoice(isUnconfined: true)
    #expect(try bench.run(spec).output == ["Seccomp:\t0"])
  }

  @Test func anUnknownCallIsRefused() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.seccomp = SeccompChoice(allowed: ["opne"])
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.message.contains("opne") == true)
  }

  @Test func anAppArmorProfileNeedsAHostThatHasIt() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["cat", "/proc/self/attr/apparmor/current"])
    spec.appArmorProfile = "there-is-no-such-profile"
    guard AppArmor.isThere else {
      let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
      #expect(failure?.code == "workload.appArmor")
      return
    }
    guard case .failedToStart(let step, _, _) = try bench.run(spec).end else {
      Issue.record("a profile that is not loaded was passed over")
      return
    }
    #expect(step.contains("there-is-no-such-profile"))
    spec = bench.container("b.run", spec.arguments)
    spec.appArmorProfile = "unconfined"
    #expect(try bench.run(spec).output == ["unconfined"])
  }

  @Test func containersHaveTheAgentsAppArmorProfile() throws {
    guard let bench = Workbench(#function) else { return }
    guard AppArmor.isThere, AppArmor.isLoaded(AppArmor.ownProfile) else {
      print("\(#function): this host has no AppArmor, or not our profile; nothing to test")
      return
    }
    let script = "cat /proc/self/attr/apparmor/current; echo 1 > /tmp/a && cat /tmp/a; kill -0 1 && echo reached"
    var spec = bench.container("a.run", ["sh", "-c", script])
    #expect(try bench.run(spec).output == ["wherry-component (enforce)", "1", "reached"])
    // Without what else keeps it from mounting.
    spec = bench.container("b.run", ["sh", "-c", "mount -t tmpfs none /tmp || echo refused"])
    spec.users = .host
    spec.capabilities = Capability.containerDefault.union(["SYS_ADMIN"])
    spec.seccomp = SeccompChoice(isUnconfined: true)
    #expect(try bench.run(spec).output.last == "refused")
    spec.id = "c.run"
    spec.logPath = bench.directory.file("logs/c.run.log")
    spec.appArmorProfile = "unconfined"
    #expect(try bench.run(spec).output.last != "refused")
  }

  @Test func clocksAreSet() throws {
    guard let bench = Workbench(#function) else { return }
    guard Files.exists("/proc/self/ns/time") else {
      print("\(#function): this kernel has no time namespaces, nothing to test")
      return
    }
    var spec = bench.container("a.run", ["sh", "-c", "cut -d. -f1 /proc/uptime"])
    let before = Int64((Files.text("/proc/uptime") ?? "").prefix { $0 != "." }) ?? 0
    spec.clocks = ClockOffsets(boot: 1_000_000_000)
    let shown = try #require(try bench.run(spec).output.first.flatMap { Int64($0) })
    #expect((before + 1_000_000..<before + 1_000_100).contains(shown))
    #expect(ClockOffsets(monotonic: -1500, boot: 2500).lines == "monotonic -2 500000000\nboottime 2 500000000\n")
    spec.id = "b.run"
    // The kernel lets no clock show a time before the machine's start.
    spec.clocks = ClockOffsets(boot: -ClockOffsets.millisecondsMaximum)
    guard case .failedToStart(let step, _, _) = try bench.run(spec).end else {
      Issue.record("a clock shows a time before the start of the machine")
      return
    }
    #expect(step == "set its clocks")
  }

  /// Signals that this thread does not hear.
  private static var blocked: [Int32] {
    var set = sigset_t()
    sigprocmask(SIG_BLOCK, nil, &set)
    return (1...31).filter { sigismember(&set, $0) == 1 }
  }

  @Test func whoIsAttachedReadsAndWrites() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "while read line; do echo got $line; test $line = end && exit 7; done"
    var spec = bench.container("a.run", ["sh", "-c", script])
    spec.hasInput = true
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    let pipe = open(bench.host.directory(of: "a.run").file("stdin"), O_WRONLY | O_NONBLOCK)
    #expect(pipe >= 0)
    #expect(Files.write(Array("one\n".utf8), to: pipe) == 0)
    // Nobody holds it now, and the workload does not see an end.
    close(pipe)
    bench.wait { (Files.text(spec.logPath) ?? "").contains("got one") }
    var ends: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    #expect(Files.write(Array("two\nend\n".utf8), to: ends[1]) == 0)
    var shown: [UInt8] = []
    let blocked = Self.blocked
    let code = try bench.host.attach(to: "a.run", logPath: spec.logPath, input: ends[0]) { bytes, _ in shown += bytes }
    #expect(code == 7)
    #expect(Self.blocked == blocked, "what this thread starts from now on would be deaf to signals")
    #expect(String(decoding: shown, as: UTF8.self).hasSuffix("got two\ngot end\n"))
    #expect(throws: Failure.self) { try bench.host.attach(to: "b.run", logPath: spec.logPath, input: nil) { _, _ in } }
  }

  @Test func rareLimitsAreKeptOnTheUnifiedTreeOrRefused() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "grep Cpus_allowed_list /proc/self/status"])
    spec.resources.processors = "0"
    if bench.host.layout.has(.cpuset) {
      #expect(try bench.run(spec).output == ["Cpus_allowed_list:\t0"])
    } else {
      let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
      #expect(failure?.code == "workload.limitUnavailable" && failure?.message.contains("cpuset") == true)
    }
    let layout = CgroupLayout(unified: "/u", unifiedControllers: [.cpu, .memory, .cpuset, .io])
    var resources = Resources(memoryBytes: 100)
    resources.swapBytes = 50
    resources.diskWeight = 30
    resources.processors = "0-1"
    let settings = Dictionary(
      uniqueKeysWithValues: layout.settings(for: resources, at: "w").map { ($0.file, $0.value) })
    #expect(settings["/u/w/memory.swap.max"] == "50" && settings["/u/w/io.weight"] == "default 30")
    #expect(settings["/u/w/cpuset.cpus"] == "0-1" && layout.rare(resources) == [.cpuset, .io])
    var disk = DiskLimit(device: "8:0")
    disk.readBytes = 100
    disk.writeOperations = 7
    resources.diskLimits = [disk]
    resources.hugePages = [2 << 20: 4 << 20]
    #expect(
      layout.settings(for: resources, at: "w").suffix(2) == [
        .init(file: "/u/w/io.weight", value: "default 30"), .init(file: "/u/w/io.max", value: "8:0 rbps=100 wiops=7"),
      ])
    let legacy = CgroupLayout(legacy: [.io: "/b", .cpuset: "/c", .hugetlb: "/h", .pids: "/p"])
    #expect(legacy.joinFiles(of: "w", for: Resources()) == ["/p/w/tasks"])
    #expect(legacy.joinFiles(of: "w", for: resources).count == 4)
    #expect(legacy.directories(of: "w").count == 4 && legacy.directories(of: "w", for: Resources()).count == 1)
    let old = Set(legacy.settings(for: resources, at: "w").map { "\($0.file) \($0.value)" })
    #expect(
      old.isSuperset(of: [
        "/b/w/blkio.weight 150", "/b/w/blkio.throttle.read_bps_device 8:0 100", "/c/w/cpuset.cpus 0-1",
        "/b/w/blkio.throttle.write_iops_device 8:0 7", "/h/w/hugetlb.2MB.limit_in_bytes 4194304",
      ]))
    resources.diskLimits = []
    resources.hugePages = [:]
    #expect(layout.rare(Resources(cpuMillis: 1)).isEmpty && layout.missing(for: resources).isEmpty)
    #expect(CgroupLayout(unified: "/u").missing(for: resources) == [.memory, .cpuset, .io])
  }
}
