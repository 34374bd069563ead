// What happens between clone and execve of a workload, and how its shim talks. All decisions are made in Swift
// (WherryIsolation/LaunchProgram*.swift), which writes them down as a flat program; this module carries it out in
// order and says which step failed. Nothing here allocates, and nothing here knows what a container is.
#pragma once
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "network.h"

#define WHERRY_PROGRAM_MAGIC 0x3150525948575231ULL
// Descriptors that the agent hands to a shim.
#define WHERRY_FD_LINK 3
#define WHERRY_FD_PROGRAM 4
#define WHERRY_FD_LISTENER 5
// In the child of an OCI runtime: where it meets its parent, where `start` will find it, and where its terminal goes.
#define WHERRY_FD_PARENT 4
#define WHERRY_FD_START 5
#define WHERRY_FD_CONSOLE 6
// In the child: where failures are reported, the directory without anything in it that masks others, and the first of
// the slots that keep directories and detached mounts.
#define WHERRY_FD_REPORT 3
#define WHERRY_FD_EMPTY 63
#define WHERRY_FD_SLOTS 64

// The program is this header, then `count` operations.
struct wherry_program {
  uint64_t magic;
  uint32_t size;
  uint32_t count;
};

// After the operation: `strings` strings, each closed by a NUL; the first says in words what the step does. A blob of
// `blob_size` bytes ends it. `size` is that of the whole operation, a multiple of 8.
struct wherry_op {
  uint32_t code;
  uint32_t size;
  uint32_t strings;
  uint32_t blob_size;
  int64_t numbers[4];
};

// s1… are the strings after the first, n0… the numbers.
enum wherry_op_code {
  WHERRY_OP_JOIN_CGROUP = 1,   // s1 = a cgroup.procs or tasks file: writes "0" to it
  WHERRY_OP_OPEN = 2,          // s1 = path, n0 = slot
  WHERRY_OP_SETNS = 3,         // n0 = slot, n1 = CLONE_NEW…
  WHERRY_OP_UNSHARE = 4,       // n0 = CLONE_NEW…
  WHERRY_OP_HOSTNAME = 5,      // s1
  WHERRY_OP_LOOPBACK_UP = 6,
  WHERRY_OP_PROPAGATION = 7,   // n0 = MS_… flags for the whole tree
  WHERRY_OP_OVERLAY = 8,       // s1 = mount point, s2 = options
  WHERRY_OP_OPEN_TREE = 9,     // s1 = path, n0 = slot: a detached recursive copy of the mounts there, n1 = 1: without
                               // those below it; n3 = 1: no link on the way is followed
  WHERRY_OP_PIVOT_ROOT = 10,   // s1 = new root; the old one is gone afterwards
  WHERRY_OP_MOUNT = 11,        // s1 = type, s2 = target (made when missing, no links on the way), s3… = options,
                               // n0 = MOUNT_ATTR_…, n1 = 1: only if the target is there, n2 = 1: links are followed
  WHERRY_OP_ATTACH = 12,       // n0 = slot, s1 = target (made when missing), n1 = MOUNT_ATTR_… to set, all the way down
                               // unless n2 has bit 32, n2 = to clear, n3 = MS_… propagation or 0, with MS_REC all the
                               // way down
  WHERRY_OP_SET_ATTRIBUTES = 13,  // s1 = path, if there, n0 = MOUNT_ATTR_… to set,
                               // n1 = 1: all the way down
  WHERRY_OP_MASK = 14,         // s1 = path, if there: nothing can be read there any more; s2… = key=value for the
                               // tmpfs over a directory, n0 = 1: that is not read-only yet, and kept in slot n1
  WHERRY_OP_SEAL = 29,         // n0 = slot of a mask, if there is one: read-only from now on
  WHERRY_OP_READ_ONLY = 15,    // s1 = path, if there: bound over itself, read-only
  WHERRY_OP_DIRECTORY = 16,    // s1 = path, n0 = mode; parents are made
  WHERRY_OP_NODE = 17,         // s1 = path, n0 = mode with type, n1 = major, n2 = minor, n3 = group and, above bit 32,
                               // user; one that is there already is as good
  WHERRY_OP_SYMLINK = 18,      // s1 = what it says, s2 = path
  WHERRY_OP_WRITE_FILE = 19,   // s1 = path, s2 = text, n0 = 1: a refusal does not matter; /proc must be one
  WHERRY_OP_LIMIT = 20,        // n0 = RLIMIT_…, n1 = soft, n2 = hard; never above the hard limit inherited
  WHERRY_OP_BOUNDING_SET = 21, // n0 = mask of capabilities to keep
  WHERRY_OP_USER = 22,         // n0 = uid, n1 = gid, n2 = number of groups, blob = uint32_t each, padded to 8
  WHERRY_OP_CAPABILITIES = 23, // n0 = effective and permitted, n1 = inheritable and ambient
  WHERRY_OP_NO_NEW_PRIVILEGES = 24,
  WHERRY_OP_SECCOMP = 25,      // blob = struct sock_filter[], n0 = SECCOMP_FILTER_FLAG_…
  WHERRY_OP_CHANGE_DIRECTORY = 26,  // s1
  WHERRY_OP_CLOSE_SLOTS = 28,  // everything that was opened on the way here; n0 = 1: but for what AWAIT_START needs
  WHERRY_OP_REOPEN_NULL = 30,  // the first three descriptors, where they are the null device: this root's own
  // What an OCI runtime needs beside.
  WHERRY_OP_MEET_PARENT = 31,  // n0 = number: tells it to the parent and waits for its word
  WHERRY_OP_DOMAIN_NAME = 32,  // s1
  WHERRY_OP_UMASK = 33,        // n0
  WHERRY_OP_CAPABILITY_SETS = 34,  // n0 = permitted, n1 = inheritable, n2 = ambient, n3 = effective
  WHERRY_OP_AWAIT_START = 35,  // n0 as above; then waits for a connection, to which failures are reported from now on
  WHERRY_OP_TERMINAL = 36,     // n0 = rows, n1 = columns: a terminal of its own, whose other end goes to the console;
                               // n2 = 1: it is /dev/console, n3 = the user it belongs to
  WHERRY_OP_EXACT_LIMIT = 37,  // as LIMIT, but refused where it cannot be kept
  WHERRY_OP_NEW_TREE = 38,     // s1 = type, s2… = options, n0 = slot, n1 = MOUNT_ATTR_…: a new file system, attached
                               // nowhere yet
  WHERRY_OP_ROOT_MOUNT = 39,   // s1 = path, bound over itself so that it can become the root
  WHERRY_OP_TREE_PROPAGATION = 40,  // s1 = path, n0 = MS_… flags
  WHERRY_OP_PERSONALITY = 41,  // n0
  WHERRY_OP_CHANGE_ROOT = 42,  // s1
  WHERRY_OP_BE_BORN_INSIDE = 43,  // goes on in a child whose parent is the runtime, which is told its pid
  // For a user namespace of its own (users.c).
  WHERRY_OP_MAPPED_TREE = 44,  // as OPEN_TREE, n1 = slot of the user namespace that its users are mapped by, n2 = 1:
                               // those below it are not, 2: it must be possible
  WHERRY_OP_FILE_USER = 45,    // n0 = uid, n1 = gid: whose the files are that are made from now on
  WHERRY_OP_OWN_STREAMS = 46,  // n0 = uid, n1 = gid: whose output and errors are, where they are pipes
  WHERRY_OP_LANDLOCK = 47,     // s1… = paths: nothing is written anywhere else, where the kernel knows how
  WHERRY_OP_SCHEDULER = 60,    // blob = struct sched_attr
  WHERRY_OP_IO_PRIORITY = 61,  // n0 = class and priority, as ioprio_set(2) has them
  WHERRY_OP_COPY_UP = 62,      // n0 = slot of a new file system, s1 = directory, if there: what is in it is copied;
                               // n1 = 1: its owner and mode are not
  WHERRY_OP_EXECUTE = 27,      // n0 = candidate paths, n1 = arguments, n2 = environment; strings in that order

  // For the shim; carried out before the clone.
  WHERRY_SHIM_CLONE = 100,     // n0 = CLONE_NEW… flags
  WHERRY_SHIM_CGROUP = 101,    // s1 = directory of the workload's cgroup v2: clone into it, kill through it
  WHERRY_SHIM_OOM = 102,       // s1 = file with an `oom_kill N` line
  WHERRY_SHIM_LOG = 103,       // s1 = path, n0 = bytes at most
  WHERRY_SHIM_PROCESSES = 105, // s1 = a cgroup.procs file that lists the workload's processes
  WHERRY_SHIM_CLOCKS = 106,    // s1 = lines for timens_offsets (time_namespaces(7))
  WHERRY_SHIM_INPUT = 107,     // s1 = a named pipe that is the workload's input
  WHERRY_SHIM_TARGET = 104,    // n0 = pid of a workload: join its pid namespace, its pidfd becomes slot 0
};

enum wherry_message_kind {
  // From the shim.
  WHERRY_STARTED = 1,  // a = pid
  WHERRY_FAILED = 2,   // a = errno, text = step
  WHERRY_EXITED = 3,   // a = exit code or -1, b = signal or 0, c = 1: out of memory
  // To the shim. The first is that the program is written and may be run.
  WHERRY_GO = 15,
  WHERRY_SIGNAL = 16,  // a = number
  WHERRY_KILL = 17,
};

// One datagram on a SOCK_SEQPACKET socket.
struct wherry_message {
  uint32_t kind;
  int32_t a;
  int32_t b;
  int32_t c;
  char text[112];
};

struct wherry_report {
  int32_t error;
  char step[112];
};

static inline const struct wherry_op *wherry_first(const struct wherry_program *program) {
  return (const struct wherry_op *)(program + 1);
}
static inline const struct wherry_op *wherry_next(const struct wherry_op *op) {
  return (const struct wherry_op *)((const char *)op + op->size);
}
static inline const char *wherry_strings(const struct wherry_op *op) { return (const char *)(op + 1); }
static inline const void *wherry_blob(const struct wherry_op *op) {
  return (const char *)op + op->size - op->blob_size;
}

/// The string with that number, 0 = the step's words.
const char *wherry_string(const struct wherry_op *op, uint32_t number);
/// 1 when every operation lies within the program and has the strings it says.
int wherry_is_valid(const struct wherry_program *program, size_t size);
/// Carries the program out in the calling process. Comes back only on failure, which it has reported then.
void wherry_launch(const struct wherry_program *program);
/// The parts of wherry_launch; each gives 0 or an errno.
int wherry_mounts(const struct wherry_op *op);
int wherry_privileges(const struct wherry_op *op);
int wherry_bundle(const struct wherry_op *op);
int wherry_users(const struct wherry_op *op);
/// Output and errors, where they are pipes, become that user's. 0 or an errno.
int wherry_own_streams(uint32_t user, uint32_t group);
int wherry_landlock(const struct wherry_op *op);
int wherry_copy_up(const struct wherry_op *op);

// What the child of an OCI runtime is cloned with; -1 = none.
struct wherry_birth {
  uint64_t namespaces;  // CLONE_NEW…
  int cgroup;
  int slot;             // becomes slot 0
  int report;
  int parent;
  int start;
  int console;
  int user_namespace;   // to be entered before; -1 = none
  int keeps_keyring;    // 1: the caller's session keyring is the child's too
};

/// The child carries the program out, with its standard streams as they are. Gives its pid, or -1 with errno.
int wherry_give_birth(const struct wherry_program *program, const struct wherry_birth *birth);
/// Executes a program within those namespaces of a process, with `input` as its input. Gives its pid, or -1 with errno.
int wherry_spawn_within(int pidfd, uint64_t namespaces, const char *path, char *const argv[], char *const envp[],
                        int input);
/// setns(2) and unshare(2) of the calling process. 0 or an errno.
int wherry_enter(int descriptor, uint64_t namespaces);
int wherry_part_from(uint64_t namespaces);
int wherry_pidfd_open(int pid);
/// Takes off what is mounted on `path`, looked up as if `root` were the root. 0 or an errno.
int wherry_unmount_within(const char *root, const char *path);
/// Loads an eBPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE and attaches it to a cgroup v2. 0 or an errno.
int wherry_attach_device_filter(int cgroup, const void *instructions, uint32_t count);
/// A listening stream socket; the descriptor that the first who connects sends (unix(7), SCM_RIGHTS).
int wherry_listen_stream(const char *path);
int wherry_receive_descriptor(int listener);
int wherry_receive_descriptor_from(int socket);
/// signalfd(2), and the number of the next signal or 0.
int wherry_signal_descriptor(const sigset_t *set);
int wherry_next_signal(int fd);
int wherry_pidfd_send_signal(int pidfd, int signal);

// The agent's side, where Swift cannot reach: variadic calls and macros of <sys/socket.h> and <fcntl.h>. Each gives a
// descriptor (all of them CLOEXEC) or -1 with errno.

/// Read-only, and no link or `..` on the way leads out of `root`: no link is followed at all.
int wherry_open_beneath(const char *root, const char *path);
/// A new user namespace in which 0… are the host's `first`…
int wherry_user_namespace(uint32_t first, uint32_t count);
/// Whether mounts of the file system at `path` can be mapped by a user namespace: 0 or an errno.
int wherry_supports_mapping(const char *path, int namespace);
/// Of Landlock; negative = this kernel has none, or it is switched off.
int wherry_landlock_version(void);
int wherry_memory_file(const char *name);
/// eventfd(2), not blocking.
int wherry_event_descriptor(void);
/// `socket` in `directory`, however long the directory's path is.
int wherry_listen(const char *directory, const char *socket);
int wherry_connect(const char *directory, const char *socket);
/// To execute that program by, without a way to change its file for those who are executed (program.c).
int wherry_open_program(const char *path);
/// Executes the calling program anew from such a place, unless it is there already. 0 = it is, or an errno.
int wherry_protect_program(char *const arguments[]);
/// Starts the shim with the three descriptors and its end of a new socket pair; gives the agent's end. In place of a
/// listener it may be where a terminal's other end goes. `streams`: three descriptors that the workload has as its
/// own, -1 = /dev/null; NULL = the shim keeps its output.
int wherry_spawn_shim(const char *shim, const char *directory, int program, int listener, const int *streams, int *pid);
/// sendmsg(2) and recvmsg(2), which does not wait, with descriptors (unix(7), SCM_RIGHTS).
enum { WHERRY_PASSED_MAXIMUM = 4 };
ssize_t wherry_send_with(int socket, const void *bytes, size_t count, const int *descriptors, uint32_t passed);
ssize_t wherry_receive_with(int socket, void *bytes, size_t count, int *descriptors, uint32_t *passed);
uint32_t wherry_major(uint64_t device);
uint32_t wherry_minor(uint64_t device);
