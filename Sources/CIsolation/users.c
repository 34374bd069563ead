// What a container with a user namespace of its own needs. Everything of it is made by the host's root, as for any
// other container, and only then the namespace is entered: so root inside owns no namespace but that one, and has no
// right over mounts, network or names (user_namespaces(7), "Interaction of user namespaces and other types of
// namespaces"). Files keep their numbers on the disk, by mapped mounts (mount_setattr(2), "ID-mapped mounts").
#include "CIsolation.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int map(int tree, int namespace, int recursively) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = namespace};
  int flags = AT_EMPTY_PATH | (recursively ? AT_RECURSIVE : 0);
  return mount_setattr(tree, "", flags, &attributes, sizeof attributes) < 0 ? errno : 0;
}

static int open_mapped_tree(const struct wherry_op *op) {
  int is_flat = op->numbers[2] & 1, is_must = op->numbers[2] & 2;
  int tree = wherry_clone_tree(wherry_string(op, 1), op->numbers[3] != 0, AT_RECURSIVE);
  if (tree < 0) return errno;
  int error = map(tree, WHERRY_FD_SLOTS + op->numbers[1], !is_flat);
  // Some file systems cannot, and some mounts are mapped already: then it is given as it is.
  if (error && !is_must) error = 0;
  if (!error && dup3(tree, WHERRY_FD_SLOTS + op->numbers[0], O_CLOEXEC) < 0) error = errno;
  close(tree);
  return error;
}

// From here on new files belong to that user, and the rights of root stay: without the bit they would go with the
// number (capabilities(7), "Effect of user ID changes on capabilities"). Entering a user namespace takes it off again.
static int become_for_files(uid_t user, gid_t group) {
  if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0) return errno;
  setfsgid(group);
  setfsuid(user);
  // They say what was before, and never that they failed.
  return (uid_t)setfsuid(-1) == user && (gid_t)setfsgid(-1) == group ? 0 : EPERM;
}

int wherry_users(const struct wherry_op *op) {
  switch (op->code) {
    case WHERRY_OP_MAPPED_TREE: return open_mapped_tree(op);
    case WHERRY_OP_FILE_USER: return become_for_files(op->numbers[0], op->numbers[1]);
    case WHERRY_OP_OWN_STREAMS: return wherry_own_streams(op->numbers[0], op->numbers[1]);
    default: return ENOSYS;
  }
}

static int sleep_until_killed(void *unused) {
  while (!unused) syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
  return 0;
}

static int write_map(int pid, const char *file, uint32_t first, uint32_t count) {
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  int length = snprintf(text, sizeof text, "0 %u %u\n", first, count);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = write(fd, text, length) == length ? 0 : errno;
  close(fd);
  return error;
}

int wherry_user_namespace(uint32_t first, uint32_t count) {
  // A process is what a user namespace begins with. It shares this one's memory, so nothing is copied, and touches none
  // of it but its own stack.
  char stack[4096] __attribute__((aligned(16)));
  int pid = clone(sleep_until_killed, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER, NULL);
  if (pid < 0) return -1;
  int error = write_map(pid, "uid_map", first, count);
  if (!error) error = write_map(pid, "gid_map", first, count);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int fd = error ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (!error && fd < 0) error = errno;
  kill(pid, SIGKILL);
  // Its end sends no signal, which is what __WCLONE waits for (wait(2)).
  while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR) {}
  errno = error;
  return fd;
}

int wherry_supports_mapping(const char *path, int namespace) {
  int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  int error = map(tree, namespace, 0);
  close(tree);
  return error;
}
