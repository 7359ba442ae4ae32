/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocation string: what it means, and where the caret stands when it means nothing. */
#include "base/checked.h"
#include "plan/grammar.h"
#include "support/tap.h"

static void test_good(void)
{
    static const struct {
        const char *string;
        size_t count;
        enum dt2_amount amounts[4];
        const char *devices[4];
        uint64_t bytes[4];
    } cases[] = {
        { "cuda:0,4gb;cpu,*", 2, { DT2_AMOUNT_BYTES, DT2_AMOUNT_WILDCARD }, { "cuda:0", "cpu" }, { 4ull << 30, DT2_UNKNOWN } },
        { " cuda:0 , 256 MiB ;\tcpu , * ; ", 2, { DT2_AMOUNT_BYTES, DT2_AMOUNT_WILDCARD }, { "cuda:0", "cpu" }, { 256 << 20, DT2_UNKNOWN } },
        { "cpu,5gb*", 1, { DT2_AMOUNT_WILDCARD }, { "cpu" }, { 5ull << 30 } },
        { "cpu,5 gb *", 1, { DT2_AMOUNT_WILDCARD }, { "cpu" }, { 5ull << 30 } },
        { "a,60%;b,0.5;c,1;d,.25", 4, { DT2_AMOUNT_PERCENT, DT2_AMOUNT_FRACTION, DT2_AMOUNT_FRACTION, DT2_AMOUNT_FRACTION }, { "a", "b", "c", "d" }, { 0 } },
        { "pci:0000:0a:00.0,1tb;uuid:ab-cd,1b", 2, { DT2_AMOUNT_BYTES, DT2_AMOUNT_BYTES }, { "pci:0000:0a:00.0", "uuid:ab-cd" }, { 1ull << 40, 1 } },
        { "gb,1.5k;mb,0.5KiB", 2, { DT2_AMOUNT_BYTES, DT2_AMOUNT_BYTES }, { "gb", "mb" }, { 1536, 512 } },
        { "a,150%", 1, { DT2_AMOUNT_PERCENT }, { "a" }, { 0 } },
        { "a,40%;b,60%;c,*", 3, { DT2_AMOUNT_PERCENT, DT2_AMOUNT_PERCENT, DT2_AMOUNT_WILDCARD }, { "a", "b", "c" }, { 0, 0, DT2_UNKNOWN } },
        { "", 0, { 0 }, { 0 }, { 0 } },
        { " \t ", 0, { 0 }, { 0 }, { 0 } },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_allocations parsed = { 0 };
        struct dt2_error err = { 0 };
        if (!ok(dt2_allocations_parse(cases[i].string, &parsed, &err) == 0, "'%s' is good", cases[i].string))
            diag("%s", err.text);
        is_u64(parsed.count, cases[i].count, "'%s': entries", cases[i].string);
        for (size_t j = 0; j < parsed.count; j++) {
            is_str(parsed.items[j].device, cases[i].devices[j], "'%s': device %zu", cases[i].string, j);
            is_int(parsed.items[j].amount, cases[i].amounts[j], "'%s': kind %zu", cases[i].string, j);
            is_u64(parsed.items[j].bytes, cases[i].bytes[j], "'%s': bytes %zu", cases[i].string, j);
        }
        dt2_allocations_clear(&parsed);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *string;
        size_t caret;
        const char *text;
    } cases[] = {
        { "cuda:0,2xb", 8, "unknown unit 'xb'" },
        { "cuda:0,1e3mb", 8, "unknown unit 'e'" },
        { "cuda:0,2", 7, "at most 1" },
        { "cuda:0,1.01;cpu,*", 7, "at most 1" },
        { "cuda:0", 6, "a comma and an amount" },
        { "cuda:0 4gb;cpu,*", 10, "a comma and an amount" },
        { "cuda:0;cpu,*", 6, "a comma and an amount" },
        { "cuda:0,", 7, "an amount is missing" },
        { "cuda:0,;cpu,*", 7, "an amount is missing" },
        { "cuda:0,1gb;;cpu,*", 11, "an empty entry" },
        { ";cuda:0,1gb", 0, "an empty entry" },
        { ";", 0, "an empty entry" },
        { "cuda:0,1gb; ;", 12, "an empty entry" },
        { ",1gb", 0, "a device name must stand" },
        { "cuda:0,-1gb", 7, "negative" },
        { "cuda:0,+1gb", 7, "no sign" },
        { "cuda:0,nan", 7, "finite" },
        { "cuda:0,inf", 7, "finite" },
        { "cuda:0,Infinity", 7, "finite" },
        { "cuda:0,x", 7, "begins with a digit" },
        { "cuda:0,1.gb", 8, "a digit must follow" },
        { "cuda:0,1.", 8, "a digit must follow" },
        { "cuda:0,.", 7, "begins with a digit" },
        { "cuda:0,9223372036854775808b", 7, "2^63" },
        { "cuda:0,8388608tb", 7, "2^63" },
        { "a,*;b,*", 6, "second wildcard" },
        { "a,1gb*;b,*", 9, "second wildcard" },
        { "a,50%*", 5, "unexpected" },
        { "a,0.5*", 5, "unexpected" },
        { "a,4gb,b", 5, "unexpected" },
        { "a,4gb b,1gb", 6, "unexpected" },
        { "a,60%;b,*;c,50%", 12, "above 100" },
        { "a,0%;b,0%", 2, "all ratios are 0" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_allocations parsed = { 0 };
        struct dt2_error err = { 0 };
        is_int(dt2_allocations_parse(cases[i].string, &parsed, &err), DT2_EUSAGE, "'%s' is refused", cases[i].string);
        if (!ok(strstr(err.text, cases[i].text), "'%s': says why", cases[i].string))
            diag("%s", err.text);
        const char *line = strrchr(err.text, '\n');
        is_int(line ? strchr(line, '^') - line - 3 : -1, (int64_t)cases[i].caret, "'%s': the caret", cases[i].string);
    }
    struct dt2_error err;
    dt2_allocations_parse("cuda:0,2", &(struct dt2_allocations){ 0 }, &err);
    is_str(err.suggestion, "did you mean 2gb or 2%?", "a bare number above 1: what was meant");
    dt2_allocations_parse("cuda:0=50%;cpu,*", &(struct dt2_allocations){ 0 }, &err);
    is_str(err.suggestion, "write cuda:0,50%", "an equals sign: what was meant");
    dt2_allocations_parse("cuda:0 ", &(struct dt2_allocations){ 0 }, &err);
    is_str(err.suggestion, "write for example cuda:0,4gb", "no amount: an example");
}

int main(void)
{
    test_good();
    test_bad();
    return done_testing();
}
