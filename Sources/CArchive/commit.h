#pragma once
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// How whole trees come to their places so that after a power cut each is there whole or not at all.

/// glibc hides it behind _GNU_SOURCE, which a module map cannot set.
extern int syncfs(int descriptor);

/// One call for all files of a file system; a sync of each costs seconds on slow storage.
static inline int ccommit_sync_tree(const char *path, dev_t *synced) {
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  struct stat status;
  int result = fstat(descriptor, &status);
  if (result == 0 && status.st_dev != *synced) {
    result = syncfs(descriptor);
    *synced = status.st_dev;
  }
  int number = errno;
  close(descriptor);
  errno = number;
  return result;
}

static inline int ccommit_sync_parent(const char *path) {
  char parent[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t length = slash && slash != path ? (size_t)(slash - path) : 1;
  if (length >= sizeof parent) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(parent, path, length);
  parent[length] = 0;
  int descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  int result = fsync(descriptor);
  int number = errno;
  close(descriptor);
  errno = number;
  return result;
}

/// Of absolute paths. Only what is on the disk is moved, and the moves are on the disk at the end.
static inline int ccommit(char *const *trees, char *const *places, int count) {
  dev_t synced = 0;
  for (int index = 0; index < count; index++) {
    if (ccommit_sync_tree(trees[index], &synced) != 0) return -1;
  }
  for (int index = 0; index < count; index++) {
    if (rename(trees[index], places[index]) != 0) return -1;
  }
  for (int index = 0; index < count; index++) {
    if (ccommit_sync_parent(places[index]) != 0) return -1;
  }
  return 0;
}

/// The same in a process of its own, whose exit code is 0 or the error's number. The calling process has one thread,
/// and the child makes system calls only.
static inline pid_t carchive_commit_apart(char *const *trees, char *const *places, int count) {
  pid_t process = fork();
  if (process != 0) return process;
  // Nobody shall wait on it for the end of what the calling process reads and says.
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  if (ccommit(trees, places, count) == 0) _exit(0);
  _exit(errno > 0 && errno < 256 ? errno : EIO);
}

/// Can be read when the process has ended; -1 where the kernel has no such thing.
static inline int carchive_process_descriptor(pid_t process) {
#ifdef SYS_pidfd_open
  return (int)syscall(SYS_pidfd_open, process, 0);
#else
  errno = ENOSYS;
  return -1;
#endif
}
