#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "commit.h"
#include "confine.h"

// What unpacking needs of the kernel beyond what Swift's Glibc module shows.

/// Opens a path that must lie below `directory` wherever links in it lead; the kernel refuses any other with EXDEV.
static inline int carchive_open_beneath(int directory, const char *path, int flags, int refuseLinks) {
  struct open_how how = {0};
  how.flags = (unsigned)flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | (refuseLinks ? RESOLVE_NO_SYMLINKS : 0);
  long descriptor;
  // EAGAIN: a rename somewhere in the system at the wrong moment.
  do descriptor = syscall(SYS_openat2, directory, path, &how, sizeof how);
  while (descriptor < 0 && (errno == EAGAIN || errno == EINTR));
  return (int)descriptor;
}

static inline unsigned long carchive_device(unsigned major, unsigned minor) { return makedev(major, minor); }
