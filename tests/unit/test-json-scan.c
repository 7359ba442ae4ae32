/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser of headers, by itself. */
#include "base/checked.h"
#include "formats/json/scan.h"
#include "support/tap.h"

/* A copy of `text` of exactly its size on the heap, so that a tool sees any read beyond it. */
static char *begin(struct dt2_json *json, const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy)
        exit(1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    dt2_json_begin(json, copy, length);
    return copy;
}

static void test_strings(void)
{
    static const struct {
        const char *json, *text;
        size_t length;
    } good[] = {
        { "\"\"", "", 0 },
        { "\"abc\"", "abc", 3 },
        { " \t\r\n\"abc\" ", "abc", 3 },
        { "\"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight\"",
          "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 55 },
        { "\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\te\"", "a\"b\\c/d\b\f\n\r\te", 13 },
        { "\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC", 6 },
        { "\"x\\ud83d\\ude00y\"", "x\xF0\x9F\x98\x80y", 6 },
        { "\"\\uDBFF\\uDFFF\"", "\xF4\x8F\xBF\xBF", 4 },
        { "\"\\uD7FF\\uE000\"", "\xED\x9F\xBF\xEE\x80\x80", 6 },
        { "\"a\\u0000b\"", "a\0b", 3 },
        { "\"\x7F\xC3\xA9 long enough for words of eight\"", "\x7F\xC3\xA9 long enough for words of eight", 34 },
    };
    struct dt2_json json;
    struct dt2_json_text text;
    for (size_t i = 0; i < DT2_COUNT(good); i++) {
        char *copy = begin(&json, good[i].json, strlen(good[i].json));
        bool right = dt2_json_string(&json, &text) && text.length == good[i].length &&
                     memcmp(text.text, good[i].text, text.length + 1) == 0 && dt2_json_finish(&json);
        ok(right, "string %zu: %s", i, good[i].json);
        free(copy);
    }
    static const char *const bad[] = {
        "",           "\"",           "\"abc",          "abc",           "\"a\nb\"",        "\"a\x1F\"",
        "\"\\x41\"",  "\"\\",         "\"\\\"",         "\"\\u\"",       "\"\\u12\"",       "\"\\u12g4\"",
        "\"\\u123",   "\"\\ud800\"",  "\"\\udc00\"",    "\"\\ud800x\"",  "\"\\ud800\\n\"",  "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"", "\"\\ud800\\u",  "\"\\ud800\\",   "\"\\udc00\\ud800\"", "'a'",   "\"12345678\x01\"",
        "\"1234567", "\"12345678",
    };
    for (size_t i = 0; i < DT2_COUNT(bad); i++) {
        char *copy = begin(&json, bad[i], strlen(bad[i]));
        ok(!dt2_json_string(&json, &text) && json.problem, "no string %zu: %s", i, bad[i]);
        free(copy);
    }
    char *copy = begin(&json, "\"a\0b\"", 5);
    ok(!dt2_json_string(&json, &text) && strstr(json.problem, "control"), "a NUL byte in a string is refused");
    free(copy);
}

static void test_numbers(void)
{
    static const struct {
        const char *json;
        bool good;
        uint64_t value;
    } cases[] = {
        { "0", true, 0 },
        { " 42 ", true, 42 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999", false, 0 },
        { "184467440737095516150", false, 0 },
        { "00", false, 0 },
        { "01", false, 0 },
        { "-0", false, 0 },
        { "-1", false, 0 },
        { "+1", false, 0 },
        { "1.0", false, 0 },
        { "1.", false, 0 },
        { "1e3", false, 0 },
        { "1E3", false, 0 },
        { "0e0", false, 0 },
        { ".5", false, 0 },
        { "", false, 0 },
        { "true", false, 0 },
        { "\"1\"", false, 0 },
        { "0x10", false, 0 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_json json;
        uint64_t value = 0;
        char *copy = begin(&json, cases[i].json, strlen(cases[i].json));
        bool good = dt2_json_u64(&json, &value) && dt2_json_finish(&json);
        ok(good == cases[i].good && value * good == cases[i].value, "number '%s'", cases[i].json);
        free(copy);
    }
}

/* Strings that hold NULs, for C. */
static void test_c_strings(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "\"\"", "" },
        { "\"abc\"", "abc" },
        { "\"\\u0000\"", "\xEF\xBF\xBD" },
        { "\"a\\u0000\\u0000b\\nc\\u0000\"", "a\xEF\xBF\xBD\xEF\xBF\xBD" "b\nc\xEF\xBF\xBD" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_json json;
        struct dt2_json_text string;
        char *copy = begin(&json, cases[i].text, strlen(cases[i].text));
        ok(dt2_json_string(&json, &string), "%s is a string", cases[i].text);
        is_str(dt2_json_c_string(&string), cases[i].expected, "and in C");
        free(copy);
    }
}

/* Whole documents through dt2_json_skip. */
static void test_documents(void)
{
    static const char *const good[] = {
        "{}", "[]", "null", "true", "false", "-0", "-12.5e-7", "1.7976931348623157e308", "0.0", "0e999",
        "-1e-9999999999999999999", "0.00000000000000000001e327", "[1,[2,{\"a\":[]}],\"x\"]",
        " { \"a\" : { } , \"b\" : [ ] } ", "\"\"", "[{},{}]", "123456789012345678901234567890",
    };
    static const char *const bad[] = {
        "",         "{",          "[",        "]",          "}",        "{]",        "[}",        "[1,]",
        "{\"a\":1,}",
        "[,1]",     "[1 2]",      "{\"a\"}",  "{\"a\":}",   "{a:1}",    "{\"a\":1 \"b\":2}", "{,}", "nul",
        "nulll",    "True",       "NaN",      "Infinity",   "-",        "-a",        "1.",        ".1",        "1e",
        "1e+",      "01",         "--1",      "1e309",     "-1.8e+308",
        "0.000000000000000000002e329", "1e99999999999999999999",
        "[1]]",     "{}{}",       "1 2",      "[\"a]",     "{1:2}",     "/**/1",
        "[1,,2]",   "\xEF\xBB\xBF{}", "\v1",
    };
    struct dt2_json json;
    for (size_t i = 0; i < DT2_COUNT(good); i++) {
        char *copy = begin(&json, good[i], strlen(good[i]));
        ok(dt2_json_skip(&json) && dt2_json_finish(&json), "good: %s", good[i]);
        free(copy);
    }
    for (size_t i = 0; i < DT2_COUNT(bad); i++) {
        char *copy = begin(&json, bad[i], strlen(bad[i]));
        dt2_json_skip(&json);
        ok(!dt2_json_finish(&json) && json.problem, "bad: %s", bad[i]);
        free(copy);
    }
    char *copy = begin(&json, "{}\0", 3);
    dt2_json_skip(&json);
    ok(!dt2_json_finish(&json), "bad: a NUL after the document");
    free(copy);
    char digits[311] = "1"; /* 10^309, and then 10^308, without an exponent */
    memset(digits + 1, '0', 309);
    for (size_t length = 310; length >= 309; length--) {
        copy = begin(&json, digits, length);
        dt2_json_skip(&json);
        ok(dt2_json_finish(&json) == (length == 309), "a number of %zu digits", length);
        free(copy);
    }
}

static void test_depth(void)
{
    for (size_t depth = DT2_JSON_DEPTH - 1; depth <= DT2_JSON_DEPTH + 1; depth++) {
        char text[2 * DT2_JSON_DEPTH + 8];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct dt2_json json;
        char *copy = begin(&json, text, 2 * depth);
        dt2_json_skip(&json);
        ok(dt2_json_finish(&json) == (depth <= DT2_JSON_DEPTH), "%zu arrays in one another", depth);
        free(copy);
    }
}

static void test_walk(void)
{
    struct dt2_json json;
    struct dt2_json_text key;
    uint64_t value, sum = 0, keys = 0;
    const char *text = "{\"one\":[1,2,3],\"two\":[],\"three\":[10]}";
    char *copy = begin(&json, text, strlen(text));
    dt2_json_enter(&json, '{');
    while (dt2_json_member(&json, &key)) {
        keys++;
        dt2_json_enter(&json, '[');
        while (dt2_json_element(&json) && dt2_json_u64(&json, &value))
            sum += value;
    }
    ok(dt2_json_finish(&json), "a walk ends well");
    is_u64(keys, 3, "all members were seen");
    is_u64(sum, 16, "all elements were read");
    free(copy);

    copy = begin(&json, "{\"one\":[1,-2,3]}", 16);
    dt2_json_enter(&json, '{');
    for (keys = 0; dt2_json_member(&json, &key); keys++) {
        dt2_json_enter(&json, '[');
        while (dt2_json_element(&json) && dt2_json_u64(&json, &value))
            ;
    }
    ok(!dt2_json_finish(&json) && keys == 1, "a problem ends all loops");
    is_u64(dt2_json_offset(&json), 10, "and says where it was");
    free(copy);
}

/* Random bytes made of JSON's own characters: whatever they are, the parser ends, within the text. */
static void test_noise(void)
{
    static const char alphabet[] = "{}[]\",:\\u0d8cbn1-.e tf\x01\x80";
    seed_random(20261124);
    bool inside = true;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t length = random_below(sizeof text);
        for (size_t j = 0; j < length; j++)
            text[j] = alphabet[random_below(sizeof alphabet)];
        struct dt2_json json;
        char *copy = begin(&json, text, length);
        dt2_json_skip(&json);
        bool whole = dt2_json_finish(&json);
        inside &= dt2_json_offset(&json) <= length && whole == !json.problem;
        free(copy);
    }
    ok(inside, "noise is read to an end, never beyond the text");
}

int main(void)
{
    test_strings();
    test_numbers();
    test_c_strings();
    test_documents();
    test_depth();
    test_walk();
    test_noise();
    return done_testing();
}
