/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file or folder looked like when it was read, to tell later whether it must be read again. */
#ifndef DT2_CATALOG_STAMP_H
#define DT2_CATALOG_STAMP_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct dt2_stamp {
    mode_t kind; /* S_IFREG, S_IFDIR, ...; 0: nothing is there */
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified;
    bool settled; /* had not changed for a while: a later change will show in its time */
};

/* Takes a stamp (of what a link leads to). False when nothing is there or it cannot be asked: see errno. */
bool dt2_stamp_take(const char *path, struct dt2_stamp *stamp);
/* Whether what was read when `then` was taken is still right `now`. */
bool dt2_stamp_stands(const struct dt2_stamp *then, const struct dt2_stamp *now);

#endif
