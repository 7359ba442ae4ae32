/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many reads under way for one thread, by io_uring. Kernels and containers forbid it often: then there is none, and threads that
 * wait do the same.
 */
#ifndef DT2_LOAD_URING_H
#define DT2_LOAD_URING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct dt2_uring;

/* NULL: not to be had here. */
struct dt2_uring *dt2_uring_make(unsigned depth);
void dt2_uring_free(struct dt2_uring *ring); /* NULL is fine; nothing is under way any more */
/* Begins a read into memory that stays, as `iov` does, until it has been reaped. False: it did not begin, and never will. */
bool dt2_uring_read(struct dt2_uring *ring, int fd, const struct iovec *iov, int count, uint64_t offset, void *user);
/* Waits for one of the reads to end. *result is as of preadv(), or a negative errno. */
void *dt2_uring_reap(struct dt2_uring *ring, int *result);

#endif
