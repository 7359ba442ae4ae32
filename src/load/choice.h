/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Through the page cache or past it: what is quicker for a cold file depends on the disk, on the processors and on how much
 * memory is free, and is tried on the first stretches. What counts is how much arrives in a second while only reads of one kind
 * are under way: how long a single one takes says nothing, since one waits behind the others, and another finds what the kernel
 * has read ahead. Where there is no winner it is the cache, which the next load finds filled.
 */
#ifndef DT2_LOAD_CHOICE_H
#define DT2_LOAD_CHOICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Reads of one kind. */
struct dt2_trial {
    uint64_t begun;     /* bytes */
    uint64_t under_way; /* reads */
    uint64_t bytes, ns; /* that arrived while the other kind rested, and in how long */
};

struct dt2_choice {
    pthread_mutex_t lock; /* guards what follows */
    struct dt2_trial trials[2]; /* buffered, direct */
    uint64_t since_ns;          /* when a read ended last while the other kind rested; 0: it did not */
    bool since_direct;          /* which kind that one was */
    bool tries;                 /* false: it is decided */
    bool direct;                /* what was */
    bool ready;
};

/* `cold_bytes`: of the file that are not in the cache. Too few are not worth a trial. */
void dt2_choice_init(struct dt2_choice *choice, uint64_t cold_bytes);
void dt2_choice_clear(struct dt2_choice *choice); /* fine when zeroed */
/* Whether the next `bytes` cold bytes are to be read direct. They are under way from now on. */
bool dt2_choice_begin(struct dt2_choice *choice, uint64_t bytes);
/* They have arrived, at `now_ns`. */
void dt2_choice_end(struct dt2_choice *choice, bool direct, uint64_t bytes, uint64_t now_ns);

#endif
