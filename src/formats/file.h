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
    uint32_t file; /* index of the file: a model may have several; or DT2_IN_VIEW, DT2_CONVERTED and an index there */
};

/*
 * Set in the index of a "file" that is the view of a tensor: what dt2_file_pread() reads there is gathered from the
 * elements of a real file, which do not lie one after the other, or in the other byte order.
 */
#define DT2_IN_VIEW ((uint32_t)1 << 31)
/* The same for a tensor that is stored in another dtype than the file has: what is read there is converted. */
#define DT2_CONVERTED ((uint32_t)1 << 30)

/* The pieces of a tensor, at least one; their bytes sum to the tensor's. */
const struct dt2_piece *dt2_file_pieces(const struct dt2_file *file, size_t tensor, size_t *count);
/* Where in a real file the bytes of a piece begin, or those that they are made of: what reads are ordered by. */
void dt2_file_where(const struct dt2_file *file, const struct dt2_piece *piece, uint32_t *source, uint64_t *offset);
/*
 * The tensor whose bytes are loaded for this one too, and from which of them on: the first of several names, or the gang that a
 * tensor is a member of. Most often `tensor` itself, from 0 on. `offset` may be NULL.
 */
size_t dt2_file_home(const struct dt2_file *file, size_t tensor, uint64_t *offset);
/* The bytes that a tensor adds to what is loaded: none when they are those of another. */
uint64_t dt2_file_own_bytes(const struct dt2_file *file, size_t tensor);
/* The tensor whose name says into which block this one goes: of a gang and its members the first; else `tensor` itself. */
size_t dt2_file_leader(const struct dt2_file *file, size_t tensor);
/* The model as its files have it: where `file` is one as it will be stored, that on which it stands; else itself. */
const struct dt2_file *dt2_file_written(const struct dt2_file *file);

/*
 * Fills all `count` parts of `iov` from byte `offset` of file `file_index` on. Safe from several threads.
 * Errors: DT2_EFAILED when the read fails or the file is shorter than it was; DT2_EUSAGE for a wrong index; DT2_ENOMEM.
 */
int dt2_file_pread(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                   uint64_t offset, struct dt2_error *err);
/* The same bytes for who checks: what is converted goes by another and slow way. */
int dt2_file_pread_check(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                         uint64_t offset, struct dt2_error *err);

/* One more who uses the file; each owes a dt2_file_free(). */
struct dt2_file *dt2_file_ref(const struct dt2_file *file);

/* The part of the model's files that is in the page cache, 0 to 1; below 0: unknown. Nothing is read for it. */
double dt2_file_cached(const struct dt2_file *file);

#endif
