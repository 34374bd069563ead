#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void child(const struct shim *shim, const struct wherry_program *program, int report, int output, int errors) {
  if (!shim->streams_are_kept) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    // Read and written, so that it has no end while nobody else has it open.
    int input = shim->input_path ? open(shim->input_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    dup2(input >= 0 ? input : null, 0);
    dup2(output >= 0 ? output : null, 1);
    dup2(errors >= 0 ? errors : null, 2);
  }
  dup3(report, WHERRY_FD_REPORT, O_CLOEXEC);
  if (shim->console >= 0) dup3(shim->console, WHERRY_FD_CONSOLE, O_CLOEXEC);
  // Whatever else is open, known or not, ends at execve.
  syscall(SYS_close_range, WHERRY_FD_REPORT + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  // Until execve this is the shim, seen from inside: nobody there shall open its descriptors. Its program file is safe
  // by the way it was executed (CIsolation/program.c), also where the workload has the kernel execute it again.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setsid();
  umask(022);
  wherry_launch(program);
  _exit(126);
}

static pid_t clone_child(struct shim *shim, int cgroup) {
  struct clone_args how = {
    .flags = shim->clone_flags | CLONE_PIDFD,
    .pidfd = (uintptr_t)&shim->pidfd,
    .exit_signal = SIGCHLD,
  };
  if (cgroup >= 0) {
    // Into its cgroup from birth: moving it later waits 6 to 20 ms for a grace period of the kernel.
    how.flags |= CLONE_INTO_CGROUP;
    how.cgroup = cgroup;
  }
  return syscall(SYS_clone3, &how, sizeof how);
}

static int join_target(int64_t target) {
  int fd = syscall(SYS_pidfd_open, target, 0);
  if (fd < 0) return errno;
  if (dup3(fd, WHERRY_FD_SLOTS, O_CLOEXEC) < 0 || setns(fd, CLONE_NEWPID) < 0) return errno;
  close(fd);
  return 0;
}

// A time namespace is entered by children only, and its clocks are set before the first.
static int set_clocks(const char *lines) {
  if (unshare(CLONE_NEWTIME) < 0) return errno;
  int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t count = write(fd, lines, strlen(lines));
  int error = count < 0 ? errno : 0;
  close(fd);
  return error;
}

static int give_up(struct wherry_report *report, int error, const char *step) {
  report->error = error;
  strncpy(report->step, step, sizeof report->step - 1);
  return 1;
}

int shim_start(struct shim *shim, const struct wherry_program *program, struct wherry_report *report) {
  int reports[2], output[2] = {-1, -1}, errors[2] = {-1, -1};
  if (pipe2(reports, O_CLOEXEC) < 0) return give_up(report, errno, "make pipes for the workload");
  int has_log = shim->directory_is_kept && !shim->streams_are_kept;
  if (has_log && (pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)) {
    return give_up(report, errno, "make pipes for the workload");
  }
  int cgroup = -1;
  if (shim->cgroup) {
    cgroup = open(shim->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cgroup < 0) return give_up(report, errno, "open the workload's cgroup");
  }
  int error = shim->target ? join_target(shim->target) : 0;
  if (error) return give_up(report, error, "join the running workload");
  error = shim->clocks ? set_clocks(shim->clocks) : 0;
  if (error) return give_up(report, error, "set its clocks");
  shim->pid = clone_child(shim, cgroup);
  if (shim->pid < 0) return give_up(report, errno, "clone into new namespaces");
  if (shim->pid == 0) child(shim, program, reports[1], output[1], errors[1]);

  close(reports[1]);
  if (cgroup >= 0) close(cgroup);
  if (has_log) {
    close(output[1]);
    close(errors[1]);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
  }
  shim->output[0] = output[0];
  shim->output[1] = errors[0];
  ssize_t count;
  while ((count = read(reports[0], report, sizeof *report)) < 0 && errno == EINTR) {}
  close(reports[0]);
  // The pipe closes by itself at execve, or when it is killed before; its end tells which.
  if (count == 0) return 0;
  waitid(P_PIDFD, shim->pidfd, NULL, WEXITED);
  if (count != sizeof *report) return give_up(report, EIO, "hear from the launch");
  return 1;
}
