/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/rendezvous.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/fork.h"
#include "share/place.h"
#include "share/room.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The room that this thread has locked. A load may eject a model of the same segment, whose record is struck by the lock that the
 * load has; what it held stays, for the load.
 */
static _Thread_local struct dt2_shared *entered;

#define LEAVE_MS 50 /* who leaves does not wait for who fills: its record is worth nothing without its descriptor */

/* -- opening -------------------------------------------------------------------------------------------------------- */

int dt2_shared_open(const struct dt2_share_key *key, struct dt2_shared *shared, struct dt2_error *err)
{
    static _Atomic uint64_t loads;
    *shared = (struct dt2_shared){ .key = *key, .folder = -1, .room = -1, .segment = { .fd = -1 },
                                   .load = atomic_fetch_add(&loads, 1) };
    if (key->block_count == 0 || key->block_count > DT2_SHARE_BLOCKS_MOST)
        return dt2_fail(err, DT2_EFAILED, "a model of %zu blocks cannot be shared", key->block_count);
    dt2_room_name(key->identity, shared->name);
    shared->forks = dt2_fork_count();
    shared->folder = dt2_place_open(err);
    return shared->folder < 0 ? DT2_EFAILED : 0;
}

/* -- the file, locked ----------------------------------------------------------------------------------------------- */

/* Whether the name still leads to the file that was locked: its last user may have removed it meanwhile. */
static bool is_the_room(const struct dt2_shared *shared, int fd)
{
    struct stat locked, named;
    return fstat(fd, &locked) == 0 && fstatat(shared->folder, shared->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

static int lock_room(struct dt2_shared *shared, struct dt2_error *err)
{
    for (int tries = 0; tries < 16; tries++) {
        int fd = dt2_place_file(shared->folder, shared->name, true, err);
        if (fd < 0)
            return DT2_EFAILED;
        if (!dt2_place_lock(fd, 0)) {
            close(fd);
            return DT2_SHARED_BUSY;
        }
        if (is_the_room(shared, fd)) {
            shared->room = fd;
            return 0;
        }
        close(fd);
    }
    return DT2_SHARED_BUSY;
}

static int write_head(struct dt2_shared *shared, struct dt2_error *err)
{
    struct dt2_room_head head = { .block_count = shared->key.block_count };
    for (size_t i = 0; i < shared->key.block_count; i++)
        head.data_bytes += shared->key.block_bytes[i];
    memcpy(head.identity, shared->key.identity, sizeof head.identity);
    snprintf(head.path, sizeof head.path, "%s", shared->key.path ? shared->key.path : "");
    dt2_room_seal(&head);
    return dt2_room_write_head(shared->room, &head, err);
}

/* Reads the file as it is now. */
static int look(struct dt2_shared *shared, struct dt2_error *err)
{
    dt2_release(DT2_TAKE(shared->bytes));
    shared->records = (struct dt2_records){ 0 };
    int rc = dt2_room_read(shared->room, &shared->bytes, &shared->records, err);
    if (rc == DT2_ROOM_EMPTY) {
        rc = write_head(shared, err);
        if (rc < 0)
            (void)unlinkat(shared->folder, shared->name, 0);
        if (rc == 0)
            rc = dt2_room_read(shared->room, &shared->bytes, &shared->records, err);
    }
    if (rc != 0)
        return rc < 0 ? rc : dt2_fail(err, DT2_EFAILED, "%s cannot be written", shared->name);
    const struct dt2_room_head *head = shared->records.head;
    if (memcmp(head->identity, shared->key.identity, sizeof head->identity) == 0 &&
        head->block_count == shared->key.block_count)
        return 0;
    return dt2_fail(err, DT2_EFAILED, "%s is the record of something else", shared->name);
}

/* -- the segment ---------------------------------------------------------------------------------------------------- */

/* Who is just ending lets nobody in any more, for a moment before it is dead. */
static enum dt2_door knock(const struct dt2_user *user, const unsigned char *identity, int *fd)
{
    const struct timespec a_moment = { .tv_nsec = 5000000 };
    enum dt2_door door = dt2_room_open_user(user, identity, fd);
    for (int i = 0; i < 10 && door == DT2_DOOR_CLOSED; i++) {
        nanosleep(&a_moment, NULL);
        door = dt2_room_open_user(user, identity, fd);
    }
    return door;
}

/* Attaches by the first user that lives and lets others in; strikes those that are dead. */
static int attach(struct dt2_shared *shared, struct dt2_error *err)
{
    const struct dt2_user *closed = NULL;
    bool struck = false;
    for (size_t i = 0; i < shared->records.count; i++) {
        const struct dt2_user *user = dt2_records_at(&shared->records, i);
        int fd = -1;
        if (!user)
            continue;
        enum dt2_door door = knock(user, shared->key.identity, &fd);
        if (door == DT2_DOOR_FAILED)
            return dt2_fail(err, DT2_EFAILED, "the segment cannot be opened: %s", strerror(errno));
        if (door == DT2_DOOR_CLOSED)
            closed = user;
        if (door == DT2_DOOR_DEAD) {
            dt2_room_strike(shared->room, &shared->records, i);
            struck = true;
        }
        if (door == DT2_DOOR_OPEN && shared->segment.fd >= 0)
            close(fd);
        else if (door == DT2_DOOR_OPEN && dt2_segment_take(&shared->key, fd, &shared->segment, err) < 0)
            return DT2_EFAILED;
    }
    if (shared->segment.fd >= 0 && struck)
        atomic_store(&shared->segment.head->keeps, 1); /* it may have had children */
    if (shared->segment.fd >= 0)
        return 0;
    if (closed)
        return dt2_fail(err, DT2_EFAILED, "process %d, which has the segment, does not let others open it", (int)closed->pid);
    return dt2_segment_create(&shared->key, &shared->segment, err);
}

/* Who was killed while it filled leaves blocks that nobody can use. */
static void sweep(struct dt2_shared *shared)
{
    for (size_t i = 0; i < shared->key.block_count; i++)
        if (dt2_shared_state(shared, i) != DT2_BLOCK_READY && dt2_shared_state(shared, i) != DT2_BLOCK_EMPTY) {
            dt2_segment_punch(&shared->segment, i);
            atomic_store(&shared->segment.blocks[i].state, DT2_BLOCK_EMPTY);
        }
    atomic_store(&shared->segment.head->filler, 0);
}

int dt2_shared_enter(struct dt2_shared *shared, struct dt2_error *err)
{
    int rc = lock_room(shared, err);
    if (rc != 0)
        return rc;
    rc = look(shared, err);
    if (rc == 0)
        rc = attach(shared, err);
    if (rc < 0) {
        dt2_shared_leave(shared);
        return rc;
    }
    sweep(shared);
    entered = shared;
    return 0;
}

static void unlock(struct dt2_shared *shared)
{
    if (shared->room < 0)
        return;
    if (!dt2_room_has_users(&shared->records) && is_the_room(shared, shared->room))
        (void)unlinkat(shared->folder, shared->name, 0);
    (void)flock(shared->room, LOCK_UN); /* also for a child that was forked meanwhile */
    close(shared->room);
    shared->room = -1;
    entered = entered == shared ? NULL : entered;
    dt2_release(DT2_TAKE(shared->bytes));
    shared->records = (struct dt2_records){ 0 };
}

void dt2_shared_leave(struct dt2_shared *shared)
{
    if (!shared->own || shared->own->check == 0)
        dt2_segment_clear(&shared->segment);
    unlock(shared);
}

pid_t dt2_shared_peek(const struct dt2_shared *shared, uint64_t *done_bytes)
{
    return dt2_room_peek(shared->folder, shared->name, shared->key.identity, done_bytes);
}

/* -- records -------------------------------------------------------------------------------------------------------- */

struct dt2_user *dt2_shared_record(struct dt2_shared *shared)
{
    dt2_release(shared->own);
    shared->own = dt2_alloc(1, dt2_records_stride(shared->key.block_count));
    return shared->own;
}

int dt2_shared_join(struct dt2_shared *shared, struct dt2_error *err)
{
    struct dt2_user *own = shared->own;
    own->pid = getpid();
    own->start = dt2_place_start_of(own->pid);
    own->load = shared->load;
    own->fd = shared->segment.fd;
    if (own->start == 0)
        return dt2_fail(err, DT2_EFAILED, "/proc does not tell of this process");
    shared->forks = dt2_fork_count();
    dt2_user_seal(own, shared->key.block_count);
    int rc = dt2_room_add(shared->room, &shared->records, own, &shared->place, err);
    bool added = rc == 0;
    if (rc == 0)
        rc = look(shared, err);
    if (rc < 0)
        own->check = 0;
    if (rc < 0 && added)
        dt2_room_erase(shared->room, dt2_records_stride(shared->key.block_count), shared->place);
    return rc;
}

/* Strikes the own record where it stands, by the lock of a room that was read. */
static void strike_own(struct dt2_shared *shared, const struct dt2_shared *locked)
{
    const struct dt2_user *there = dt2_records_at(&locked->records, shared->place);
    if (there && there->pid == shared->own->pid && there->start == shared->own->start && there->load == shared->load)
        dt2_room_strike(locked->room, &locked->records, shared->place);
    shared->own->check = 0;
}

void dt2_shared_part(struct dt2_shared *shared)
{
    if (shared->own && shared->own->check && shared->room >= 0)
        strike_own(shared, shared);
}

/* -- filling -------------------------------------------------------------------------------------------------------- */

void dt2_shared_begin(struct dt2_shared *shared, uint64_t total_bytes)
{
    struct dt2_segment_head *head = shared->segment.head;
    atomic_store(&head->done_bytes, 0);
    atomic_store(&head->total_bytes, total_bytes);
    atomic_store(&head->filler, getpid());
    for (size_t i = 0; i < shared->key.block_count; i++)
        if (dt2_user_holds(shared->own, i) && dt2_shared_state(shared, i) == DT2_BLOCK_EMPTY)
            atomic_store(&shared->segment.blocks[i].state, DT2_BLOCK_FILLING);
}

void dt2_shared_end(struct dt2_shared *shared, bool good)
{
    for (size_t i = 0; good && i < shared->key.block_count; i++)
        if (dt2_shared_state(shared, i) == DT2_BLOCK_FILLING)
            atomic_store(&shared->segment.blocks[i].state, DT2_BLOCK_READY);
    sweep(shared);
}

/* -- others --------------------------------------------------------------------------------------------------------- */

static bool held_by_others(const struct dt2_records *records, const struct dt2_user *own, size_t block)
{
    for (size_t i = 0; i < records->count; i++) {
        const struct dt2_user *user = dt2_records_at(records, i);
        bool ours = user && user->pid == own->pid && user->start == own->start && user->load == own->load;
        if (user && !ours && dt2_user_holds(user, block))
            return true;
    }
    return false;
}

/* Whether leaving may give memory back at all. */
static bool may_punch(const struct dt2_shared *shared)
{
    return shared->own && shared->own->check && atomic_load(&shared->segment.head->keeps) == 0 && shared->forks == dt2_fork_count();
}

static uint64_t sole_bytes(const struct dt2_shared *shared, const struct dt2_records *records, bool punch)
{
    uint64_t bytes = 0;
    for (size_t i = 0; may_punch(shared) && i < shared->key.block_count; i++) {
        if (!dt2_user_holds(shared->own, i) || held_by_others(records, shared->own, i))
            continue;
        bytes += shared->key.block_bytes[i];
        if (!punch)
            continue;
        atomic_store(&shared->segment.blocks[i].state, DT2_BLOCK_EMPTY);
        dt2_segment_punch(&shared->segment, i);
    }
    return bytes;
}

/* The records, without the lock. */
static bool glance(const struct dt2_shared *shared, void **bytes, struct dt2_records *records)
{
    int fd = shared->folder < 0 ? -1 : dt2_place_file(shared->folder, shared->name, false, NULL);
    int rc = fd < 0 ? DT2_EFAILED : dt2_room_read(fd, bytes, records, NULL);
    if (fd >= 0)
        close(fd);
    return rc == 0;
}

size_t dt2_shared_users(const struct dt2_shared *shared)
{
    DT2_AUTO void *bytes = NULL;
    struct dt2_records records;
    return glance(shared, &bytes, &records) ? dt2_room_processes(&records, NULL, 0) : 0;
}

uint64_t dt2_shared_sole_bytes(const struct dt2_shared *shared)
{
    DT2_AUTO void *bytes = NULL;
    struct dt2_records records;
    return glance(shared, &bytes, &records) ? sole_bytes(shared, &records, false) : 0;
}

/* -- leaving -------------------------------------------------------------------------------------------------------- */

/* Locks the room for who leaves it: for a moment, and only if it is there. */
static bool lock_to_leave(struct dt2_shared *shared)
{
    int fd = dt2_place_file(shared->folder, shared->name, false, NULL);
    if (fd < 0)
        return false;
    if (dt2_place_lock(fd, LEAVE_MS) && is_the_room(shared, fd)) {
        shared->room = fd;
        if (look(shared, NULL) == 0)
            return true;
        shared->room = -1;
    }
    close(fd);
    return false;
}

void dt2_shared_close(struct dt2_shared *shared)
{
    if (!shared->name[0])
        return;
    bool joined = shared->own && shared->own->check;
    if (joined && entered && entered != shared &&
        memcmp(entered->key.identity, shared->key.identity, sizeof shared->key.identity) == 0) {
        strike_own(shared, entered);
    } else if (joined && (shared->room >= 0 || lock_to_leave(shared))) {
        sole_bytes(shared, &shared->records, true);
        strike_own(shared, shared);
    }
    if (shared->segment.head && shared->forks != dt2_fork_count())
        atomic_store(&shared->segment.head->keeps, 1);
    dt2_segment_clear(&shared->segment); /* before it is asked who is left */
    unlock(shared);
    dt2_release(shared->own);
    if (shared->folder >= 0)
        close(shared->folder);
    *shared = (struct dt2_shared){ .folder = -1, .room = -1, .segment = { .fd = -1 } };
}
