/* SPDX-License-Identifier: BSD-3-Clause */
/* What a load reads, planned from the file: long stretches in its order, each with the pieces of a share that it brings. Pure. */
#ifndef DT2_LOAD_READS_H
#define DT2_LOAD_READS_H

#include "formats/file.h"
#include "load/layout.h"

/* Bytes of a file, and where they go in the share. */
struct dt2_read_part {
    uint64_t file_offset;
    uint64_t slab_offset;
    uint64_t bytes;
    uint64_t staged; /* where they lie in a staging slot */
    uint32_t file;
    uint32_t slab;
    bool joined; /* follows the part before on its slab as it does in the slot: one copy takes both */
};

/* One call: a stretch of one file, with the small tensors and the gaps in it read along. */
struct dt2_read {
    uint64_t offset; /* in the file */
    uint64_t span;   /* from there to the end of its last part, gaps included */
    uint64_t bytes;  /* of its parts */
    size_t first_part;
    size_t part_count;
    uint32_t file; /* as in struct dt2_piece */
};

struct dt2_reads {
    struct dt2_read *stretches;
    size_t count;
    size_t capacity;
    struct dt2_read_part *parts;
    size_t part_count;
    size_t part_capacity;
};

/* How a share is cut. */
struct dt2_reads_rules {
    uint64_t limit;     /* of a stretch's span, and of what it needs of a slot; at least 1 */
    uint64_t alignment; /* of tensors on the device: nothing lies in a gap that is smaller */
    uint64_t page_bytes; /* a stretch ends where such a page of the slab does, so that no two take part in one page; 0: it does not matter */
};

/* Cuts the share `index` of a layout, without what is there already. Errors: DT2_ENOMEM. */
int dt2_reads_make(const struct dt2_file *file, const struct dt2_layout *layout, size_t index,
                   const struct dt2_reads_rules *rules, struct dt2_reads *reads, struct dt2_error *err);
void dt2_reads_clear(struct dt2_reads *reads);

/* Pieces of memory that one call fills: those of DT2_PARTS_MOST parts, and the gaps between them. */
#define DT2_PARTS_MOST 64
#define DT2_IOVECS_MOST (2 * DT2_PARTS_MOST)
#define DT2_GAP_MOST ((uint64_t)16 * 1024) /* a larger gap ends a stretch */

/* Where the parts of a stretch go: into a slot, or, where that is NULL, each into its slab. */
struct dt2_destination {
    char *slot;
    char *const *slabs;
};

/* Lists the memory that a stretch fills, in the order of the file; returns how much. `sink` has room for a gap. */
int dt2_read_scatter(const struct dt2_reads *reads, const struct dt2_read *stretch,
                     const struct dt2_destination *destination, char *sink, struct iovec iov[DT2_IOVECS_MOST]);

#endif
