import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// What a hostile workload might try on its host and its neighbours.
@Suite struct ConfinementTests {
  /// Under the host's /tmp, which is not seen, and elsewhere.
  @Test(arguments: [true, false]) func belowAHiddenDirectoryOnlyWhatIsGivenIsSeen(_ isUnderTmp: Bool) throws {
    guard let bench = Workbench(#function) else { return }
    let place = isUnderTmp ? bench.directory.file("lib") : "/var/wherry-test-\(bench.configuration.agentID)"
    defer { Files.removeTree(place) }
    let paths = [
      "components/own/work", "components/base/work", "components/other/work", "artifacts/own", "artifacts/other",
    ]
    for path in paths {
      Files.makeDirectories("\(place)/\(path)")
      TestFile.write(Array("\(path)\n".utf8), to: "\(place)/\(path)/file")
    }
    chmod(place + "/components", 0o700)
    chown(place + "/components/own/work", 65534, 65534)
    let script = """
      cd \(place); cat components/*/work/file artifacts/*/file
      touch components/own/work/made && echo mine
      for path in components components/base/work components/other artifacts artifacts/own; do
        touch $path/made && echo $path is writable
      done
      """
    let own = place + "/components/own/work"
    var spec = bench.process("a.run", script, writable: [own], hidden: [place + "/components", place + "/artifacts"])
    spec.mounts = [place + "/components/base/work", place + "/artifacts/own"].map {
      WorkloadMount(source: $0, target: $0, readOnly: true)
    }
    let output = try bench.run(spec).output.filter { !$0.hasPrefix("touch:") }
    #expect(output == ["components/base/work", "components/own/work", "artifacts/own", "mine"])
    #expect(TestFile.exists(own + "/made"))
  }

  @Test func whatTheHostMountsLaterDoesNotBecomeWritable() throws {
    guard let bench = Workbench(#function) else { return }
    // Not under /tmp, which is its own.
    let place = "/var/wherry-test-\(bench.configuration.agentID)"
    for name in ["work", "later"] { Files.makeDirectories("\(place)/\(name)") }
    chmod(place + "/later", 0o777)
    defer {
      umount2(place + "/later", Int32(MNT_DETACH))
      umount2(place, Int32(MNT_DETACH))
      Files.removeTree(place)
    }
    // Shared with every mount namespace that comes from this one, as systemd makes the root.
    #expect(mount(place, place, nil, UInt(MS_BIND), nil) == 0)
    #expect(mount(nil, place, nil, UInt(MS_SHARED), nil) == 0)
    let script = """
      echo ready; while [ ! -e \(place)/work/go ]; do sleep 0.02; done
      touch \(place)/later/file && echo wrote; echo done
      """
    let link = try bench.host.start(bench.process("a.run", script), identity: "")
    bench.waitForOutput("a.run", "ready")
    #expect(mount("none", place + "/later", "tmpfs", 0, nil) == 0)
    TestFile.write([], to: place + "/work/go")
    #expect(link.waitForEnd() == .exited(code: 0))
    #expect(bench.output("a.run").contains("done"))
    #expect(!bench.output("a.run").contains("wrote"))
  }

  /// A script whose interpreter is `/proc/self/exe` has the kernel execute the shim a second time, inside.
  @Test func noImageGetsAtTheShimsFile() throws {
    guard let bench = Workbench(#function), let bytes = Workbench.shim.flatMap(TestFile.read) else { return }
    let shim = bench.directory.file("shim")
    TestFile.write(bytes, to: shim)
    chmod(shim, 0o755)
    var configuration = bench.configuration
    configuration.shimPath = shim
    let host = try WorkloadHost(configuration)
    TestFile.write(Array("#!/proc/self/exe\n".utf8), to: bench.directory.file("layer/check"))
    chmod(bench.directory.file("layer/check"), 0o755)
    // Inside, the shim fails at once and writes that down in a file `new`. A pipe of that name which nobody reads holds
    // it there, so that it is sure to be found.
    let script = """
      mknod new p; echo ready
      while :; do for process in /proc/[0-9]*; do case "$(readlink $process/exe)" in ""|*/busybox) ;; *)
        busybox chmod 4777 $process/exe && echo changed; (echo x > $process/exe) && echo written; echo caught; exit 0;;
      esac; done; done
      """
    var spec = bench.container("a.run", ["sh", "-c", script])
    spec.workingDirectory = "/tmp"
    let link = try host.start(spec, identity: "")
    bench.waitForOutput("a.run", "ready")
    bench.waitForPid("a.run")
    let probe = try host.execute(in: "a.run", arguments: ["/check"])
    #expect(link.waitForEnd() == .exited(code: 0))
    probe.close()
    let output = bench.output("a.run")
    #expect(output.contains("caught"), "\(output)")
    #expect(!output.contains("changed") && !output.contains("written"))
    var status = stat()
    #expect(stat(shim, &status) == 0 && status.st_mode & 0o7777 == 0o755)
    #expect(TestFile.read(shim) == bytes)
  }

  /// Root inside is its owner, and could change its mode for the whole machine.
  @Test func theNullDeviceThatIsHeldOpenIsNotTheHosts() throws {
    guard let bench = Workbench(#function) else { return }
    let script = "busybox stat -L -c '%d %i' /proc/self/fd/0 /dev/null; echo ready; sleep 1000"
    let link = try bench.host.start(bench.container("a.run", ["sh", "-c", script]), identity: "")
    #expect(link.waitForStart() != nil)
    bench.waitForOutput("a.run", "ready")
    bench.waitForPid("a.run")
    var status = stat()
    #expect(stat("/dev/null", &status) == 0)
    let lines = bench.output("a.run")
    #expect(lines.count == 3 && lines.first == lines.dropFirst().first)
    #expect(lines.first != "\(status.st_dev) \(status.st_ino)")
    let same = """
      [ "$(busybox stat -L -c %d:%i /proc/self/fd/0)" = "$(busybox stat -L -c %d:%i /dev/null)" ]
      """
    let probe = try bench.host.execute(in: "a.run", arguments: ["sh", "-c", same])
    #expect(probe.waitForEnd() == .exited(code: 0))
  }

  @Test func neitherSetUserIDNorDeviceNodesWorkInAVolume() throws {
    guard let bench = Workbench(#function) else { return }
    Files.makeDirectories(bench.directory.file("volume"))
    var spec = bench.container("a.run", ["grep", " /data ", "/proc/mounts"])
    spec.mounts = [WorkloadMount(source: bench.directory.file("volume"), target: "/data")]
    let fields = try bench.run(spec).output.first?.split(separator: " ") ?? []
    let options = Set(fields.dropFirst(3).first?.split(separator: ",") ?? [])
    #expect(options.isSuperset(of: ["rw", "nosuid", "nodev"]), "\(options)")
  }
}
