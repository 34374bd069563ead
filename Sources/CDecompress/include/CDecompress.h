// gzip over ISA-L and zstd over libzstd as one kind of stream: many members one after the other, checksums verified.
// Neither library's types are seen by Swift, for which they are too large.
#pragma once
#include <stddef.h>

typedef struct cdecompress_stream cdecompress_stream;

enum {
  CDECOMPRESS_GZIP = 0,
  CDECOMPRESS_ZSTD = 1,
};

// What a step came to; after anything below zero the stream is good for nothing but being freed.
enum {
  CDECOMPRESS_GOES_ON = 0,        // in the midst of a member: all input is used up, or the room is full
  CDECOMPRESS_WHOLE = 1,          // all input is used up and every member so far is whole; this may be the end
  CDECOMPRESS_OTHER_FORMAT = -1,  // the first bytes are no member's
  CDECOMPRESS_TRAILING = -2,      // what follows a member is none
  CDECOMPRESS_DAMAGED = -3,
  CDECOMPRESS_CHECKSUM = -4,
  CDECOMPRESS_WINDOW = -5,  // decompressing it takes more memory than is allowed
  CDECOMPRESS_MEMORY = -6,
};

// Input that is still to be taken, and room that is still to be filled; a step moves both on.
struct cdecompress_piece {
  const unsigned char *input;
  size_t input_count;
  unsigned char *room;
  size_t room_count;
};

// `window_bits`: base-2 logarithm of how far back zstd data may refer; gzip's is always 15. NULL without memory.
cdecompress_stream *cdecompress_new(int format, int window_bits);
void cdecompress_free(cdecompress_stream *stream);
// Without input it still gives what it holds back. `input` and `room` are never NULL.
int cdecompress_step(cdecompress_stream *stream, struct cdecompress_piece *piece);
