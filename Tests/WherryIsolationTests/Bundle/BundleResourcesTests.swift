import Glibc
import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Which files a limit is written to, on hosts of each kind.
@Suite struct BundleResourcesTests {
  private let directory = TemporaryDirectory()

  private func legacy() -> BundleCgroup {
    for name in ["memory", "cpu,cpuacct", "cpuset", "pids", "blkio", "devices", "freezer"] {
      mkdir(directory.file(name), 0o755)
      TestFile.write([], to: directory.file("\(name)/tasks"))
    }
    symlink("cpu,cpuacct", directory.file("cpu"))
    mkdir(directory.file("unified"), 0o755)
    TestFile.write([], to: directory.file("unified/cgroup.controllers"))
    return BundleCgroup(path: "a/../b", root: directory.path)
  }

  private func unified() -> BundleCgroup {
    TestFile.write(Array("cpu memory\n".utf8), to: directory.file("cgroup.controllers"))
    return BundleCgroup(path: "/b", root: directory.path)
  }

  private func lines(_ text: String, _ cgroup: BundleCgroup) throws -> [String] {
    let json = try JSON(parsing: Array(text.utf8))
    return try BundleResources(JSONCursor(json), for: cgroup).settings().map { setting in
      let file = setting.file.map { String($0.dropFirst(directory.path.utf8.count)) } ?? "missing \(setting.name)"
      return "\(file)=\(setting.value)"
    }
  }

  @Test func aHybridHostIsUnderstood() {
    let cgroup = legacy()
    #expect(cgroup.path == "/a/b", "no way up out of the hierarchy")
    #expect(cgroup.legacy.map(\.name) == ["blkio", "cpu,cpuacct", "cpuset", "devices", "freezer", "memory", "pids"])
    #expect(cgroup.unifiedDirectory == directory.file("unified/a/b"))
    #expect(cgroup.joinFiles.contains(directory.file("memory/a/b/tasks")))
  }

  private static let limits = """
    {"memory": {"limit": 1000, "swap": 3000, "reservation": 500}, "pids": {"limit": 7},
     "cpu": {"shares": 1024, "quota": 5000, "period": 10000, "cpus": "0-1"}}
    """

  @Test func limitsOnTheOldHierarchies() throws {
    #expect(
      try lines(Self.limits, legacy()) == [
        "/memory/a/b/memory.limit_in_bytes=1000", "/memory/a/b/memory.soft_limit_in_bytes=500",
        "/memory/a/b/memory.memsw.limit_in_bytes=3000", "/cpu,cpuacct/a/b/cpu.shares=1024",
        "/cpu,cpuacct/a/b/cpu.cfs_period_us=10000", "/cpu,cpuacct/a/b/cpu.cfs_quota_us=5000",
        "/cpuset/a/b/cpuset.cpus=0-1", "/pids/a/b/pids.max=7",
      ])
  }

  @Test func limitsOnTheUnifiedHierarchy() throws {
    #expect(
      try lines(Self.limits, unified()) == [
        "/b/memory.max=1000", "/b/memory.low=500", "/b/memory.swap.max=2000", "/b/cpu.weight=39",
        "/b/cpu.max=5000 10000", "/b/cpuset.cpus=0-1", "/b/pids.max=7",
      ])
    #expect(try lines("{\"unified\": {\"memory.high\": \"5\"}}", unified()) == ["/b/memory.high=5"])
    #expect(
      try lines("{\"memory\": {\"limit\": -1}, \"pids\": {\"limit\": 0}}", unified()) == [
        "/b/memory.max=max", "/b/pids.max=max",
      ])
  }

  @Test func devicesAreDeniedAndAllowedInOrder() throws {
    let text = """
      {"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "access": "rw"}]}
      """
    let found = try lines(text, legacy())
    #expect(found.prefix(2) == ["/devices/a/b/devices.deny=a", "/devices/a/b/devices.allow=c 10:* rw"])
    #expect(found.contains("/devices/a/b/devices.allow=c 1:3 rwm"), "what every container has")
    #expect(try lines("{\"devices\": []}", legacy()).isEmpty)
  }

  @Test func whatTheHostHasNotIsNamed() throws {
    #expect(
      try lines("{\"hugepageLimits\": [{\"pageSize\": \"2MB\", \"limit\": 9}]}", legacy())
        == ["/unified/a/b/hugetlb.2MB.max=9"])
    #expect(try lines("{\"network\": {\"classID\": 5}}", legacy()) == ["missing network.classID=5"])
    let cgroup = legacy()
    let failure = #expect(throws: Failure.self) {
      try cgroup.apply(["network": ["classID": 5]], devices: false)
    }
    #expect(failure?.message.contains("network.classID cannot be limited") == true)
  }

  @Test(arguments: [
    "{\"memory\": {\"swappiness\": 101}}", "{\"hugepageLimits\": [{\"pageSize\": \"../x\", \"limit\": 1}]}",
    "{\"unified\": {\"../x\": \"1\"}}", "{\"devices\": [{\"allow\": true, \"access\": \"xyz\"}]}",
    "{\"memory\": {\"limit\": \"much\"}}",
  ]) func nonsenseIsRefused(text: String) {
    #expect(throws: JSONShapeError.self) { try lines(text, legacy()) }
  }

  /// cgroup-v2.rst, "No Internal Process Constraint".
  @Test func oneMoreProcessGoesWhereTheKernelTakesIt() {
    let cgroup = unified()
    mkdir(directory.file("b"), 0o755)
    let own = directory.file("b")
    #expect(cgroup.directoryForMore(membership: "0::/b/init\n") == own)
    TestFile.write(Array("memory pids\n".utf8), to: directory.file("b/cgroup.subtree_control"))
    #expect(cgroup.directoryForMore(membership: "1:cpu:/x\n0::/b/init\n") == own + "/init")
    for elsewhere in ["0::/bb/init\n", "0::/\n", "0::/b/init (deleted)\n", ""] {
      #expect(cgroup.directoryForMore(membership: elsewhere) == own)
    }
  }

  @Test func adaptersAreLimitedOrTheHostHasNoneToLimit() throws {
    let limits = "{\"rdma\": {\"mlx5_1\": {\"hcaHandles\": 3, \"hcaObjects\": 4}}}"
    #expect(try lines(limits, unified()) == ["/b/rdma.max=mlx5_1 hca_handle=3 hca_object=4"])
  }
}
