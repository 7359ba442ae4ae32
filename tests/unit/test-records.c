/* SPDX-License-Identifier: BSD-3-Clause */
/* The file through which users of a segment find it: what is taken for a record, and what is not. */
#include "share/records.h"
#include "support/tap.h"
#include <stdlib.h>
#include <string.h>

#define BLOCKS 700
#define USERS 3

static _Alignas(64) char file[DT2_RECORDS_AT + (DT2_RECORDS_MOST + 2) * 192];

static struct dt2_user *user_at(size_t place)
{
    return (struct dt2_user *)(void *)(file + DT2_RECORDS_AT + place * dt2_records_stride(BLOCKS));
}

static size_t make(void)
{
    struct dt2_room_head head = { .block_count = BLOCKS, .path = "model.safetensors" };
    memset(file, 0, sizeof file);
    dt2_room_seal(&head);
    memcpy(file, &head, sizeof head);
    for (size_t i = 0; i < USERS; i++) {
        struct dt2_user *user = user_at(i);
        *user = (struct dt2_user){ .pid = (int64_t)i + 10, .start = 7, .fd = (int32_t)i };
        dt2_user_hold(user, i);
        dt2_user_hold(user, BLOCKS - 1);
        dt2_user_seal(user, BLOCKS);
    }
    return DT2_RECORDS_AT + USERS * dt2_records_stride(BLOCKS);
}

static int users(size_t size)
{
    struct dt2_records records;
    int count = 0;
    if (!dt2_records_read(file, size, &records))
        return -1;
    for (size_t i = 0; i < records.count; i++)
        count += dt2_records_at(&records, i) != NULL;
    return count;
}

static void sealed_again(void)
{
    struct dt2_room_head *head = (struct dt2_room_head *)(void *)file;
    dt2_room_seal(head);
}

int main(void)
{
    size_t size = make();
    struct dt2_records records;
    is_int((long long)dt2_records_stride(1), 128, "a record of one block");
    is_int((long long)dt2_records_stride(512), 128, "a record of 512 blocks");
    is_int((long long)dt2_records_stride(513), 192, "a record of 513 blocks");
    is_int(users(size), USERS, "all records are read");
    ok(dt2_records_read(file, size, &records) && !dt2_records_at(&records, USERS), "and none behind them");
    ok(dt2_user_holds(user_at(1), 1) && !dt2_user_holds(user_at(1), 0) && dt2_user_holds(user_at(1), BLOCKS - 1), "blocks held");
    is_int(users(size - 1), USERS - 1, "one that was cut is none");
    is_int(users(DT2_RECORDS_AT), 0, "a head alone has none");
    is_int(users(DT2_RECORDS_AT - 1), -1, "half a head is none");
    is_int(users(0), -1, "an empty file is none");
    is_int(users(DT2_RECORDS_AT + DT2_RECORDS_MOST * dt2_records_stride(BLOCKS)), USERS, "as many as there may be");
    is_int(users(DT2_RECORDS_AT + (DT2_RECORDS_MOST + 1) * dt2_records_stride(BLOCKS)), -1, "more than there may be");

    for (size_t at = 0; at < sizeof(struct dt2_room_head); at += 37) {
        size = make();
        file[at] ^= 0x40;
        if (users(size) != -1)
            ok(false, "a head with another byte at %zu", at);
    }
    size = make();
    int wrong = 0;
    for (size_t at = 0; at < dt2_records_stride(BLOCKS); at++) {
        file[DT2_RECORDS_AT + at] ^= 1;
        wrong += users(size) != USERS - 1;
        file[DT2_RECORDS_AT + at] ^= 1;
    }
    is_int(wrong, 0, "a record with any other byte is none, and the others stand");

    struct dt2_room_head *head = (struct dt2_room_head *)(void *)file;
    head->block_count = UINT64_MAX;
    sealed_again();
    is_int(users(size), -1, "a huge count of blocks");
    make();
    memset(head->path, 'x', sizeof head->path);
    sealed_again();
    is_int(users(size), -1, "a path without an end");
    static const struct {
        int64_t pid;
        uint64_t start;
        int32_t fd;
        const char *what;
    } bad[] = { { 0, 7, 1, "no process" }, { -1, 7, 1, "a process below 0" }, { (int64_t)1 << 40, 7, 1, "a process above all" },
                { 9, 0, 1, "no start" },   { 9, 7, -1, "no descriptor" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size = make();
        user_at(0)->pid = bad[i].pid;
        user_at(0)->start = bad[i].start;
        user_at(0)->fd = bad[i].fd;
        dt2_user_seal(user_at(0), BLOCKS);
        is_int(users(size), USERS - 1, "%s", bad[i].what);
    }
    return done_testing();
}
