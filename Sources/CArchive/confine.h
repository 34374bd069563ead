#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// How the process that reads hostile archives gives up everything but its target directory.

/// sched.h hides these behind _GNU_SOURCE, which a module map cannot set.
extern int unshare(int flags);
enum {
  CCONFINE_NEWNS = 0x00020000,
  CCONFINE_NEWUTS = 0x04000000,
  CCONFINE_NEWIPC = 0x08000000,
  CCONFINE_NEWNET = 0x40000000,
};

static inline int cconfine_pivot_root(const char *newRoot, const char *putOld) {
  return (int)syscall(SYS_pivot_root, newRoot, putOld);
}

static inline int cconfine_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static inline int cconfine_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

/// Keeps the capabilities in `mask` (bit = number, all below 32) and drops all others, from the bounding set too.
static inline int cconfine_keep_capabilities(unsigned mask) {
  for (int number = 0; number < 64; number++) {
    if (number < 32 && (mask >> number & 1)) continue;
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0 && errno != EINVAL) return -1;
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{mask, mask, 0}, {0, 0, 0}};
  return (int)syscall(SYS_capset, &header, data);
}

#if defined(__x86_64__)
#define CCONFINE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CCONFINE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef CCONFINE_ARCHITECTURE
#define CCONFINE_ALLOW_VALUE(value) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define CCONFINE_ALLOW(name) CCONFINE_ALLOW_VALUE(SYS_##name)
#define CCONFINE_REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
/// What follows, of `count` instructions and ending in a refusal, is for this call only and judges the argument, an
/// int. Its lower half is first in memory: both architectures are little-endian here, which the filter checks.
#define CCONFINE_JUDGE(name, argument, count) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, (count) + 1), \
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[argument]))

/// Allows making and writing files, memory and ending; anything else fails with EPERM. CAP_SYS_ADMIN, which setting
/// overlayfs attributes needs, is then good for nothing else: no mount, namespace, bpf or keyctl call is left.
/// The process is still root's, so it could send a signal to any process of root's: it may only do so to itself (abort
/// does), and fcntl, which can have the kernel send one to another, is left with its harmless commands.
static inline int cconfine_filter_system_calls(void) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CCONFINE_ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      CCONFINE_ALLOW(read), CCONFINE_ALLOW(write), CCONFINE_ALLOW(writev), CCONFINE_ALLOW(pread64),
      CCONFINE_ALLOW(pwrite64), CCONFINE_ALLOW(lseek), CCONFINE_ALLOW(close), CCONFINE_ALLOW(openat),
      CCONFINE_ALLOW(openat2), CCONFINE_ALLOW(fstat), CCONFINE_ALLOW(newfstatat), CCONFINE_ALLOW(statx),
      CCONFINE_ALLOW(fstatfs), CCONFINE_ALLOW(getdents64), CCONFINE_ALLOW(mkdirat), CCONFINE_ALLOW(mknodat),
      CCONFINE_ALLOW(symlinkat), CCONFINE_ALLOW(linkat), CCONFINE_ALLOW(unlinkat), CCONFINE_ALLOW(renameat),
      CCONFINE_ALLOW(renameat2), CCONFINE_ALLOW(fchown), CCONFINE_ALLOW(fchownat), CCONFINE_ALLOW(fchmod),
      CCONFINE_ALLOW(fchmodat), CCONFINE_ALLOW(fsetxattr), CCONFINE_ALLOW(fremovexattr), CCONFINE_ALLOW(utimensat),
      CCONFINE_ALLOW(ftruncate), CCONFINE_ALLOW(fallocate), CCONFINE_ALLOW(fadvise64),
      CCONFINE_ALLOW(dup), CCONFINE_ALLOW(syncfs), CCONFINE_ALLOW(fsync), CCONFINE_ALLOW(mmap),
      CCONFINE_ALLOW(munmap), CCONFINE_ALLOW(mremap), CCONFINE_ALLOW(mprotect), CCONFINE_ALLOW(madvise),
      CCONFINE_ALLOW(brk), CCONFINE_ALLOW(futex), CCONFINE_ALLOW(getrandom), CCONFINE_ALLOW(getpid),
      CCONFINE_ALLOW(geteuid), CCONFINE_ALLOW(getuid), CCONFINE_ALLOW(gettid), CCONFINE_ALLOW(umask),
      CCONFINE_ALLOW(clock_gettime),
      CCONFINE_ALLOW(rt_sigaction), CCONFINE_ALLOW(rt_sigprocmask), CCONFINE_ALLOW(rt_sigreturn),
      CCONFINE_ALLOW(sigaltstack), CCONFINE_ALLOW(exit), CCONFINE_ALLOW(exit_group),
      CCONFINE_JUDGE(tgkill, 0, 3), CCONFINE_ALLOW_VALUE((unsigned)getpid()), CCONFINE_REFUSE,
      CCONFINE_JUDGE(fcntl, 1, 11), CCONFINE_ALLOW_VALUE(F_GETFD), CCONFINE_ALLOW_VALUE(F_SETFD),
      CCONFINE_ALLOW_VALUE(F_GETFL), CCONFINE_ALLOW_VALUE(F_DUPFD), CCONFINE_ALLOW_VALUE(F_DUPFD_CLOEXEC),
      CCONFINE_REFUSE,
      CCONFINE_REFUSE,
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}
#else
/// Only the architectures above are known here; elsewhere namespaces and capabilities are the fence.
static inline int cconfine_filter_system_calls(void) { return 0; }
#endif
