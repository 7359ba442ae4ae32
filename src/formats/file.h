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
    uint32_t file; /* index of the file: a model may have several; or DT2_IN_VIEW and the index of a view */
};

/*
 * Set in the index of a "file" that is the view of a tensor: what dt2_file_pread() reads there is gathered from the
 * elements of a real file, which do not lie one after the other, or in the other byte order.
 */
#define DT2_IN_VIEW ((uint32_t)1 << 31)

/* The pieces of a tensor, at least one; their bytes sum to the tensor's. */
const struct dt2_piece *dt2_file_pieces(const struct dt2_file *file, size_t tensor, size_t *count);
/*
 * The first tensor whose pieces these are. Its bytes are loaded for all tensors of these pieces, which are names of one
 * another. Most often `tensor` itself.
 */
size_t dt2_file_same_as(const struct dt2_file *file, size_t tensor);
/* The bytes that a tensor adds to what is loaded: none when they are those of a tensor before it. */
uint64_t dt2_file_own_bytes(const struct dt2_file *file, size_t tensor);

/*
 * Fills all `count` parts of `iov` from byte `offset` of file `file_index` on. Safe from several threads.
 * Errors: DT2_EFAILED when the read fails or the file is shorter than it was; DT2_EUSAGE for a wrong index.
 */
int dt2_file_pread(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                   uint64_t offset, struct dt2_error *err);

#endif
