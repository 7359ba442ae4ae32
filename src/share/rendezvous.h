/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How processes of one user share a segment without anybody who serves it: a room is a small file with a record for each user, whose
 * exclusive lock is the right to look, to fill, to record and to strike. Who has it opens the segment through /proc, by any user that
 * lives. All that is wrong here means that a model is not shared, never that it is not loaded.
 */
#ifndef DT2_SHARE_RENDEZVOUS_H
#define DT2_SHARE_RENDEZVOUS_H

#include "share/segment.h"
#include <sys/types.h>

/* One load's way to a segment, and its part in it. */
struct dt2_shared {
    struct dt2_share_key key; /* what it points to is the load's */
    char name[64];            /* of the room's file */
    int folder, room;         /* -1: not open; the room is open while it is locked */
    struct dt2_segment segment;
    struct dt2_user *own;   /* the record of this load, once it has joined */
    size_t place;           /* of it in the file */
    uint64_t load;
    unsigned forks; /* of this process when it joined: what children have mapped no record tells */
    /* While the room is locked: */
    void *bytes; /* of its file */
    struct dt2_records records;
};

/* Opens the way. Errors: DT2_EFAILED with the reason why nothing can be shared here; DT2_ENOMEM. */
int dt2_shared_open(const struct dt2_share_key *key, struct dt2_shared *shared, struct dt2_error *err);
/* Leaves, strikes the record, and gives back what nobody else holds. Fine when zeroed. */
void dt2_shared_close(struct dt2_shared *shared);

/*
 * Locks the room, and attaches to the segment that its users have, or makes one. DT2_SHARED_BUSY: somebody else has the lock; try
 * again in a moment. Errors: as above; nothing is locked then.
 */
#define DT2_SHARED_BUSY 1
int dt2_shared_enter(struct dt2_shared *shared, struct dt2_error *err);
/* Unlocks the room, which may not be locked. A segment that was not joined is let go. */
void dt2_shared_leave(struct dt2_shared *shared);

/* What a waiting load can tell of who fills: how far that is, and its process (0: unknown). */
pid_t dt2_shared_peek(const struct dt2_shared *shared, uint64_t *done_bytes);

/* -- in the room ------------------------------------------------------------------------------------------------------ */

/* The record of this load, to be marked with the blocks that it is going to hold, before it joins. NULL without memory. */
struct dt2_user *dt2_shared_record(struct dt2_shared *shared);
/* Records this load as a user. Errors: DT2_EFAILED: nothing can be written. */
int dt2_shared_join(struct dt2_shared *shared, struct dt2_error *err);
/* Strikes it again: the load failed. */
void dt2_shared_part(struct dt2_shared *shared);

/* Blocks that are to be filled: begun, and then ready for all, or given up. */
void dt2_shared_begin(struct dt2_shared *shared, uint64_t total_bytes);
void dt2_shared_end(struct dt2_shared *shared, bool good);
static inline enum dt2_block_state dt2_shared_state(const struct dt2_shared *shared, size_t block)
{
    return (enum dt2_block_state)atomic_load(&shared->segment.blocks[block].state);
}

/* -- at any time ------------------------------------------------------------------------------------------------------ */

/* Processes that use the segment now, this one too; no more than a hint. */
size_t dt2_shared_users(const struct dt2_shared *shared);
/* Bytes that leaving would give back: of blocks that nobody else holds. A hint too. */
uint64_t dt2_shared_sole_bytes(const struct dt2_shared *shared);

#endif
