import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// Root inside is nobody outside, and on the disk everything has the numbers that it has inside.
@Suite struct UserNamespaceTests {
  private func hostUser(of pid: Int32) -> UInt32? {
    let lines = (Files.text("/proc/\(pid)/status") ?? "").split(separator: "\n")
    return lines.first { $0.hasPrefix("Uid:") }.flatMap { $0.split(separator: "\t").dropFirst().first }
      .flatMap { UInt32($0) }
  }

  private func owner(_ path: String) -> [UInt32] {
    var status = stat()
    guard lstat(path, &status) == 0 else { return [] }
    return [status.st_uid, status.st_gid]
  }

  @Test func rootInsideIsNobodyOutsideAndNobodyElsesRoot() throws {
    guard let bench = Workbench(#function) else { return }
    var users: Set<UInt32> = []
    for id in ["a.run", "b.run"] {
      let link = try bench.host.start(bench.container(id, ["sh", "-c", "id -u; sleep 1000"]), identity: "")
      let pid = try #require(link.waitForStart())
      bench.waitForOutput(id, "0")
      users.insert(try #require(hostUser(of: pid)))
    }
    #expect(users.count == 2 && users.allSatisfy { $0 >= UserNamespaces.first })
  }

  @Test func filesHaveTheSameNumbersOnTheDiskAsInside() throws {
    guard let bench = Workbench(#function) else { return }
    Files.makeDirectories(bench.directory.file("volume"))
    let script = "touch /made /data/made; chown 1234:1235 /made /data/made; touch /data/roots; ls -ln /made /data/made"
    var spec = bench.container("a.run", ["sh", "-c", script], readOnly: false)
    spec.mounts = [WorkloadMount(source: bench.directory.file("volume"), target: "/data")]
    let (end, output) = try bench.run(spec)
    #expect(end == .exited(code: 0), "\(output)")
    #expect(output.count == 2 && output.allSatisfy { $0.contains("1234     1235") }, "\(output)")
    #expect(owner(bench.directory.file("volume/made")) == [1234, 1235])
    #expect(owner(bench.directory.file("volume/roots")) == [0, 0])
    #expect(owner(bench.directory.file("snap/a.run/upper/made")) == [1234, 1235])
  }

  /// What a program sees does not depend on it.
  @Test(arguments: [true, false]) func insideItLooksLikeAnyOtherContainer(readOnly: Bool) throws {
    guard let bench = Workbench(#function) else { return }
    let script = """
      id; ls -ln / | grep -v -e total -e proc -e sys; ls -lnd /tmp /run /dev /dev/shm /etc/hosts /etc/resolv.conf
      echo said > /dev/stdout; echo tty > /dev/pts/ptmx && echo terminal; pwd; touch /tmp/file && ls -n /tmp/file
      for p in 1 2; do cat /proc/$p/cmdline > /dev/null && echo $p; done
      """
    var outputs: [[String]] = []
    for users in [UserNamespaceMode.own, .host] {
      // Whose /proc and /sys are is the one thing that differs.
      var spec = bench.container("\(users).run", ["sh", "-c", script], readOnly: readOnly)
      spec.users = users
      outputs.append(try bench.run(spec).output.map { $0.replacingTimes() })
    }
    #expect(outputs[0].count > 15)
    #expect(outputs[0] == outputs[1])
  }

  /// Root inside owns its user namespace and none of the others.
  @Test func capabilitiesMeanNothingOverWhatTheHostOwns() throws {
    guard let bench = Workbench(#function) else { return }
    let script = """
      ip link set lo down && echo network; hostname other && echo name; mount -t tmpfs none /tmp && echo mount
      echo 1 > /proc/sys/net/ipv4/ip_forward && echo setting; mknod /tmp/disk b 8 0 && echo node
      busybox nice -n -5 true && echo priority; busybox chroot / /bin/true && echo chroot
      """
    var spec = bench.container("a.run", ["sh", "-c", script])
    spec.capabilities = Set(Capability.numbers.keys)
    #expect(try bench.run(spec).output.filter { !$0.contains(":") } == ["chroot"])
  }

  @Test func anotherUserHasItsOwnNumber() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["sh", "-c", "id -u; id -G; sleep 1000"])
    spec.user = .named("app")
    let link = try bench.host.start(spec, identity: "")
    let pid = try #require(link.waitForStart())
    bench.waitForOutput("a.run", "1235 44")
    let first = try #require(bench.host.directory(of: "a.run").usersFirst)
    #expect(hostUser(of: pid) == first + 1234)
  }

  @Test func aCheckRunsAsTheContainersOwnUserToo() throws {
    guard let bench = Workbench(#function) else { return }
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", "sleep 1000"]), identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForPid("a.run")
    let same = "[ $(readlink /proc/self/ns/user) = $(readlink /proc/1/ns/user) ] && [ $(id -u) = 0 ]"
    let probe = try bench.host.execute(in: "a.run", arguments: ["sh", "-c", same])
    #expect(probe.waitForEnd() == .exited(code: 0))
  }

  @Test func aDeviceCanBeUsedByRootAndTheHostsGroupOfIt() throws {
    guard let bench = Workbench(#function) else { return }
    let device = bench.directory.file("device")
    #expect(mknod(device, S_IFCHR | 0o660, 1 << 8 | 5) == 0 && chown(device, 0, 44) == 0)
    for (id, user) in [("a.run", "0:0"), ("b.run", "app")] {
      let script = "head -c 3 /dev/mine | wc -c"
      var spec = bench.container(id, ["sh", "-c", script])
      spec.user = .named(user)
      spec.devices = ["\(device):/dev/mine"]
      #expect(try bench.run(spec).output == ["3"], "as \(user)")
    }
  }

  @Test func aFileSystemThatCannotMapUsersIsSaidOrRefused() throws {
    guard let bench = Workbench(#function) else { return }
    // An overlay cannot; it is what an agent in a container keeps its files on.
    let place = bench.directory.file("place")
    for name in ["lower", "upper", "work", "merged"] { Files.makeDirectories("\(place)/\(name)") }
    let options = "lowerdir=\(bench.directory.path),upperdir=\(place)/upper,workdir=\(place)/work"
    try #require(mount("overlay", "\(place)/merged", "overlay", 0, options) == 0)
    defer { umount2("\(place)/merged", Int32(MNT_DETACH)) }
    var spec = bench.container("a.run", ["sh", "-c", "id -u; sleep 1000"])
    spec.root = .overlay(lower: ["\(place)/merged/layer"], upper: "/u", work: "/w", readOnly: true)
    let link = try bench.host.start(spec, identity: "")
    let pid = try #require(link.waitForStart())
    #expect(hostUser(of: pid) == 0)
    #expect(bench.host.userNamespaceObstacle?.contains("\(place)/merged") == true)
    link.kill()
    #expect(link.waitForEnd() != nil)
    bench.host.release("a.run")
    var configuration = bench.configuration
    configuration.userNamespaces = .require
    let strict = try WorkloadHost(configuration)
    let failure = #expect(throws: Failure.self) { try strict.start(spec, identity: "") }
    #expect(failure?.code == "workload.userNamespace")
  }

  /// The directory that holds the layers is mounted over itself, and the agent's state may be a file system below it.
  @Test func theStateMayBeMountedBelowTheLayers() throws {
    guard let bench = Workbench(#function) else { return }
    let run = bench.directory.file("mounted")
    Files.makeDirectories(run)
    try #require(mount("none", run, "tmpfs", 0, "mode=0755") == 0)
    defer { umount2(run, Int32(MNT_DETACH)) }
    var configuration = bench.configuration
    configuration.stateDirectory = run
    let host = try WorkloadHost(configuration)
    let link = try host.start(bench.container("a.run", ["id", "-u"]), identity: "")
    #expect(link.waitForEnd() == .exited(code: 0))
    host.tearDown()
    #expect(bench.output("a.run") == ["0"])
  }

  @Test func aUserBeyondTheContainersOwnIsRefused() throws {
    guard let bench = Workbench(#function) else { return }
    var spec = bench.container("a.run", ["true"])
    spec.user = .named("70000:70000")
    let failure = #expect(throws: Failure.self) { try bench.host.start(spec, identity: "") }
    #expect(failure?.code == "workload.user" && failure?.message.contains("65535") == true)
    spec.users = .host
    #expect(try bench.run(spec).end == .exited(code: 0))
  }

  @Test func noTwoHaveTheSameUsersAndWhatRunsIsRemembered() throws {
    guard let bench = Workbench(#function) else { return }
    let namespaces = UserNamespaces()
    let first = try namespaces.take("a.run", agentID: "x").first
    #expect(try namespaces.take("a.run", agentID: "x").first == first)
    // An agent that came after finds it taken.
    let later = UserNamespaces()
    later.adopt("b.run", first: first)
    #expect(try later.take("a.run", agentID: "x").first == first + ContainerUsers.count)
    later.release("b.run")
    #expect(try later.take("a.run", agentID: "x").first == first)
    // And it is written down with the workload.
    let link = try bench.host.start(bench.container("c.run", ["sh", "-c", "sleep 1000"]), identity: "")
    let pid = try #require(link.waitForStart())
    #expect(bench.host.directory(of: "c.run").usersFirst == hostUser(of: pid))
  }
}

extension String {
  /// A listing's date and time change from one run to the next.
  fileprivate func replacingTimes() -> String {
    split(separator: " ").filter { !$0.contains(":") || $0.hasPrefix("/") }.joined(separator: " ")
  }
}
