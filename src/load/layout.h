/* SPDX-License-Identifier: BSD-3-Clause */
/* Where each tensor lies on its device: slabs, and offsets in them. Pure. */
#ifndef DT2_LOAD_LAYOUT_H
#define DT2_LOAD_LAYOUT_H

#include "formats/file.h"
#include <distorch2/plan.h>

/* The place of one tensor. */
struct dt2_place {
    uint32_t share; /* of the plan */
    uint32_t slab;  /* of the share */
    uint64_t offset;
    uint64_t bytes;
};

struct dt2_room_given;

/* Where a block lies that is shared with other processes: at its place in their segment, in pages of its own. */
struct dt2_fixed {
    bool shared;     /* else it lies in memory of the model's own */
    bool there;      /* somebody has filled it */
    bool bound;      /* it is to lie on its device's node */
    uint64_t offset; /* in the segment */
};

/* What one share's device asks of a layout. */
struct dt2_layout_rules {
    uint64_t alignment_bytes;
    uint64_t max_alloc_bytes; /* DT2_UNKNOWN: no limit */
    uint64_t padding_bytes;   /* behind each tensor, that no other one lies in */
    uint64_t slab_bytes;      /* a slab ends before the block that would take it above these; 0: only where it must */
    /*
     * By tensor, where it begins in its file, and a power of two: a tensor that is large lies at the same remainder of it, and is read
     * past the page cache to where it lives. DT2_UNKNOWN: as the alignment has it, which then need not hold for others. NULL, and where
     * blocks are shared: none.
     */
    const uint64_t *file_offsets;
    uint64_t block_bytes;
    /* Slabs that are there already, and the only ones that may be used. NULL: as many as are needed. */
    const struct dt2_room_given *given;
    size_t given_count;
    const struct dt2_fixed *fixed; /* by block; NULL: none is shared */
};

/* A slab that was given: where its first tensor may begin, and where it ends. */
struct dt2_room_given {
    uint64_t begin;
    uint64_t end;
};

/* Where a slab lies that is shared: a run of blocks that are neighbours in the segment, all there or all to be filled. */
struct dt2_slab_home {
    struct dt2_fixed at;
    size_t last_block;
};

/* The slabs of one share, and its tensors with bytes in the order in which they lie. */
struct dt2_share_layout {
    uint64_t *slab_bytes;
    size_t slab_count;
    size_t slab_capacity;
    struct dt2_slab_home *homes; /* of each slab; NULL: none is shared */
    size_t home_capacity;
    size_t *tensors;
    size_t tensor_count;
    uint64_t bytes; /* of the tensors */
};

struct dt2_layout {
    struct dt2_place *places; /* by tensor */
    size_t tensor_count;
    struct dt2_share_layout *shares;
    size_t share_count;
};

/*
 * Lays out the tensors of `blocks` (whose indices run up to `tensor_count`) for a plan: in execution order, each aligned, no
 * tensor across two slabs. `rules` has one for each share. Errors: DT2_ENOFIT for a tensor above a limit; DT2_ENOMEM.
 */
int dt2_layout_make(const struct dt2_plan *plan, const struct dt2_block *blocks, size_t tensor_count,
                    const struct dt2_layout_rules *rules, struct dt2_layout *layout, struct dt2_error *err);
/* The bytes of a block in pages of its own, laid out by these rules. Errors: DT2_EFAILED. */
int dt2_layout_span(const struct dt2_block *block, const struct dt2_layout_rules *rules, uint64_t page, uint64_t *bytes,
                    struct dt2_error *err);
/* Whether a slab of a share lies in a segment; and whether somebody has filled it already. */
bool dt2_layout_is_shared(const struct dt2_share_layout *share, size_t slab);
bool dt2_layout_is_there(const struct dt2_share_layout *share, size_t slab);
/* Gives tensors that have no bytes of their own in the plan a place in their homes (dt2_file_home()). */
void dt2_layout_join(struct dt2_layout *layout, const struct dt2_file *file);
void dt2_layout_clear(struct dt2_layout *layout);

#endif
