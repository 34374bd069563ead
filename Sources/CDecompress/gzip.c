#include <isa-l.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"

// Header and deflate data are read by ISA-L, the trailer here. Its own gzip mode is not used: before release 2.32 its
// code for arm64 takes the flag of that mode for the end of the data whenever a block ends where the room does.

enum { TRAILER_BYTES = 8 };

enum place {
  BETWEEN,  // members
  HEADER,
  BODY,
  TRAILER,
  PADDING,  // zeros, as tapes have them, up to the end
};

struct gzip {
  enum place place;
  bool has_member;
  int idle;        // calls in a row that moved nothing
  uint32_t crc;    // of this member's data, as the next two
  uint32_t count;  // modulo 2^32
  unsigned trailer_count;
  uint8_t trailer[TRAILER_BYTES];
  uint8_t last[TRAILER_BYTES];  // the newest bytes of the input that was used up
  struct isal_gzip_header header;
  struct inflate_state inflate;
};

struct gzip *gzip_new(void) { return calloc(1, sizeof(struct gzip)); }

void gzip_free(struct gzip *gzip) { free(gzip); }

static void begin_member(struct gzip *gzip) {
  isal_inflate_init(&gzip->inflate);
  isal_gzip_header_init(&gzip->header);
  gzip->crc = 0;
  gzip->count = 0;
  gzip->trailer_count = 0;
  gzip->idle = 0;
  gzip->place = HEADER;
}

static int between_members(struct gzip *gzip, struct cdecompress_piece *piece) {
  if (piece->input_count == 0) return gzip->has_member ? CDECOMPRESS_WHOLE : CDECOMPRESS_GOES_ON;
  if (gzip->has_member && *piece->input == 0) {
    gzip->place = PADDING;
    return CDECOMPRESS_GOES_ON;
  }
  // The library wants a whole header before it says that it is none.
  if (*piece->input != 0x1f) return gzip->has_member ? CDECOMPRESS_TRAILING : CDECOMPRESS_OTHER_FORMAT;
  begin_member(gzip);
  return CDECOMPRESS_GOES_ON;
}

static int skip_padding(struct cdecompress_piece *piece) {
  for (; piece->input_count > 0; use_input(piece, 1)) {
    if (*piece->input != 0) return CDECOMPRESS_TRAILING;
  }
  return CDECOMPRESS_WHOLE;
}

// The library counts in 32 bits.
static uint32_t bounded(size_t count) { return count > 1 << 30 ? 1 << 30 : (uint32_t)count; }

static int read_header(struct gzip *gzip, struct cdecompress_piece *piece) {
  struct inflate_state *inflate = &gzip->inflate;
  inflate->next_in = (uint8_t *)piece->input;
  inflate->avail_in = bounded(piece->input_count);
  int result = isal_read_gzip_header(inflate, &gzip->header);
  use_input(piece, (size_t)(inflate->next_in - piece->input));
  if (result == ISAL_DECOMP_OK) gzip->place = BODY;
  if (result == ISAL_INCORRECT_CHECKSUM) return CDECOMPRESS_CHECKSUM;
  if (result < 0) return gzip->has_member ? CDECOMPRESS_TRAILING : CDECOMPRESS_OTHER_FORMAT;
  return CDECOMPRESS_GOES_ON;
}

static void remember(struct gzip *gzip, const uint8_t *bytes, size_t count) {
  if (count >= TRAILER_BYTES) {
    memcpy(gzip->last, bytes + count - TRAILER_BYTES, TRAILER_BYTES);
  } else {
    memmove(gzip->last, gzip->last + count, TRAILER_BYTES - count);
    memcpy(gzip->last + TRAILER_BYTES - count, bytes, count);
  }
}

// The deflate data has ended within what the library took. What it took too much is the beginning of the trailer: it
// keeps that in its bit buffer or, since release 2.32.1, moves `next_in` back, if need be to before this input.
static int end_body(struct gzip *gzip, struct cdecompress_piece *piece) {
  struct inflate_state *inflate = &gzip->inflate;
  if (inflate->read_in_length > 0) {
    uint64_t bits = inflate->read_in >> inflate->read_in_length % 8;
    for (int left = inflate->read_in_length / 8; left > 0 && gzip->trailer_count < TRAILER_BYTES; left--) {
      gzip->trailer[gzip->trailer_count++] = (uint8_t)bits;
      bits >>= 8;
    }
  }
  ptrdiff_t used = inflate->next_in - piece->input;
  for (; used < 0; used++) {
    if (used < -TRAILER_BYTES || gzip->trailer_count == TRAILER_BYTES) return CDECOMPRESS_DAMAGED;
    gzip->trailer[gzip->trailer_count++] = gzip->last[TRAILER_BYTES + used];
  }
  use_input(piece, (size_t)used);
  gzip->place = TRAILER;
  return CDECOMPRESS_GOES_ON;
}

static int read_body(struct gzip *gzip, struct cdecompress_piece *piece) {
  struct inflate_state *inflate = &gzip->inflate;
  inflate->next_in = (uint8_t *)piece->input;
  inflate->avail_in = bounded(piece->input_count);
  inflate->next_out = piece->room;
  inflate->avail_out = bounded(piece->room_count);
  int result = isal_inflate(inflate);
  if (result != ISAL_DECOMP_OK) return CDECOMPRESS_DAMAGED;
  size_t made = (size_t)(inflate->next_out - piece->room);
  gzip->crc = crc32_gzip_refl(gzip->crc, piece->room, made);
  gzip->count += (uint32_t)made;
  fill_room(piece, made);
  if (inflate->block_state == ISAL_BLOCK_FINISH) return end_body(gzip, piece);
  size_t used = (size_t)(inflate->next_in - piece->input);
  remember(gzip, piece->input, used);
  gzip->idle = made == 0 && used == 0 && piece->input_count > 0 ? gzip->idle + 1 : 0;
  use_input(piece, used);
  // On some damage it neither goes on nor says why.
  return gzip->idle > 1 ? CDECOMPRESS_DAMAGED : CDECOMPRESS_GOES_ON;
}

static uint32_t little_endian(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static int read_trailer(struct gzip *gzip, struct cdecompress_piece *piece) {
  while (gzip->trailer_count < TRAILER_BYTES && piece->input_count > 0) {
    gzip->trailer[gzip->trailer_count++] = *piece->input;
    use_input(piece, 1);
  }
  if (gzip->trailer_count < TRAILER_BYTES) return CDECOMPRESS_GOES_ON;
  bool is_right = little_endian(gzip->trailer) == gzip->crc && little_endian(gzip->trailer + 4) == gzip->count;
  if (!is_right) return CDECOMPRESS_CHECKSUM;
  gzip->has_member = true;
  gzip->place = BETWEEN;
  return CDECOMPRESS_GOES_ON;
}

int gzip_step(struct gzip *gzip, struct cdecompress_piece *piece) {
  while (true) {
    enum place place = gzip->place;
    int result = CDECOMPRESS_GOES_ON;
    switch (place) {
      case BETWEEN: result = between_members(gzip, piece); break;
      case HEADER: result = read_header(gzip, piece); break;
      case BODY:
        if (piece->room_count == 0) return CDECOMPRESS_GOES_ON;
        result = read_body(gzip, piece);
        break;
      case TRAILER: result = read_trailer(gzip, piece); break;
      case PADDING: result = skip_padding(piece); break;
    }
    if (result != CDECOMPRESS_GOES_ON) return result;
    // Where it has just come to something else there may be more to do even without input.
    if (gzip->place == place && (piece->input_count == 0 || piece->room_count == 0)) return CDECOMPRESS_GOES_ON;
  }
}
