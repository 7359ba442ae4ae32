/* SPDX-License-Identifier: BSD-3-Clause */
/* A load as it goes: bars on a terminal's standard error, and Ctrl-C, which cancels it. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <distorch2.h>

/* What is remembered between two calls; starts zeroed for each load. */
struct cli_progress {
    bool started;
    bool verifying;
    uint64_t started_ns; /* of this phase: loading or verifying */
    uint64_t drawn_ns;
};

/* From now on the first Ctrl-C asks to stop; a second one ends the program at once. */
void cli_interrupt_start(void);
bool cli_interrupted(void);

/* The callback for dt2_load_options; `progress` is a struct cli_progress. */
dt2_progress_fn cli_progress;

#endif
