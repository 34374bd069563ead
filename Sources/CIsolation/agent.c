#include "CIsolation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

int wherry_open_beneath(const char *root, const char *path) {
  int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
  int fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
  int error = errno;
  close(directory);
  errno = error;
  return fd;
}

int wherry_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int wherry_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

// A socket's path must fit 108 bytes, which a directory of somebody's choice need not.
typedef int socket_operation(int, const struct sockaddr *, socklen_t);

static int at_socket(const char *directory, const char *name, socket_operation *operation) {
  int place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) return -1;
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place, name);
  if (fd >= 0 && operation(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    int error = errno;
    close(fd);
    fd = -1;
    errno = error;
  }
  int error = errno;
  close(place);
  errno = error;
  return fd;
}

int wherry_listen(const char *directory, const char *name) {
  int fd = at_socket(directory, name, bind);
  // A shim that is stopped accepts nobody, and each start of the agent leaves one connection waiting.
  if (fd >= 0 && listen(fd, 128) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int wherry_connect(const char *directory, const char *name) { return at_socket(directory, name, connect); }

static int spawn(const char *shim, const char *directory, const int from[3], const int *streams, int *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  // A person's process has the person's, and a container that was started from a script may have its caller's.
  for (int i = 0; streams && i < 3; i++) {
    if (streams[i] >= 0) posix_spawn_file_actions_adddup2(&actions, streams[i], i);
    else posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
  }
  if (!streams && strcmp(directory, "=") != 0) {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
  }
  // First out of the way, above all of them, then into place: one may sit where another has to go.
  int aside = WHERRY_FD_LISTENER + 1;
  for (int i = 0; i < 3; i++) {
    if (from[i] >= aside) aside = from[i] + 1;
  }
  for (int i = 0; i < 3; i++) {
    if (from[i] >= 0) posix_spawn_file_actions_adddup2(&actions, from[i], aside + i);
  }
  for (int i = 0; i < 3; i++) {
    if (from[i] >= 0) posix_spawn_file_actions_adddup2(&actions, aside + i, WHERRY_FD_LINK + i);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, WHERRY_FD_LINK + (from[2] < 0 ? 2 : 3));
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  // A session of its own: what the terminal or the service manager tells the agent's group is not for workloads.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  char place[4096];
  snprintf(place, sizeof place, "%s%s", streams ? "=" : "", directory);
  char *arguments[] = {"wherry-shim", place, NULL}, *environment[] = {NULL};
  int error = posix_spawn(pid, shim, &actions, &attributes, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

int wherry_spawn_shim(const char *shim, const char *directory, int program, int listener, const int *streams,
                      int *pid) {
  int pair[2], file = wherry_open_program(shim);
  if (file < 0) return -1;
  // The descriptor of this process, not the child's own, which is closed before it executes anything.
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), file);
  int error = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? errno : 0;
  if (error) {
    close(file);
    errno = error;
    return -1;
  }
  error = spawn(path, directory, (int[]){pair[1], program, listener}, streams, pid);
  close(file);
  close(pair[1]);
  if (error == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) error = errno;
  if (error == 0) return pair[0];
  close(pair[0]);
  errno = error;
  return -1;
}

union passed {
  struct cmsghdr header;  // aligns
  char bytes[CMSG_SPACE(WHERRY_PASSED_MAXIMUM * sizeof(int))];
};

ssize_t wherry_send_with(int socket, const void *bytes, size_t count, const int *descriptors, uint32_t passed) {
  if (passed > WHERRY_PASSED_MAXIMUM) return errno = EINVAL, -1;
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  union passed control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(passed * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(passed * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, passed * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t wherry_receive_with(int socket, void *bytes, size_t count, int *descriptors, uint32_t *passed) {
  struct iovec part = {.iov_base = bytes, .iov_len = count};
  union passed control = {0};
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  *passed = 0;
  ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (received < 0) return received;
  // What does not fit the kernel has closed.
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    uint32_t found = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors, CMSG_DATA(header), found * sizeof(int));
    *passed = found;
  }
  return received;
}

uint32_t wherry_major(uint64_t device) { return major(device); }
uint32_t wherry_minor(uint64_t device) { return minor(device); }
