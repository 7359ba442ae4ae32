/* SPDX-License-Identifier: BSD-3-Clause */
/* Host shares of a model that lie in one segment for all processes of the user: whose they are, where, and what is there. */
#ifndef DT2_LOAD_SHARING_H
#define DT2_LOAD_SHARING_H

#include "load/storage.h"
#include "share/rendezvous.h"

struct dt2_sharing {
    struct dt2_shared shared;
    const struct dt2_file *file;
    uint64_t *block_bytes;
    uint64_t alignment_bytes, padding_bytes;
    bool only; /* what cannot be shared is not loaded */
    /* What the load did: */
    uint64_t shared_bytes, filled_bytes;
    size_t elsewhere; /* blocks that are there, but not where this plan wants them */
    unsigned char identity[DT2_IDENTITY_BYTES];
};

/* What of a plan is laid out, and shared. */
struct dt2_sharing_rules {
    uint64_t alignment_bytes, padding_bytes; /* of the request */
    bool only;
};

/*
 * The way to the segment of a file whose blocks are these. Errors: DT2_EFAILED with the reason why it cannot be shared; DT2_ENOMEM.
 * `file` must outlive it.
 */
int dt2_sharing_make(const struct dt2_file *file, const struct dt2_block *blocks, size_t count,
                     const struct dt2_sharing_rules *rules, struct dt2_sharing **sharing, struct dt2_error *err);
void dt2_sharing_free(struct dt2_sharing *sharing); /* after the storage was cleared; NULL is fine */
bool dt2_sharing_same(const struct dt2_sharing *a, const struct dt2_sharing *b); /* of one segment; NULL is of none */

/* The node of a device that is host memory: DT2_NO_NODE of all of it. False: it is none. */
bool dt2_sharing_node(const char *device, int *node);
/* While the room is locked: where a block lies that is to be on such a device. */
struct dt2_fixed dt2_sharing_fix(const struct dt2_sharing *sharing, size_t block, int node);

/*
 * Between enter and leave of the room: records the blocks of a plan that are shared (`fixed`, by share and block; NULL for a share of
 * which nothing is), and begins those that are to be filled. Errors: DT2_EFAILED: it cannot be recorded.
 */
int dt2_sharing_join(struct dt2_sharing *sharing, const struct dt2_plan *plan, struct dt2_fixed *const *fixed,
                     struct dt2_error *err);
/*
 * Ends filling: what was filled is ready for all, and for reading alone, and the room is left. `rc` < 0: it is nobody's, nor is it
 * when the file was touched meanwhile, which is DT2_EFAILED. Returns rc, or that.
 */
int dt2_sharing_end(struct dt2_sharing *sharing, struct dt2_storage *storage, int rc, struct dt2_error *err);

#endif
