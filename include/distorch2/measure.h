/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The limits of this machine: what a plain program gets from a file, from memory and from a device, without any of the pipeline.
 * Rates are 10^9 bytes a second; below 0: cannot be had here. They are measured, for a second or so each, and as noisy as the
 * machine is busy.
 */
#ifndef DISTORCH2_MEASURE_H
#define DISTORCH2_MEASURE_H

#include <distorch2/context.h>
#include <distorch2/file.h>

DT2_BEGIN_DECLS

/* Copies of 8 MiB between host memory and a device; pinned: host memory that its driver gave. */
struct dt2_device_speeds {
    size_t struct_size;
    double write_gbps;
    double write_pinned_gbps;
    double read_gbps;
    double read_pinned_gbps;
};
#define DT2_DEVICE_SPEEDS_INIT { sizeof(struct dt2_device_speeds), -1, -1, -1, -1 }

/* Errors: DT2_ENOENT for a device that is not there; DT2_EUSAGE; what the driver says. */
DT2_PUBLIC int dt2_device_measure(struct dt2_context *context, const char *device, struct dt2_device_speeds *speeds,
                                  struct dt2_error *err);

/* Reads of a file by as many threads as help. */
struct dt2_file_speeds {
    size_t struct_size;
    uint64_t bytes;          /* of the largest of the model's files, that were read each time */
    double cold_gbps;        /* from the disk, through the page cache */
    double cold_direct_gbps; /* from the disk, past it */
    double fresh_gbps;       /* from the page cache into memory that nobody has touched */
    double touched_gbps;     /* from the page cache into memory that is in use */
};
#define DT2_FILE_SPEEDS_INIT { sizeof(struct dt2_file_speeds), 0, -1, -1, -1, -1 }

/*
 * Reads at most `most` bytes each time (0: 512 MiB), and for ten seconds at most. What the page cache has of the model's files is
 * dropped on the way. Errors: DT2_EUSAGE; DT2_EFAILED when reading fails; DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_file_measure(const struct dt2_file *file, uint64_t most, struct dt2_file_speeds *speeds,
                                struct dt2_error *err);
/* Asks the kernel to drop what it has of the model's files in its page cache: the next read is a cold one. */
DT2_PUBLIC void dt2_file_drop_cache(const struct dt2_file *file);

DT2_END_DECLS
#endif
