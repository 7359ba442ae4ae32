/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the bytes of an open model lie: what the loader needs beyond the public <distorch2/file.h>. */
#ifndef DT2_FORMATS_FILE_H
#define DT2_FORMATS_FILE_H

#include <distorch2/file.h>
#include <sys/uio.h>

/* A run of bytes in one of the model's files. A tensor is its pieces, one after the other. */
struct dt2_piece {
    uint64_t offset;
    uint64_t bytes;
    uint32_t file; /* index of the file: a model may have several */
};

/* The pieces of a tensor, at least one; their bytes sum to the tensor's. Tensors that share a storage share pieces. */
const struct dt2_piece *dt2_file_pieces(const struct dt2_file *file, size_t tensor, size_t *count);

/*
 * Fills all `count` parts of `iov` from byte `offset` of file `file_index` on. Safe from several threads.
 * Errors: DT2_EFAILED when the read fails or the file is shorter than it was; DT2_EUSAGE for a wrong index.
 */
int dt2_file_pread(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                   uint64_t offset, struct dt2_error *err);

#endif
