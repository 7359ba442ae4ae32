/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/grammar.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/size.h"
#include <string.h>
#include <strings.h>

/* Where a parse stands. */
struct cursor {
    const char *string;
    size_t at;
    struct dt2_error *err;
};

#define FAIL(cursor, where, ...) dt2_fail_caret((cursor)->err, DT2_EUSAGE, (cursor)->string, (where), __VA_ARGS__)

static void skip_space(struct cursor *c)
{
    c->at += strspn(c->string + c->at, " \t\n\r\f\v");
}

static char peek(const struct cursor *c)
{
    return c->string[c->at];
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t letters(const struct cursor *c)
{
    size_t n = 0;
    while (is_letter(c->string[c->at + n]))
        n++;
    return n;
}

/* device := all up to the comma, white space around it aside */
static int parse_device(struct cursor *c, struct dt2_allocation *entry)
{
    entry->device_at = c->at;
    size_t length = strcspn(c->string + c->at, ",;");
    size_t end = c->at + length;
    while (length && strchr(" \t\n\r\f\v", c->string[c->at + length - 1]))
        length--;
    if (c->string[end] != ',') {
        FAIL(c, c->at + length, "allocation string: a comma and an amount must follow the device");
        const char *name = c->string + c->at, *equals = memchr(name, '=', length);
        if (equals && equals > name) /* as --reserve and --budget are written */
            dt2_suggest(c->err, "write %.*s,%.*s", (int)(equals - name), name,
                        (int)(length - (size_t)(equals - name) - 1), equals + 1);
        else
            dt2_suggest(c->err, "write for example %.*s,4gb", (int)length, name);
        return DT2_EUSAGE;
    }
    if (length == 0)
        return FAIL(c, c->at, "allocation string: a device name must stand before the comma");
    entry->device = dt2_strndup(c->string + c->at, length);
    if (!entry->device)
        return dt2_fail_nomem(c->err);
    c->at = end + 1;
    skip_space(c);
    return 0;
}

/* What stands where a number should begin, and does not. */
static int refuse_number(struct cursor *c)
{
    char first = peek(c);
    size_t word = letters(c);
    const char *text = c->string + c->at;
    if (first == '\0' || first == ';')
        return FAIL(c, c->at, "allocation string: an amount is missing");
    if (first == '-')
        return FAIL(c, c->at, "allocation string: an amount cannot be negative");
    if (first == '+')
        return FAIL(c, c->at, "allocation string: numbers have no sign");
    if ((word == 3 && (strncasecmp(text, "nan", 3) == 0 || strncasecmp(text, "inf", 3) == 0)) ||
        (word == 8 && strncasecmp(text, "infinity", 8) == 0))
        return FAIL(c, c->at, "allocation string: an amount must be a finite number");
    if (first >= '0' && first <= '9')
        return FAIL(c, c->at, "allocation string: a number has more than %d digits", DT2_DECIMAL_DIGITS);
    return FAIL(c, c->at, "allocation string: an amount begins with a digit, or is *");
}

/* A bare number: a share of the device's memory, from 0 to 1. */
static int parse_fraction(struct cursor *c, struct dt2_allocation *entry, size_t digits)
{
    const struct dt2_decimal one = dt2_decimal_of(1);
    entry->amount = DT2_AMOUNT_FRACTION;
    if (dt2_decimal_compare(&entry->number, &one) <= 0)
        return 0;
    FAIL(c, entry->amount_at, "allocation string: a number without a unit is a share of the device's memory, at most 1");
    const char *number = c->string + entry->amount_at;
    dt2_suggest(c->err, "did you mean %.*sgb or %.*s%%?", (int)digits, number, (int)digits, number);
    return DT2_EUSAGE;
}

static int parse_bytes(struct cursor *c, struct dt2_allocation *entry)
{
    const struct dt2_decimal one = dt2_decimal_of(1);
    size_t length = letters(c);
    uint64_t unit = dt2_unit_bytes(c->string + c->at, length);
    if (!unit) {
        FAIL(c, c->at, "allocation string: unknown unit '%.*s'", (int)length, c->string + c->at);
        dt2_suggest(c->err, "units are " DT2_UNITS ", and %%");
        return DT2_EUSAGE;
    }
    if (!dt2_decimal_scale(&entry->number, unit, &one, false, &entry->bytes))
        return FAIL(c, entry->amount_at, "allocation string: 2^63 bytes or more");
    c->at += length;
    skip_space(c);
    entry->amount = DT2_AMOUNT_BYTES;
    if (peek(c) == '*') {
        entry->amount = DT2_AMOUNT_WILDCARD;
        c->at++;
    }
    return 0;
}

/* amount := '*' | bytes ['*'] | percent | fraction */
static int parse_amount(struct cursor *c, struct dt2_allocation *entry)
{
    entry->amount_at = c->at;
    if (peek(c) == '*') {
        entry->amount = DT2_AMOUNT_WILDCARD;
        entry->bytes = DT2_UNKNOWN;
        c->at++;
        return 0;
    }
    size_t digits = dt2_decimal_parse(c->string + c->at, &entry->number);
    if (!digits)
        return refuse_number(c);
    c->at += digits;
    if (peek(c) == '.')
        return FAIL(c, c->at, "allocation string: a digit must follow the decimal point");
    skip_space(c);
    if (peek(c) == '%') {
        entry->amount = DT2_AMOUNT_PERCENT;
        c->at++;
        return 0;
    }
    return letters(c) ? parse_bytes(c, entry) : parse_fraction(c, entry, digits);
}

static int parse_entry(struct cursor *c, struct dt2_allocations *entries)
{
    if (peek(c) == ';' || peek(c) == '\0')
        return FAIL(c, c->at, "allocation string: an empty entry");
    if (!DT2_GROW(entries->items, entries->count, entries->capacity))
        return dt2_fail_nomem(c->err);
    struct dt2_allocation *entry = &entries->items[entries->count];
    *entry = (struct dt2_allocation){ 0 };
    int rc = parse_device(c, entry);
    entries->count += entry->device != NULL;
    if (rc == 0)
        rc = parse_amount(c, entry);
    if (rc < 0)
        return rc;
    skip_space(c);
    if (peek(c) != ';' && peek(c) != '\0')
        return FAIL(c, c->at, "allocation string: unexpected text after the amount; entries are separated by ';'");
    return 0;
}

/* What holds between entries. */
static int check_together(struct cursor *c, const struct dt2_allocations *entries)
{
    const struct dt2_decimal all = dt2_decimal_of(100);
    struct dt2_decimal percent = dt2_decimal_of(0);
    const struct dt2_allocation *wildcard = NULL, *above = NULL;
    bool pure = dt2_allocations_pure_ratio(entries);
    for (size_t i = 0; i < entries->count; i++) {
        const struct dt2_allocation *entry = &entries->items[i];
        if (entry->amount == DT2_AMOUNT_WILDCARD) {
            if (wildcard)
                return FAIL(c, entry->amount_at, "allocation string: a second wildcard; only one share can take the rest");
            wildcard = entry;
        } else if (entry->amount == DT2_AMOUNT_PERCENT) {
            percent = dt2_decimal_add(&percent, &entry->number);
            if (!above && dt2_decimal_compare(&percent, &all) > 0)
                above = entry;
        }
    }
    if (wildcard && above)
        return FAIL(c, above->amount_at, "allocation string: percentages above 100 in all leave nothing for the wildcard");
    if (pure && dt2_decimal_is_zero(&percent))
        return FAIL(c, entries->items[0].amount_at, "allocation string: all ratios are 0");
    return 0;
}

int dt2_allocations_parse(const char *string, struct dt2_allocations *entries, struct dt2_error *err)
{
    struct cursor c = { string ? string : "", 0, err };
    struct dt2_allocations parsed = { 0 };
    int rc = 0;
    skip_space(&c);
    while (rc == 0 && peek(&c) != '\0') {
        rc = parse_entry(&c, &parsed);
        if (rc == 0 && peek(&c) == ';') {
            c.at++;
            skip_space(&c);
        }
    }
    if (rc == 0)
        rc = check_together(&c, &parsed);
    if (rc < 0) {
        dt2_allocations_clear(&parsed);
        return rc;
    }
    *entries = parsed;
    return 0;
}

void dt2_allocations_clear(struct dt2_allocations *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        dt2_release(entries->items[i].device);
    dt2_release(entries->items);
    *entries = (struct dt2_allocations){ 0 };
}

bool dt2_allocations_pure_ratio(const struct dt2_allocations *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        if (entries->items[i].amount != DT2_AMOUNT_PERCENT)
            return false;
    return entries->count > 0;
}
