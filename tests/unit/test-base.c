/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors, sizes, decimals and text. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/decimal.h"
#include "base/error.h"
#include "base/size.h"
#include "base/text.h"
#include "support/tap.h"
#include <errno.h>

static void test_sizes(void)
{
    static const struct {
        const char *text;
        int code;
        uint64_t bytes;
    } cases[] = {
        { "1gb", 0, 1 << 30 },
        { "1.5 GiB", 0, 3ull << 29 },
        { " 256 MiB ", 0, 256 << 20 },
        { "4096b", 0, 4096 },
        { "0.3kb", 0, 307 },
        { ".5k", 0, 512 },
        { "8388607.999999999999999999999tb", 0, 9223372036854775807ull },
        { "8388608tb", DT2_EUSAGE, 0 },
        { "4096", DT2_EUSAGE, 0 },
        { "1.gb", DT2_EUSAGE, 0 },
        { "-1gb", DT2_EUSAGE, 0 },
        { "1e3mb", DT2_EUSAGE, 0 },
        { "1pb", DT2_EUSAGE, 0 },
        { "", DT2_EUSAGE, 0 },
        { "gb", DT2_EUSAGE, 0 },
        { "1gb x", DT2_EUSAGE, 0 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        uint64_t bytes = 0;
        is_int(dt2_size_parse(cases[i].text, &bytes, NULL), cases[i].code, "'%s': verdict", cases[i].text);
        is_u64(bytes, cases[i].bytes, "'%s': bytes", cases[i].text);
    }
    struct dt2_error err;
    dt2_size_parse("12", &(uint64_t){ 0 }, &err);
    ok(strstr(err.suggestion, "12mb or 12gb"), "a size without a unit: the suggestion names two");
}

static void test_gib(void)
{
    static const struct {
        const char *text;
        int code;
        uint64_t bytes;
    } cases[] = {
        { "4", 0, 4ull << 30 },      { "0", 0, 0 },
        { "0.0", 0, 0 },             { "128", 0, 128ull << 30 },
        { "128.000", 0, 128ull << 30 }, { "0.1", 0, 107374183 }, /* rounded up: it is a minimum */
        { "128.0000000001", DT2_EUSAGE, 0 }, { "-1", DT2_EUSAGE, 0 },
        { "4gb", DT2_EUSAGE, 0 },    { "nan", DT2_EUSAGE, 0 },
        { "inf", DT2_EUSAGE, 0 },    { "1e1", DT2_EUSAGE, 0 },
        { "", DT2_EUSAGE, 0 },       { "129", DT2_EUSAGE, 0 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        uint64_t bytes = 0;
        is_int(dt2_gib_parse(cases[i].text, &bytes, NULL), cases[i].code, "%s GiB: verdict", cases[i].text);
        is_u64(bytes, cases[i].bytes, "%s GiB: bytes", cases[i].text);
    }
}

static void test_format(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.00 KiB" },
        { 722558240, "689 MiB" },
        { 1023ull << 20, "1.00 GiB" },
        { 2502139136, "2.33 GiB" },
        { 128ull << 30, "128 GiB" },
        { DT2_UNKNOWN - 1, "16.0 EiB" },
        { DT2_UNKNOWN, "unknown" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char out[16];
        is_str(dt2_size_format(cases[i].bytes, out, sizeof out), cases[i].text, "format %" PRIu64, cases[i].bytes);
    }
}

static void test_decimal(void)
{
    struct dt2_decimal a, b;
    uint64_t result;
    is_u64(dt2_decimal_parse("0.3333333333333333333333333333333333%", &a), 36, "a long fraction is taken whole");
    b = dt2_decimal_of(100);
    ok(dt2_decimal_scale(&a, 722558240, &b, false, &result), "a third of a percent fits");
    is_u64(result, 2408527, "and is rounded down exactly");

    is_u64(dt2_decimal_parse("1.", &a), 1, "'1.' is a number and a dot");
    is_u64(dt2_decimal_parse(".", &a), 0, "'.' is no number");
    is_u64(dt2_decimal_parse("00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                             "0000000000000000000000007",
                             &a),
           114, "leading zeros do not count");
    b = dt2_decimal_of(7);
    is_int(dt2_decimal_compare(&a, &b), 0, "and leave 7");

    /* Against 128-bit integers: floor and ceiling of m / 10^s * f / d. */
    seed_random(20261124);
    bool floors = true, ceilings = true;
    for (int i = 0; i < 2000; i++) {
        char text[64];
        uint64_t m = random_below(1000000), s = random_below(7), f = random_u64() >> 24, d = 1 + random_below(1000);
        uint64_t power = 1;
        for (uint64_t j = 0; j < s; j++)
            power *= 10;
        if (s)
            snprintf(text, sizeof text, "%" PRIu64 ".%0*" PRIu64, m / power, (int)s, m % power);
        else
            snprintf(text, sizeof text, "%" PRIu64, m);
        dt2_decimal_parse(text, &a);
        b = dt2_decimal_of(d);
        __uint128_t top = (__uint128_t)m * f, bottom = (__uint128_t)power * d;
        uint64_t down = 0, up = 0;
        if (top / bottom >> 62)
            continue;
        floors &= dt2_decimal_scale(&a, f, &b, false, &down) && down == (uint64_t)(top / bottom);
        ceilings &= dt2_decimal_scale(&a, f, &b, true, &up) && up == (uint64_t)((top + bottom - 1) / bottom);
    }
    ok(floors, "2000 random products round down exactly");
    ok(ceilings, "2000 random products round up exactly");
}

static void test_errors(void)
{
    struct dt2_error err;
    errno = 77;
    is_int(dt2_fail(&err, DT2_ENOFIT, "%s is short by %d", "cpu", 5), DT2_ENOFIT, "a failure returns its code");
    is_int(errno, 77, "errno stays");
    is_str(err.text, "cpu is short by 5", "the text");
    is_str(err.suggestion, "", "no suggestion yet");
    dt2_fail_prefix(&err, 0, "a.safetensors: ");
    is_str(err.text, "a.safetensors: cpu is short by 5", "words put before");
    is_int(dt2_fail(NULL, DT2_EFAILED, "x"), DT2_EFAILED, "no error struct is fine");

    dt2_fail_caret(&err, DT2_EUSAGE, "cuda:0,2xb", 8, "unknown unit");
    is_str(err.text, "unknown unit\n  cuda:0,2xb\n          ^", "a caret under the character");
    char longest[400];
    memset(longest, 'x', sizeof longest);
    longest[300] = '!';
    longest[399] = '\0';
    dt2_fail_caret(&err, DT2_EUSAGE, longest, 300, "bad");
    const char *shown = strchr(err.text, '\n') + 1, *caret = strchr(shown, '\n') + 1;
    is_int(strchr(shown, '!') - shown, strchr(caret, '^') - caret, "a long string is cut, the caret stays right");

    char text[4000];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof err.text - 3, "\xE2\x82\xAC", 3); /* a euro sign that does not fit whole */
    text[3999] = '\0';
    dt2_fail(&err, DT2_EFAILED, "%s", text);
    ok(dt2_utf8_valid(err.text, strlen(err.text)), "text that is cut stays UTF-8");

    static const struct {
        int code, status;
    } statuses[] = { { DT2_OK, 0 },     { DT2_EFAILED, 1 }, { DT2_EUSAGE, 2 },      { DT2_ENOFIT, 3 },
                     { DT2_ENOENT, 4 }, { DT2_EBUSY, 1 },   { DT2_ECANCELLED, 130 } };
    for (size_t i = 0; i < DT2_COUNT(statuses); i++)
        is_int(dt2_exit_status(statuses[i].code), statuses[i].status, "exit status of %d", statuses[i].code);
}

static void test_nearest(void)
{
    struct dt2_nearest nearest = { .wanted = "cnny" };
    static const char *const names[] = { "depth", "canny", "Canny2", "sd15/canny.safetensors" };
    for (size_t i = 0; i < DT2_COUNT(names); i++)
        dt2_nearest_offer(&nearest, names[i]);
    is_u64(nearest.count, 2, "two names are near");
    is_str(nearest.names[0], "canny", "the nearest first");
    struct dt2_error err;
    dt2_fail(&err, DT2_ENOENT, "no model");
    dt2_nearest_suggest(&nearest, &err);
    is_str(err.suggestion, "did you mean canny or Canny2?", "they become the suggestion");
    is_u64(dt2_edit_distance("--compute-devcie", "--compute-device", 3), 1, "two letters swapped are one edit");
    is_u64(dt2_edit_distance("abcdef", "uvwxyz", 2), 3, "far is capped");
}

static void test_utf8(void)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = { { "plain", true },         { "\xC3\xA4", true },         { "\xC0\x80", false },
                  { "\xED\xA0\x80", false }, { "\xF4\x90\x80\x80", false }, { "\xE2\x82", false },
                  { "\xF0\x9F\x98\x80", true }, { "\x80", false } };
    for (size_t i = 0; i < DT2_COUNT(cases); i++)
        ok(dt2_utf8_valid(cases[i].text, strlen(cases[i].text)) == cases[i].valid, "UTF-8 case %zu", i);
}

static void test_checked(void)
{
    uint64_t r;
    ok(!dt2_round_up_overflows(257, 256, &r) && r == 512, "257 rounds up to 512");
    ok(!dt2_round_up_overflows(0, 256, &r) && r == 0, "0 stays");
    ok(dt2_round_up_overflows(UINT64_MAX, 256, &r), "the last number has no multiple above it");
    ok(dt2_alloc(SIZE_MAX / 2, 4) == NULL, "a product that overflows allocates nothing");
}

/* What a program is compiled for is what configure.ac says. */
static void test_version(void)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", DT2_VERSION_MAJOR, DT2_VERSION_MINOR, DT2_VERSION_PATCH);
    is_str(text, PACKAGE_VERSION, "the version of the headers is configure's");
    is_str(dt2_version(), PACKAGE_VERSION, "so is the library's");
    ok(DT2_VERSION_NUMBER == DT2_VERSION_MAJOR * 1000000 + DT2_VERSION_MINOR * 1000 + DT2_VERSION_PATCH && DT2_VERSION_NUMBER > 0,
       "as a number it is %d", DT2_VERSION_NUMBER);
}

int main(void)
{
    test_sizes();
    test_gib();
    test_format();
    test_decimal();
    test_errors();
    test_nearest();
    test_utf8();
    test_checked();
    test_version();
    return done_testing();
}
