#include "CIsolation.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int keep_in_bounding_set(uint64_t kept) {
  for (int capability = 0; capability < 64; capability++) {
    if (kept >> capability & 1) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    // The first that the kernel does not know ends the list.
    return errno == EINVAL ? 0 : errno;
  }
  return 0;
}

// So that the workload can open /dev/stdout and /dev/stderr by name, as images do for their log files. Only pipes: a
// probe's output is the machine's own /dev/null.
int wherry_own_streams(uint32_t user, uint32_t group) {
  for (int fd = 1; fd <= 2; fd++) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && fchown(fd, user, group) < 0) return errno;
  }
  return 0;
}

static int become(const struct wherry_op *op) {
  uid_t user = op->numbers[0];
  gid_t group = op->numbers[1];
  int error = wherry_own_streams(user, group);
  // In a user namespace the pipes, which are one maker's, may belong to nobody who is known there.
  if (error && error != EPERM && error != EINVAL) return error;
  if (syscall(SYS_setgroups, op->numbers[2], wherry_blob(op)) < 0) return errno;
  if (syscall(SYS_setresgid, group, group, group) < 0) return errno;
  // What stays is decided by the operation after this one.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return errno;
  return syscall(SYS_setresuid, user, user, user) < 0 ? errno : 0;
}

static int set_capabilities(uint64_t effective, uint64_t ambient) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  // What nobody may have cannot be asked for either: an agent in a container lacks some that "all" names.
  struct __user_cap_data_struct now[2], data[2];
  if (syscall(SYS_capget, &header, now) < 0) return errno;
  for (int half = 0; half < 2; half++) {
    data[half].permitted = (uint32_t)(effective >> 32 * half) & now[half].permitted;
    data[half].effective = data[half].permitted;
    data[half].inheritable = (uint32_t)(ambient >> 32 * half) & now[half].permitted;
  }
  if (syscall(SYS_capset, &header, data) < 0) return errno;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return errno;
  for (int capability = 0; capability < 64; capability++) {
    if (!(data[capability / 32].inheritable >> capability % 32 & 1)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return errno;
  }
  return 0;
}

// Each of the five sets as an OCI bundle says it; what the runtime itself lacks cannot be given and is left out
// (runtime-spec, config.md, "Linux Process").
static int set_capability_sets(const struct wherry_op *op) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct now[2], data[2];
  if (syscall(SYS_capget, &header, now) < 0) return errno;
  for (int half = 0; half < 2; half++) {
    data[half].permitted = (uint32_t)(op->numbers[0] >> 32 * half) & now[half].permitted;
    data[half].inheritable = (uint32_t)(op->numbers[1] >> 32 * half) & now[half].permitted;
    data[half].effective = (uint32_t)(op->numbers[3] >> 32 * half) & data[half].permitted;
  }
  if (syscall(SYS_capset, &header, data) < 0) return errno;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return errno;
  for (int capability = 0; capability < 64; capability++) {
    if (!((uint64_t)op->numbers[2] >> capability & 1)) continue;
    uint32_t bit = 1U << capability % 32;
    if (!(data[capability / 32].inheritable & data[capability / 32].permitted & bit)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return errno;
  }
  return 0;
}

static int load_filter(const struct wherry_op *op) {
  struct sock_fprog filter = {
    .len = op->blob_size / sizeof(struct sock_filter), .filter = (struct sock_filter *)wherry_blob(op)};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, op->numbers[0], &filter) < 0 ? errno : 0;
}

int wherry_privileges(const struct wherry_op *op) {
  switch (op->code) {
    case WHERRY_OP_BOUNDING_SET: return keep_in_bounding_set(op->numbers[0]);
    case WHERRY_OP_USER: return become(op);
    case WHERRY_OP_CAPABILITIES: return set_capabilities(op->numbers[0], op->numbers[1]);
    case WHERRY_OP_CAPABILITY_SETS: return set_capability_sets(op);
    case WHERRY_OP_NO_NEW_PRIVILEGES: return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0;
    case WHERRY_OP_SECCOMP: return load_filter(op);
    default: return ENOSYS;
  }
}
