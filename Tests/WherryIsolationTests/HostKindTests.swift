import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// The same workload on hosts with other cgroup trees than this machine's, made of parts of this machine's.
@Suite struct HostKindTests {
  private static let real = "/sys/fs/cgroup"

  /// Whatever v2 tree there is, alone.
  private static func unifiedOnly(_ directory: TemporaryDirectory) -> String? {
    CgroupLayout.detect(root: real).unified
  }

  /// The v1 hierarchies under a root of their own, without the v2 tree.
  private static func legacyOnly(_ directory: TemporaryDirectory) -> String? {
    let root = directory.file("cgroup")
    Files.makeDirectories(root)
    for (controller, mount) in CgroupLayout.detect(root: real).sortedLegacy {
      symlink(mount, root + "/" + controller.rawValue)
    }
    return root
  }

  private func run(_ bench: Workbench, _ resources: Resources = Resources()) throws {
    var spec = bench.container("a.run", ["sh", "-c", "cat /proc/self/cgroup; sleep 1000 & echo; wait"])
    spec.resources = resources
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    #expect(!bench.cgroups.isEmpty)
    // Not before: `cat` was a second process, too.
    bench.waitForOutput("a.run", "")
    bench.wait { bench.host.cgroup(of: "a.run").processes.count == 2 }
    #expect(bench.host.cgroup(of: "a.run").processes.count == 2)
    link.kill()
    #expect(link.waitForEnd() == .exited(signal: SIGKILL))
    #expect(bench.output("a.run").allSatisfy { !$0.contains("wherry") })
    bench.host.release("a.run")
    #expect(bench.cgroups.isEmpty)
  }

  @Test func aHostWithTheUnifiedTreeAlone() throws {
    guard Self.unifiedOnly(TemporaryDirectory()) != nil else {
      print("no cgroup v2 tree on this machine")
      return
    }
    guard let bench = Workbench(#function, cgroupRoot: Self.unifiedOnly) else { return }
    #expect(bench.host.layout.legacy.isEmpty)
    try run(bench)
    var spec = bench.container(
      "b.run", ["sh", "-c", "ls /sys/fs/cgroup/cgroup.procs; echo 1 > /sys/fs/cgroup/cgroup.procs"])
    let (end, output) = try bench.run(spec)
    #expect(output.first == "/sys/fs/cgroup/cgroup.procs")
    #expect(end != .exited(code: 0))
    guard !bench.host.layout.has(.memory) else { return }
    spec.resources = Resources(memoryBytes: 1 << 26)
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.limitUnavailable")
  }

  @Test func aHostWithLegacyHierarchiesAlone() throws {
    guard !CgroupLayout.detect(root: Self.real).legacy.isEmpty else {
      print("no cgroup v1 hierarchies on this machine")
      return
    }
    guard let bench = Workbench(#function, cgroupRoot: Self.legacyOnly) else { return }
    #expect(bench.host.layout.unified == nil)
    try run(bench, Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 20))
    var spec = bench.container("b.run", ["tail", "/dev/zero"])
    spec.resources = Resources(memoryBytes: 32 << 20)
    #expect(try bench.run(spec).end == .exited(WorkloadExit(signal: SIGKILL, outOfMemory: true)))
  }
}
