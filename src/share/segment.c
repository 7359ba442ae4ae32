/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/segment.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "share/place.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

#define PINNING_MS 5000
#define MAGIC "dt2seg01"
/* Its size is what it is: nobody who reads it is killed because it became shorter. Writing is not sealed: that would forbid pinning. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

void dt2_segment_name(const unsigned char identity[DT2_IDENTITY_BYTES], char name[64])
{
    int at = snprintf(name, 64, "distorch2-");
    for (size_t i = 0; i < DT2_IDENTITY_BYTES; i++)
        at += snprintf(name + at, 64 - (size_t)at, "%02x", identity[i]);
}

/* -- the places of blocks ------------------------------------------------------------------------------------------- */

static int lay_out(const struct dt2_share_key *key, struct dt2_segment *segment, struct dt2_error *err)
{
    uint64_t at = sizeof(struct dt2_segment_head) + key->block_count * sizeof(struct dt2_segment_block) +
                  key->tensor_count * sizeof(struct dt2_segment_hash);
    segment->offsets = dt2_alloc(key->block_count + 1, sizeof *segment->offsets);
    if (!segment->offsets)
        return dt2_fail_nomem(err);
    at = (at + DT2_SEGMENT_ALIGNMENT - 1) & ~(DT2_SEGMENT_ALIGNMENT - 1);
    segment->head_bytes = at;
    for (size_t i = 0; i < key->block_count; i++) {
        segment->offsets[i] = at;
        if (dt2_add_overflows(at, key->block_bytes[i], &at) || at > INT64_MAX)
            return dt2_fail(err, DT2_EFAILED, "the model has too many bytes for one segment");
    }
    segment->offsets[key->block_count] = segment->bytes = at;
    return 0;
}

/* Address space for all of it, from a multiple of the alignment on. */
static char *reserve(uint64_t bytes, uint64_t alignment)
{
    uint64_t room = bytes + alignment;
    char *area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    uint64_t before = (alignment - (uintptr_t)area % alignment) % alignment;
    if (before)
        munmap(area, before);
    munmap(area + before + bytes, alignment - before);
    return area + before;
}

/*
 * The map is MAP_SHARED, always: one that is private could be pinned too, and would silently become a copy of all of it. It is to be
 * read: who writes to a weight is stopped, and does not change it for everybody.
 */
static int map_all(const struct dt2_share_key *key, struct dt2_segment *segment, struct dt2_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes = (segment->bytes + page - 1) / page * page;
    void *head = mmap(NULL, segment->head_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd, 0);
    if (head == MAP_FAILED)
        return dt2_fail(err, DT2_EFAILED, "the segment cannot be mapped: %s", strerror(errno));
    segment->head = head;
    segment->blocks = (struct dt2_segment_block *)(segment->head + 1);
    segment->hashes = (struct dt2_segment_hash *)(segment->blocks + key->block_count);
    segment->map = reserve(bytes, dt2_max(key->page_bytes, DT2_SEGMENT_ALIGNMENT));
    if (segment->map && mmap(segment->map, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, segment->fd, 0) != MAP_FAILED)
        return 0;
    int rc = dt2_fail(err, DT2_EFAILED, "%" PRIu64 " bytes of the segment cannot be mapped: %s", bytes, strerror(errno));
    if (segment->map)
        munmap(segment->map, bytes);
    segment->map = NULL;
    return rc;
}

void dt2_segment_clear(struct dt2_segment *segment)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (segment->map)
        munmap(segment->map, (segment->bytes + page - 1) / page * page);
    if (segment->head)
        munmap(segment->head, segment->head_bytes);
    if (segment->pinning_made) {
        if (segment->fd >= 0)
            close(segment->fd);
        pthread_mutex_destroy(&segment->pinning);
    }
    dt2_release(segment->offsets);
    *segment = (struct dt2_segment){ .fd = -1 };
}

/* -- making and taking ---------------------------------------------------------------------------------------------- */

static int make_memory(const struct dt2_share_key *key)
{
    char name[64];
    dt2_segment_name(key->identity, name);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}

static void start(int fd, struct dt2_segment *segment)
{
    *segment = (struct dt2_segment){ .fd = fd, .pinning_made = true };
    pthread_mutex_init(&segment->pinning, NULL); /* of the default kind: cannot fail */
}

/* A file that is larger than the process may make ends the process, unless one asks before. */
static bool may_be_large(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

static int fail_large(const struct dt2_segment *segment, struct dt2_error *err)
{
    return dt2_fail(err, DT2_EFAILED, "the process may make no files of %" PRIu64 " bytes (ulimit -f)", segment->bytes);
}

static int size_and_seal(const struct dt2_segment *segment, struct dt2_error *err)
{
    if (!may_be_large(segment->bytes))
        return fail_large(segment, err);
    if (fchmod(segment->fd, 0600) < 0 || ftruncate(segment->fd, (off_t)segment->bytes) < 0 ||
        fcntl(segment->fd, F_ADD_SEALS, SEALS) < 0)
        return dt2_fail(err, DT2_EFAILED, "a segment of %" PRIu64 " bytes cannot be made: %s", segment->bytes, strerror(errno));
    return 0;
}

/* The head's pages are there before anything is written to them: where there is no room for them that is an error, and no signal. */
static int write_head(const struct dt2_share_key *key, struct dt2_segment *segment, struct dt2_error *err)
{
    struct dt2_segment_head head = { .bytes = segment->bytes, .block_count = key->block_count, .tensor_count = key->tensor_count };
    if (fallocate(segment->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)segment->head_bytes) < 0)
        return dt2_fail(err, DT2_EFAILED, "there is no memory for a segment: %s", strerror(errno));
    memcpy(head.magic, MAGIC, sizeof head.magic);
    memcpy(head.identity, key->identity, sizeof head.identity);
    if (pwrite(segment->fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        return dt2_fail(err, DT2_EFAILED, "a segment cannot be written: %s", strerror(errno));
    for (size_t i = 0; i < key->block_count; i++)
        atomic_init(&segment->blocks[i].node, DT2_NO_NODE);
    return 0;
}

int dt2_segment_create(const struct dt2_share_key *key, struct dt2_segment *segment, struct dt2_error *err)
{
    int fd = make_memory(key);
    if (fd < 0)
        return dt2_fail(err, DT2_EFAILED, "memfd_create: %s", strerror(errno));
    start(fd, segment);
    int rc = lay_out(key, segment, err);
    if (rc == 0)
        rc = size_and_seal(segment, err);
    if (rc == 0)
        rc = map_all(key, segment, err);
    if (rc == 0)
        rc = write_head(key, segment, err);
    if (rc < 0)
        dt2_segment_clear(segment);
    return rc;
}

/* Nothing that another process says is believed before it was looked at. */
static int check(const struct dt2_share_key *key, const struct dt2_segment *segment, struct dt2_error *err)
{
    struct dt2_segment_head head;
    struct stat st;
    int seals = fcntl(segment->fd, F_GET_SEALS);
    if (fstat(segment->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return dt2_fail(err, DT2_EFAILED, "a segment that was found is not of this user");
    if (seals < 0 || (seals & ~F_SEAL_EXEC) != SEALS || (uint64_t)st.st_size != segment->bytes)
        return dt2_fail(err, DT2_EFAILED, "a segment that was found has other seals or another size than it must");
    if (pread(segment->fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || memcmp(head.identity, key->identity, sizeof head.identity) != 0 ||
        head.bytes != segment->bytes || head.block_count != key->block_count || head.tensor_count != key->tensor_count)
        return dt2_fail(err, DT2_EFAILED, "a segment that was found is of something else");
    return 0;
}

int dt2_segment_take(const struct dt2_share_key *key, int fd, struct dt2_segment *segment, struct dt2_error *err)
{
    start(fd, segment);
    int rc = lay_out(key, segment, err);
    if (rc == 0)
        rc = may_be_large(segment->bytes) ? check(key, segment, err) : fail_large(segment, err);
    if (rc == 0)
        rc = map_all(key, segment, err);
    if (rc < 0)
        dt2_segment_clear(segment);
    return rc;
}

/* -- its memory ----------------------------------------------------------------------------------------------------- */

int dt2_segment_writable(void *memory, uint64_t bytes, bool writable)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    return mprotect(memory, whole, writable ? PROT_READ | PROT_WRITE : PROT_READ) < 0 ? errno : 0;
}

bool dt2_segment_lock(struct dt2_segment *segment)
{
    DT2_KEEP_ERRNO;
    pthread_mutex_lock(&segment->pinning); /* threads have one descriptor, for which they have the lock together */
    if (dt2_place_lock(segment->fd, PINNING_MS))
        return true;
    pthread_mutex_unlock(&segment->pinning);
    return false;
}

void dt2_segment_unlock(struct dt2_segment *segment)
{
    DT2_KEEP_ERRNO;
    (void)flock(segment->fd, LOCK_UN);
    pthread_mutex_unlock(&segment->pinning);
}

int dt2_segment_write(const struct dt2_segment *segment, const char *to, const void *bytes, uint64_t count, struct dt2_error *err)
{
    uint64_t at = (uint64_t)(to - segment->map);
    for (uint64_t done = 0; done < count;) {
        ssize_t written = pwrite(segment->fd, (const char *)bytes + done, count - done, (off_t)(at + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return dt2_fail(err, written == 0 || errno == ENOMEM || errno == ENOSPC ? DT2_ENOFIT : DT2_EFAILED,
                            "the segment cannot be filled: %s", written < 0 ? strerror(errno) : "no room is left");
        done += (uint64_t)written;
    }
    return 0;
}

void dt2_segment_punch(const struct dt2_segment *segment, size_t block)
{
    uint64_t bytes = segment->offsets[block + 1] - segment->offsets[block];
    if (bytes > 0)
        (void)fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)segment->offsets[block], (off_t)bytes);
}

uint64_t dt2_segment_held(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

void dt2_segment_keep_hash(struct dt2_segment *segment, size_t tensor, uint64_t hash)
{
    atomic_store(&segment->hashes[tensor].hash, hash);
    atomic_store(&segment->hashes[tensor].known, ~hash);
}

bool dt2_segment_hash(const struct dt2_segment *segment, size_t tensor, uint64_t *hash)
{
    *hash = atomic_load(&segment->hashes[tensor].hash);
    return atomic_load(&segment->hashes[tensor].known) == ~*hash;
}
