/* SPDX-License-Identifier: BSD-3-Clause */
/* The disks of a model's files, and whether a load reads past the page cache. */
#ifndef DT2_LOAD_DISKS_H
#define DT2_LOAD_DISKS_H

#include "formats/disk.h"
#include <distorch2/model.h>

struct dt2_disks {
    struct dt2_disk *disks; /* by file */
    uint32_t count;
    bool prefers_direct; /* what is not in the page cache is read past it */
    bool refused;        /* direct reads were asked for, and a file system has none */
};

/* Looks at all files. `cold`: a part of them is not in the page cache. Errors: DT2_ENOMEM. */
int dt2_disks_open(const struct dt2_file *file, enum dt2_io io, bool cold, struct dt2_disks *disks, struct dt2_error *err);
void dt2_disks_close(struct dt2_disks *disks); /* fine when zeroed */
/* Whether any of it may be read past the page cache. */
bool dt2_disks_direct(const struct dt2_disks *disks, enum dt2_io io);

/* What a layout's rules need so that direct reads fill memory in which tensors lie as in their file. */
struct dt2_offsets {
    uint64_t *by_tensor; /* NULL: the file is not read past the page cache */
    uint64_t block_bytes;
};
/*
 * Looks them up for a file. DT2_UNKNOWN for a tensor that is made of several pieces or is converted, or that begins where a
 * number of eight bytes may not. Errors: DT2_ENOMEM.
 */
int dt2_offsets_make(const struct dt2_file *file, enum dt2_io io, bool cold, struct dt2_offsets *offsets, struct dt2_error *err);

#endif
