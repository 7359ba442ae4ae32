/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The small file through which the users of one segment find it: what it is of, and a record for each user. Pure; what stands in
 * the file is not trusted.
 */
#ifndef DT2_SHARE_RECORDS_H
#define DT2_SHARE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT2_RECORDS_AT 4096    /* where the first one begins: what stands before is written by one call that no signal cuts */
#define DT2_RECORDS_MOST 4096  /* users of one segment */
#define DT2_SHARE_BLOCKS_MOST ((size_t)1 << 20)
#define DT2_IDENTITY_BYTES 16

struct dt2_room_head {
    char magic[8];
    uint64_t check; /* of what follows */
    unsigned char identity[DT2_IDENTITY_BYTES];
    uint64_t block_count;
    uint64_t data_bytes; /* of all blocks */
    char path[3072];     /* of the model, as its first user gave it; cut where it is longer */
};

/* A user. Behind it, a bit for each block that it holds. */
struct dt2_user {
    uint64_t check; /* of what follows, and of the bits */
    int64_t pid;
    uint64_t start; /* of the process: see dt2_place_start_of() */
    uint64_t load;  /* of the process: it may use the segment several times */
    int32_t fd;     /* of the segment, in that process */
    uint32_t unused;
    uint64_t spare[3];
};

/* The file's bytes as records. */
struct dt2_records {
    const struct dt2_room_head *head;
    const char *first;
    size_t stride, count; /* of places, in which there may be records */
};

/* From one record to the next. */
size_t dt2_records_stride(size_t block_count);
/* Looks at a file's bytes (aligned as malloc does). False: it is none of ours, or damaged. */
bool dt2_records_read(const void *bytes, size_t size, struct dt2_records *records);
/* The record at a place; NULL: there is none, or what was written of one by who was killed meanwhile. */
const struct dt2_user *dt2_records_at(const struct dt2_records *records, size_t place);

bool dt2_user_holds(const struct dt2_user *user, size_t block);
/* Marks a block in a record that is being made. */
void dt2_user_hold(struct dt2_user *user, size_t block);
/* Completes a record, or a head. */
void dt2_user_seal(struct dt2_user *user, size_t block_count);
void dt2_room_seal(struct dt2_room_head *head);

#endif
