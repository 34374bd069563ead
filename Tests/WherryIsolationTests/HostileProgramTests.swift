import CIsolation
import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

/// A program that asks the kernel itself, without a shell's manners, for what leads out of a container. Made here by
/// the C compiler that the build needs anyway.
@Suite struct HostileProgramTests {
  private static let source = #"""
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <sched.h>
    #include <signal.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/mount.h>
    #include <sys/prctl.h>
    #include <sys/ptrace.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static void attempt(const char *name, long result) { if (result >= 0) printf("possible: %s\n", name); }
    int main(void) {
      char buffer[4096] = {0};
      attempt("io_uring_setup", syscall(SYS_io_uring_setup, 1, buffer));
      attempt("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
      attempt("add_key", syscall(SYS_add_key, "user", "a", "b", 1, -3));
      attempt("request_key", syscall(SYS_request_key, "user", "a", 0, -3));
      attempt("bpf", syscall(SYS_bpf, 0, buffer, 64));
      attempt("userfaultfd", syscall(SYS_userfaultfd, 0));
      attempt("perf_event_open", syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0));
      attempt("unshare of users", unshare(CLONE_NEWUSER));
      attempt("unshare of mounts", unshare(CLONE_NEWNS));
      attempt("clone3 into users", syscall(SYS_clone3, (struct { unsigned long long a[8]; }){{CLONE_NEWUSER}}.a, 64));
      int net = open("/proc/1/ns/net", O_RDONLY);
      attempt("setns", syscall(SYS_setns, net, 0));
      if (net >= 0) close(net);
      attempt("mount", mount("none", "/tmp", "tmpfs", 0, 0));
      attempt("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
      attempt("open_tree", syscall(SYS_open_tree, -100, "/", 1));
      attempt("move_mount", syscall(SYS_move_mount, -100, "/tmp", -100, "/run", 0));
      attempt("remount of the root", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
      attempt("umount of /proc/sys", umount2("/proc/sys", MNT_DETACH));
      attempt("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
      attempt("open_by_handle_at", syscall(SYS_open_by_handle_at, -100, buffer, 0));
      attempt("mknod of a disk", mknod("/tmp/disk", S_IFBLK | 0600, 8 << 8));
      attempt("the kernel's memory", open("/dev/mem", O_RDWR));
      attempt("module", syscall(SYS_init_module, buffer, 0, ""));
      attempt("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
      attempt("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
      attempt("sethostname", syscall(SYS_sethostname, "mine", 4));
      attempt("settimeofday", syscall(SYS_settimeofday, buffer, 0));
      attempt("swapon", syscall(SYS_swapon, "/tmp/x", 0));
      attempt("socket of the hypervisor", socket(40, SOCK_STREAM, 0));
      attempt("socket of the kernel's ciphers", socket(38, SOCK_SEQPACKET, 0));
      attempt("raw socket", socket(AF_INET, SOCK_RAW, 1));
      attempt("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
      attempt("signal to nobody of ours", kill(2, 0));
      attempt("trace of what started it", ptrace(PTRACE_SEIZE, getppid() ? getppid() : 2, 0, 0));
      attempt("new privileges", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
      attempt("a wider bounding set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
      attempt("core pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY));
      attempt("sysrq", open("/proc/sysrq-trigger", O_WRONLY));
      attempt("uevent helper", open("/sys/kernel/uevent_helper", O_WRONLY));
      attempt("release agent", open("/sys/fs/cgroup/release_agent", O_WRONLY));
      attempt("own cgroup", open("/sys/fs/cgroup/cgroup.procs", O_WRONLY));
      attempt("a set-uid program", chmod("/tmp/../bin/true", 04755));
      for (int fd = 3; fd < 1024; fd++) if (fcntl(fd, F_GETFD) >= 0) printf("possible: descriptor %d\n", fd);
      if (chdir("..") == 0 && getcwd(buffer, sizeof buffer) && strcmp(buffer, "/")) printf("possible: %s\n", buffer);
      puts("asked");
      return 0;
    }
    """#

  private static func program(in bench: Workbench) -> String? {
    guard let compiler = ChildProcess.find("gcc") ?? ChildProcess.find("cc") else {
      print("SKIPPED: there is no C compiler to make a hostile program with")
      return nil
    }
    let source = bench.directory.file("hostile.c")
    TestFile.write(Array(Self.source.utf8), to: source)
    let output = bench.directory.file("compiler.log")
    let target = bench.directory.file("layer/hostile")
    let made = ChildProcess(compiler, ["-static", "-w", "-o", target, source], outputPath: output)?.wait()
    #expect(made == 0, "\(Files.text(output) ?? "")")
    return made == 0 ? "/hostile" : nil
  }

  @Test(arguments: [UserNamespaceMode.own, .host]) func aContainerGetsNothingOfTheMachine(users: UserNamespaceMode)
    throws
  {
    guard let bench = Workbench(#function), let program = Self.program(in: bench) else { return }
    var spec = bench.container("a.run", [program])
    spec.users = users
    let output = try bench.run(spec).output
    #expect(output == ["asked"], "\(output)")
  }

  @Test func aProcessComponentGetsNoMore() throws {
    guard let bench = Workbench(#function), Self.program(in: bench) != nil else { return }
    let place = "/var/wherry-test-\(bench.configuration.agentID)"
    Files.makeDirectories(place)
    defer { Files.removeTree(place) }
    let bytes = try #require(TestFile.read(bench.directory.file("layer/hostile")))
    TestFile.write(bytes, to: place + "/hostile")
    chmod(place + "/hostile", 0o755)
    let (_, output) = try bench.run(bench.process("a.run", "cd /; exec \(place)/hostile"))
    #expect(output == ["asked"])
  }

  /// An image may bring links where the runtime puts files of its own.
  @Test(arguments: ["etc", "tmp", "run"]) func aDirectoryThatIsALinkLeadsNowhere(_ name: String) throws {
    guard let bench = Workbench(#function) else { return }
    let outside = bench.directory.file("outside")
    Files.makeDirectories(outside)
    Files.removeTree(bench.directory.file("layer/" + name))
    symlink("/../../../.." + outside, bench.directory.file("layer/" + name))
    let link = try bench.host.start(bench.container("a.run", ["true"], readOnly: false), identity: "")
    // It starts or is refused, but nothing of it is outside.
    #expect(link.waitForEnd() != nil)
    #expect(Files.names(in: outside).isEmpty)
  }

  /// The mounts say the same; without them only this is left.
  @Test func landlockKeepsAProcessFromWritingElsewhere() throws {
    guard let bench = Workbench(#function) else { return }
    guard wherry_landlock_version() >= 2 else {
      print("SKIPPED: this kernel has no Landlock, or its first version")
      return
    }
    let place = "/var/wherry-test-\(bench.configuration.agentID)"
    for name in ["mine", "other"] { Files.makeDirectories("\(place)/\(name)", mode: 0o777) }
    for name in ["mine", "other"] { chmod("\(place)/\(name)", 0o777) }
    defer { Files.removeTree(place) }
    // Writable by its mount, and not by the rule: a program with that rule alone.
    var program = LaunchProgram()
    let spec = bench.process("a.run", "true", writable: [place + "/mine"])
    let context = LaunchContext(user: ResolvedUser(user: 65534, group: 65534, groups: []), mountPoint: "/x")
    let found = LaunchProgram.build(spec, context).steps.compactMap { step in
      if case .landlock(let writable) = step.operation { writable } else { nil }
    }
    let writable = try #require(found.first)
    program.add("clone", .clone(namespaces: 0))
    program.add("write the log", .log(path: bench.directory.file("landlock.log"), bytesMaximum: 1 << 20))
    program.add("forbid writing elsewhere", .landlock(writable: writable))
    let script = """
      cd \(place); touch other/file && echo written; echo x > mine/file && mv mine/file mine/moved && echo mine
      echo x > /tmp/wherry-landlock && echo tmp && rm /tmp/wherry-landlock; echo x > /dev/null && echo null
      """
    program.addExecution(["/bin/sh", "-c", script], environment: ["PATH=/usr/bin:/bin"])
    let directory = bench.host.directory(of: "landlock.run")
    Files.makeDirectories(directory.path, mode: 0o700)
    let listener = wherry_listen(directory.path, "ctl.sock")
    defer { close(listener) }
    let link = try bench.host.spawn("landlock.run", program.bytes, directory: directory, listener: listener)
    #expect(link.waitForEnd() == .exited(code: 0))
    let output = LogFile.tail(path: bench.directory.file("landlock.log"), lines: 100).map { String($0.dropFirst(27)) }
    #expect(output.filter { !$0.contains(":") } == ["mine", "tmp", "null"], "\(output)")
  }
}
