import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Limits are felt, not only written down.
@Suite struct LimitTests {
  /// How often the kernel has made the workload wait because its share of a period was used up.
  private func throttled(_ bench: Workbench, _ id: String) -> Int {
    let layout = bench.host.layout
    guard let mount = layout.legacy[.cpu] ?? layout.unified else { return 0 }
    let text = Files.text("\(mount)/\(bench.host.cgroup(of: id).path)/cpu.stat") ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("nr_throttled ") }
    return line.flatMap { Int($0.dropFirst(13)) } ?? 0
  }

  @Test func aProcessorQuotaSlowsAWorkloadDown() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.cpu) else {
      print("SKIPPED \(#function): no cpu controller on this host")
      return
    }
    var spec = bench.container("a.run", ["sh", "-c", "while :; do :; done"])
    spec.resources = Resources(cpuMillis: 50)
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    bench.wait { throttled(bench, "a.run") > 0 }
    #expect(throttled(bench, "a.run") > 0)
  }

  @Test func aProcessComponentIsLimitedAsAContainerIs() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.memory) else {
      print("SKIPPED \(#function): no memory controller on this host")
      return
    }
    var spec = bench.process("a.run", "exec tail /dev/zero")
    spec.resources = Resources(memoryBytes: 32 << 20)
    #expect(try bench.run(spec).end == .exited(WorkloadExit(signal: SIGKILL, outOfMemory: true)))
  }

  @Test func aDiskIsLimitedByItsNumber() throws {
    guard let bench = Workbench(#function) else { return }
    let layout = bench.host.layout
    guard layout.has(.io), let mount = layout.legacy[.io] ?? layout.unified else {
      print("\(#function): no io controller on this host, nothing to test")
      return
    }
    var spec = bench.container("a.run", ["sleep", "100"], readOnly: false)
    var limit = DiskLimit()
    limit.writeBytes = 1 << 20
    spec.resources.diskLimits = [limit]
    guard let number = DiskNumber.of(bench.directory.path) else {
      let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
      #expect(failure?.code == "workload.disk")
      return
    }
    #expect(try bench.host.start(spec, identity: "").waitForStart() != nil)
    let directory = "\(mount)/\(bench.host.cgroup(of: "a.run").path)"
    let text = Files.text(directory + "/blkio.throttle.write_bps_device") ?? Files.text(directory + "/io.max") ?? ""
    #expect(text.hasPrefix(number + " ") && text.contains("1048576"))
    spec.id = "b.run"
    spec.resources.diskLimits[0].device = "/dev/there-is-no-such-disk"
    #expect((#expect(throws: Failure.self) { try bench.host.start(spec, identity: "") })?.code == "workload.disk")
  }

  @Test func whatTheKernelEndsForWantOfMemoryIsHeardOf() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.memory) else {
      print("SKIPPED \(#function): no memory controller on this host")
      return
    }
    var spec = bench.container("a.run", ["sh", "-c", "(tail /dev/zero); sleep 100"])
    spec.resources = Resources(memoryBytes: 32 << 20)
    let link = try bench.host.start(spec, identity: "")
    #expect(link.waitForStart() != nil)
    let hasPressure = bench.host.cgroup(of: "a.run").unifiedDirectory.map { Files.exists($0 + "/memory.pressure") }
    #expect(bench.host.pressure.count(of: "a.run") == 1)
    #expect(bench.host.pressure.count(of: "") == (hasPressure == true ? 2 : 0))
    var heard: [WorkloadTrouble] = []
    bench.wait {
      heard += bench.host.pressure.read().filter { $0.id == "a.run" }.map(\.trouble)
      heard += bench.host.pressure.listenAgain().map(\.trouble)
      return heard.contains { if case .killedForMemory = $0 { true } else { false } }
    }
    #expect(heard.contains { if case .killedForMemory(let count) = $0 { count > 0 } else { false } })
    bench.host.letGo("a.run")
    #expect(bench.host.pressure.count(of: "a.run") == 0)
    #expect(bench.host.pressure.read().isEmpty)
  }

  @Test func thatItWaitsForItsDiskIsHeardOf() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.io), DiskNumber.of(bench.directory.path) != nil,
      bench.host.cgroup(of: "").unifiedDirectory != nil, Files.exists("/proc/pressure/io")
    else {
      print("\(#function): no disk that can be limited or no pressure measured on this host, nothing to test")
      return
    }
    let file = bench.directory.file("large")
    try #require(Files.write([UInt8](repeating: 7, count: 4 << 20), to: file) == 0)
    // Past the page cache, at a tenth of a megabyte in a second: it does nothing but wait.
    var spec = bench.container("a.run", ["dd", "if=/large", "of=/dev/null", "bs=64k", "iflag=direct"])
    spec.mounts.append(WorkloadMount(source: file, target: "/large", readOnly: true))
    var limit = DiskLimit()
    limit.readBytes = 100_000
    spec.resources.diskLimits = [limit]
    #expect(try bench.host.start(spec, identity: "").waitForStart() != nil)
    var heard: [WorkloadTrouble] = []
    bench.wait {
      heard += bench.host.pressure.read().filter { $0.id == "a.run" }.map(\.trouble)
      return !heard.isEmpty
    }
    #expect(heard == [.waitsForDisk])
  }

  @Test func aLimitThatNobodyAskedForIsKeptToo() throws {
    guard let bench = Workbench(#function) else { return }
    guard bench.host.layout.has(.pids) else {
      print("SKIPPED \(#function): no pids controller on this host")
      return
    }
    var spec = bench.process("a.run", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo all")
    spec.pidsWanted = 5
    let (end, output) = try bench.run(spec)
    #expect(end != .exited(code: 0))
    #expect(!output.contains("all"))
  }

  @Test func withoutTheControllerItIsNoReasonNotToStart() throws {
    let unified = CgroupLayout.detect(root: "/sys/fs/cgroup").unified
    guard let unified else {
      print("\(#function): no cgroup v2 tree on this host, nothing to test")
      return
    }
    guard let bench = Workbench(#function, cgroupRoot: { _ in unified }) else { return }
    guard !bench.host.layout.has(.pids) else {
      print("\(#function): the pids controller cannot be done without here, nothing to test")
      return
    }
    var spec = bench.process("a.run", "true")
    spec.pidsWanted = 5
    #expect(try bench.run(spec).end == .exited(code: 0))
    spec.resources.pids = 5
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.limitUnavailable")
  }
}
