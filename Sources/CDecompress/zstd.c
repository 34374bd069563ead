#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "formats.h"

struct zstd {
  ZSTD_DCtx *context;
  bool is_between;  // frames; skippable ones are frames too
  bool has_frame;
};

struct zstd *zstd_new(int window_bits) {
  struct zstd *zstd = calloc(1, sizeof *zstd);
  if (!zstd) return NULL;
  zstd->is_between = true;
  zstd->context = ZSTD_createDCtx();
  if (zstd->context && !ZSTD_isError(ZSTD_DCtx_setParameter(zstd->context, ZSTD_d_windowLogMax, window_bits))) {
    return zstd;
  }
  zstd_free(zstd);
  return NULL;
}

void zstd_free(struct zstd *zstd) {
  ZSTD_freeDCtx(zstd->context);
  free(zstd);
}

static int judge(const struct zstd *zstd, size_t result) {
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_prefix_unknown: return zstd->has_frame ? CDECOMPRESS_TRAILING : CDECOMPRESS_OTHER_FORMAT;
    case ZSTD_error_checksum_wrong: return CDECOMPRESS_CHECKSUM;
    case ZSTD_error_frameParameter_windowTooLarge: return CDECOMPRESS_WINDOW;
    case ZSTD_error_memory_allocation: return CDECOMPRESS_MEMORY;
    default: return CDECOMPRESS_DAMAGED;
  }
}

int zstd_step(struct zstd *zstd, struct cdecompress_piece *piece) {
  while (true) {
    if (zstd->is_between && piece->input_count == 0) return zstd->has_frame ? CDECOMPRESS_WHOLE : CDECOMPRESS_GOES_ON;
    ZSTD_inBuffer input = {piece->input, piece->input_count, 0};
    ZSTD_outBuffer output = {piece->room, piece->room_count, 0};
    size_t result = ZSTD_decompressStream(zstd->context, &output, &input);
    if (ZSTD_isError(result)) return judge(zstd, result);
    use_input(piece, input.pos);
    fill_room(piece, output.pos);
    zstd->is_between = result == 0;
    if (result == 0) zstd->has_frame = true;
    // Without progress the library ends this itself, with an error.
    else if (piece->input_count == 0 || piece->room_count == 0) return CDECOMPRESS_GOES_ON;
  }
}
