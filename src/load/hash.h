/* SPDX-License-Identifier: BSD-3-Clause */
/* XXH3 of bytes in a file and on a device: what verification compares. */
#ifndef DT2_LOAD_HASH_H
#define DT2_LOAD_HASH_H

#include "formats/file.h"
#include "load/staging.h"

/* Of a tensor in its file, checked where it is converted (dt2_file_pread_check()), read through `buffer` of `size` bytes. Errors: of the file; DT2_ENOMEM. */
int dt2_hash_file(const struct dt2_file *file, size_t tensor, void *buffer, uint64_t size, uint64_t *hash,
                  struct dt2_error *err);
/* Of a range of a buffer on the staging's device, fetched through a slot. Errors: of the driver; DT2_ENOMEM. */
int dt2_hash_buffer(struct dt2_staging *staging, dt2_handle buffer, uint64_t offset, uint64_t bytes, uint64_t *hash,
                    struct dt2_error *err);
/* Of memory that the host reads. */
uint64_t dt2_hash_memory(const void *memory, uint64_t bytes);

#endif
