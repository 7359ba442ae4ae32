/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/uring.h"
#include <stddef.h>

#ifdef HAVE_LIBURING
#include "base/alloc.h"
#include <errno.h>
#include <liburing.h>

struct dt2_uring {
    struct io_uring ring;
};

struct dt2_uring *dt2_uring_make(unsigned depth)
{
    struct dt2_uring *made = dt2_alloc(1, sizeof *made);
    if (made && io_uring_queue_init(depth, &made->ring, 0) < 0) {
        dt2_release(made);
        made = NULL;
    }
    return made;
}

void dt2_uring_free(struct dt2_uring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->ring);
    dt2_release(ring);
}

bool dt2_uring_read(struct dt2_uring *ring, int fd, const struct iovec *iov, int count, uint64_t offset, void *user)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    if (!entry)
        return false;
    io_uring_prep_readv(entry, fd, iov, (unsigned)count, offset);
    io_uring_sqe_set_data(entry, user);
    int submitted;
    while ((submitted = io_uring_submit(&ring->ring)) == -EINTR)
        ;
    if (submitted > 0)
        return true;
    /* It waits in the queue, and would begin with the next one: as one that does nothing and that nobody knows. */
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, NULL);
    return false;
}

void *dt2_uring_reap(struct dt2_uring *ring, int *result)
{
    for (;;) {
        struct io_uring_cqe *done;
        int rc = io_uring_wait_cqe(&ring->ring, &done);
        if (rc < 0)
            continue; /* interrupted, or short of memory: what is under way ends all the same */
        void *user = io_uring_cqe_get_data(done);
        *result = done->res;
        io_uring_cqe_seen(&ring->ring, done);
        if (user)
            return user;
    }
}
#else
struct dt2_uring *dt2_uring_make(unsigned depth)
{
    (void)depth;
    return NULL;
}

void dt2_uring_free(struct dt2_uring *ring)
{
    (void)ring;
}

bool dt2_uring_read(struct dt2_uring *ring, int fd, const struct iovec *iov, int count, uint64_t offset, void *user)
{
    (void)ring, (void)fd, (void)iov, (void)count, (void)offset, (void)user;
    return false;
}

void *dt2_uring_reap(struct dt2_uring *ring, int *result)
{
    (void)ring, (void)result;
    return NULL;
}
#endif
