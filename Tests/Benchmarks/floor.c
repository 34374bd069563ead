// The least that a container costs which keeps its /bin/true as `start` does: the same namespaces, users, mounts,
// masks, rights and filter, and on hosts with cgroup v1 one of each controller that limits. No shim, no log, no checks,
// no list of steps, nobody to tell.
//   floor FILTER LAYER SCRATCH CGROUP V1…
// prints the microseconds from before the first cgroup to after the last is gone. FILTER holds seccomp instructions as
// the kernel takes them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(126);
}

enum { USERS_FIRST = 0x70000000, USERS_COUNT = 65536 };

static int sleep_until_killed(void *unused) {
  for (;;) pause();
  return unused != NULL;
}

static void write_map(int pid, const char *file) {
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  int length = snprintf(text, sizeof text, "0 %d %d\n", USERS_FIRST, USERS_COUNT);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  must(fd, path);
  must(write(fd, text, length), path);
  close(fd);
}

static int make_users(void) {
  static char stack[4096] __attribute__((aligned(16)));
  int pid = clone(sleep_until_killed, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER, NULL);
  must(pid, "clone into a user namespace");
  write_map(pid, "uid_map");
  write_map(pid, "gid_map");
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  must(fd, path);
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR) {}
  return fd;
}

// The layer's files keep their numbers on the disk.
static void map_layer(const char *layer, int users) {
  int tree = open_tree(AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  must(tree, "open the layer");
  struct mount_attr mapped = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = users};
  must(mount_setattr(tree, "", AT_EMPTY_PATH, &mapped, sizeof mapped), "map its users");
  must(move_mount(tree, "", AT_FDCWD, layer, MOVE_MOUNT_F_EMPTY_PATH), "mount it over itself");
  close(tree);
}

// Docker's lists and the processors' heat, as far as this machine has them.
static void protect(void) {
  static const char *const masked[] = {
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing"};
  static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
    struct stat status;
    if (stat(masked[i], &status) < 0) continue;
    if (S_ISDIR(status.st_mode)) {
      must(mount("none", masked[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), masked[i]);
    } else {
      must(mount("/dev/null", masked[i], NULL, MS_BIND, NULL), masked[i]);
    }
  }
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
    if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) < 0) continue;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    must(mount_setattr(AT_FDCWD, read_only[i], AT_RECURSIVE, &attributes, sizeof attributes), read_only[i]);
  }
}

static void become_nobody_outside(int users, int filter) {
  must(setns(users, CLONE_NEWUSER), "enter the user namespace");
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
    // Docker's fourteen stay.
    if (!(0xa80425fbU >> capability % 32 & 1) || capability > 31) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  must(syscall(SYS_setgroups, 0, NULL) | setresgid(0, 0, 0) | setresuid(0, 0, 0), "become root inside");
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "forbid new privileges");
  static struct sock_filter instructions[4096];
  ssize_t size = read(filter, instructions, sizeof instructions);
  must(size > 0 ? 0 : -1, "read the filter");
  struct sock_fprog program = {.len = size / sizeof *instructions, .filter = instructions};
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "load the filter");
}

static void make_root(const char *layer, const char *scratch, int users) {
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
  map_layer(layer, users);
  char owned[128];
  snprintf(owned, sizeof owned, "size=4m,mode=700,uid=%d,gid=%d", USERS_FIRST, USERS_FIRST);
  must(mount("none", scratch, "tmpfs", 0, owned), "mount the scratch directory");
  must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "keep its rights");
  setfsgid(USERS_FIRST);
  setfsuid(USERS_FIRST);
  must(chdir(scratch), "enter it");
  must(mkdir("upper", 0755) | mkdir("work", 0755) | mkdir("root", 0755), "make directories");
  char options[8192];
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=upper,workdir=work", layer);
  must(mount("overlay", "root", "overlay", 0, options), "mount the overlay");
  must(chdir("root"), "enter the root");
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "let go of the old root");
  must(chdir("/"), "enter the new root");
  must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
  must(mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount sysfs");
  must(mount("none", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755"), "mount dev");
  must(mkdir("/dev/pts", 0755) | mkdir("/dev/shm", 0755) | mkdir("/dev/mqueue", 0755), "make directories");
  must(mount("none", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=666"), "mount pts");
  must(mount("none", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m"), "mount shm");
  must(mount("none", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount mqueue");
  static const struct { const char *path; int major, minor; } nodes[] = {
    {"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9},
    {"/dev/tty", 5, 0}};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
  }
  must(mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m") |
       mount("none", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m") |
       mount("none", "/var/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m"), "mount what may be written");
  protect();
  must(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "protect the root");
}

static void enter(const char *directory) {
  char path[4096];
  snprintf(path, sizeof path, "%s/tasks", directory);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  must(fd, path);
  must(write(fd, "0", 1), path);
  close(fd);
}

int main(int count, char **arguments) {
  if (count < 5) return 2;
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 4; i < count; i++) must(mkdir(arguments[i], 0755), "make the cgroup");
  int cgroup = open(arguments[4], O_PATH | O_DIRECTORY | O_CLOEXEC);
  must(cgroup, "open the cgroup");
  int users = make_users();
  struct clone_args how = {
    .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_INTO_CGROUP | CLONE_VFORK,
    .exit_signal = SIGCHLD,
    .cgroup = cgroup,
  };
  pid_t pid = syscall(SYS_clone3, &how, sizeof how);
  must(pid, "clone");
  if (pid == 0) {
    for (int i = 5; i < count; i++) enter(arguments[i]);
    int filter = open(arguments[1], O_RDONLY | O_CLOEXEC);
    must(filter, arguments[1]);
    must(unshare(CLONE_NEWCGROUP), "make a cgroup namespace");
    make_root(arguments[2], arguments[3], users);
    become_nobody_outside(users, filter);
    execl("/bin/true", "true", NULL);
    must(-1, "execute /bin/true");
  }
  int status;
  must(waitpid(pid, &status, 0), "wait");
  if (status != 0) return 1;
  for (int i = 4; i < count; i++) {
    while (rmdir(arguments[i]) < 0 && errno == EBUSY) {}
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000LL + (end.tv_nsec - start.tv_nsec) / 1000);
  return 0;
}
