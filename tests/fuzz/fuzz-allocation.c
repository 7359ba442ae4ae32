/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text as an allocation string: it gives entries that hold together, or an error with a caret. */
#include "plan/grammar.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct dt2_allocations *entries, size_t length)
{
    size_t wildcards = 0, last = 0;
    bool ratios = entries->count > 0;
    for (size_t i = 0; i < entries->count; i++) {
        const struct dt2_allocation *entry = &entries->items[i];
        must(entry->device[0] && strlen(entry->device) <= length);
        must(entry->device_at >= last && entry->device_at < entry->amount_at && entry->amount_at < length);
        must(entry->amount <= DT2_AMOUNT_FRACTION);
        last = entry->amount_at;
        wildcards += entry->amount == DT2_AMOUNT_WILDCARD;
        ratios = ratios && entry->amount == DT2_AMOUNT_PERCENT;
        if (entry->amount == DT2_AMOUNT_BYTES)
            must(entry->bytes <= INT64_MAX);
    }
    must(wildcards <= 1);
    must(dt2_allocations_pure_ratio(entries) == ratios);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    must(text);
    memcpy(text, data, size);
    text[size] = '\0';
    struct dt2_allocations entries = { 0 };
    struct dt2_error err;
    int rc = dt2_allocations_parse(text, &entries, &err);
    if (rc == 0)
        check(&entries, strlen(text));
    else
        must(rc == DT2_EUSAGE && strchr(err.text, '^'));
    dt2_allocations_clear(&entries);
    free(text);
    return 0;
}
