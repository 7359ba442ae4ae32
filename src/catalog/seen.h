/* SPDX-License-Identifier: BSD-3-Clause */
/* The folders that a walk has been in, whatever paths led there; and those that are no place for models. */
#ifndef DT2_CATALOG_SEEN_H
#define DT2_CATALOG_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct dt2_seen {
    struct dt2_seen_folder {
        dev_t device;
        ino_t inode;
        bool taken;
    } *slots;
    size_t count, capacity;
};

/* Adds a folder; *known: it was there already. False without memory. */
bool dt2_seen_add(struct dt2_seen *seen, dev_t device, ino_t inode, bool *known);
void dt2_seen_clear(struct dt2_seen *seen);
/* Whether the folder is the kernel's own, of processes and devices (/proc, /sys and the like): without end, and no files. */
bool dt2_is_kernels(const char *path);

#endif
