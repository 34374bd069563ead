// The formats behind a stream. Each has the same three functions.
#pragma once
#include "CDecompress.h"

struct gzip *gzip_new(void);
void gzip_free(struct gzip *gzip);
int gzip_step(struct gzip *gzip, struct cdecompress_piece *piece);

struct zstd *zstd_new(int window_bits);
void zstd_free(struct zstd *zstd);
int zstd_step(struct zstd *zstd, struct cdecompress_piece *piece);

static inline void use_input(struct cdecompress_piece *piece, size_t count) {
  piece->input += count;
  piece->input_count -= count;
}

static inline void fill_room(struct cdecompress_piece *piece, size_t count) {
  piece->room += count;
  piece->room_count -= count;
}
