/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tensor whose elements do not lie in its file as they are wanted: with strides, several times, or in the other byte
 * order. Reading a view gathers them, in the order of the tensor: as if the file had the contiguous bytes somewhere.
 */
#ifndef DT2_FORMATS_VIEW_H
#define DT2_FORMATS_VIEW_H

#include "formats/source.h"

/* More axes than that cannot be needed: each has 2 elements or more, and all together less than 2^64. */
#define DT2_VIEW_AXES 64

/* So many steps of so many bytes. */
struct dt2_axis {
    uint64_t count; /* 1 or more */
    uint64_t stride_bytes;
};

struct dt2_view {
    uint64_t offset; /* of the first element in its file; all others are behind it and inside the file */
    uint32_t file;
    uint8_t element_bytes;       /* at most 16 */
    uint8_t swap_bytes;          /* groups of so many bytes are reversed; 1: nothing is */
    uint8_t axis_count;          /* 1 or more */
    const struct dt2_axis *axes; /* outermost first */
};

/* Joins axes that are steps of one longer walk, and leaves out those of one step. Returns how many remain: 1 or more. */
size_t dt2_axes_join(struct dt2_axis *axes, size_t count, uint64_t element_bytes);

/*
 * Fills `size` bytes from byte `offset` of the contiguous tensor on, which must be inside of it. Memory: 256 KiB.
 * Errors: those of dt2_source_pread(), and DT2_ENOMEM.
 */
int dt2_view_read(const struct dt2_view *view, const struct dt2_source *source, void *destination, uint64_t size,
                  uint64_t offset, struct dt2_error *err);

#endif
