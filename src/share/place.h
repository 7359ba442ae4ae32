/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where processes of one user find each other: a folder that is the user's alone, $XDG_RUNTIME_DIR/distorch2, else
 * /dev/shm/distorch2-UID. Never one that may lie on another machine's disk: locks would reach there, and processes would not.
 */
#ifndef DT2_SHARE_PLACE_H
#define DT2_SHARE_PLACE_H

#include <distorch2/error.h>
#include <stdbool.h>
#include <stdint.h>

/* Opens the folder, and makes it where there is none. -1: there is no place, or none that can be trusted; `err` says why. */
int dt2_place_open(struct dt2_error *err);
/* Opens a plain file of ours in it that has one name and lets nobody else in, and makes it where asked. -1: there is none. */
int dt2_place_file(int folder, const char *name, bool create, struct dt2_error *err);

/* Numbers of processes mean the same to all that have this number; false: there is no /proc. */
bool dt2_place_processes(uint64_t *number);
/* When a process began, in ticks since the machine did: its number alone may be another's by now. 0: there is none. */
uint64_t dt2_place_start_of(int64_t pid);
/* Whether the process that began then has ended. One that cannot be looked at now has not. */
bool dt2_place_is_dead(int64_t pid, uint64_t start);

/* Takes the exclusive lock of a file, which ends with the process. False: somebody else has had it for so many milliseconds. */
bool dt2_place_lock(int fd, unsigned milliseconds);

#endif
