/* SPDX-License-Identifier: BSD-3-Clause */
/* Filling allocated storage from a file, and verifying what arrived. */
#ifndef DT2_LOAD_LOAD_H
#define DT2_LOAD_LOAD_H

#include "base/warnings.h"
#include "formats/file.h"
#include "load/activity.h"
#include "load/storage.h"
#include <distorch2/model.h>
#include <stdatomic.h>

struct dt2_staging;

/* How far one share is; read by others while the load runs. */
struct dt2_lane_progress {
    _Atomic uint64_t done_bytes;
    _Atomic uint64_t end_ns; /* by dt2_now_ns(), when its last byte had arrived; 0: not yet */
};

/* One load. The caller fills it; dt2_load_fill() and dt2_load_verify() report in `lanes`. */
struct dt2_load {
    const struct dt2_file *file;
    const struct dt2_layout *layout;
    struct dt2_storage *storage; /* allocated */
    unsigned threads; /* that compute and copy */
    unsigned depth;   /* reads under way at once: more than these where they wait for a disk */
    enum dt2_io io;
    bool cold; /* a part of the file is not in the page cache */
    uint64_t staging_bytes;          /* over all devices, at most */
    struct dt2_lane_progress *lanes; /* by share */
    struct dt2_activity *activities; /* of filling, by share; NULL: nobody asks */
    int (*tick)(void *data);         /* see dt2_workers; NULL: none */
    void *tick_data;
    struct dt2_segment *segment; /* of the slabs that are shared; NULL: none is */
    struct dt2_warnings *warnings; /* what the load has to say; NULL: nobody listens */
    /* Results: */
    uint64_t staging_used_bytes; /* host memory that staging took at its largest */
    _Atomic uint64_t direct_bytes, buffered_bytes; /* that were read past the page cache, and through it */
    unsigned used_depth;
    bool used_uring;
};

/*
 * Reads every byte of the file's tensors to where it lives: in place where the host can write, else through staging for each
 * device; all devices at once. Errors: of file and driver; DT2_EFAILED when the file changed meanwhile; DT2_ECANCELLED.
 */
int dt2_load_fill(struct dt2_load *load, struct dt2_error *err);

/* Reads every tensor back from its device and compares its XXH3 with that of the file's bytes. Errors: DT2_EFAILED naming the
 * tensor; DT2_ECANCELLED. `lanes` counts from 0 again. */
int dt2_load_verify(struct dt2_load *load, struct dt2_error *err);

/* -- between fill.c and verify.c -- */

/* Staging for each share that has no address; NULL where there is one, or nothing. Sets load->staging_used_bytes. */
int dt2_stagings_make(struct dt2_load *load, uint64_t staging_bytes, struct dt2_staging **stagings,
                      struct dt2_error *err);
void dt2_stagings_free(struct dt2_load *load, struct dt2_staging *stagings);

#endif
