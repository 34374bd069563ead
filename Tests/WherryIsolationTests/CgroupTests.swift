import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// All three kinds of host, laid out as plain directories: this machine has only one kind.
@Suite struct CgroupTests {
  private let directory = TemporaryDirectory()
  private let limits = Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 32)

  private func unifiedHost(_ root: String, controllers: String = "cpuset cpu io memory hugetlb pids") -> CgroupLayout {
    for part in ["", "/wherry", "/wherry/a1"] {
      Files.makeDirectories(root + part)
      TestFile.write(Array("\(controllers)\n".utf8), to: root + part + "/cgroup.controllers")
      TestFile.write([], to: root + part + "/cgroup.subtree_control")
    }
    return CgroupLayout.detect(root: root)
  }

  private func legacyHost(_ root: String, _ controllers: [String]) -> CgroupLayout {
    for controller in controllers {
      Files.makeDirectories("\(root)/\(controller)")
      TestFile.write([], to: "\(root)/\(controller)/tasks")
    }
    return CgroupLayout.detect(root: root)
  }

  @Test func aUnifiedHostLimitsThroughItsOneTree() {
    let root = directory.file("v2")
    let layout = unifiedHost(root)
    #expect(layout.unified == root)
    #expect(layout.unifiedControllers == [.cpu, .memory, .pids, .cpuset, .io, .hugetlb])
    #expect(layout.legacy.isEmpty)
    let path = root + "/wherry/a1/x"
    #expect(
      layout.settings(for: limits, at: "wherry/a1/x") == [
        .init(file: path + "/cpu.max", value: "50000 100000"),
        .init(file: path + "/memory.max", value: "67108864"),
        .init(file: path + "/memory.swap.max", value: "0", isOptional: true),
        .init(file: path + "/memory.oom.group", value: "1", isOptional: true),
        .init(file: path + "/pids.max", value: "32"),
      ])
    #expect(layout.joinFiles(of: "wherry/a1/x", for: limits).isEmpty)
    #expect(layout.memoryEvents(of: "wherry/a1/x") == path + "/memory.events")
  }

  @Test func aLegacyHostLimitsThroughOneTreePerController() {
    let root = directory.file("v1")
    let layout = legacyHost(root, ["cpu,cpuacct", "memory", "pids", "freezer"])
    #expect(layout.unified == nil)
    #expect(layout.legacy == [.cpu: root + "/cpu,cpuacct", .memory: root + "/memory", .pids: root + "/pids"])
    #expect(
      layout.settings(for: limits, at: "w/x") == [
        .init(file: root + "/cpu,cpuacct/w/x/cpu.cfs_period_us", value: "100000"),
        .init(file: root + "/cpu,cpuacct/w/x/cpu.cfs_quota_us", value: "50000"),
        .init(file: root + "/memory/w/x/memory.limit_in_bytes", value: "67108864"),
        .init(file: root + "/memory/w/x/memory.memsw.limit_in_bytes", value: "67108864", isOptional: true),
        .init(file: root + "/pids/w/x/pids.max", value: "32"),
      ])
    let tasks = ["/cpu,cpuacct/w/x/tasks", "/memory/w/x/tasks", "/pids/w/x/tasks"].map { root + $0 }
    #expect(layout.joinFiles(of: "w/x", for: limits) == tasks)
    #expect(layout.memoryEvents(of: "w/x") == root + "/memory/w/x/memory.oom_control")
  }

  @Test func aHybridHostIsBornInTheOneAndLimitedThroughTheOthers() {
    let root = directory.file("hybrid")
    Files.makeDirectories(root + "/unified")
    TestFile.write(Array("hugetlb\n".utf8), to: root + "/unified/cgroup.controllers")
    let layout = legacyHost(root, ["cpu", "memory"])
    #expect(layout.unified == root + "/unified")
    #expect(layout.unifiedControllers == [.hugetlb])
    #expect(layout.legacy.count == 2)
    #expect(layout.directories(of: "w") == [root + "/unified/w", root + "/cpu/w", root + "/memory/w"])
    #expect(layout.missing(for: limits) == [.pids])
    #expect(layout.missing(for: Resources(cpuMillis: 1)).isEmpty)
  }

  @Test func controllersAreHandedDownToTheWorkloadsParent() throws {
    let root = directory.file("v2")
    let cgroup = Cgroup(layout: unifiedHost(root), path: "wherry/a1/x")
    // The kernel makes the files; a plain directory has to have them before.
    Files.makeDirectories(root + "/wherry/a1/x")
    for name in ["cpu.max", "memory.max", "pids.max"] { TestFile.write([], to: root + "/wherry/a1/x/" + name) }
    try cgroup.create(limits)
    for parent in ["", "/wherry", "/wherry/a1"] {
      let text = String(decoding: TestFile.read(root + parent + "/cgroup.subtree_control") ?? [], as: UTF8.self)
      #expect(text == "+cpu +memory +pids", "\(parent)")
    }
    #expect(TestFile.read(root + "/wherry/a1/x/cpu.max") == Array("50000 100000".utf8))
    #expect(TestFile.read(root + "/wherry/a1/x/memory.max") == Array("67108864".utf8))
  }

  @Test func aLimitWithoutItsControllerIsRefusedInOneSentence() {
    let cgroup = Cgroup(layout: unifiedHost(directory.file("v2"), controllers: "hugetlb"), path: "wherry/a1/x")
    let failure = #expect(throws: Failure.self) { try cgroup.create(limits) }
    #expect(failure?.code == "workload.limitUnavailable")
    #expect(failure?.message == "this host has no cpu cgroup controller, so wherry/a1/x cannot be limited")
  }

  @Test func aQuotaIsNeverBelowWhatTheKernelTakes() {
    let layout = unifiedHost(directory.file("v2"))
    #expect(layout.settings(for: Resources(cpuMillis: 1), at: "x").first?.value == "1000 100000")
    #expect(layout.settings(for: Resources(), at: "x").isEmpty)
  }

  @Test func statisticsAreReadFromEitherKind() {
    let root = directory.file("v2")
    let layout = unifiedHost(root)
    Files.makeDirectories(root + "/x")
    TestFile.write(Array("4096\n".utf8), to: root + "/x/memory.current")
    TestFile.write(Array("3\n".utf8), to: root + "/x/pids.current")
    TestFile.write(Array("usage_usec 1234\nuser_usec 1000\n".utf8), to: root + "/x/cpu.stat")
    let statistics = Cgroup(layout: layout, path: "x").statistics
    #expect(statistics.memoryBytes == 4096)
    #expect(statistics.pids == 3)
    #expect(statistics.cpuMicroseconds == 1234)
  }
}
