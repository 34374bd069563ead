#include "CFaultDisk.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static sqlite3_vfs *real;
static sqlite3_vfs layer;
// Never freed: another thread may be comparing names with it.
static char *_Atomic recorded;
static struct fault_disk_operation *operations;
static size_t count, capacity;

struct layered_file {
  sqlite3_file base;
  int file;
};

static sqlite3_file *below(sqlite3_file *file) { return (sqlite3_file *)((struct layered_file *)file + 1); }

// Which of the recorded files it is; -1 = none.
static int file_of(const char *name) {
  static const char *const suffixes[] = {"", "-wal", "-journal"};
  const char *path = recorded;
  if (!path || !name || strncmp(name, path, strlen(path)) != 0) return -1;
  for (int index = 0; index < 3; index++)
    if (strcmp(name + strlen(path), suffixes[index]) == 0) return index;
  return -1;
}

static int note(int kind, int file, int64_t offset, const void *bytes, size_t length) {
  if (count == capacity) {
    size_t larger = capacity ? capacity * 2 : 256;
    void *grown = realloc(operations, larger * sizeof *operations);
    if (!grown) return SQLITE_NOMEM;
    operations = grown;
    capacity = larger;
  }
  unsigned char *copy = NULL;
  if (length) {
    copy = malloc(length);
    if (!copy) return SQLITE_NOMEM;
    memcpy(copy, bytes, length);
  }
  operations[count++] = (struct fault_disk_operation){kind, file, offset, length, copy};
  return SQLITE_OK;
}

static int number_of(sqlite3_file *file) { return ((struct layered_file *)file)->file; }

static int close_file(sqlite3_file *file) { return below(file)->pMethods->xClose(below(file)); }
static int read_file(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset) {
  return below(file)->pMethods->xRead(below(file), bytes, length, offset);
}
static int write_file(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset) {
  int code = note(FAULT_DISK_WRITE, number_of(file), offset, bytes, (size_t)length);
  return code ? code : below(file)->pMethods->xWrite(below(file), bytes, length, offset);
}
static int truncate_file(sqlite3_file *file, sqlite3_int64 length) {
  int code = note(FAULT_DISK_TRUNCATE, number_of(file), length, NULL, 0);
  return code ? code : below(file)->pMethods->xTruncate(below(file), length);
}
static int sync_file(sqlite3_file *file, int flags) {
  int code = below(file)->pMethods->xSync(below(file), flags);
  return code ? code : note(FAULT_DISK_SYNC, number_of(file), 0, NULL, 0);
}
static int size_of_file(sqlite3_file *file, sqlite3_int64 *size) {
  return below(file)->pMethods->xFileSize(below(file), size);
}
static int lock_file(sqlite3_file *file, int kind) { return below(file)->pMethods->xLock(below(file), kind); }
static int unlock_file(sqlite3_file *file, int kind) { return below(file)->pMethods->xUnlock(below(file), kind); }
static int check_lock(sqlite3_file *file, int *result) {
  return below(file)->pMethods->xCheckReservedLock(below(file), result);
}
static int control_file(sqlite3_file *file, int operation, void *argument) {
  return below(file)->pMethods->xFileControl(below(file), operation, argument);
}
static int sector_size(sqlite3_file *file) { return below(file)->pMethods->xSectorSize(below(file)); }
static int characteristics(sqlite3_file *file) { return below(file)->pMethods->xDeviceCharacteristics(below(file)); }
static int map_shared(sqlite3_file *file, int page, int size, int extend, void volatile **address) {
  return below(file)->pMethods->xShmMap(below(file), page, size, extend, address);
}
static int lock_shared(sqlite3_file *file, int offset, int length, int flags) {
  return below(file)->pMethods->xShmLock(below(file), offset, length, flags);
}
static void shared_barrier(sqlite3_file *file) { below(file)->pMethods->xShmBarrier(below(file)); }
static int unmap_shared(sqlite3_file *file, int remove) {
  return below(file)->pMethods->xShmUnmap(below(file), remove);
}

// Version 2: without memory maps, through which writes would pass unseen.
static const sqlite3_io_methods methods = {
    2,           close_file,  read_file,    write_file,    truncate_file, sync_file,  size_of_file,   lock_file,
    unlock_file, check_lock,  control_file, sector_size,   characteristics, map_shared, lock_shared,  shared_barrier,
    unmap_shared, NULL, NULL};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs;
  int number = file_of(name);
  if (number < 0) return real->xOpen(real, name, file, flags, out);
  struct layered_file *layered = (struct layered_file *)file;
  layered->base.pMethods = NULL;
  layered->file = number;
  int code = real->xOpen(real, name, below(file), flags, out);
  if (code) return code;
  layered->base.pMethods = &methods;
  return note(FAULT_DISK_CREATE, number, 0, NULL, 0);
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync) {
  (void)vfs;
  int code = real->xDelete(real, name, sync);
  int number = file_of(name);
  return code || number < 0 ? code : note(FAULT_DISK_DELETE, number, sync, NULL, 0);
}

int fault_disk_record(const char *path) {
  fault_disk_stop();
  recorded = strdup(path);
  if (!recorded) return SQLITE_NOMEM;
  if (real) return SQLITE_OK;
  real = sqlite3_vfs_find(NULL);
  layer = *real;
  layer.zName = "fault-disk";
  layer.szOsFile = (int)sizeof(struct layered_file) + real->szOsFile;
  layer.xOpen = open_file;
  layer.xDelete = delete_file;
  return sqlite3_vfs_register(&layer, 1);
}

void fault_disk_stop(void) {
  for (size_t index = 0; index < count; index++) free((void *)operations[index].bytes);
  count = 0;
  recorded = NULL;
}

size_t fault_disk_count(void) { return count; }
struct fault_disk_operation fault_disk_operation_at(size_t index) { return operations[index]; }
