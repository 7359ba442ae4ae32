/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/room.h"
#include "base/alloc.h"
#include "base/error.h"
#include "share/place.h"
#include "share/segment.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MOST ((off_t)64 << 20) /* more is not ours, or nobody's */

void dt2_room_name(const unsigned char identity[DT2_IDENTITY_BYTES], char name[64])
{
    int at = snprintf(name, 64, DT2_ROOM_PREFIX);
    for (size_t i = 0; i < DT2_IDENTITY_BYTES; i++)
        at += snprintf(name + at, 64 - (size_t)at, "%02x", identity[i]);
}

/* -- the file ------------------------------------------------------------------------------------------------------- */

int dt2_room_read(int fd, void **bytes, struct dt2_records *records, struct dt2_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return dt2_fail(err, DT2_EFAILED, "the record of who shares cannot be read: %s", strerror(errno));
    if (st.st_size == 0)
        return DT2_ROOM_EMPTY;
    if (st.st_size > BYTES_MOST)
        return dt2_fail(err, DT2_EFAILED, "the record of who shares is damaged: it has %" PRIdMAX " bytes", (intmax_t)st.st_size);
    void *read = dt2_alloc((size_t)st.st_size, 1);
    if (!read)
        return dt2_fail_nomem(err);
    ssize_t got = pread(fd, read, (size_t)st.st_size, 0);
    if (got < 0 || !dt2_records_read(read, (size_t)got, records)) {
        dt2_release(read);
        return dt2_fail(err, DT2_EFAILED, "the record of who shares is damaged");
    }
    dt2_release(*bytes);
    *bytes = read;
    return 0;
}

static int write_at(int fd, const void *bytes, size_t size, off_t at, struct dt2_error *err)
{
    ssize_t written = pwrite(fd, bytes, size, at);
    if (written == (ssize_t)size)
        return 0;
    return dt2_fail(err, DT2_EFAILED, "the record of who shares cannot be written: %s", written < 0 ? strerror(errno) : "no space left");
}

int dt2_room_write_head(int fd, const struct dt2_room_head *head, struct dt2_error *err)
{
    char page[DT2_RECORDS_AT] = { 0 };
    memcpy(page, head, sizeof *head);
    int rc = write_at(fd, page, sizeof page, 0, err);
    if (rc < 0)
        (void)!ftruncate(fd, 0); /* as if nobody had been here */
    return rc;
}

static off_t offset_of(size_t stride, size_t place)
{
    return (off_t)(DT2_RECORDS_AT + place * stride);
}

int dt2_room_add(int fd, const struct dt2_records *records, const struct dt2_user *user, size_t *place, struct dt2_error *err)
{
    size_t at = 0;
    while (at < records->count && dt2_records_at(records, at))
        at++;
    if (at == DT2_RECORDS_MOST)
        return dt2_fail(err, DT2_EFAILED, "there are %d users already", DT2_RECORDS_MOST);
    *place = at;
    return write_at(fd, user, records->stride, offset_of(records->stride, at), err);
}

void dt2_room_erase(int fd, size_t stride, size_t place)
{
    static const struct dt2_user nobody;
    (void)!pwrite(fd, &nobody, sizeof nobody, offset_of(stride, place));
}

void dt2_room_strike(int fd, const struct dt2_records *records, size_t place)
{
    dt2_room_erase(fd, records->stride, place);
    memset((void *)(uintptr_t)(records->first + place * records->stride), 0, sizeof(struct dt2_user));
}

size_t dt2_room_processes(const struct dt2_records *records, pid_t *pids, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < records->count; i++) {
        const struct dt2_user *user = dt2_records_at(records, i);
        bool again = false;
        for (size_t j = 0; user && j < i && !again; j++) {
            const struct dt2_user *before = dt2_records_at(records, j);
            again = before && before->pid == user->pid && before->start == user->start;
        }
        if (!user || again || dt2_place_is_dead(user->pid, user->start))
            continue;
        if (count < capacity)
            pids[count] = (pid_t)user->pid;
        count++;
    }
    return count;
}

/* -- doors ---------------------------------------------------------------------------------------------------------- */

static bool is_absent(int failure)
{
    return failure == ENOENT || failure == ESRCH;
}

/* Opening something else by the number of a descriptor could do more than nothing: it is looked at first. */
enum dt2_door dt2_room_open_user(const struct dt2_user *user, const unsigned char identity[DT2_IDENTITY_BYTES], int *fd)
{
    char path[64], name[64], wanted[128], found[128];
    if (dt2_place_is_dead(user->pid, user->start))
        return DT2_DOOR_DEAD;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId32, user->pid, user->fd);
    dt2_segment_name(identity, name);
    int length = snprintf(wanted, sizeof wanted, "/memfd:%s", name);
    ssize_t got = readlink(path, found, sizeof found);
    if (got < 0)
        return is_absent(errno) ? DT2_DOOR_DEAD : DT2_DOOR_CLOSED;
    if (got < length || memcmp(found, wanted, (size_t)length) != 0)
        return DT2_DOOR_DEAD;
    int opened = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (opened >= 0) {
        *fd = opened;
        return DT2_DOOR_OPEN;
    }
    return is_absent(errno) ? DT2_DOOR_DEAD : errno == EACCES || errno == EPERM ? DT2_DOOR_CLOSED : DT2_DOOR_FAILED;
}

bool dt2_room_has_users(const struct dt2_records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        const struct dt2_user *user = dt2_records_at(records, i);
        int fd = -1;
        enum dt2_door door = user ? dt2_room_open_user(user, records->head->identity, &fd) : DT2_DOOR_DEAD;
        if (fd >= 0)
            close(fd);
        if (door != DT2_DOOR_DEAD)
            return true;
    }
    return records->head == NULL; /* of what could not be read nobody knows */
}

/* -- from outside --------------------------------------------------------------------------------------------------- */

static pid_t ask(const struct dt2_records *records, const unsigned char identity[DT2_IDENTITY_BYTES], uint64_t *done_bytes)
{
    for (size_t i = 0; i < records->count; i++) {
        const struct dt2_user *user = dt2_records_at(records, i);
        struct dt2_segment_head head;
        int fd = -1;
        if (!user || dt2_room_open_user(user, identity, &fd) != DT2_DOOR_OPEN)
            continue;
        ssize_t got = pread(fd, &head, sizeof head, 0);
        close(fd);
        if (got != (ssize_t)sizeof head)
            continue;
        *done_bytes = atomic_load(&head.done_bytes);
        return (pid_t)atomic_load(&head.filler);
    }
    return 0;
}

pid_t dt2_room_peek(int folder, const char *name, const unsigned char identity[DT2_IDENTITY_BYTES], uint64_t *done_bytes)
{
    DT2_AUTO void *bytes = NULL;
    struct dt2_records records;
    int fd = dt2_place_file(folder, name, false, NULL);
    if (fd < 0)
        return 0;
    int rc = dt2_room_read(fd, &bytes, &records, NULL);
    close(fd);
    return rc == 0 ? ask(&records, identity, done_bytes) : 0;
}
