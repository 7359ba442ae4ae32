/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/records.h"
#include <string.h>
#include <xxhash.h>

#define MAGIC "dt2room1"

_Static_assert(sizeof(struct dt2_room_head) <= DT2_RECORDS_AT, "a head is before the records");
_Static_assert(sizeof(struct dt2_user) == 64, "a record's beginning never lies across two pages");

size_t dt2_records_stride(size_t block_count)
{
    return sizeof(struct dt2_user) + (block_count + 511) / 512 * 64;
}

static uint64_t check_of_head(const struct dt2_room_head *head)
{
    return XXH3_64bits(head->identity, sizeof *head - offsetof(struct dt2_room_head, identity));
}

static uint64_t check_of_user(const struct dt2_user *user, size_t stride)
{
    return XXH3_64bits(&user->pid, stride - offsetof(struct dt2_user, pid));
}

bool dt2_records_read(const void *bytes, size_t size, struct dt2_records *records)
{
    const struct dt2_room_head *head = bytes;
    if (size < DT2_RECORDS_AT || memcmp(head->magic, MAGIC, sizeof head->magic) != 0 || head->check != check_of_head(head) ||
        head->block_count > DT2_SHARE_BLOCKS_MOST || !memchr(head->path, '\0', sizeof head->path))
        return false;
    size_t stride = dt2_records_stride((size_t)head->block_count), count = (size - DT2_RECORDS_AT) / stride;
    if (count > DT2_RECORDS_MOST)
        return false;
    *records = (struct dt2_records){ head, (const char *)bytes + DT2_RECORDS_AT, stride, count };
    return true;
}

const struct dt2_user *dt2_records_at(const struct dt2_records *records, size_t place)
{
    const struct dt2_user *user = (const struct dt2_user *)(const void *)(records->first + place * records->stride);
    if (place >= records->count || user->pid <= 0 || user->pid > INT32_MAX || user->start == 0 || user->fd < 0 ||
        user->check != check_of_user(user, records->stride))
        return NULL;
    return user;
}

bool dt2_user_holds(const struct dt2_user *user, size_t block)
{
    const unsigned char *bits = (const unsigned char *)(user + 1);
    return bits[block / 8] >> (block % 8) & 1;
}

void dt2_user_hold(struct dt2_user *user, size_t block)
{
    unsigned char *bits = (unsigned char *)(user + 1);
    bits[block / 8] |= (unsigned char)(1u << (block % 8));
}

void dt2_user_seal(struct dt2_user *user, size_t block_count)
{
    user->check = check_of_user(user, dt2_records_stride(block_count));
}

void dt2_room_seal(struct dt2_room_head *head)
{
    memcpy(head->magic, MAGIC, sizeof head->magic);
    head->check = check_of_head(head);
}
