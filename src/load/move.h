/* SPDX-License-Identifier: BSD-3-Clause */
/* Slabs of a loaded model that change places: from device to device, and from the file again. */
#ifndef DT2_LOAD_MOVE_H
#define DT2_LOAD_MOVE_H

#include "formats/file.h"
#include "load/storage.h"

/* A slab of a layout, by its share. */
struct dt2_slab_name {
    uint32_t share;
    uint32_t slab;
};

/*
 * The bytes of tensors from `offset` on, as a slab has them that was loaded from the file; what lies between tensors is left as it
 * is. Errors: as dt2_file_pread().
 */
int dt2_slab_read(const struct dt2_file *file, const struct dt2_layout *layout, struct dt2_slab_name name, uint64_t offset,
                  uint64_t bytes, void *buffer, struct dt2_error *err);

/* Fills a slab whose memory on the device of `to` is `target` with the same bytes. Returns when they are there. */
int dt2_slab_load(const struct dt2_file *file, const struct dt2_layout *layout, struct dt2_slab_name name,
                  const struct dt2_store *to, const struct dt2_slab *target, struct dt2_error *err);

/* Copies a slab on the device of `from` to one as large on that of `to`, through the host. Returns when the bytes are there. */
int dt2_slab_copy(const struct dt2_store *from, const struct dt2_slab *source, const struct dt2_store *to,
                  const struct dt2_slab *target, struct dt2_error *err);

#endif
