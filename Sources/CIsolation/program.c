// The shim's program file as it is executed.
//
// Before it executes what the workload is, a shim's child is already inside the container, and an image can have the
// kernel execute the shim there once more: a script whose first line is `#!/proc/self/exe`. Root inside, who is root
// outside as well, then gets at the host's file through /proc/PID/exe. Writing to it is CVE-2019-5736; changing its
// mode takes even less. So shims are executed through a mount of their own that is read-only and attached nowhere:
// whoever holds the file through it can neither write to it nor change its mode, owner or times.
//
// The file is the one on the disk, so its pages are shared by all shims. A sealed copy in memory (memfd_create) would
// cost its size once more, and root inside could take away the right to execute it from all shims to come.
#include "CIsolation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int open_read_only(const char *path) {
  int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return -1;
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  int file = -1;
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) {
    // The same once more, not a clone: it does not end with the clone's descriptor. When that is closed the mount
    // belongs to no namespace any more, and nobody at all can change its attributes.
    file = open_tree(tree, "", AT_EMPTY_PATH | OPEN_TREE_CLOEXEC);
  }
  int error = errno;
  close(tree);
  errno = error;
  return file;
}

static int is_open_file(int fd, const char *path) {
  struct stat opened, there;
  return fstat(fd, &opened) == 0 && stat(path, &there) == 0 && opened.st_dev == there.st_dev &&
         opened.st_ino == there.st_ino;
}

// Taking the mount out of its namespace waits for a grace period of the kernel, so the first one is kept and used for
// as long as the path leads to the same file.
static atomic_int kept = -1;

int wherry_open_program(const char *path) {
  int first = atomic_load(&kept);
  if (first >= 0 && is_open_file(first, path)) return fcntl(first, F_DUPFD_CLOEXEC, 0);
  int file = open_read_only(path);
  if (file < 0 || first >= 0) return file;
  int copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
  int none = -1;
  // Another thread may have been faster.
  if (copy >= 0 && !atomic_compare_exchange_strong(&kept, &none, copy)) close(copy);
  return file;
}

int wherry_protect_program(char *const arguments[]) {
  struct statvfs status;
  if (statvfs("/proc/self/exe", &status) == 0 && status.f_flag & ST_RDONLY) {
    // It was executed by a descriptor, and the kernel made the descriptor's number its name.
    const char *name = strrchr(arguments[0], '/');
    prctl(PR_SET_NAME, name ? name + 1 : arguments[0]);
    return 0;
  }
  int file = open_read_only("/proc/self/exe");
  if (file < 0) return errno;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  execve(path, arguments, environ);
  return errno;
}
