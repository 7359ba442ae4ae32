/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/override.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

#define BLANKS " \t\n\r\f\v"

/* A part of the string without the blanks around it; NULL without memory. */
static char *trimmed(const char *string, size_t begin, size_t end)
{
    while (begin < end && strchr(BLANKS, string[begin]))
        begin++;
    while (begin < end && strchr(BLANKS, string[end - 1]))
        end--;
    return dt2_strndup(string + begin, end - begin);
}

/* One "PATTERN=DEVICE": the device is behind the last '=', since names of tensors may hold one. */
static int parse_one(const char *string, size_t begin, size_t end, struct dt2_overrides *overrides, struct dt2_error *err)
{
    size_t equals = end;
    while (equals > begin && string[equals - 1] != '=')
        equals--;
    if (equals == begin)
        return dt2_fail_caret(err, DT2_EUSAGE, string, end, "place: '=' and a device must follow the pattern");
    if (!DT2_GROW(overrides->items, overrides->count, overrides->capacity))
        return dt2_fail_nomem(err);
    struct dt2_override *made = &overrides->items[overrides->count++];
    *made = (struct dt2_override){ .pattern = trimmed(string, begin, equals - 1), .device = trimmed(string, equals, end) };
    if (!made->pattern || !made->device)
        return dt2_fail_nomem(err);
    if (!*made->pattern)
        return dt2_fail_caret(err, DT2_EUSAGE, string, begin, "place: a pattern must stand before '='");
    if (!*made->device)
        return dt2_fail_caret(err, DT2_EUSAGE, string, equals, "place: a device must follow '='");
    made->device_at = equals + strspn(string + equals, BLANKS);
    return 0;
}

int dt2_overrides_parse(const char *string, struct dt2_overrides *overrides, struct dt2_error *err)
{
    *overrides = (struct dt2_overrides){ 0 };
    for (size_t at = 0; string && string[at];) {
        size_t end = at + strcspn(string + at, ";");
        bool blank = at + strspn(string + at, BLANKS) >= end;
        int rc = blank ? 0 : parse_one(string, at, end, overrides, err);
        if (rc < 0) {
            dt2_overrides_clear(overrides);
            return rc;
        }
        at = end + (string[end] == ';');
    }
    return 0;
}

void dt2_overrides_clear(struct dt2_overrides *overrides)
{
    for (size_t i = 0; i < overrides->count; i++) {
        dt2_release(overrides->items[i].pattern);
        dt2_release(overrides->items[i].device);
    }
    dt2_release(overrides->items);
    *overrides = (struct dt2_overrides){ 0 };
}

/* Goes back to the last "*" where a letter does not match: enough, since an earlier one could only take less. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

size_t dt2_overrides_match(const struct dt2_overrides *overrides, const char *block, const char *tensor)
{
    size_t i = 0;
    while (i < overrides->count && !matches(overrides->items[i].pattern, block) &&
           !(tensor && matches(overrides->items[i].pattern, tensor)))
        i++;
    return i;
}

int dt2_overrides_match_block(const struct dt2_overrides *overrides, const struct dt2_block *block, size_t *match,
                              struct dt2_error *err)
{
    bool named = block->tensor_names && block->tensor_count;
    size_t first = dt2_overrides_match(overrides, block->name, named ? block->tensor_names[0] : NULL);
    for (size_t i = 1; named && i < block->tensor_count; i++) {
        if (dt2_overrides_match(overrides, block->name, block->tensor_names[i]) == first)
            continue;
        dt2_fail(err, DT2_EUSAGE, "place: %s and %s go to different devices, but block %s is placed as one",
                 block->tensor_names[0], block->tensor_names[i], block->name);
        dt2_suggest(err, "name the block, or cut the blocks with dt2_blocks_cut()");
        return DT2_EUSAGE;
    }
    *match = first;
    return 0;
}
