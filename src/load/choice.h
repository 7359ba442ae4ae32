/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Through the page cache or past it: what is quicker for a cold file depends on the disk, on the processors and on how much
 * memory is free, and is tried on the first stretches. Where there is no clear winner it is the cache, which the next load finds
 * filled.
 */
#ifndef DT2_LOAD_CHOICE_H
#define DT2_LOAD_CHOICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct dt2_choice {
    bool tries;              /* false: always the cache */
    _Atomic uint64_t begun;  /* cold bytes */
    _Atomic uint64_t bytes[2], ns[2]; /* of reads that ended: buffered, direct */
};

/* `cold_bytes`: of the file that are not in the cache. Too few are not worth a trial. */
void dt2_choice_init(struct dt2_choice *choice, uint64_t cold_bytes);
/* Whether the next `bytes` cold bytes are to be read direct. */
bool dt2_choice_next(struct dt2_choice *choice, uint64_t bytes);
/* How long a read took, in which others were under way. */
void dt2_choice_note(struct dt2_choice *choice, bool direct, uint64_t bytes, uint64_t ns);

#endif
