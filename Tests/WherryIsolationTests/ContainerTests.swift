import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

@Suite struct ContainerTests {
  @Test func aContainerRunsItsProgramAndTellsItsExitCode() throws {
    guard let bench = Workbench(#function) else { return }
    let (end, output) = try bench.run(bench.container("a.run", ["sh", "-c", "echo hello; echo bad >&2; exit 7"]))
    #expect(end == .exited(code: 7))
    #expect(Set(output) == ["hello", "bad"])
  }

  @Test func everyNamespaceIsItsOwn() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "echo $$; hostname; for n in pid mnt net ipc uts cgroup; do readlink /proc/self/ns/$n; done"
    let (end, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    #expect(end == .exited(code: 0))
    #expect(output.prefix(2) == ["1", "box"])
    #expect(output.count == 8)
    for line in output.dropFirst(2) {
      let name = String(line.prefix { $0 != ":" })
      #expect(line != link("/proc/self/ns/\(name)"), "\(name) is the host's")
    }
  }

  private func link(_ path: String) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test func theOnlyNetworkDeviceIsALoopbackThatIsUp() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "tail -n +3 /proc/net/dev | wc -l; ip addr show lo | grep -c 'inet 127.0.0.1'; cat /etc/hosts"
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    #expect(output.prefix(2) == ["1", "1"])
    #expect(output.contains("127.0.1.1 box"))
  }

  @Test func ofTheMachineItSeesNeitherCgroupsNorMountsNorProcesses() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "cat /proc/self/cgroup; cat /proc/mounts; ls -d /proc/[0-9]*"
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    let groups = output.filter { $0.contains("wherry") }
    #expect(groups.isEmpty, "its cgroup's place on the host is seen: \(groups)")
    #expect(output.filter { $0.hasPrefix("/proc/") }.count <= 3)
    let sources = Set(output.compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) })
    #expect(!sources.contains("/boot") && !sources.contains("/home"))
    #expect(output.contains { $0.hasPrefix("overlay / overlay ro,") })
  }

  @Test func rootInsideHasAFewCapabilitiesNoNewOnesAndAFilter() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    let mask = try #require(Capability.mask(Capability.containerDefault))
    let hex = String(mask, radix: 16)
    let text = String(repeating: "0", count: 16 - hex.count) + hex
    #expect(output.contains("CapEff:\t\(text)"))
    #expect(output.contains("CapPrm:\t\(text)"))
    #expect(output.contains("CapBnd:\t\(text)"))
    #expect(output.contains("CapInh:\t0000000000000000"))
    #expect(output.contains("CapAmb:\t0000000000000000"))
    #expect(output.contains("NoNewPrivs:\t1"))
    #expect(output.contains("Seccomp:\t2"))
  }

  @Test func anotherUserThanRootHasOnlyWhatItsRecipeAdds() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "id; grep -E '^Cap(Eff|Amb)' /proc/self/status"])
    spec.user = .named("app")
    spec.capabilities.insert("NET_RAW")
    let (_, output) = try bench.run(spec)
    #expect(output.first == "uid=1234(app) gid=1235(app) groups=44(video)")
    #expect(output.dropFirst() == ["CapEff:\t0000000000002000", "CapAmb:\t0000000000002000"])
  }

  @Test(arguments: [
    "unshare -m true", "unshare -U true", "mount -t tmpfs none /tmp", "mknod /dev/mine c 1 3", "touch /made",
    "echo 1 > /proc/sys/vm/swappiness", "echo h > /proc/sysrq-trigger", "touch /sys/made", "ip link set lo down",
  ])
  func isRefused(_ command: String) throws {
    guard let bench = Workbench(#function) else { return }
    let (end, _) = try bench.run(bench.container("a.run", ["sh", "-c", "(\(command)) 2>/dev/null && exit 3; exit 0"]))
    #expect(end == .exited(code: 0), "\(command) is possible")
  }

  @Test func maskedPathsShowNothing() throws {
    guard let bench = Workbench(#function) else { return }
    let script = """
      cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c
      ls /sys/firmware /proc/scsi 2>/dev/null | grep -v : | wc -w
      """
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    #expect(output == ["0", "0"])
  }

  @Test func aReadOnlyRootKeepsItsTemporaryDirectoriesWritable() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "touch /tmp/a /run/a /var/tmp/a /dev/shm/a && echo yes; touch /data/a || echo no"
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script]))
    #expect(output.contains("yes") && output.contains("no"))
  }

  @Test func aReadOnlyRootWritesNothingToTheDisk() throws {
    guard let bench = Workbench(#function) else { return }
    let spec = bench.container("a.run", ["sh", "-c", "touch /tmp/x; mkdir /x"])
    #expect(try bench.run(spec).end == .exited(code: 1))
    #expect(!TestFile.exists(bench.directory.file("snap")))
    #expect(!TestFile.exists(bench.directory.file("layer/etc/hosts")))
  }

  @Test func aWritableRootKeepsWhatWasWrittenInItsUpperDirectory() throws {
    guard let bench = Workbench(#function) else { return }
    let spec = bench.container("a.run", ["sh", "-c", "echo kept > /data/file"], readOnly: false)
    #expect(try bench.run(spec).end == .exited(code: 0))
    #expect(TestFile.read(bench.directory.file("snap/a.run/upper/data/file")) == Array("kept\n".utf8))
    #expect(!TestFile.exists(bench.directory.file("layer/data/file")))
  }

  @Test func nodesThatAnImageBringsAreDead() throws {
    guard let bench = Workbench(#function) else { return }
    mknod(bench.directory.file("layer/null"), S_IFCHR | 0o666, 0x103)
    let script = "echo x > /null && echo open; head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo fine"
    let (_, output) = try bench.run(bench.container("a.run", ["sh", "-c", script], readOnly: false))
    // What the shell complains of comes through another pipe than what it prints, at any time.
    #expect(output.contains("3") && output.contains("fine") && !output.contains("open"), "\(output)")
  }

  @Test func volumesAreMountedReadOnlyOrNotAndTheirTargetsAreMade() throws {
    guard let bench = Workbench(#function) else { return }
    Files.makeDirectories(bench.directory.file("volume"))
    var spec = bench.container("a.run", ["sh", "-c", "echo a > /x/y/file; cat /ro/file; echo b > /ro/file"])
    spec.mounts = [
      WorkloadMount(source: bench.directory.file("volume"), target: "/x/y"),
      WorkloadMount(source: bench.directory.file("volume"), target: "/ro", readOnly: true),
    ]
    let (end, output) = try bench.run(spec)
    #expect(output.contains("a"))
    #expect(end == .exited(code: 1))
    #expect(TestFile.read(bench.directory.file("volume/file")) == Array("a\n".utf8))
  }

  @Test func aVolumeBelowTheDeviceDirectoryIsSeen() throws {
    guard let bench = Workbench(#function) else { return }
    Files.makeDirectories(bench.directory.file("volume"))
    TestFile.write(Array("feed\n".utf8), to: bench.directory.file("volume/file"))
    var spec = bench.container("a.run", ["cat", "/dev/shm/feed/file"])
    spec.mounts = [WorkloadMount(source: bench.directory.file("volume"), target: "/dev/shm/feed", readOnly: true)]
    #expect(try bench.run(spec).output == ["feed"])
  }

  @Test func aMountTargetThatIsALinkInTheImageStaysInsideTheImage() throws {
    guard let bench = Workbench(#function) else { return }
    let outside = bench.directory.file("outside")
    Files.makeDirectories(outside)
    Files.makeDirectories(bench.directory.file("volume"))
    symlink("/../../../../../../.." + outside, bench.directory.file("layer/escape"))
    Files.makeDirectories(bench.directory.file("layer" + outside))
    var spec = bench.container("a.run", ["sh", "-c", "touch /escape/file"], readOnly: false)
    spec.mounts = [WorkloadMount(source: bench.directory.file("volume"), target: "/escape")]
    #expect(try bench.run(spec).end == .exited(code: 0))
    #expect(TestFile.exists(bench.directory.file("volume/file")))
    #expect(Files.names(in: outside).isEmpty)
  }

  @Test(arguments: ["proc", "sys", "dev"])
  func anImageWhoseKernelDirectoryIsALinkIsRefused(_ name: String) throws {
    guard let bench = Workbench(#function) else { return }
    rmdir(bench.directory.file("layer/" + name))
    symlink("/data", bench.directory.file("layer/" + name))
    guard case .failedToStart(let step, let number, _) = try bench.run(bench.container("a.run", ["true"])).end else {
      Issue.record("it started")
      return
    }
    #expect(step == "mount /\(name)")
    #expect(number == ELOOP)
  }

  @Test func aMissingProgramIsSaidInOneSentence() throws {
    guard let bench = Workbench(#function) else { return }
    let (end, _) = try bench.run(bench.container("a.run", ["serve"]))
    #expect(
      end
        == .failedToStart(
          step: "execute serve", errno: ENOENT,
          sentence: """
            could not execute serve: No such file or directory (neither the program nor, for a script, its interpreter \
            may be missing)
            """))
  }

  @Test func nothingOfTheAgentIsInheritedButTheThreeStreams() throws {
    guard let bench = Workbench(#function) else { return }
    let (_, output) = try bench.run(bench.container("a.run", ["ls", "/proc/self/fd"]))
    // The fourth is the directory that ls reads.
    #expect(output == ["0", "1", "2", "3"])
    let (_, variables) = try bench.run(bench.container("b.run", ["env"]))
    #expect(variables == ["PATH=/bin"])
  }

  @Test func aDeviceAppearsUnderTheNameAskedFor() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "head -c 4 /dev/mine/zero | wc -c; ls /dev"])
    spec.devices = ["/dev/zero:/dev/mine/zero"]
    let (_, output) = try bench.run(spec)
    #expect(output.first == "4")
    let standard = [
      "fd", "full", "mine", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
      "urandom", "zero",
    ]
    #expect(Array(output.dropFirst()) == standard)
    spec.devices = ["/dev/there-is-none"]
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.device")
  }

  @Test func anUnknownUserIsRefusedAndLeavesNothing() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.user = .named("nobody-there")
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.user")
    #expect(bench.host.adopt().isEmpty)
    #expect(bench.cgroups.isEmpty)
  }

  @Test func standardOutputCanBeOpenedByNameAsAnotherUser() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "echo by name > /dev/stdout"])
    spec.user = .ids(user: 1000, group: 1000, groups: [])
    #expect(try bench.run(spec).output == ["by name"])
  }

  @Test func aWorkingDirectoryIsMadeWhenNoLayerHasIt() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["pwd"])
    spec.workingDirectory = "/srv/app"
    #expect(try bench.run(spec).output == ["/srv/app"])
  }

  @Test func noWorkingDirectoryLeadsOutOfTheRoot() throws {
    guard let bench = Workbench(#function) else { return }
    for descriptor in 3...80 {
      var spec = bench.container("a.run", ["ls"])
      spec.workingDirectory = "/proc/self/fd/\(descriptor)"
      guard case .failedToStart(let step, _, _) = try bench.run(spec).end else {
        Issue.record("descriptor \(descriptor) is a directory that it can be in")
        return
      }
      #expect(["change to the working directory", "make the working directory"].contains(step))
    }
  }

  @Test func theTopmostLayerWins() throws {
    guard let bench = Workbench(#function) else { return }
    Files.makeDirectories(bench.directory.file("top:layer,with\\signs/data"))
    TestFile.write(Array("top\n".utf8), to: bench.directory.file("top:layer,with\\signs/data/which"))
    TestFile.write(Array("bottom\n".utf8), to: bench.directory.file("layer/data/which"))
    var spec = bench.container("a.run", ["cat", "/data/which"])
    guard case .overlay(let lower, let upper, let work, let readOnly) = spec.root else { return }
    let layers = [bench.directory.file("top:layer,with\\signs")] + lower
    spec.root = .overlay(lower: layers, upper: upper, work: work, readOnly: readOnly)
    #expect(try bench.run(spec).output == ["top"])
  }
}
