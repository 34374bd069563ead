#include "inside.h"
#include "CIsolation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

static int failed(int fd, int error) {
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

int wherry_open_inside(int directory, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static int step_into(int directory, const char *name, size_t length, mode_t mode) {
  char part[WHERRY_NAME_BYTES];
  if (length >= sizeof part) return failed(-1, ENAMETOOLONG);
  memcpy(part, name, length);
  part[length] = 0;
  int fd = wherry_open_inside(directory, part, O_PATH | O_DIRECTORY);
  if (fd >= 0 || errno != ENOENT) return fd;
  // A link that leads nowhere is there, and stays one that leads nowhere.
  if (mkdirat(directory, part, mode) < 0 && errno != EEXIST) return -1;
  return wherry_open_inside(directory, part, O_PATH | O_DIRECTORY);
}

int wherry_open_directory(const char *path, mode_t mode) {
  int fd = wherry_open_inside(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  if (fd >= 0 || errno != ENOENT) return fd;
  fd = wherry_open_inside(AT_FDCWD, *path == '/' ? "/" : ".", O_PATH | O_DIRECTORY);
  for (;;) {
    path += strspn(path, "/");
    if (fd < 0 || !*path) return fd;
    size_t length = strcspn(path, "/");
    int next = step_into(fd, path, length, mode), error = errno;
    close(fd);
    errno = error;
    fd = next;
    path += length;
  }
}

int wherry_open_parent(const char *path, char name[WHERRY_NAME_BYTES]) {
  char parent[WHERRY_PATH_BYTES];
  size_t end = strlen(path);
  while (end > 0 && path[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start--;
  if (end - start >= WHERRY_NAME_BYTES || start >= sizeof parent) return failed(-1, ENAMETOOLONG);
  memcpy(name, path + start, end - start);
  name[end - start] = 0;
  if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) return failed(-1, EINVAL);
  memcpy(parent, path, start);
  parent[start] = 0;
  return wherry_open_directory(*parent ? parent : ".", 0755);
}

int wherry_open_target(const char *path, int is_directory) {
  int target = wherry_open_inside(AT_FDCWD, path, O_PATH);
  if (target >= 0 || errno != ENOENT) return target;
  if (is_directory) return wherry_open_directory(path, 0755);
  char name[WHERRY_NAME_BYTES];
  int parent = wherry_open_parent(path, name);
  if (parent < 0) return -1;
  int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return failed(parent, errno);
  close(file);
  target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int error = errno;
  close(parent);
  errno = error;
  return target;
}

// A container may have a file of its own in the place of one of procfs, or another of procfs: what is written would go
// nowhere, or where it does harm (CVE-2019-16884, CVE-2023-28642, CVE-2025-52881).
int wherry_open_proc(const char *path) {
  static const char place[] = "/proc/";
  if (strncmp(path, place, sizeof place - 1)) return failed(-1, EINVAL);
  int root = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0) return -1;
  struct statfs system;
  struct stat status;
  enum { PROC_ROOT_INODE = 1 };
  if (fstatfs(root, &system) < 0 || fstat(root, &status) < 0) return failed(root, errno);
  if (system.f_type != PROC_SUPER_MAGIC || status.st_ino != PROC_ROOT_INODE) return failed(root, ENODEV);
  struct open_how how = {
    .flags = O_WRONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
  int fd = syscall(SYS_openat2, root, path + sizeof place - 1, &how, sizeof how), error = errno;
  close(root);
  errno = error;
  return fd;
}

int wherry_unmount_within(const char *root, const char *path) {
  int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno;
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  int target = syscall(SYS_openat2, directory, path, &how, sizeof how);
  int error = target < 0 ? errno : 0;
  struct stat above, below;
  if (!error && (fstat(directory, &above) < 0 || fstat(target, &below) < 0)) error = errno;
  // The root itself may be a mount of somebody else's.
  if (!error && above.st_dev == below.st_dev && above.st_ino == below.st_ino) error = EINVAL;
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", target);
  if (!error && umount2(name, MNT_DETACH) < 0) error = errno;
  if (target >= 0) close(target);
  close(directory);
  return error;
}

int wherry_is_null_device(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}
