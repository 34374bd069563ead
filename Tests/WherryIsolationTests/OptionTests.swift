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
    spec.appArmorProfile = "unconfined"
    guard Files.exists("/sys/kernel/security/apparmor/profiles") else {
      let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
      #expect(failure?.code == "workload.appArmor")
      return
    }
    #expect(try bench.run(spec).output == ["unconfined"])
    spec.id = "b.run"
    spec.appArmorProfile = "there-is-no-such-profile"
    guard case .failedToStart(let step, _, _) = try bench.run(spec).end else {
      Issue.record("a profile that is not loaded was passed over")
      return
    }
    #expect(step.contains("there-is-no-such-profile"))
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
    #expect(layout.rare(Resources(cpuMillis: 1)).isEmpty && layout.missing(for: resources).isEmpty)
    #expect(CgroupLayout(unified: "/u").missing(for: resources) == [.memory, .cpuset, .io])
  }
}
