// The least that a container of /bin/true costs: no shim, no log, no checks, no seccomp, nobody to tell. As `start` it has
// all namespaces but that of users, an overlay, the usual mounts, a cgroup that it is born in, and on hosts with cgroup v1
// one of each controller that limits.
//   floor LAYER SCRATCH CGROUP V1…    prints the microseconds from before the first cgroup to after the last is gone
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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

static void make_root(const char *layer, const char *scratch) {
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
  must(mount("none", scratch, "tmpfs", 0, "size=4m"), "mount the scratch directory");
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
  if (count < 4) return 2;
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 3; i < count; i++) must(mkdir(arguments[i], 0755), "make the cgroup");
  int cgroup = open(arguments[3], O_PATH | O_DIRECTORY | O_CLOEXEC);
  must(cgroup, "open the cgroup");
  struct clone_args how = {
    .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_INTO_CGROUP |
             CLONE_VFORK,
    .exit_signal = SIGCHLD,
    .cgroup = cgroup,
  };
  pid_t pid = syscall(SYS_clone3, &how, sizeof how);
  must(pid, "clone");
  if (pid == 0) {
    for (int i = 4; i < count; i++) enter(arguments[i]);
    make_root(arguments[1], arguments[2]);
    execl("/bin/true", "true", NULL);
    must(-1, "execute /bin/true");
  }
  int status;
  must(waitpid(pid, &status, 0), "wait");
  if (status != 0) return 1;
  for (int i = 3; i < count; i++) {
    while (rmdir(arguments[i]) < 0 && errno == EBUSY) {}
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000LL + (end.tv_nsec - start.tv_nsec) / 1000);
  return 0;
}
