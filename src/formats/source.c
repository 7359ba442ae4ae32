/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/source.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return "a device";
    return "no regular file";
}

bool dt2_link_is_dangling(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) < 0 && errno == ENOENT;
}

static int fail_open(const char *path, struct dt2_error *err)
{
    struct stat st;
    int cause = errno;
    if (cause == ENXIO && stat(path, &st) == 0) /* what sockets and some devices answer */
        return dt2_fail(err, DT2_EFAILED, "%s: is %s; a model is a regular file", path, kind_of(st.st_mode));
    if (dt2_link_is_dangling(path))
        return dt2_fail(err, DT2_ENOENT, "%s: is a link that leads nowhere", path);
    bool absent = cause == ENOENT || cause == ENOTDIR;
    return dt2_fail(err, absent ? DT2_ENOENT : DT2_EFAILED, "%s: cannot open: %s", path, strerror(cause));
}

static int look(struct dt2_source *source, const char *path, struct dt2_error *err)
{
    struct stat st;
    if (fstat(source->fd, &st) < 0)
        return dt2_fail(err, DT2_EFAILED, "%s: cannot be looked at: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return dt2_fail(err, DT2_EFAILED, "%s: is %s; a model is a regular file", path, kind_of(st.st_mode));
    source->size = (uint64_t)st.st_size;
    source->modified = st.st_mtim;
    source->device = st.st_dev;
    source->inode = st.st_ino;
    source->path = dt2_strdup(path);
    return source->path ? 0 : dt2_fail_nomem(err);
}

/* A descriptor, or a code. */
static int open_given(const char *path, const struct dt2_opener *opener, struct dt2_error *err)
{
    struct dt2_error unread;
    struct dt2_error *said = err ? err : &unread;
    dt2_fail(said, DT2_EFAILED, "%s: the program did not open it, and does not say why", path);
    return opener->open(opener->data, path, said);
}

int dt2_source_open(struct dt2_source *source, const char *path, const struct dt2_opener *opener, struct dt2_error *err)
{
    bool given = opener && opener->open;
    /* O_NONBLOCK: a FIFO without a writer must not hold us; regular files do not know it. */
    int fd = given ? open_given(path, opener, err) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return given ? fd : fail_open(path, err);
    *source = (struct dt2_source){ .fd = fd, .given = given };
    int rc = look(source, path, err);
    if (rc < 0)
        dt2_source_close(source);
    return rc;
}

void dt2_source_close(struct dt2_source *source)
{
    close(source->fd);
    dt2_release(source->path);
}

static int fail_short(const struct dt2_source *source, uint64_t offset, struct dt2_error *err)
{
    struct stat st;
    uint64_t now = fstat(source->fd, &st) == 0 ? (uint64_t)st.st_size : offset;
    return dt2_fail(err, DT2_EFAILED,
                    "%s: the file is shorter than it was: it has %" PRIu64 " bytes now, and had %" PRIu64
                    " when it was opened",
                    source->path, now, source->size);
}

#define WINDOW 128 /* pieces of memory that one call fills */

int dt2_source_preadv(const struct dt2_source *source, const struct iovec *iov, int count, uint64_t offset,
                      struct dt2_error *err)
{
    uint64_t end = offset;
    for (int i = 0; i < count; i++)
        if (dt2_add_overflows(end, iov[i].iov_len, &end) || end > source->size)
            return dt2_fail(err, DT2_EFAILED, "%s: a read at byte %" PRIu64 " would pass the end of %" PRIu64 " bytes",
                            source->path, offset, source->size);
    size_t done = 0; /* bytes of iov[0] that are there already */
    for (;;) {
        for (; count > 0 && done >= iov->iov_len; iov++, count--)
            done -= iov->iov_len;
        if (count <= 0)
            return 0;
        struct iovec window[WINDOW];
        int n = count < WINDOW ? count : WINDOW;
        memcpy(window, iov, (size_t)n * sizeof *iov);
        window[0].iov_base = (char *)window[0].iov_base + done;
        window[0].iov_len -= done;
        ssize_t got = preadv(source->fd, window, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dt2_fail(err, DT2_EFAILED, "%s: cannot read at byte %" PRIu64 ": %s", source->path, offset,
                            strerror(errno));
        if (got == 0)
            return fail_short(source, offset, err);
        offset += (uint64_t)got;
        done += (size_t)got;
    }
}

int dt2_source_pread(const struct dt2_source *source, void *destination, size_t size, uint64_t offset,
                     struct dt2_error *err)
{
    return dt2_source_preadv(source, &(struct iovec){ destination, size }, 1, offset, err);
}

int dt2_source_unchanged(const struct dt2_source *source, struct dt2_error *err)
{
    struct stat st;
    if ((source->given ? fstat(source->fd, &st) : stat(source->path, &st)) < 0)
        return dt2_fail(err, DT2_EFAILED, "%s: the file is gone since it was opened: %s", source->path,
                        strerror(errno));
    if (st.st_dev != source->device || st.st_ino != source->inode)
        return dt2_fail(err, DT2_EFAILED, "%s: the file was replaced by another one since it was opened", source->path);
    if ((uint64_t)st.st_size != source->size)
        return dt2_fail(err, DT2_EFAILED,
                        "%s: the file had %" PRIu64 " bytes when it was opened, and has %" PRIu64 " now", source->path,
                        source->size, (uint64_t)st.st_size);
    if (st.st_mtim.tv_sec != source->modified.tv_sec || st.st_mtim.tv_nsec != source->modified.tv_nsec)
        return dt2_fail(err, DT2_EFAILED, "%s: the file was written to since it was opened", source->path);
    return 0;
}
