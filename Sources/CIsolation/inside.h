// How paths are walked where an image, or whoever runs in a container already, may have laid something in the way.
#pragma once
#include <stdint.h>
#include <sys/types.h>

#define WHERRY_PATH_BYTES 4096
#define WHERRY_NAME_BYTES 256

/// openat2(2) that follows links but not those of procfs which lead out of every root: /proc/self/fd/7,
/// /proc/1/root. A descriptor, or -1 with errno; so are all of these.
int wherry_open_inside(int directory, const char *path, uint64_t flags);
/// O_PATH. What is missing of it is made.
int wherry_open_directory(const char *path, mode_t mode);
/// The directory that `path` lies in, made where it is missing, and the name in it.
int wherry_open_parent(const char *path, char name[WHERRY_NAME_BYTES]);
/// O_PATH; made where it is missing, as a directory or as a file.
int wherry_open_target(const char *path, int is_directory);
/// Below /proc, for writing: in a procfs, and in nothing that was mounted over a part of it.
int wherry_open_proc(const char *path);
int wherry_is_null_device(int fd);
/// open_tree(2) with OPEN_TREE_CLONE; `exactly`: no link is followed on the way.
int wherry_clone_tree(const char *path, int exactly, unsigned flags);
