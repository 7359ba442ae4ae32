/* SPDX-License-Identifier: BSD-3-Clause */
/* What somebody may have meant by a name that was misspelt. */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include <stddef.h>

/* Offer every candidate, then look at `name`: the nearest of them, NULL when none was near. Ties: the first offered. */
struct cli_nearest {
    const char *wanted;
    const char *name;
    size_t distance;
};

/*
 * Near is what few edits (insert, delete, replace, swap of neighbours; case ignored) make of the other; and a name that
 * `wanted` is a part of, though not as near as an edit.
 */
void cli_nearest_offer(struct cli_nearest *nearest, const char *name);

#endif
