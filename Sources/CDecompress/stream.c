#include <stdlib.h>

#include "formats.h"

struct cdecompress_stream {
  struct gzip *gzip;
  struct zstd *zstd;
};

cdecompress_stream *cdecompress_new(int format, int window_bits) {
  cdecompress_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return NULL;
  if (format == CDECOMPRESS_GZIP) stream->gzip = gzip_new();
  if (format == CDECOMPRESS_ZSTD) stream->zstd = zstd_new(window_bits);
  if (stream->gzip || stream->zstd) return stream;
  free(stream);
  return NULL;
}

void cdecompress_free(cdecompress_stream *stream) {
  if (!stream) return;
  if (stream->gzip) gzip_free(stream->gzip);
  if (stream->zstd) zstd_free(stream->zstd);
  free(stream);
}

int cdecompress_step(cdecompress_stream *stream, struct cdecompress_piece *piece) {
  return stream->gzip ? gzip_step(stream->gzip, piece) : zstd_step(stream->zstd, piece);
}
