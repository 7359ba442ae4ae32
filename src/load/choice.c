/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/choice.h"

#define TRIAL ((uint64_t)64 << 20)  /* bytes of each */
#define WORTH (8 * TRIAL)           /* cold bytes that make a trial worth it */
#define CLEARLY 0.85                /* of the time that the cache takes */

void dt2_choice_init(struct dt2_choice *choice, uint64_t cold_bytes)
{
    *choice = (struct dt2_choice){ .tries = cold_bytes >= WORTH };
}

bool dt2_choice_next(struct dt2_choice *choice, uint64_t bytes)
{
    if (!choice->tries)
        return false;
    /* Direct reads come first: what the kernel reads ahead of the others would be read twice by them. */
    if (atomic_fetch_add(&choice->begun, bytes) < TRIAL)
        return true;
    double buffered = (double)atomic_load(&choice->bytes[false]), direct = (double)atomic_load(&choice->bytes[true]);
    if (buffered < (double)TRIAL / 2 || direct < (double)TRIAL / 2)
        return false;
    return (double)atomic_load(&choice->ns[true]) / direct < CLEARLY * (double)atomic_load(&choice->ns[false]) / buffered;
}

void dt2_choice_note(struct dt2_choice *choice, bool direct, uint64_t bytes, uint64_t ns)
{
    atomic_fetch_add(&choice->ns[direct], ns);
    atomic_fetch_add(&choice->bytes[direct], bytes);
}
