// Where a process component may write, said to the kernel a second time: the mounts say it too, but mounts can be got
// wrong, and this holds for the process itself (landlock(7)).
#include "CIsolation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Not in the headers of every system that this is built on.
#define TRUNCATE (1ULL << 14)

#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define DIRECTORY_RIGHTS                                                                                         \
  (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |               \
   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                    \
   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |                  \
   LANDLOCK_ACCESS_FS_REFER)

static int allow(int rules, const char *path, uint64_t known) {
  struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
  // What is not there now cannot be written to either.
  if (rule.parent_fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
  struct stat status;
  int error = fstat(rule.parent_fd, &status) < 0 ? errno : 0;
  rule.allowed_access = known & (S_ISDIR(status.st_mode) ? FILE_RIGHTS | DIRECTORY_RIGHTS : FILE_RIGHTS);
  if (!error && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) error = errno;
  close(rule.parent_fd);
  return error;
}

int wherry_landlock_version(void) {
  return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int wherry_landlock(const struct wherry_op *op) {
  int version = wherry_landlock_version();
  // The first version forbids moving files between directories altogether; without any there is what the mounts say.
  if (version < 2) return 0;
  uint64_t known = (FILE_RIGHTS | DIRECTORY_RIGHTS) & ~(version < 3 ? TRUNCATE : 0);
  struct landlock_ruleset_attr attributes = {.handled_access_fs = known};
  // As long as it was in the first version, which every kernel takes.
  int rules = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0);
  if (rules < 0) return errno;
  int error = 0;
  for (uint32_t i = 1; i < op->strings && !error; i++) error = allow(rules, wherry_string(op, i), known);
  if (!error && syscall(SYS_landlock_restrict_self, rules, 0) < 0) error = errno;
  close(rules);
  return error;
}
