/* SPDX-License-Identifier: BSD-3-Clause */
/* How one of a model's files can be read: found out once for a load, from what the kernel says of it. */
#ifndef DT2_FORMATS_DISK_H
#define DT2_FORMATS_DISK_H

#include "formats/file.h"

/* Direct reads have offsets, sizes and addresses that are multiples of this, whatever less a disk asks for. */
#define DT2_DIRECT_ALIGNMENT ((uint64_t)4096)

struct dt2_disk {
    int fd;     /* the file's, for reads through the page cache */
    int direct; /* a descriptor for reads past it; -1: there is none */
    bool local; /* on a disk of this machine's: direct reads may pay */
    uint64_t address_alignment; /* of memory that direct reads fill; at most the above */
    uint64_t size;
};

/* Of the file with this index among the model's real ones. `direct`: a descriptor is opened for direct reads, where that can be. */
void dt2_disk_open(const struct dt2_file *file, uint32_t index, bool direct, struct dt2_disk *disk);
void dt2_disk_close(struct dt2_disk *disk);
/* How many real files a model has: those whose indices are below it in pieces. */
uint32_t dt2_file_source_count(const struct dt2_file *file);
/* Whether most of a range is in the page cache; true where nobody tells. Nothing is read for it. */
bool dt2_disk_cached(const struct dt2_disk *disk, uint64_t offset, uint64_t bytes);

#endif
