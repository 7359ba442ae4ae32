/* SPDX-License-Identifier: BSD-3-Clause */
/* What takes long as it goes, on standard error: bars, lines or JSON; and Ctrl-C, which cancels it. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/options.h"

/* What is remembered between two calls: one for each load, from cli_progress_start(). */
struct cli_progress {
    enum cli_progress_mode mode; /* CLI_PROGRESS_AUTO: lines, of what takes long alone */
    const char *phase;           /* what is going on: "loading", "verifying", ... */
    uint64_t started_ns;         /* of this phase */
    uint64_t shown_ns;
    bool ended; /* the end of this phase was shown */
};

/* On a clock that only goes on. */
uint64_t cli_now_ns(void);

void cli_progress_start(struct cli_progress *progress, const struct cli_options *options);

/* From now on the first Ctrl-C asks to stop; a second one ends the program at once. */
void cli_interrupt_start(void);
bool cli_interrupted(void);

/* The search for models: a line on a terminal, of what takes longer than half a second. */
struct cli_scan {
    bool shows, shown;
    uint64_t started_ns, shown_ns;
};
void cli_scan_start(struct cli_scan *scan, const struct cli_options *options);
dt2_scan_fn cli_scan_show; /* its data is the struct */
void cli_scan_end(struct cli_scan *scan);

/* The callback for loads; `progress` is a struct cli_progress. */
dt2_progress_fn cli_progress;
/* Shows something else that is under way, a word for it; its elapsed_ns need not be set. Whether to stop. */
int cli_progress_show(struct cli_progress *progress, const char *phase, const struct dt2_progress *now);

#endif
