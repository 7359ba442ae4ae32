/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs of blocks as an allocation string, as near to the user's as that can be. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/size.h"
#include "base/text.h"
#include "plan/fit.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 15

/* How far a string goes from the user's. */
enum wording {
    WORDS_OF_USER,  /* entries that mean the same stay, others change their number alone */
    WORDS_WILDCARD, /* who absorbs is told by "*" */
    WORDS_BYTES,    /* and every other amount is one of bytes */
};

/* A quota that means a run: at least `low`, and below `high`, from which on it would take one block more. */
struct quota {
    uint64_t low, high;
};

/* -- numbers ------------------------------------------------------------------------------------------------------------ */

/* Writes the decimal number of fewest digits of which `number` x `whole` / `parts`, rounded down, is in the quota. */
static bool write_number(const struct quota *quota, uint64_t whole, uint64_t parts, char *out, size_t size)
{
    uint64_t scale = 1;
    for (int digits = 0; whole > 0 && digits <= DIGITS_MAX; digits++, scale *= 10) {
        __uint128_t times = (__uint128_t)parts * scale;
        if (quota->low > 0 && times > ~(__uint128_t)0 / quota->low)
            return false;
        __uint128_t m = (times * quota->low + whole - 1) / whole;
        if (m > UINT64_MAX || m * whole / times >= quota->high)
            continue;
        uint64_t number = (uint64_t)m;
        if (digits == 0)
            snprintf(out, size, "%" PRIu64, number);
        else
            snprintf(out, size, "%" PRIu64 ".%0*" PRIu64, number / scale, digits, number % scale);
        return true;
    }
    return false;
}

/* The unit of an amount of bytes, as the user wrote it, with what stands before it. */
static const char *unit_of(const char *amount, size_t *length)
{
    amount += strspn(amount, "0123456789. \t\n\r\f\v");
    *length = strspn(amount, "bBkKmMgGtTiI");
    return amount;
}

static void add_bytes(struct dt2_text *text, const struct quota *quota, const char *unit, size_t length)
{
    char number[64];
    uint64_t bytes = dt2_unit_bytes(unit, length);
    if (bytes > 1 && write_number(quota, bytes, 1, number, sizeof number))
        dt2_text_addf(text, "%s%.*s", number, (int)length, unit);
    else
        dt2_text_addf(text, "%" PRIu64 "b", quota->low);
}

/* -- entries -------------------------------------------------------------------------------------------------------------- */

struct wording_of {
    const struct dt2_draft *draft;
    const struct dt2_cuts *cuts;
    enum wording how;
    size_t absorber; /* of the cuts */
};

/* The user's entry for a device of the cuts; the count: there is none. */
static size_t entry_of(const struct dt2_input *input, size_t device)
{
    size_t i = 0;
    while (i < input->entries.count && input->entry_devices[i] != device)
        i++;
    return i;
}

/* What a claim would have to get for its run, and what is placed there by name. */
static struct quota quota_of(const struct wording_of *w, size_t index)
{
    const struct dt2_input *input = w->draft->input;
    const struct dt2_cuts *cuts = w->cuts;
    size_t begin = index ? cuts->ends[index - 1] : 0, end = cuts->ends[index];
    struct quota quota = { 0, UINT64_MAX };
    for (size_t i = 0; i < input->count && input->placed; i++)
        if (input->placed[i] == cuts->devices[index])
            quota.low += input->blocks[i].bytes;
    for (size_t i = begin; i < end; i++)
        quota.low += input->blocks[cuts->sequence[i]].bytes;
    bool front = index < w->absorber;
    if (front ? end < cuts->length : begin > 0)
        quota.high = quota.low + dt2_max(1, input->blocks[cuts->sequence[front ? end : begin - 1]].bytes);
    else
        quota.high = dt2_max(quota.low, input->model_bytes) + 1;
    return quota;
}

/* The quota that the draft gave to a device. */
static uint64_t quota_before(const struct dt2_draft *draft, size_t device)
{
    for (size_t i = 0; i < draft->claim_count; i++)
        if (draft->claims[i].device == device)
            return draft->claims[i].quota;
    return 0;
}

static bool is_wildcard(const struct dt2_input *input, size_t entry)
{
    return entry < input->entries.count && input->entries.items[entry].amount == DT2_AMOUNT_WILDCARD;
}

/* The amount of an entry in the kind in which the user wrote it. */
static void add_amount(const struct wording_of *w, size_t entry, const struct quota *quota, struct dt2_text *text)
{
    const struct dt2_input *input = w->draft->input;
    const struct dt2_allocation *item = entry < input->entries.count ? &input->entries.items[entry] : NULL;
    const char *string = input->request->expert_mode_allocations;
    char number[64];
    size_t length = 1;
    if (item && w->how != WORDS_BYTES && item->amount == DT2_AMOUNT_PERCENT &&
        write_number(quota, input->model_bytes, 100, number, sizeof number)) {
        dt2_text_addf(text, "%s%%", number);
    } else if (item && w->how != WORDS_BYTES && item->amount == DT2_AMOUNT_FRACTION &&
               quota->low <= input->devices->devices[input->entry_devices[entry]].total_bytes &&
               write_number(quota, input->devices->devices[input->entry_devices[entry]].total_bytes, 1, number, sizeof number)) {
        dt2_text_addf(text, "%s", number);
    } else if (item && item->amount == DT2_AMOUNT_BYTES) {
        const char *unit = unit_of(string + item->amount_at, &length);
        add_bytes(text, quota, unit, length);
    } else {
        add_bytes(text, quota, "mb", 2);
    }
}

/* "DEVICE," as the user wrote it, or as it is listed. */
static void add_device(const struct wording_of *w, size_t device, size_t entry, struct dt2_text *text)
{
    const struct dt2_input *input = w->draft->input;
    if (text->length)
        dt2_text_addf(text, ";");
    dt2_text_addf(text, "%s,", entry < input->entries.count ? input->entries.items[entry].device
                                                           : input->devices->devices[device].name);
}

static void add_verbatim(const struct dt2_input *input, size_t entry, struct dt2_text *text)
{
    const char *amount = input->request->expert_mode_allocations + input->entries.items[entry].amount_at;
    size_t length = strcspn(amount, ";");
    while (length && strchr(" \t\n\r\f\v", amount[length - 1]))
        length--;
    dt2_text_add(text, amount, length);
}

static void add_entry(const struct wording_of *w, size_t index, bool keep, struct dt2_text *text)
{
    const struct dt2_input *input = w->draft->input;
    size_t device = w->cuts->devices[index], entry = entry_of(input, device);
    bool absorbs = index == w->absorber, listed = entry < input->entries.count;
    bool empty = w->cuts->ends[index] == (index ? w->cuts->ends[index - 1] : 0);
    struct quota quota = quota_of(w, index);
    uint64_t before = quota_before(w->draft, device);
    if (!listed && (w->how == WORDS_OF_USER || (empty && !absorbs)))
        return; /* what the request adds by itself; what gets nothing */
    add_device(w, device, entry, text);
    if (absorbs && (w->how != WORDS_OF_USER || is_wildcard(input, entry))) {
        if (is_wildcard(input, entry))
            add_verbatim(input, entry, text);
        else
            dt2_text_addf(text, "*");
    } else if (listed && !is_wildcard(input, entry) && keep && (absorbs || (before >= quota.low && before < quota.high))) {
        add_verbatim(input, entry, text);
    } else {
        add_amount(w, entry, &quota, text);
    }
}

/* Percentages alone are relative to their sum: with one changed all are, to a sum of 100, of which the last has what is left. */
static bool add_ratios(const struct wording_of *w, struct dt2_text *text)
{
    const struct dt2_input *input = w->draft->input;
    uint64_t scale = 1, sum = 0;
    for (int digits = 0; digits <= DIGITS_MAX; digits++, scale *= 10, sum = 0) {
        bool good = true;
        dt2_text_clear(text);
        for (size_t i = 0; good && i < w->cuts->count; i++) {
            size_t entry = entry_of(input, w->cuts->devices[i]);
            struct quota quota = quota_of(w, i);
            __uint128_t times = (__uint128_t)100 * scale;
            __uint128_t m = (times * quota.low + input->model_bytes - 1) / input->model_bytes;
            good = entry < input->entries.count && (i == w->absorber || m * input->model_bytes / times < quota.high);
            if (i == w->absorber) /* those behind it have none */
                m = dt2_sub_floor((uint64_t)times, sum);
            sum += (uint64_t)m;
            add_device(w, w->cuts->devices[i], entry, text);
            dt2_text_addf(text, "%" PRIu64, (uint64_t)m / scale);
            if (digits)
                dt2_text_addf(text, ".%0*" PRIu64, digits, (uint64_t)m % scale);
            dt2_text_addf(text, "%%");
        }
        if (good && sum == 100 * scale)
            return true;
    }
    return false;
}

/* -- the string ------------------------------------------------------------------------------------------------------------ */

/* Whose run absorbs: the user's wildcard, else the last with blocks where ratios decide, else who did, else the last. */
static size_t absorber_of(const struct dt2_draft *draft, const struct dt2_cuts *cuts)
{
    const struct dt2_input *input = draft->input;
    size_t absorber = cuts->count - 1;
    if (dt2_allocations_pure_ratio(&input->entries)) {
        while (absorber > 0 && cuts->ends[absorber] == cuts->ends[absorber - 1])
            absorber--;
        return absorber;
    }
    for (size_t i = 0; i < cuts->count; i++)
        if (cuts->devices[i] == draft->claims[draft->absorber].device)
            absorber = i;
    return absorber;
}

static char *write(const struct wording_of *w, bool keep)
{
    struct dt2_text text = { 0 };
    bool good = true;
    if (w->how == WORDS_OF_USER && dt2_allocations_pure_ratio(&w->draft->input->entries))
        good = add_ratios(w, &text);
    else
        for (size_t i = 0; i < w->cuts->count; i++)
            add_entry(w, i, keep, &text);
    if (good && text.length)
        return dt2_text_take(&text);
    dt2_text_clear(&text);
    return NULL;
}

char *dt2_cuts_words(const struct dt2_draft *draft, const struct dt2_cuts *cuts)
{
    struct wording_of w = { draft, cuts, WORDS_OF_USER, absorber_of(draft, cuts) };
    struct dt2_request request = *draft->input->request;
    char *any = NULL;
    for (int i = 0; i <= 2 * WORDS_BYTES + 1; i++) {
        uint64_t moved;
        w.how = (enum wording)(i / 2);
        char *words = write(&w, i % 2 == 0);
        request.expert_mode_allocations = words;
        bool fits = words && dt2_request_fits(draft, &request, &moved);
        if (fits && moved <= cuts->moved) {
            dt2_release(any);
            return words;
        }
        if (fits && !any)
            any = DT2_TAKE(words);
        dt2_release(words);
    }
    return any;
}
