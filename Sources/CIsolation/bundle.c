// How a container of an OCI runtime is born, and how it meets those who made it: its parent, which is `create` and
// ends when everything is ready, and later `start`. The C here makes no decisions either: the program says when.
#include "CIsolation.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int tell(int fd, char number) {
  // The parent may be gone: that is no reason to be ended by a signal.
  return send(fd, &number, 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static int hear(int fd) {
  char word;
  ssize_t count;
  while ((count = recv(fd, &word, 1, 0)) < 0 && errno == EINTR) {}
  return count == 1 ? 0 : count == 0 ? EPIPE : errno;
}

static int await_start(int64_t number) {
  int error = tell(WHERRY_FD_PARENT, number);
  if (error) return error;
  close(WHERRY_FD_PARENT);
  close(WHERRY_FD_REPORT);
  fcntl(WHERRY_FD_START, F_SETFL, 0);
  for (;;) {
    int connection = accept4(WHERRY_FD_START, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (connection < 0) return errno;
    // Whoever connects and goes away again has not started anything.
    if (hear(connection) == 0) {
      close(WHERRY_FD_START);
      // It may have got that number already, which nobody uses any more.
      if (connection == WHERRY_FD_REPORT) return 0;
      error = dup3(connection, WHERRY_FD_REPORT, O_CLOEXEC) < 0 ? errno : 0;
      close(connection);
      return error;
    }
    close(connection);
  }
}

// Room for one descriptor beside a message (cmsg(3)).
union one_descriptor {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

static struct msghdr message_with(struct iovec *part, union one_descriptor *control) {
  return (struct msghdr){
    .msg_iov = part, .msg_iovlen = 1, .msg_control = control->bytes, .msg_controllen = sizeof control->bytes};
}

static int send_descriptor(int socket, int fd) {
  char name[] = "/dev/pts/ptmx";
  struct iovec part = {.iov_base = name, .iov_len = sizeof name - 1};
  union one_descriptor control = {0};
  struct msghdr message = message_with(&part, &control);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

// /dev/console is what programs look for when they want to talk to a person.
static int show_console(int slave) {
  int console = wherry_open_target("/dev/console", 0);
  if (console < 0) return errno;
  int tree = open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  int error = tree < 0 ? errno : 0;
  if (!error && move_mount(tree, "", console, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) error = errno;
  if (tree >= 0) close(tree);
  close(console);
  return error;
}

// Whoever is in the container already may have laid another file there.
static int open_terminals(void) {
  int fd = wherry_open_inside(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
  struct stat status;
  if (fd < 0 || (fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(5, 2))) return fd;
  close(fd);
  errno = ENODEV;
  return -1;
}

static int make_terminal(const struct wherry_op *op) {
  int master = open_terminals(), unlocked = 0;
  if (master < 0 || fcntl(master, F_SETFL, O_RDWR) < 0) return errno;
  if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) return errno;
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return errno;
  struct winsize size = {.ws_row = op->numbers[0], .ws_col = op->numbers[1]};
  if ((size.ws_row || size.ws_col) && ioctl(slave, TIOCSWINSZ, &size) < 0) return errno;
  // It is its user's, who may want to change its mode.
  if (fchown(slave, op->numbers[3], -1) < 0) return errno;
  int error = op->numbers[2] ? show_console(slave) : 0;
  if (!error) error = send_descriptor(WHERRY_FD_CONSOLE, master);
  if (!error && ioctl(slave, TIOCSCTTY, 0) < 0) error = errno;
  for (int fd = 0; fd <= 2 && !error; fd++) {
    if (dup2(slave, fd) < 0) error = errno;
  }
  close(slave);
  close(master);
  close(WHERRY_FD_CONSOLE);
  return error;
}

// A process in the container's pid namespace is seen from inside, and who may trace there gets at its root and its
// descriptors. So the one who enters the namespaces never is: it has nothing of the host's left when it clones the one
// that is (CVE-2016-9962).
static int be_born_inside(void) {
  syscall(SYS_close_range, WHERRY_FD_CONSOLE + 1, ~0U, 0);
  struct clone_args how = {.flags = CLONE_PARENT};
  pid_t pid = syscall(SYS_clone3, &how, sizeof how);
  if (pid < 0) return errno;
  if (pid == 0) {
    setsid();
    return 0;
  }
  int32_t number = pid;
  _exit(send(WHERRY_FD_PARENT, &number, sizeof number, MSG_NOSIGNAL) == sizeof number ? 0 : 126);
}

int wherry_bundle(const struct wherry_op *op) {
  switch (op->code) {
    case WHERRY_OP_SCHEDULER:
      if (op->blob_size < 48) return EINVAL;
      return syscall(SYS_sched_setattr, 0, wherry_blob(op), 0) < 0 ? errno : 0;
    case WHERRY_OP_IO_PRIORITY:
      return syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, (int)op->numbers[0]) < 0 ? errno : 0;
    case WHERRY_OP_MEET_PARENT: {
      int error = tell(WHERRY_FD_PARENT, op->numbers[0]);
      return error ? error : hear(WHERRY_FD_PARENT);
    }
    case WHERRY_OP_BE_BORN_INSIDE: return be_born_inside();
    case WHERRY_OP_AWAIT_START: return await_start(op->numbers[0]);
    case WHERRY_OP_TERMINAL: return make_terminal(op);
    default: return ENOSYS;
  }
}

static void reset_signals(void) {
  for (int number = 1; number < 65; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// First all of them out of the way, then each to its place. Above the first slot and no higher: the limit of open files
// may be low.
static int place_descriptors(const struct wherry_birth *birth) {
  int aside[] = {birth->report, birth->parent, birth->start, birth->console, birth->slot};
  const int to[] = {WHERRY_FD_REPORT, WHERRY_FD_PARENT, WHERRY_FD_START, WHERRY_FD_CONSOLE, WHERRY_FD_SLOTS};
  for (int i = 0; i < 5; i++) {
    if (aside[i] < 0) continue;
    aside[i] = fcntl(aside[i], F_DUPFD_CLOEXEC, WHERRY_FD_SLOTS + 1);
    if (aside[i] < 0) return errno;
  }
  for (int i = 0; i < 5; i++) close(to[i]);
  for (int i = 0; i < 5; i++) {
    if (aside[i] >= 0 && dup3(aside[i], to[i], O_CLOEXEC) < 0) return errno;
  }
  // Whatever else is open, known or not, is closed before a path of the image is walked: a link to /proc/self/fd would
  // lead to it.
  syscall(SYS_close_range, WHERRY_FD_CONSOLE + 1, WHERRY_FD_SLOTS - 1, 0);
  syscall(SYS_close_range, WHERRY_FD_SLOTS + 1, ~0U, 0);
  syscall(SYS_close_range, WHERRY_FD_REPORT, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  return 0;
}

static void child(const struct wherry_program *program, const struct wherry_birth *birth) {
  if (place_descriptors(birth)) _exit(126);
  reset_signals();
  // Until execve this is the runtime, seen from inside: nobody there shall look into it.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // The keys of whoever called are not the container's. A kernel without keys has none to give.
  if (!birth->keeps_keyring) syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
  setsid();
  umask(022);
  wherry_launch(program);
  _exit(126);
}

static pid_t clone_child(const struct wherry_program *program, const struct wherry_birth *birth,
                         struct clone_args how) {
  how.flags |= birth->namespaces;
  if (birth->cgroup >= 0) {
    how.flags |= CLONE_INTO_CGROUP;
    how.cgroup = birth->cgroup;
  }
  pid_t pid = syscall(SYS_clone3, &how, sizeof how);
  if (pid == 0) child(program, birth);
  return pid;
}

// Other namespaces belong to the user namespace in which they are made, and nobody leaves one that he entered. So
// another enters it, and the child is its parent's parent's.
static pid_t clone_in_user_namespace(const struct wherry_program *program, const struct wherry_birth *birth) {
  int32_t answer = -EIO;
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) < 0) return -1;
  pid_t helper = fork();
  if (helper == 0) {
    answer = setns(birth->user_namespace, CLONE_NEWUSER) < 0 ? -errno : 0;
    if (answer == 0) {
      pid_t pid = clone_child(program, birth, (struct clone_args){.flags = CLONE_PARENT});
      answer = pid < 0 ? -errno : pid;
    }
    _exit(write(pair[1], &answer, sizeof answer) == sizeof answer ? 0 : 126);
  }
  int error = errno;
  close(pair[1]);
  if (helper > 0) {
    while (read(pair[0], &answer, sizeof answer) < 0 && errno == EINTR) {}
    while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {}
    error = answer < 0 ? -answer : 0;
  }
  close(pair[0]);
  errno = error;
  return error ? -1 : answer;
}

int wherry_give_birth(const struct wherry_program *program, const struct wherry_birth *birth) {
  if (birth->user_namespace >= 0) return clone_in_user_namespace(program, birth);
  return clone_child(program, birth, (struct clone_args){.exit_signal = SIGCHLD});
}

int wherry_spawn_within(int pidfd, uint64_t namespaces, const char *path, char *const argv[], char *const envp[],
                        int input) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  reset_signals();
  if (pidfd >= 0 && namespaces && setns(pidfd, namespaces) < 0) _exit(125);
  if (input >= 0) dup2(input, 0);
  // What hooks print is for people, and not the answer of the command.
  dup2(2, 1);
  syscall(SYS_close_range, 3, ~0U, 0);
  execve(path, argv, envp);
  _exit(127);
}

int wherry_enter(int descriptor, uint64_t namespaces) { return setns(descriptor, namespaces) < 0 ? errno : 0; }
int wherry_part_from(uint64_t namespaces) { return unshare(namespaces) < 0 ? errno : 0; }
int wherry_pidfd_open(int pid) { return syscall(SYS_pidfd_open, pid, 0); }
int wherry_pidfd_send_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? errno : 0;
}

// For the one who sits at a terminal himself.

int wherry_listen_stream(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0) return fd;
  close(fd);
  return -1;
}

int wherry_receive_descriptor(int listener) {
  int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (socket < 0) return -1;
  int fd = wherry_receive_descriptor_from(socket);
  close(socket);
  return fd;
}

int wherry_receive_descriptor_from(int socket) {
  char name[256];
  struct iovec part = {.iov_base = name, .iov_len = sizeof name};
  union one_descriptor control = {0};
  struct msghdr message = message_with(&part, &control);
  int fd = -1;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) > 0) {
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  }
  return fd;
}

int wherry_signal_descriptor(const sigset_t *set) { return signalfd(-1, set, SFD_CLOEXEC); }

int wherry_next_signal(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

int wherry_attach_device_filter(int cgroup, const void *instructions, uint32_t count) {
  union bpf_attr load = {
    .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = count, .insns = (uintptr_t)instructions,
    .license = (uintptr_t) "Apache-2.0"};
  int program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (program < 0) return errno;
  union bpf_attr attach = {
    .target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
  int error = syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) < 0 ? errno : 0;
  close(program);
  return error;
}
