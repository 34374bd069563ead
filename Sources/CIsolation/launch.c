#include "CIsolation.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *wherry_string(const struct wherry_op *op, uint32_t number) {
  const char *text = wherry_strings(op);
  while (number-- > 0) text += strlen(text) + 1;
  return text;
}

static int has_its_strings(const struct wherry_op *op) {
  const char *at = wherry_strings(op), *end = wherry_blob(op);
  for (uint32_t i = 0; i < op->strings; i++) {
    const char *nul = at < end ? memchr(at, 0, end - at) : NULL;
    if (!nul) return 0;
    at = nul + 1;
  }
  return op->strings > 0;
}

int wherry_is_valid(const struct wherry_program *program, size_t size) {
  if (size < sizeof *program || program->magic != WHERRY_PROGRAM_MAGIC || program->size > size) return 0;
  const char *end = (const char *)program + program->size;
  const struct wherry_op *op = wherry_first(program);
  for (uint32_t i = 0; i < program->count; i++) {
    size_t left = end - (const char *)op;
    if (left < sizeof *op || op->size < sizeof *op || op->size > left || op->size % 8 != 0) return 0;
    if (op->blob_size > op->size - sizeof *op || !has_its_strings(op)) return 0;
    op = wherry_next(op);
  }
  return 1;
}

static int write_file(const char *path, const char *text) {
  int fd = strncmp(path, "/proc/", 6) ? open(path, O_WRONLY | O_CLOEXEC) : wherry_open_proc(path);
  if (fd < 0) return errno;
  int error = write(fd, text, strlen(text)) < 0 ? errno : 0;
  close(fd);
  return error;
}

static int bring_loopback_up(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  struct ifreq request = {.ifr_name = "lo"};
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  int error = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
  close(fd);
  return error;
}

static int limit(const struct wherry_op *op) {
  struct rlimit now;
  if (getrlimit(op->numbers[0], &now) < 0) return errno;
  struct rlimit wanted = {.rlim_cur = op->numbers[1], .rlim_max = op->numbers[2]};
  // Raising needs CAP_SYS_RESOURCE, which an agent inside a container does not have.
  if (wanted.rlim_max > now.rlim_max) wanted.rlim_max = now.rlim_max;
  if (wanted.rlim_cur > wanted.rlim_max) wanted.rlim_cur = wanted.rlim_max;
  return setrlimit(op->numbers[0], &wanted) < 0 ? errno : 0;
}

static int exact_limit(const struct wherry_op *op) {
  struct rlimit wanted = {.rlim_cur = op->numbers[1], .rlim_max = op->numbers[2]};
  return setrlimit(op->numbers[0], &wanted) < 0 ? errno : 0;
}

// What was opened before this root was entered is the host's own /dev/null, and root in a container could change its
// mode for the whole machine through the descriptor.
static int reopen_null(void) {
  // In a running container somebody may have put something else there: no link is followed, and nothing that can be
  // opened for both reading and writing makes this wait.
  int null = open("/dev/null", O_RDWR | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
  if (null < 0) return errno;
  int error = wherry_is_null_device(null) ? 0 : ENODEV;
  for (int fd = 0; fd <= 2 && !error; fd++) {
    if (wherry_is_null_device(fd) && dup2(null, fd) < 0) error = errno;
  }
  close(null);
  return error;
}

static int execute(const struct wherry_op *op) {
  int64_t candidates = op->numbers[0], arguments = op->numbers[1], variables = op->numbers[2];
  if (candidates + arguments + variables + 1 != op->strings) return EINVAL;
  const char *table[op->strings + 2];
  const char *at = wherry_string(op, 1);
  char **argv = (char **)table, **envp = (char **)table + arguments + 1;
  const char *first_candidate = at;
  for (int64_t i = 0; i < candidates; i++) at += strlen(at) + 1;
  for (int64_t i = 0; i < arguments; i++, at += strlen(at) + 1) argv[i] = (char *)at;
  argv[arguments] = NULL;
  for (int64_t i = 0; i < variables; i++, at += strlen(at) + 1) envp[i] = (char *)at;
  envp[variables] = NULL;
  int error = ENOENT;
  for (at = first_candidate; candidates-- > 0; at += strlen(at) + 1) {
    execve(at, argv, envp);
    // As a shell looks through PATH: what may not be run is remembered, and the search goes on.
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
    if (errno == EACCES) error = EACCES;
  }
  return error;
}

static int run(const struct wherry_op *op) {
  switch (op->code) {
    case WHERRY_OP_JOIN_CGROUP: return write_file(wherry_string(op, 1), "0");
    case WHERRY_OP_OPEN: {
      // Not O_PATH: setns takes no such descriptor.
      int fd = open(wherry_string(op, 1), O_RDONLY | O_CLOEXEC);
      if (fd < 0) return errno;
      int error = dup3(fd, WHERRY_FD_SLOTS + op->numbers[0], O_CLOEXEC) < 0 ? errno : 0;
      close(fd);
      return error;
    }
    case WHERRY_OP_SETNS: return setns(WHERRY_FD_SLOTS + op->numbers[0], op->numbers[1]) < 0 ? errno : 0;
    case WHERRY_OP_UNSHARE: return unshare(op->numbers[0]) < 0 ? errno : 0;
    case WHERRY_OP_HOSTNAME: return sethostname(wherry_string(op, 1), strlen(wherry_string(op, 1))) < 0 ? errno : 0;
    case WHERRY_OP_LOOPBACK_UP: return bring_loopback_up();
    case WHERRY_OP_WRITE_FILE: {
      int error = write_file(wherry_string(op, 1), wherry_string(op, 2));
      return op->numbers[0] ? 0 : error;
    }
    case WHERRY_OP_LIMIT: return limit(op);
    case WHERRY_OP_EXACT_LIMIT: return exact_limit(op);
    case WHERRY_OP_UMASK: umask(op->numbers[0]); return 0;
    case WHERRY_OP_PERSONALITY: return personality(op->numbers[0]) < 0 ? errno : 0;
    case WHERRY_OP_DOMAIN_NAME:
      return setdomainname(wherry_string(op, 1), strlen(wherry_string(op, 1))) < 0 ? errno : 0;
    case WHERRY_OP_MEET_PARENT:
    case WHERRY_OP_AWAIT_START:
    case WHERRY_OP_BE_BORN_INSIDE:
    case WHERRY_OP_SCHEDULER:
    case WHERRY_OP_IO_PRIORITY:
    case WHERRY_OP_TERMINAL: return wherry_bundle(op);
    case WHERRY_OP_COPY_UP: return wherry_copy_up(op);
    case WHERRY_OP_CHANGE_DIRECTORY: return chdir(wherry_string(op, 1)) < 0 ? errno : 0;
    case WHERRY_OP_REOPEN_NULL: return reopen_null();
    case WHERRY_OP_CLOSE_SLOTS: {
      unsigned first = op->numbers[0] ? WHERRY_FD_CONSOLE : WHERRY_FD_REPORT + 1;
      return syscall(SYS_close_range, first, ~0U, 0) < 0 ? errno : 0;
    }
    case WHERRY_OP_EXECUTE: return execute(op);
    case WHERRY_OP_BOUNDING_SET:
    case WHERRY_OP_USER:
    case WHERRY_OP_CAPABILITIES:
    case WHERRY_OP_CAPABILITY_SETS:
    case WHERRY_OP_NO_NEW_PRIVILEGES:
    case WHERRY_OP_SECCOMP: return wherry_privileges(op);
    case WHERRY_OP_MAPPED_TREE:
    case WHERRY_OP_FILE_USER:
    case WHERRY_OP_OWN_STREAMS: return wherry_users(op);
    case WHERRY_OP_LANDLOCK: return wherry_landlock(op);
    default: return wherry_mounts(op);
  }
}

void wherry_launch(const struct wherry_program *program) {
  const struct wherry_op *op = wherry_first(program);
  for (uint32_t i = 0; i < program->count; i++, op = wherry_next(op)) {
    if (op->code >= WHERRY_SHIM_CLONE) continue;
    int error = run(op);
    if (error == 0) continue;
    struct wherry_report report = {.error = error};
    strncpy(report.step, wherry_strings(op), sizeof report.step - 1);
    // Nobody is left to hear of it when this fails.
    if (write(WHERRY_FD_REPORT, &report, sizeof report) < 0) _exit(126);
    return;
  }
}
