#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define OUT_BYTES 16384
#define STAMP_BYTES 27  // "2026-11-24T03:04:05.123Z O "

static int file = -1;
static const char *file_path;
static int64_t file_bytes, file_bytes_maximum;
static int64_t bytes_lost;
static char out[OUT_BYTES];
static size_t out_length;

int64_t now_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void put_number(char *at, int64_t value, int digits) {
  while (digits-- > 0) {
    at[digits] = '0' + value % 10;
    value /= 10;
  }
}

// Without localtime and printf: their tables would be most of this program's memory.
static void put_stamp(char *at, int64_t milliseconds, char mark) {
  int64_t days = milliseconds / 86400000, rest = milliseconds % 86400000;
  // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  int64_t z = days + 719468, era = z / 146097, day_of_era = z % 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2);
  memcpy(at, "0000-00-00T00:00:00.000Z O ", STAMP_BYTES);
  put_number(at, year, 4);
  put_number(at + 5, month, 2);
  put_number(at + 8, day, 2);
  put_number(at + 11, rest / 3600000, 2);
  put_number(at + 14, rest / 60000 % 60, 2);
  put_number(at + 17, rest / 1000 % 60, 2);
  put_number(at + 20, rest % 1000, 3);
  at[25] = mark;
}

static void reopen(void) {
  file = open(file_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  struct stat status;
  file_bytes = file >= 0 && fstat(file, &status) == 0 ? status.st_size : 0;
}

void log_open(const char *path, int64_t bytes_maximum) {
  file_path = path;
  file_bytes_maximum = bytes_maximum / LOG_GENERATIONS;
  reopen();
}

static void rotate(void) {
  char from[PATH_BYTES], to[PATH_BYTES];
  size_t length = strlen(file_path);
  if (length + 3 > sizeof from) return;
  memcpy(from, file_path, length + 1);
  memcpy(to, file_path, length + 1);
  for (int generation = LOG_GENERATIONS - 1; generation >= 1; generation--) {
    memcpy(to + length, (char[]){'.', '0' + generation, 0}, 3);
    if (generation > 1) memcpy(from + length, (char[]){'.', '0' + generation - 1, 0}, 3);
    else from[length] = 0;
    rename(from, to);
  }
  if (file >= 0) close(file);
  reopen();
}

static void write_out(void) {
  size_t done = 0;
  while (file >= 0 && done < out_length) {
    ssize_t count = write(file, out + done, out_length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += count;
  }
  if (done < out_length) {
    // No half line stays: the next one would be read as its rest.
    size_t whole = done;
    while (whole > 0 && out[whole - 1] != '\n') whole--;
    if (file >= 0 && whole < done && ftruncate(file, file_bytes + whole) == 0) done = whole;
  }
  file_bytes += done;
  bytes_lost += out_length - done;
  out_length = 0;
}

static void append(const char *text, size_t length) {
  memcpy(out + out_length, text, length);
  out_length += length;
}

static void begin_line(int64_t began, char mark) {
  put_stamp(out + out_length, began, mark);
  out_length += STAMP_BYTES;
}

// A full disk must not stop the workload. What was dropped is said once there is room again.
static void confess_loss(void) {
  char digits[20];
  put_number(digits, bytes_lost, sizeof digits);
  size_t zeros = strspn(digits, "0");
  bytes_lost = 0;
  begin_line(now_milliseconds(), 'S');
  append(digits + zeros, sizeof digits - zeros);
  static const char text[] = " bytes of log were lost because the disk was full\n";
  append(text, sizeof text - 1);
  write_out();
}

static void write_line(struct stream *stream, char mark) {
  size_t needed = STAMP_BYTES + stream->length + 1;
  if (out_length + needed > sizeof out) write_out();
  if (file_bytes + (int64_t)(out_length + needed) > file_bytes_maximum && file_bytes + out_length > 0) {
    write_out();
    rotate();
    if (bytes_lost > 0) confess_loss();
  }
  begin_line(stream->began, mark);
  append(stream->line, stream->length);
  out[out_length++] = '\n';
  stream->length = 0;
}

void log_bytes(struct stream *stream, const char *bytes, size_t count) {
  int64_t now = now_milliseconds();
  if (bytes_lost > 0) confess_loss();
  for (const char *end = bytes + count; bytes < end;) {
    if (stream->length == 0) stream->began = now;
    const char *newline = memchr(bytes, '\n', end - bytes);
    size_t part = (newline ? newline : end) - bytes;
    size_t room = sizeof stream->line - stream->length;
    if (part > room) {
      // Longer than any line may be: it goes on in the next one, which the small mark tells.
      memcpy(stream->line + stream->length, bytes, room);
      stream->length += room;
      bytes += room;
      write_line(stream, stream->mark | 0x20);
      continue;
    }
    memcpy(stream->line + stream->length, bytes, part);
    stream->length += part;
    bytes += part;
    if (newline) {
      bytes++;
      write_line(stream, stream->mark);
    }
  }
  write_out();
}

void log_end(struct stream *stream) {
  if (stream->length > 0) write_line(stream, stream->mark);
  write_out();
}
