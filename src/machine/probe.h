/* SPDX-License-Identifier: BSD-3-Clause */
/* Trying in a process of its own what may end the process. */
#ifndef DT2_MACHINE_PROBE_H
#define DT2_MACHINE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs `trial` in a child process, which is ended after so many seconds. Returns whether it came back; else how it ended, in
 * words, with the last line that it said on standard error. What cannot be tried (no process can be made) counts as come back.
 * The child is a fork without exec: to be asked for while the process has one thread.
 */
bool dt2_probe(void (*trial)(void *data), void *data, unsigned seconds, char *how, size_t size);

#endif
