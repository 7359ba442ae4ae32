/* SPDX-License-Identifier: BSD-3-Clause */
/* One open file of a model: opened once, looked at once, read by pread. */
#ifndef DT2_FORMATS_SOURCE_H
#define DT2_FORMATS_SOURCE_H

#include <distorch2/file.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct dt2_source {
    char *path;
    int fd;
    bool given; /* by the caller: its path may lead elsewhere, or nowhere */
    uint64_t size;            /* when it was opened; every number of the format is checked against it */
    struct timespec modified; /* these tell later whether it is still the same file */
    dev_t device;
    ino_t inode;
};

/* What opens files in the place of open(2); NULL: that. */
struct dt2_opener {
    dt2_open_fn *open;
    void *data;
};

bool dt2_link_is_dangling(const char *path);
/*
 * Opens a regular file; anything else is refused in words, and never waited for. Errors: DT2_ENOENT, DT2_EFAILED; what the opener
 * says.
 */
int dt2_source_open(struct dt2_source *source, const char *path, const struct dt2_opener *opener, struct dt2_error *err);
void dt2_source_close(struct dt2_source *source);
/* Fills all of `iov` from `offset` on. Errors: DT2_EFAILED, also when the file has become shorter. */
int dt2_source_preadv(const struct dt2_source *source, const struct iovec *iov, int count, uint64_t offset,
                      struct dt2_error *err);
int dt2_source_pread(const struct dt2_source *source, void *destination, size_t size, uint64_t offset,
                     struct dt2_error *err);
/* Whether the path still leads to the file as it was opened, or what the opener gave is as it was. Errors: DT2_EFAILED, saying what changed. */
int dt2_source_unchanged(const struct dt2_source *source, struct dt2_error *err);

#endif
