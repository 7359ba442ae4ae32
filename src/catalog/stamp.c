/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog/stamp.h"

/*
 * File systems keep times as coarse as 2 s: within that, a second change may leave no mark. A time in the future tells
 * of another clock, so that nobody knows how long ago it was.
 */
#define SETTLES_S 2

static bool is_settled(const struct timespec *modified, const struct timespec *now)
{
    time_t seconds = now->tv_sec - modified->tv_sec;
    return seconds > SETTLES_S || (seconds == SETTLES_S && now->tv_nsec >= modified->tv_nsec);
}

bool dt2_stamp_take(const char *path, struct dt2_stamp *stamp)
{
    *stamp = (struct dt2_stamp){ .settled = true };
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    stamp->kind = st.st_mode & S_IFMT;
    stamp->device = st.st_dev;
    stamp->inode = st.st_ino;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return true; /* a pipe has one reading and no times worth comparing */
    stamp->bytes = st.st_size;
    stamp->modified = st.st_mtim;
    stamp->settled = is_settled(&st.st_mtim, &now);
    return true;
}

bool dt2_stamp_stands(const struct dt2_stamp *then, const struct dt2_stamp *now)
{
    return then->settled && then->kind == now->kind && then->device == now->device && then->inode == now->inode &&
           then->bytes == now->bytes && then->modified.tv_sec == now->modified.tv_sec &&
           then->modified.tv_nsec == now->modified.tv_nsec;
}
