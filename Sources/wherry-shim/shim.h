// One workload's keeper. It outlives the agent: holds the workload's output, reaps it, and writes down how it ended.
#pragma once
#include <sys/types.h>

#include "CIsolation.h"
#include "log.h"

#define CLIENTS_MAXIMUM 4
#define ASKED_MAXIMUM 64

struct shim {
  int directory_is_kept;  // 0 = for a probe: nothing is written down, and it ends with its agent
  int streams_are_kept;   // 1 = input, output and errors are those of whoever asked for it, and are not logged
  int console;            // where its terminal's other end goes, or -1
  // What the program says.
  uint64_t clone_flags;
  const char *cgroup;
  const char *oom_path;
  const char *processes_path;
  const char *clocks;
  const char *input_path;
  int64_t target;
  // What runs.
  pid_t pid;
  int pidfd;
  int output[2];
  int listener;
  int clients[CLIENTS_MAXIMUM];
  int processes;  // cgroup.procs, open
  // A signal that the first process does not handle, reported when it ends; and who got it before.
  int32_t signal_meant;
  int asked_count;
  pid_t asked[ASKED_MAXIMUM];
  struct stream streams[2];  // last, being large
};

/// Clones and launches. 0 once execve has happened, else 1 with the report filled in.
int shim_start(struct shim *shim, const struct wherry_program *program, struct wherry_report *report);
/// Serves until the workload ends; gives what to tell.
struct wherry_message shim_serve(struct shim *shim);
void shim_tell(struct shim *shim, const struct wherry_message *message);
