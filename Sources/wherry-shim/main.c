// wherry-shim DIRECTORY: keeps one workload. Descriptors 3 to 5 are the agent's (CIsolation.h). For one more process in
// a running workload "-" stands for the directory. "=" before the directory, or in place of it for one more process:
// it has the streams that the shim was started with.
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Not assigned as a whole anywhere: pages of it that a quiet workload never fills stay unallocated.
static struct shim shim = {
  .pidfd = -1,
  .listener = -1,
  .console = -1,
  .processes = -1,
  .output = {-1, -1},
  .clients = {WHERRY_FD_LINK},
};

static const struct wherry_program *map_program(size_t *size) {
  struct stat status;
  if (fstat(WHERRY_FD_PROGRAM, &status) < 0) return NULL;
  *size = status.st_size;
  void *program = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, WHERRY_FD_PROGRAM, 0);
  return program != MAP_FAILED && wherry_is_valid(program, *size) ? program : NULL;
}

// The log's path is needed as long as this runs, and the program is unmapped before.
static char log_path[4096];

static void read_settings(const struct wherry_program *program) {
  const struct wherry_op *op = wherry_first(program);
  for (uint32_t i = 0; i < program->count; i++, op = wherry_next(op)) {
    switch (op->code) {
      case WHERRY_SHIM_CLONE: shim.clone_flags = op->numbers[0]; break;
      case WHERRY_SHIM_CGROUP: shim.cgroup = wherry_string(op, 1); break;
      case WHERRY_SHIM_OOM: shim.oom_path = wherry_string(op, 1); break;
      case WHERRY_SHIM_PROCESSES: shim.processes_path = wherry_string(op, 1); break;
      case WHERRY_SHIM_CLOCKS: shim.clocks = wherry_string(op, 1); break;
      case WHERRY_SHIM_INPUT: shim.input_path = wherry_string(op, 1); break;
      case WHERRY_SHIM_TARGET: shim.target = op->numbers[0]; break;
      case WHERRY_SHIM_LOG:
        strncpy(log_path, wherry_string(op, 1), sizeof log_path - 1);
        log_open(log_path, op->numbers[0]);
        break;
    }
  }
}

// Appears whole or not at all: an agent that comes back reads either no end or the right one.
static void write_down(const char *name, const char *text) {
  if (!shim.directory_is_kept) return;
  int fd = open("new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  int written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  if (written) rename("new", name);
}

static long count_oom_kills(int fd) {
  char text[512];
  ssize_t count = pread(fd, text, sizeof text - 1, 0);
  if (count <= 0) return 0;
  text[count] = 0;
  char *line = strstr(text, "oom_kill ");
  long kills = 0;
  for (line = line ? line + 9 : ""; *line >= '0' && *line <= '9'; line++) kills = kills * 10 + (*line - '0');
  return kills;
}

// The agent has this made ready beside its own preparations. When those fail, or it dies over them, nothing starts.
static int is_told_to_go(void) {
  struct wherry_message message;
  ssize_t count;
  while ((count = recv(WHERRY_FD_LINK, &message, sizeof message, 0)) < 0 && errno == EINTR) {}
  return count == sizeof message && message.kind == WHERRY_GO;
}

static int fail(const struct wherry_report *report) {
  struct wherry_message message = {.kind = WHERRY_FAILED, .a = report->error};
  memcpy(message.text, report->step, sizeof message.text - 1);
  char text[160];
  snprintf(text, sizeof text, "failed %d %s\n", report->error, report->step);
  write_down("exit", text);
  shim_tell(&shim, &message);
  return 1;
}

int main(int count, char **arguments) {
  // It was executed by a descriptor, and the kernel made the descriptor's number its name.
  prctl(PR_SET_NAME, "wherry-shim");
  for (int i = 1; i < CLIENTS_MAXIMUM; i++) shim.clients[i] = -1;
  struct wherry_report report = {.error = EINVAL, .step = "read the launch program"};
  if (count != 2) return fail(&report);
  shim.streams_are_kept = arguments[1][0] == '=';
  const char *directory = arguments[1] + shim.streams_are_kept;
  shim.directory_is_kept = directory[0] != 0 && strcmp(directory, "-") != 0;
  int may_have_console = shim.streams_are_kept && !shim.directory_is_kept;
  if (may_have_console && fcntl(WHERRY_FD_LISTENER, F_GETFD) >= 0) shim.console = WHERRY_FD_LISTENER;
  if (shim.directory_is_kept) {
    shim.listener = WHERRY_FD_LISTENER;
    if (chdir(directory) < 0) {
      // Gone when its agent has given the start up already: then there is no place to write that down in.
      if (errno == ENOENT) shim.directory_is_kept = 0;
      return fail(&report);
    }
  }
  for (int fd = WHERRY_FD_LINK; fd <= WHERRY_FD_LISTENER; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (!is_told_to_go()) return 1;
  size_t size = 0;
  const struct wherry_program *program = map_program(&size);
  if (!program) return fail(&report);
  read_settings(program);
  int oom = shim.oom_path ? open(shim.oom_path, O_RDONLY | O_CLOEXEC) : -1;
  if (shim.processes_path) shim.processes = open(shim.processes_path, O_RDONLY | O_CLOEXEC);
  if (shim_start(&shim, program, &report) != 0) return fail(&report);
  // Both are the workload's alone now: whoever waits for their end waits for it and not for this.
  if (shim.console >= 0) close(shim.console);
  for (int fd = 0; fd <= 2 && shim.streams_are_kept; fd++) close(fd);
  shim_tell(&shim, &(struct wherry_message){.kind = WHERRY_STARTED, .a = shim.pid});
  munmap((void *)program, size);
  close(WHERRY_FD_PROGRAM);
  char text[64];
  snprintf(text, sizeof text, "%d %d\n", shim.pid, getpid());
  write_down("pid", text);
  shim.streams[0].mark = 'O';
  shim.streams[1].mark = 'E';

  struct wherry_message end = shim_serve(&shim);
  end.c = oom >= 0 && end.a != 0 && count_oom_kills(oom) > 0;
  snprintf(text, sizeof text, "exited %d %d %d\n", end.a, end.b, end.c);
  write_down("exit", text);
  // Only now: who finds nobody listening looks for what is written down.
  close(shim.listener);
  shim_tell(&shim, &end);
  waitid(P_PIDFD, shim.pidfd, NULL, WEXITED);
  return 0;
}
