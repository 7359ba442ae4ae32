/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user's processes on this machine have promised to take of host memory, and have not touched yet. Memory is taken when it
 * is touched, long after somebody looked how much is free: without this, all of several loads would find the same bytes free.
 *
 * The ledger is a small file in a folder that is the user's alone: $XDG_RUNTIME_DIR/distorch2, else /dev/shm/distorch2-UID. An
 * exclusive flock is the right to read and write it; it is held for as long as somebody decides. Promises of processes that ended are
 * worth nothing, so nobody needs to tidy up.
 */
#ifndef DT2_SHARE_LEDGER_H
#define DT2_SHARE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dt2_ledger_record;

/* A load's way to the ledger. */
struct dt2_ledger {
    int fd;            /* -1: there is no place for one, or none that can be trusted */
    uint64_t load;     /* of this process: what it promised is told by it */
    const void *owner; /* of the load; what loads of one owner promised, they see for themselves */
    struct dt2_ledger_record *records; /* while it is locked: those that are alive */
    size_t count;
    bool changed;
};

/* Opens the ledger for a load, or notes that there is none. Changes errno. */
void dt2_ledger_open(struct dt2_ledger *ledger, const void *owner);
/* Strikes what the load promised, and closes. */
void dt2_ledger_close(struct dt2_ledger *ledger);

/* The right to look and to write; false without a ledger, or when somebody keeps it for more than a second. */
bool dt2_ledger_lock(struct dt2_ledger *ledger);
/* Writes what was promised, and lets others in. */
void dt2_ledger_unlock(struct dt2_ledger *ledger);

/* While it is locked: bytes of a budget that others promised to take; *whose (may be NULL) is one of these processes. */
uint64_t dt2_ledger_promised(const struct dt2_ledger *ledger, const char *budget, pid_t *whose);
/* While it is locked: promises to take `bytes` of a budget. What cannot be written down is not. */
void dt2_ledger_promise(struct dt2_ledger *ledger, const char *budget, uint64_t bytes);

#endif
