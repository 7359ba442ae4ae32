/* SPDX-License-Identifier: BSD-3-Clause */
/* The work of a load: windows of a destination, each with the pieces of files that fill it. Pure. */
#ifndef DT2_LOAD_CHUNKS_H
#define DT2_LOAD_CHUNKS_H

#include "formats/file.h"
#include "load/layout.h"
#include <limits.h>

/* Bytes of a file, and where they go in the slab. */
struct dt2_part {
    uint64_t file_offset;
    uint64_t slab_offset;
    uint64_t bytes;
    uint32_t file;
};

/* A window of one slab: small enough for a staging slot, read at one go, copied at one go. */
struct dt2_chunk {
    uint64_t offset; /* in the slab, of its first byte */
    uint64_t span;   /* from there to the end of its last byte; gaps between tensors included */
    uint64_t bytes;  /* that are read */
    size_t first_part;
    size_t part_count;
    uint32_t slab;
};

struct dt2_chunks {
    struct dt2_chunk *chunks;
    size_t count;
    size_t capacity;
    struct dt2_part *parts;
    size_t part_count;
    size_t part_capacity;
};

/* Cuts the share `index` of a layout into chunks of at most `limit` bytes (at least 1). Errors: DT2_ENOMEM. */
int dt2_chunks_make(const struct dt2_file *file, const struct dt2_layout *layout, size_t index, uint64_t limit,
                    struct dt2_chunks *chunks, struct dt2_error *err);
void dt2_chunks_clear(struct dt2_chunks *chunks);

/*
 * Reads a chunk to `base`, the address of the chunk's first byte. Parts that follow one another in a file are read by one
 * call, however they are scattered in memory.
 */
int dt2_chunk_read(const struct dt2_file *file, const struct dt2_chunks *chunks, const struct dt2_chunk *chunk, void *base,
                   struct dt2_error *err);

#endif
