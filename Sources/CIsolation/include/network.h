// What the agent's networking needs and Swift's Glibc module does not show (it is built without _GNU_SOURCE).
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Puts the calling thread into a new network namespace. 0 or an errno.
static inline int wherry_network_unshare(void) {
  return syscall(SYS_unshare, CLONE_NEWNET) < 0 ? errno : 0;
}

/// Puts the calling thread into that network namespace. 0 or an errno.
static inline int wherry_network_enter(int descriptor) {
  return syscall(SYS_setns, descriptor, CLONE_NEWNET) < 0 ? errno : 0;
}
