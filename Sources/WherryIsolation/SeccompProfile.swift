/// Which system calls a workload may make. What is not named fails with EPERM. The set is Docker's default for a modern
/// kernel, narrowed: only the native architecture (no i386, no x32), only the socket families that services use, and
/// nothing that the running kernel has but this profile does not know.
struct SeccompProfile: Hashable, Sendable {
  /// Counted up whenever the rules change, so that no filter compiled from older ones is used.
  static let revision = 1

  /// Capabilities of the workload that open more calls; the others make no difference here.
  let capabilities: Set<String>
  /// What a recipe adds, and what it takes away, of the calls that are allowed by name.
  let added: Set<String>
  let removed: Set<String>

  init(capabilities: Set<String>, allowed: [String] = [], denied: [String] = []) {
    self.capabilities = capabilities.intersection(Self.callsByCapability.keys)
    removed = Set(denied)
    added = Set(allowed).subtracting(denied)
  }

  var allowed: [String] {
    let calls = Self.always + capabilities.sorted().flatMap { Self.callsByCapability[$0] ?? [] } + added.sorted()
    return removed.isEmpty ? calls : calls.filter { !removed.contains($0) }
  }

  /// Unless a recipe takes them away.
  func isConditional(_ call: String) -> Bool { !removed.contains(call) && !added.contains(call) }

  /// `clone` without new namespaces, unless it may make them anyway.
  var mayMakeNamespaces: Bool { capabilities.contains("SYS_ADMIN") }

  /// The file name of its compiled filter.
  var key: String {
    let base = capabilities.isEmpty ? "default" : capabilities.sorted().joined(separator: "+").lowercased()
    guard !added.isEmpty || !removed.isEmpty else { return "\(Self.revision)-\(base)" }
    // A file's name has an end, which lists need not have.
    let text = added.sorted().joined(separator: "+") + "-" + removed.sorted().joined(separator: "+")
    return "\(Self.revision)-\(base)-\(String(StableHash.wide(text), radix: 16))"
  }

  /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
  static let namespaceFlags: UInt64 = 0x7E02_0000
  /// AF_UNIX, INET, INET6, NETLINK, PACKET, CAN, BLUETOOTH and XDP. Not VSOCK (it reaches the hypervisor past every
  /// network rule), not ALG, and none of the old protocols that nobody maintains.
  static let socketFamilies: [UInt64] = [1, 2, 10, 16, 17, 29, 31, 44]
  /// PER_LINUX, PER_LINUX32, UNAME26 with each, and the query.
  static let personalities: [UInt64] = [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF]
  /// Newer calls than this fail with ENOSYS, so that programs fall back to the older way; EPERM would end them.
  static let newestKnownNumber: UInt32 = 450

  /// Allowed with some arguments only.
  static let conditional = ["clone", "clone3", "personality", "socket"]

  static let callsByCapability: [String: [String]] = [
    "SYS_ADMIN": [
      "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr",
      "move_mount", "name_to_handle_at", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname",
      "sethostname", "setns", "syslog", "umount2", "unshare",
    ],
    "BPF": ["bpf"],
    "DAC_READ_SEARCH": ["open_by_handle_at", "name_to_handle_at"],
    "PERFMON": ["perf_event_open"],
    "SYS_BOOT": ["reboot"],
    "SYS_CHROOT": ["chroot"],
    "SYS_MODULE": ["delete_module", "finit_module", "init_module"],
    "SYS_NICE": ["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"],
    "SYS_PACCT": ["acct"],
    "SYS_PTRACE": ["kcmp", "pidfd_getfd", "process_madvise"],
    "SYS_RAWIO": ["ioperm", "iopl"],
    "SYS_TIME": ["clock_settime", "settimeofday"],
    "SYS_TTY_CONFIG": ["vhangup"],
    "SYSLOG": ["syslog"],
  ]

  static let always: [String] = """
    accept accept4 access adjtimex alarm arch_prctl bind brk capget capset chdir chmod chown clock_adjtime
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv
    futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups
    getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl
    ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr
    link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create
    memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall
    munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
    pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
    process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom
    recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
    rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
    select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
    setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
    signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill
    time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
    timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4
    waitid write writev
    """.split { $0 == " " || $0 == "\n" }.map(String.init)
}
