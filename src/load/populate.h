/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host memory of a load is mapped when it is allocated, and really there before a byte of the file goes into it: piece by piece, by
 * the worker that is the first to need one. What is left to be had is looked up beforehand and again and again, since others take
 * memory too: a load that would run out of it fails, before the kernel ends it or somebody else.
 */
#ifndef DT2_LOAD_POPULATE_H
#define DT2_LOAD_POPULATE_H

#include "load/storage.h"
#include <pthread.h>
#include <stdatomic.h>

/* The pieces of one slab: they end where huge pages do, also where a shared one begins in the midst of one. */
struct dt2_region {
    const struct dt2_opened *host; /* NULL: nothing to be done */
    char *memory;
    uint64_t piece_bytes; /* what the kernel gives at a time */
    uint64_t bytes;       /* whole pages */
    uint64_t before;      /* of the first piece: bytes that lie before the slab */
    bool shared;
    _Atomic uint64_t left; /* that are not there yet */
    atomic_uchar *pieces; /* enum, in populate.c */
    bool written;         /* they come with their bytes: there is only to be room for them */
};

struct dt2_populating {
    struct dt2_region **regions; /* by share and slab */
    const struct dt2_storage *storage;
    uint64_t piece_least; /* of any region */
    _Atomic uint64_t left;     /* bytes that are not there yet */
    atomic_uint slow;          /* pieces for which the kernel had no huge pages ready */
    _Atomic uint64_t look_at;  /* what is free is looked up when no more than this is left */
    pthread_mutex_t lock;      /* guards waiting for a piece that another populates */
    pthread_cond_t populated;
    bool shares; /* with other processes, which the kernel would end with us: some memory is to be left */
    bool ready;
};

/* Lists what is mapped and not populated. Errors: DT2_ENOMEM; DT2_ENOFIT with numbers: it is more than is free now. */
int dt2_populating_make(const struct dt2_storage *storage, struct dt2_populating *populating, struct dt2_error *err);
void dt2_populating_clear(struct dt2_populating *populating); /* fine when zeroed */
/*
 * Sees to it that a range of a slab is there. `ahead`: what others are at is left to them, and not waited for: the range is there
 * after another call without it. From several threads. Errors: DT2_ENOFIT with numbers.
 */
int dt2_populate(struct dt2_populating *populating, size_t share, size_t slab, uint64_t offset, uint64_t bytes, bool ahead,
                 struct dt2_error *err);

#endif
