// What an image has in a directory, copied into the file system that is mounted over it (`tmpcopyup`).
#include "CIsolation.h"
#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// An image is not trusted: what it nests deeper than this is refused.
enum { DEPTH_MAXIMUM = 64 };

static int copy_entries(int from, int to, int depth);

static int copy_bytes(int from, int to) {
  ssize_t count;
  while ((count = sendfile(to, from, NULL, 1 << 20)) > 0 || (count < 0 && errno == EINTR)) {}
  return count < 0 ? errno : 0;
}

static int copy_contents(int from, int to, const char *name, int depth, int is_directory) {
  int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (source < 0) return errno;
  int flags = is_directory ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL, error = 0;
  if (is_directory && mkdirat(to, name, 0700) < 0) error = errno;
  int target = error ? -1 : openat(to, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (!error && target < 0) error = errno;
  if (!error) error = is_directory ? copy_entries(source, target, depth + 1) : copy_bytes(source, target);
  if (target >= 0) close(target);
  close(source);
  return error;
}

static int copy_link(int from, int to, const char *name) {
  char text[WHERRY_PATH_BYTES];
  ssize_t length = readlinkat(from, name, text, sizeof text - 1);
  if (length < 0) return errno;
  text[length] = 0;
  return symlinkat(text, to, name) < 0 ? errno : 0;
}

static int copy_entry(int from, int to, const char *name, int depth) {
  struct stat status;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  int error;
  switch (status.st_mode & S_IFMT) {
    case S_IFDIR:
    case S_IFREG: error = copy_contents(from, to, name, depth, S_ISDIR(status.st_mode)); break;
    case S_IFLNK: error = copy_link(from, to, name); break;
    case S_IFSOCK: return 0;  // Nobody listens there.
    default: error = mknodat(to, name, status.st_mode, status.st_rdev) < 0 ? errno : 0;
  }
  if (!error && fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0) error = errno;
  // After the owner: a change of owner takes set-uid bits away.
  if (!error && !S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) < 0) error = errno;
  const struct timespec times[] = {status.st_atim, status.st_mtim};
  if (!error && utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0) error = errno;
  return error;
}

static int copy_entries(int from, int to, int depth) {
  if (depth > DEPTH_MAXIMUM) return ELOOP;
  _Alignas(struct dirent64) char buffer[2048];
  for (;;) {
    ssize_t count = syscall(SYS_getdents64, from, buffer, sizeof buffer);
    if (count <= 0) return count < 0 ? errno : 0;
    for (ssize_t at = 0; at < count;) {
      const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
      const char *name = entry->d_name;
      int is_own = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
      int error = is_own ? 0 : copy_entry(from, to, name, depth);
      if (error) return error;
      at += entry->d_reclen;
    }
  }
}

int wherry_copy_up(const struct wherry_op *op) {
  int from = wherry_open_inside(AT_FDCWD, wherry_string(op, 1), O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (from < 0) return errno == ENOENT ? 0 : errno;
  int to = openat(WHERRY_FD_SLOTS + op->numbers[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = to < 0 ? errno : copy_entries(from, to, 0);
  struct stat status;
  if (!error && !op->numbers[1]) {
    if (fstat(from, &status) < 0 || fchown(to, status.st_uid, status.st_gid) < 0) error = errno;
    if (!error && fchmod(to, status.st_mode & 07777) < 0) error = errno;
  }
  if (to >= 0) close(to);
  close(from);
  return error;
}
