#pragma once
#include <stddef.h>
#include <stdint.h>

// A layer under SQLite that writes down, in order, all that it does to one database's files. From that list a test
// makes the disk as it would be after a power cut at any point: what had not been synced may be there, or not, or in
// part.

enum fault_disk_kind { FAULT_DISK_WRITE, FAULT_DISK_TRUNCATE, FAULT_DISK_SYNC, FAULT_DISK_CREATE, FAULT_DISK_DELETE };

struct fault_disk_operation {
  int kind;
  // 0 the database, 1 its write-ahead log, 2 its rollback journal.
  int file;
  // Where a write begins, or the length after a truncation. Of a deletion: whether the directory was synced.
  int64_t offset;
  size_t length;
  const unsigned char *bytes;
};

// Begins a new list for the database at this path; every other file passes through. One at a time.
int fault_disk_record(const char *path);
void fault_disk_stop(void);
size_t fault_disk_count(void);
struct fault_disk_operation fault_disk_operation_at(size_t index);
