#include "CIsolation.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// O_PATH, and no symbolic link anywhere on the way: an image whose /proc is a link must not choose what is mounted
// where (CVE-2019-19921 and its kin).
static int open_exactly(const char *path, int follows_links) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  if (!follows_links) how.resolve |= RESOLVE_NO_SYMLINKS;
  return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static int place(int tree, int target) {
  return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? errno : 0;
}

// A new file system, not attached anywhere yet, or -errno.
static int new_file_system(const char *type, const struct wherry_op *op, uint32_t first_option, uint64_t attributes) {
  int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return -errno;
  int result = 0;
  for (uint32_t i = first_option; i < op->strings && result == 0; i++) {
    char option[WHERRY_PATH_BYTES];
    size_t length = strlen(wherry_string(op, i));
    if (length >= sizeof option) {
      result = -ENAMETOOLONG;
      break;
    }
    memcpy(option, wherry_string(op, i), length + 1);
    char *value = strchr(option, '=');
    if (value) *value++ = 0;
    if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0) < 0) result = -errno;
  }
  if (result == 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) result = -errno;
  if (result == 0) {
    result = fsmount(context, FSMOUNT_CLOEXEC, attributes);
    if (result < 0) result = -errno;
  }
  close(context);
  return result;
}

static int mount_new(const struct wherry_op *op) {
  const char *target = wherry_string(op, 2);
  int directory = open_exactly(target, op->numbers[2]);
  if (directory < 0 && errno == ENOENT) {
    if (op->numbers[1]) return 0;
    int made = wherry_open_directory(target, 0755);
    if (made < 0) return errno;
    close(made);
    directory = open_exactly(target, op->numbers[2]);
  }
  if (directory < 0) return op->numbers[1] ? 0 : errno;
  int tree = new_file_system(wherry_string(op, 1), op, 3, op->numbers[0]);
  int error = tree < 0 ? -tree : place(tree, directory);
  if (tree >= 0) close(tree);
  close(directory);
  return error;
}

static int change_mount(int tree, const struct mount_attr *attributes, int recursively) {
  if (!attributes->attr_set && !attributes->attr_clr && !attributes->propagation) return 0;
  int flags = AT_EMPTY_PATH | (recursively ? AT_RECURSIVE : 0);
  return mount_setattr(tree, "", flags, (struct mount_attr *)attributes, sizeof *attributes) < 0 ? errno : 0;
}

static int set_attributes(int fd, uint64_t set, int recursively) {
  struct mount_attr attributes = {.attr_set = set};
  return change_mount(fd, &attributes, recursively);
}

int wherry_clone_tree(const char *path, int exactly, unsigned flags) {
  flags |= OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (!exactly) return open_tree(AT_FDCWD, path, flags);
  int place = open_exactly(path, 0);
  if (place < 0) return -1;
  int tree = open_tree(place, "", flags | AT_EMPTY_PATH);
  int error = errno;
  close(place);
  errno = error;
  return tree;
}

static int open_tree_into_slot(const struct wherry_op *op) {
  int fd = wherry_clone_tree(wherry_string(op, 1), op->numbers[3] != 0, op->numbers[1] ? 0 : AT_RECURSIVE);
  if (fd < 0) return errno;
  int error = dup3(fd, WHERRY_FD_SLOTS + op->numbers[0], O_CLOEXEC) < 0 ? errno : 0;
  close(fd);
  return error;
}

static int new_tree_into_slot(const struct wherry_op *op) {
  int tree = new_file_system(wherry_string(op, 1), op, 2, op->numbers[1]);
  if (tree < 0) return -tree;
  int error = dup3(tree, WHERRY_FD_SLOTS + op->numbers[0], O_CLOEXEC) < 0 ? errno : 0;
  close(tree);
  return error;
}

static int attach(const struct wherry_op *op) {
  int tree = WHERRY_FD_SLOTS + op->numbers[0];
  struct stat status;
  if (fstat(tree, &status) < 0) return errno;
  int target = wherry_open_target(wherry_string(op, 1), S_ISDIR(status.st_mode));
  if (target < 0) return errno;
  struct mount_attr attributes = {.attr_set = op->numbers[1], .attr_clr = (uint32_t)op->numbers[2]};
  enum { MS_RECURSIVE = 0x4000 };
  struct mount_attr propagation = {.propagation = op->numbers[3] & ~MS_RECURSIVE};
  int is_flat = op->numbers[2] >> 32 & 1;
  int error = change_mount(tree, &attributes, !is_flat);
  if (!error) error = change_mount(tree, &propagation, op->numbers[3] & MS_RECURSIVE);
  if (!error) error = place(tree, target);
  close(target);
  close(tree);
  return error;
}

static int bind_over_itself(const char *path) {
  int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (tree < 0) return errno;
  int error = move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? errno : 0;
  close(tree);
  return error;
}

static int pivot(const char *path) {
  if (chdir(path) < 0) return errno;
  // Old and new root at one place: the old one ends on top and is taken off (pivot_root(2), "pivot_root(".", ".")").
  if (syscall(SYS_pivot_root, ".", ".") < 0) return errno;
  if (umount2(".", MNT_DETACH) < 0) return errno;
  return chdir("/") < 0 ? errno : 0;
}

// What is mounted over a file that is not to be read has to be the null device: with something else in its place a
// container would choose what others see there (CVE-2025-31133).
static int null_tree(void) {
  int null = wherry_open_inside(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW);
  if (null < 0) return -errno;
  int tree = -ENODEV;
  if (wherry_is_null_device(null)) {
    tree = open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0) tree = -errno;
  }
  close(null);
  return tree;
}

// A directory without anything in it.
static int empty_tree(const struct wherry_op *op) {
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  // What is attached below later needs one of its own.
  if (op->numbers[0]) return new_file_system("tmpfs", op, 2, attributes);
  // One file system for all others. It can be cloned once it lies somewhere.
  int tree = open_tree(WHERRY_FD_EMPTY, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (tree >= 0) return tree;
  tree = new_file_system("tmpfs", op, 2, attributes | MOUNT_ATTR_RDONLY);
  if (tree >= 0 && dup3(tree, WHERRY_FD_EMPTY, O_CLOEXEC) < 0) {
    int error = errno;
    close(tree);
    return -error;
  }
  return tree;
}

static int mask(const struct wherry_op *op) {
  int target = wherry_open_inside(AT_FDCWD, wherry_string(op, 1), O_PATH);
  if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
  struct stat status;
  int error = fstat(target, &status) < 0 ? errno : 0;
  int tree = -1;
  if (!error && S_ISDIR(status.st_mode)) {
    tree = empty_tree(op);
    if (tree < 0) error = -tree;
  } else if (!error) {
    tree = null_tree();
    if (tree < 0) error = -tree;
  }
  if (!error) error = place(tree, target);
  if (!error && op->numbers[0] && dup3(tree, WHERRY_FD_SLOTS + op->numbers[1], O_CLOEXEC) < 0) error = errno;
  if (tree >= 0) close(tree);
  close(target);
  return error;
}

// By the mount and not by the path: where nothing was to be masked the path may lead to a directory that was made since
// for what is attached below it.
static int seal(int slot) {
  int error = set_attributes(WHERRY_FD_SLOTS + slot, MOUNT_ATTR_RDONLY, 0);
  return error == EBADF ? 0 : error;
}

static int set_attributes_of(const char *path, uint64_t set, int recursively) {
  int fd = wherry_open_inside(AT_FDCWD, path, O_PATH);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
  int error = set_attributes(fd, set, recursively);
  close(fd);
  return error;
}

static int make_read_only(const char *path) {
  int target = wherry_open_inside(AT_FDCWD, path, O_PATH);
  if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
  int tree = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
  int error = tree < 0 ? errno : set_attributes(tree, MOUNT_ATTR_RDONLY, 1);
  if (!error) error = place(tree, target);
  if (tree >= 0) close(tree);
  close(target);
  return error;
}

static int make_node(const struct wherry_op *op) {
  char name[WHERRY_NAME_BYTES];
  int parent = wherry_open_parent(wherry_string(op, 1), name);
  if (parent < 0) return errno;
  mode_t mask_before = umask(0);
  dev_t device = makedev(op->numbers[1], op->numbers[2]);
  int error = mknodat(parent, name, op->numbers[0], device) < 0 ? errno : 0;
  umask(mask_before);
  struct stat status;
  if (error == EEXIST && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      (status.st_mode & S_IFMT) == (op->numbers[0] & S_IFMT) &&
      (status.st_rdev == device || S_ISFIFO(status.st_mode))) {
    error = 0;
  }
  if (!error && op->numbers[3] &&
      fchownat(parent, name, op->numbers[3] >> 32, (uint32_t)op->numbers[3], AT_SYMLINK_NOFOLLOW) < 0) {
    error = errno;
  }
  close(parent);
  return error;
}

static int make_link(const char *text, const char *path) {
  char name[WHERRY_NAME_BYTES];
  int parent = wherry_open_parent(path, name);
  if (parent < 0) return errno;
  int error = symlinkat(text, parent, name) < 0 && errno != EEXIST ? errno : 0;
  close(parent);
  return error;
}

static int make_directory(const char *path, mode_t mode) {
  int fd = wherry_open_directory(path, mode);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int wherry_mounts(const struct wherry_op *op) {
  switch (op->code) {
    case WHERRY_OP_PROPAGATION: return mount(NULL, "/", NULL, op->numbers[0], NULL) < 0 ? errno : 0;
    case WHERRY_OP_OVERLAY:
      return mount("overlay", wherry_string(op, 1), "overlay", 0, wherry_string(op, 2)) < 0 ? errno : 0;
    case WHERRY_OP_OPEN_TREE: return open_tree_into_slot(op);
    case WHERRY_OP_PIVOT_ROOT: return pivot(wherry_string(op, 1));
    case WHERRY_OP_MOUNT: return mount_new(op);
    case WHERRY_OP_ATTACH: return attach(op);
    case WHERRY_OP_SET_ATTRIBUTES: return set_attributes_of(wherry_string(op, 1), op->numbers[0], op->numbers[1] != 0);
    case WHERRY_OP_NEW_TREE: return new_tree_into_slot(op);
    case WHERRY_OP_CHANGE_ROOT:
      return chroot(wherry_string(op, 1)) < 0 || chdir("/") < 0 ? errno : 0;
    case WHERRY_OP_ROOT_MOUNT: return bind_over_itself(wherry_string(op, 1));
    case WHERRY_OP_TREE_PROPAGATION:
      return mount(NULL, wherry_string(op, 1), NULL, op->numbers[0], NULL) < 0 ? errno : 0;
    case WHERRY_OP_MASK: return mask(op);
    case WHERRY_OP_SEAL: return seal(op->numbers[0]);
    case WHERRY_OP_READ_ONLY: return make_read_only(wherry_string(op, 1));
    case WHERRY_OP_DIRECTORY: return make_directory(wherry_string(op, 1), op->numbers[0]);
    case WHERRY_OP_NODE: return make_node(op);
    case WHERRY_OP_SYMLINK: return make_link(wherry_string(op, 1), wherry_string(op, 2));
    default: return ENOSYS;
  }
}
