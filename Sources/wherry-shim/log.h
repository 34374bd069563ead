// A workload's log: whole lines with the time they began and the stream they came from, in files of bounded size.
#pragma once
#include <stddef.h>
#include <stdint.h>

// The current file and its predecessors PATH.1 … PATH.3.
#define LOG_GENERATIONS 4
#define LOG_LINE_MAXIMUM 8000

struct stream {
  char mark;
  int64_t began;  // milliseconds since 1970 at which the open line began
  size_t length;
  char line[LOG_LINE_MAXIMUM];
};

void log_open(const char *path, int64_t bytes_maximum);
/// Writes all lines that `bytes` completes; the rest waits in the stream.
void log_bytes(struct stream *stream, const char *bytes, size_t count);
/// Writes the line that is still open, if any.
void log_end(struct stream *stream);
int64_t now_milliseconds(void);
