/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether this process is a child of the one that made something: its threads, locks and devices are not here. */
#ifndef DT2_BASE_FORK_H
#define DT2_BASE_FORK_H

#include <distorch2/error.h>

/* A number that a fork changes in the child. Costs a load. */
unsigned dt2_fork_generation(void);

/* How often this process has forked: its children have what it has mapped. */
unsigned dt2_fork_count(void);

/* DT2_EUSAGE in words when `generation` was another process's. */
int dt2_fork_check(unsigned generation, const char *what, struct dt2_error *err);

#endif
