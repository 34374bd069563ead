import Glibc
import Testing
import WherryTestSupport

@testable import WherryIsolation

@Suite struct SeccompTests {
  @Test func whatGetsAtTheMachineIsNotInTheDefaultProfile() {
    let dangerous = [
      "acct", "add_key", "bpf", "chroot", "clock_settime", "clone3", "create_module", "delete_module", "finit_module",
      "fsmount", "fsopen", "get_mempolicy", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup",
      "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind", "mount",
      "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
      "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "set_mempolicy", "setns", "settimeofday",
      "swapoff", "swapon", "sysfs", "umount", "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vhangup", "vm86",
    ]
    let allowed = Set(SeccompProfile(capabilities: []).allowed)
    #expect(allowed.intersection(dangerous).isEmpty)
    // Allowed with conditions only, so not by name.
    #expect(allowed.intersection(["clone", "personality", "socket"]).isEmpty)
  }

  @Test func aCapabilityOpensItsCallsAndNoOthers() {
    let plain = Set(SeccompProfile(capabilities: ["CHOWN", "KILL"]).allowed)
    #expect(plain == Set(SeccompProfile.always))
    let time = Set(SeccompProfile(capabilities: ["SYS_TIME"]).allowed)
    #expect(time.subtracting(plain) == ["clock_settime", "settimeofday"])
    #expect(SeccompProfile(capabilities: ["CHOWN"]).key == "1-default")
    #expect(SeccompProfile(capabilities: ["SYS_TIME", "SYS_BOOT", "KILL"]).key == "1-sys_boot+sys_time")
  }

  @Test func everyAllowedCallIsOneThatLibseccompKnows() {
    #expect(SeccompProfile.always == SeccompProfile.always.sorted())
    #expect(Set(SeccompProfile.always).count == SeccompProfile.always.count)
    var unknown: Set<String> = []
    var elsewhere: Set<String> = []
    for name in SeccompProfile.always + SeccompProfile.callsByCapability.values.joined() + SeccompProfile.conditional {
      switch SeccompFilter.number(of: name) {
      case .native: break
      case .onOtherArchitectures: elsewhere.insert(name)
      case .unknown: unknown.insert(name)
      }
    }
    #expect(unknown.isEmpty, "misspelled, or newer than this machine's libseccomp: \(unknown.sorted())")
    #expect(elsewhere == Self.notNative, "not calls of this architecture: \(elsewhere.sorted())")
  }

  @Test func aMisspelledCallIsTold() {
    #expect(SeccompFilter.number(of: "opne") == .unknown)
    #expect(SeccompFilter.number(of: "_newselect") == .onOtherArchitectures)
    #expect(SeccompFilter.number(of: "openat2") == .native(437))
  }

  /// Allowed by the profile, and not there on this architecture: arm64 began without the calls that had a better
  /// successor.
  private static var notNative: Set<String> {
    #if arch(x86_64)
      return []
    #else
      return [
        "access", "alarm", "arch_prctl", "chmod", "chown", "creat", "dup2", "epoll_create", "epoll_wait", "eventfd",
        "fork", "futimesat", "get_thread_area", "getdents", "getpgrp", "inotify_init", "ioperm", "iopl", "lchown",
        "link", "lstat", "mkdir", "mknod", "open", "pause", "pipe", "poll", "readlink", "rename", "rmdir", "select",
        "set_thread_area", "signalfd", "stat", "symlink", "time", "unlink", "utime", "utimes", "vfork",
      ]
    #endif
  }

  @Test func aFilterIsCompiledOnceAndThenRead() throws {
    let directory = TemporaryDirectory()
    var filters = SeccompFilter(directory: directory.file("seccomp"))
    let profile = SeccompProfile(capabilities: ["SYS_CHROOT"])
    let first = filters.filter(for: profile)
    let compiled = try #require(first)
    #expect(compiled.count % 8 == 0 && compiled.count > 800)
    let path = directory.file("seccomp/\(profile.key).bpf")
    #expect(TestFile.read(path) == compiled)
    // Another agent process reads the file: it takes what is there.
    TestFile.write([UInt8](repeating: 7, count: 16), to: path)
    var others = SeccompFilter(directory: directory.file("seccomp"))
    let read = others.filter(for: profile)
    #expect(read == [UInt8](repeating: 7, count: 16))
    let again = filters.filter(for: profile)
    #expect(again == compiled)
    // A half-written one is made again.
    TestFile.write([1, 2, 3], to: path)
    var third = SeccompFilter(directory: directory.file("seccomp"))
    let made = third.filter(for: profile)
    #expect(made == compiled)
  }
}
