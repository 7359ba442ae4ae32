/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory that several processes share: one memfd for a model's blocks, each of which has its fixed place in it and gets memory
 * when it is filled. It lives as long as somebody has it open or mapped, and nobody else can open it.
 */
#ifndef DT2_SHARE_SEGMENT_H
#define DT2_SHARE_SEGMENT_H

#include "share/records.h"
#include <distorch2/error.h>
#include <pthread.h>
#include <stdatomic.h>

/* What a segment is of. */
struct dt2_share_key {
    unsigned char identity[DT2_IDENTITY_BYTES];
    const char *path;            /* of the model, for people */
    const uint64_t *block_bytes; /* whole pages each */
    size_t block_count;
    size_t tensor_count;
    uint64_t page_bytes; /* that a map of it begins on a multiple of, a power of two: huge ones, for who gathers them */
};

enum dt2_block_state {
    DT2_BLOCK_EMPTY,
    DT2_BLOCK_FILLING, /* by who has the room's lock, or by who was killed having it */
    DT2_BLOCK_READY,
};
#define DT2_NO_NODE (-1) /* of a block that lies where the kernel put it */

struct dt2_segment_block {
    _Atomic uint32_t state;
    _Atomic int32_t node; /* that it is bound to */
};

/* At its beginning, for all to write. The blocks and the hashes follow. */
struct dt2_segment_head {
    char magic[8];
    unsigned char identity[DT2_IDENTITY_BYTES];
    uint64_t bytes; /* of all of it */
    uint64_t block_count, tensor_count;
    _Atomic uint64_t done_bytes, total_bytes; /* of who fills */
    _Atomic int64_t filler;                   /* a process; 0: nobody */
    _Atomic uint32_t keeps; /* nothing is given back any more: somebody may have it of whom no record tells */
    uint32_t unused;
};

/* The XXH3 of a tensor's bytes in the file, once somebody knows it. */
struct dt2_segment_hash {
    _Atomic uint64_t known; /* 0, or the complement of the other: both can be trusted together */
    _Atomic uint64_t hash;
};

struct dt2_segment {
    int fd; /* -1: there is none */
    struct dt2_segment_head *head;
    struct dt2_segment_block *blocks;
    struct dt2_segment_hash *hashes;
    char *map; /* all of it, to be read; from a multiple of DT2_SEGMENT_ALIGNMENT on */
    uint64_t *offsets; /* of each block, and the end */
    uint64_t bytes, head_bytes;
    pthread_mutex_t pinning; /* held by who makes a part of the map writable, with the lock of `fd` */
    bool pinning_made;
};

#define DT2_SEGMENT_ALIGNMENT ((uint64_t)65536)

/* Makes one, without memory for its blocks; or takes one that was opened, which becomes the segment's, after a look at all that it
 * says of itself. Errors: DT2_EFAILED, DT2_ENOMEM; `fd` is closed then. */
int dt2_segment_create(const struct dt2_share_key *key, struct dt2_segment *segment, struct dt2_error *err);
int dt2_segment_take(const struct dt2_share_key *key, int fd, struct dt2_segment *segment, struct dt2_error *err);
void dt2_segment_clear(struct dt2_segment *segment); /* fine when zeroed or cleared */

/* The name by which /proc shows that a descriptor is one of these: "/memfd:NAME (deleted)". */
void dt2_segment_name(const unsigned char identity[DT2_IDENTITY_BYTES], char name[64]);

/* Lets the program write to a part of the map, whole pages, or no more. 0, or an errno. */
int dt2_segment_writable(void *memory, uint64_t bytes, bool writable);
/* Takes the turn of pinning a part of the map; false: another process has it, and does not end. */
bool dt2_segment_lock(struct dt2_segment *segment);
void dt2_segment_unlock(struct dt2_segment *segment);
/* Writes to a part of the map, by the kernel: nobody else sees the part yet. Errors: DT2_ENOFIT, DT2_EFAILED. */
int dt2_segment_write(const struct dt2_segment *segment, const char *to, const void *bytes, uint64_t count, struct dt2_error *err);
/* Gives a block's memory back to the kernel. */
void dt2_segment_punch(const struct dt2_segment *segment, size_t block);
/* Memory that the kernel has for it. */
uint64_t dt2_segment_held(int fd);

/* Keeps and tells the hash of a tensor. */
void dt2_segment_keep_hash(struct dt2_segment *segment, size_t tensor, uint64_t hash);
bool dt2_segment_hash(const struct dt2_segment *segment, size_t tensor, uint64_t *hash);

#endif
