/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of the program while threads of ours still run, such as when main() returns with an open session. Vendors' runtimes
 * take themselves down then, and a call into one that is gone may crash or hang. So threads of ours work in turns: between two
 * of them they call no vendor, and once the end has begun there is no next one.
 *
 * Handlers of exit() run in the reverse of the order in which they were registered. Runtimes register theirs when they are
 * loaded and when a device is opened for the first time: ours comes after that, for each driver, and so before theirs.
 */
#ifndef DT2_BASE_ENDING_H
#define DT2_BASE_ENDING_H

#include <stdbool.h>

/* Called when a device of a driver has been opened: its runtime has registered what it registers. */
void dt2_ending_watch(const char *driver);

/* Whether the end has begun. */
bool dt2_ending(void);

/* A turn of a thread of ours, which ought to be short: the end waits for it, but not for long. False: there are no more. */
bool dt2_turn_begin(void);
void dt2_turn_end(void);

#endif
