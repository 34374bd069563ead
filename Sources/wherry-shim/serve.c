#include "quiet.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// One after the other; the larger this is, the fewer writes a talkative workload costs.
static char input[16384];

void shim_tell(struct shim *shim, const struct wherry_message *message) {
  for (int i = 0; i < CLIENTS_MAXIMUM; i++) {
    if (shim->clients[i] < 0) continue;
    // A client that does not read loses nothing it cannot find in the directory.
    send(shim->clients[i], message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

// Whether the signal would end a process that has said nothing about it (signal(7), "Standard signals").
static int ends_by_default(int number) {
  switch (number) {
    case SIGCHLD: case SIGCONT: case SIGSTOP: case SIGTSTP: case SIGTTIN: case SIGTTOU: case SIGURG: case SIGWINCH:
    case SIGKILL: return 0;
    default: return 1;
  }
}

// The kernel drops signals to the first process of a pid namespace that it does not handle. Outside of a namespace
// they would end it, and stopping a component must not take until its time runs out because its script has no trap.
static int is_dropped(const struct shim *shim, int number) {
  if (!(shim->clone_flags & CLONE_NEWPID) || !ends_by_default(number)) return 0;
  char text[4096];
  snprintf(text, sizeof text, "/proc/%d/status", shim->pid);
  int fd = open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0) return 0;
  text[count] = 0;
  uint64_t handled = 0;
  for (char *line = strstr(text, "\nSig"); line; line = strstr(line + 1, "\nSig")) {
    // Blocked, ignored, caught; not queued.
    if (line[4] == 'B' || line[4] == 'I' || line[4] == 'C') handled |= strtoull(line + 8, NULL, 16);
  }
  return !(handled >> (number - 1) & 1);
}

static void kill_all(struct shim *shim) {
  // The first of a pid namespace takes the others with it.
  syscall(SYS_pidfd_send_signal, shim->pidfd, SIGKILL, NULL, 0);
}

// The workload's other processes as of now, at most `maximum`.
static int list_others(const struct shim *shim, pid_t *others, int maximum) {
  char text[4096];
  ssize_t count = shim->processes >= 0 ? pread(shim->processes, text, sizeof text - 1, 0) : -1;
  if (count <= 0) return 0;
  text[count] = 0;
  int found = 0;
  for (char *at = text, *end; found < maximum; at = end) {
    pid_t pid = strtol(at, &end, 10);
    if (end == at || *end != '\n') break;
    if (pid > 0 && pid != shim->pid) others[found++] = pid;
  }
  return found;
}

// When the first process ends the kernel kills the others with it, so they are asked before and waited for. A script
// that starts new ones meanwhile is not: those that were asked decide.
static void end_when_others_have(struct shim *shim) {
  pid_t now[ASKED_MAXIMUM];
  int count = list_others(shim, now, ASKED_MAXIMUM);
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < shim->asked_count; j++) {
      if (now[i] == shim->asked[j]) return;
    }
  }
  kill_all(shim);
}

static void ask_to_end(struct shim *shim, int number) {
  shim->signal_meant = number;
  shim->asked_count = list_others(shim, shim->asked, ASKED_MAXIMUM);
  for (int i = 0; i < shim->asked_count; i++) kill(shim->asked[i], number);
  end_when_others_have(shim);
}

static void obey(struct shim *shim, const struct wherry_message *message) {
  if (message->kind == WHERRY_KILL) {
    kill_all(shim);
  } else if (message->kind == WHERRY_SIGNAL && message->a > 0 && message->a <= 64) {
    if (is_dropped(shim, message->a)) {
      ask_to_end(shim, message->a);
    } else {
      syscall(SYS_pidfd_send_signal, shim->pidfd, message->a, NULL, 0);
    }
  }
}

static void hear(struct shim *shim, int client) {
  struct wherry_message message;
  ssize_t count = recv(shim->clients[client], &message, sizeof message, MSG_DONTWAIT);
  if (count == sizeof message) {
    obey(shim, &message);
  } else if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
    close(shim->clients[client]);
    shim->clients[client] = -1;
    if (!shim->directory_is_kept) kill_all(shim);
  }
}

static void accept_client(struct shim *shim) {
  int fd = accept4(shim->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  for (int i = 0; i < CLIENTS_MAXIMUM; i++) {
    if (shim->clients[i] >= 0) continue;
    shim->clients[i] = fd;
    struct wherry_message message = {.kind = WHERRY_STARTED, .a = shim->pid};
    send(fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  close(fd);
}

/// 1 while there may be more at once.
static int read_output(struct shim *shim, int stream) {
  ssize_t count = read(shim->output[stream], input, sizeof input);
  if (count > 0) {
    log_bytes(&shim->streams[stream], input, count);
    return 1;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  log_end(&shim->streams[stream]);
  close(shim->output[stream]);
  shim->output[stream] = -1;
  return 0;
}

static struct wherry_message end_of(struct shim *shim) {
  siginfo_t info = {0};
  // Not reaped yet: that takes the kernel milliseconds (the pid namespace goes with it), and the end is known before.
  while (waitid(P_PIDFD, shim->pidfd, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {}
  struct wherry_message end = {.kind = WHERRY_EXITED, .a = -1};
  if (info.si_code == CLD_EXITED) end.a = info.si_status;
  else end.b = info.si_status == SIGKILL && shim->signal_meant ? shim->signal_meant : info.si_status;
  // All of its processes are gone by now; what they wrote is in the pipes.
  for (int stream = 0; stream < 2; stream++) {
    while (shim->output[stream] >= 0 && read_output(shim, stream)) {}
    log_end(&shim->streams[stream]);
  }
  return end;
}

// The parts of this program that are never written to.
static struct { uintptr_t start, size; } texts[4];
static int text_count;

static void find_texts(void) {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  uintptr_t base = 0, page = sysconf(_SC_PAGESIZE);
  int count = getauxval(AT_PHNUM);
  for (int i = 0; i < count; i++) {
    if (headers[i].p_type == PT_PHDR) base = (uintptr_t)headers - headers[i].p_vaddr;
  }
  for (int i = 0; i < count && text_count < 4; i++) {
    if (headers[i].p_type != PT_LOAD || headers[i].p_flags & PF_W) continue;
    uintptr_t start = (base + headers[i].p_vaddr) & -page;
    uintptr_t end = (base + headers[i].p_vaddr + headers[i].p_memsz + page - 1) & -page;
    texts[text_count].start = start;
    texts[text_count++].size = end - start;
  }
}

// Most of libc was needed to get here only, and this may wait for years: what is still needed is read back from the
// page cache.
static inline void drop_texts(void) {
  for (int i = 0; i < text_count; i++) quiet_syscall(SYS_madvise, texts[i].start, texts[i].size, MADV_DONTNEED);
}

struct wherry_message shim_serve(struct shim *shim) {
  find_texts();
  for (int is_quiet = 1;;) {
    if (is_quiet) drop_texts();
    struct pollfd fds[4 + CLIENTS_MAXIMUM] = {
      {.fd = shim->pidfd, .events = POLLIN},
      {.fd = shim->output[0], .events = POLLIN},
      {.fd = shim->output[1], .events = POLLIN},
      {.fd = shim->listener, .events = POLLIN},
    };
    for (int i = 0; i < CLIENTS_MAXIMUM; i++) fds[4 + i] = (struct pollfd){.fd = shim->clients[i], .events = POLLIN};
    // Processes end without a word; only while they are asked to are they looked for.
    // Not on the stack, where its start value would come from a page of constants.
    static struct timespec timeout;
    timeout.tv_sec = shim->asked_count > 0 ? 0 : 5;
    timeout.tv_nsec = shim->asked_count > 0 ? 20000000 : 0;
    int is_timed = shim->asked_count > 0 || !is_quiet;
    long count = quiet_syscall(SYS_ppoll, (long)fds, 4 + CLIENTS_MAXIMUM, is_timed ? (long)&timeout : 0);
    if (count < 0) continue;
    if (shim->asked_count > 0) end_when_others_have(shim);
    for (int stream = 0; stream < 2; stream++) {
      if (fds[1 + stream].revents) read_output(shim, stream);
    }
    for (int i = 0; i < CLIENTS_MAXIMUM; i++) {
      if (fds[4 + i].revents) hear(shim, i);
    }
    if (fds[3].revents) accept_client(shim);
    if (fds[0].revents) return end_of(shim);
    // A talkative workload keeps in memory what its log needs, until it has been silent for a while.
    is_quiet = count == 0 || (!fds[1].revents && !fds[2].revents);
  }
}
