/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as the record of who shares a segment: its users are sound, or none. */
#include "share/records.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Gives a head, and records, the sums that they would have: what is behind them is to be looked at too. */
static void seal(char *bytes, size_t size)
{
    struct dt2_room_head *head = (struct dt2_room_head *)(void *)bytes;
    if (size < DT2_RECORDS_AT)
        return;
    dt2_room_seal(head);
    if (head->block_count > DT2_SHARE_BLOCKS_MOST)
        return;
    size_t stride = dt2_records_stride((size_t)head->block_count);
    for (size_t at = DT2_RECORDS_AT; size - at >= stride; at += stride)
        dt2_user_seal((struct dt2_user *)(void *)(bytes + at), (size_t)head->block_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt2_records records;
    if (size < 1)
        return 0;
    char *bytes = malloc(size);
    must(bytes);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1)
        seal(bytes, size - 1);
    if (dt2_records_read(bytes, size - 1, &records)) {
        must(records.count <= DT2_RECORDS_MOST && memchr(records.head->path, '\0', sizeof records.head->path));
        for (size_t i = 0; i <= records.count; i++) {
            const struct dt2_user *user = dt2_records_at(&records, i);
            must(!user || (i < records.count && user->pid > 0 && user->fd >= 0));
            for (size_t block = 0; user && block < records.head->block_count; block += 61)
                (void)dt2_user_holds(user, block);
        }
    }
    free(bytes);
    return 0;
}
