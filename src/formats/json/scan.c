/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/json/scan.h"
#include "base/checked.h"
#include <string.h>

void dt2_json_begin(struct dt2_json *json, char *text, size_t length)
{
    *json = (struct dt2_json){ .begin = text, .at = text, .end = text + length, .first = true };
}

bool dt2_json_fail(struct dt2_json *json, const char *problem)
{
    if (!json->problem)
        json->problem = problem;
    return false;
}

size_t dt2_json_offset(const struct dt2_json *json)
{
    return (size_t)(json->at - json->begin);
}

/* Fails with `problem`, or says that the text ended, when that is what is wrong. */
static bool fail_here(struct dt2_json *json, const char *problem)
{
    return dt2_json_fail(json, json->at == json->end ? "the text ends too early" : problem);
}

char dt2_json_peek(struct dt2_json *json)
{
    while (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')
        json->at++;
    return *json->at;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool dt2_json_enter(struct dt2_json *json, char open)
{
    if (json->problem)
        return false;
    if (dt2_json_peek(json) != open)
        return fail_here(json, open == '{' ? "an object is expected" : "an array is expected");
    if (json->depth == DT2_JSON_DEPTH)
        return dt2_json_fail(json, "too deeply nested");
    json->at++;
    json->depth++;
    json->first = true;
    return true;
}

/* Goes to the next member or element; false at the end of the object or array, which is left. */
static bool next(struct dt2_json *json, char close)
{
    if (json->problem)
        return false;
    char c = dt2_json_peek(json);
    if (c == close) {
        json->at++;
        json->depth--;
        json->first = false;
        return false;
    }
    if (!json->first) {
        if (c != ',')
            return fail_here(json, close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
        json->at++;
    }
    json->first = false;
    return true;
}

bool dt2_json_element(struct dt2_json *json)
{
    return next(json, ']');
}

bool dt2_json_member(struct dt2_json *json, struct dt2_json_text *key)
{
    if (!next(json, '}') || !dt2_json_string(json, key))
        return false;
    if (dt2_json_peek(json) != ':')
        return fail_here(json, "':' is expected");
    json->at++;
    return true;
}

/* -- strings -- */

#define EACH_BYTE 0x0101010101010101u
#define HIGH_BITS (EACH_BYTE << 7)

/* The high bit of each byte of `eight` that is below `limit`; bytes after the first such one may be wrong. */
static uint64_t below(uint64_t eight, unsigned limit)
{
    return (eight - EACH_BYTE * limit) & ~eight & HIGH_BITS;
}

/* The end of a run of characters that stand for themselves; the NUL at the end of the text ends it too. */
static char *plain_end(const struct dt2_json *json, char *at)
{
    for (; json->end - at >= 8; at += 8) {
        uint64_t eight;
        memcpy(&eight, at, sizeof eight);
        uint64_t special = below(eight, ' ') | below(eight ^ EACH_BYTE * '"', 1) | below(eight ^ EACH_BYTE * '\\', 1);
        if (special)
            return at + __builtin_ctzll(special) / 8;
    }
    while ((unsigned char)*at >= ' ' && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* The four hexadecimal digits at `at`; UINT32_MAX when they are none. */
static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i], lower = (char)(c | 0x20);
        if (is_digit(c))
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return UINT32_MAX; /* also at the NUL that ends the text, beyond which nothing is read */
    }
    return value;
}

/* The character of \uXXXX, or of a pair of them, at `at`; leaves `at` behind it. UINT32_MAX when there is none. */
static uint32_t unicode_escape(struct dt2_json *json)
{
    uint32_t high = hex4(json->at + 2);
    if (high == UINT32_MAX) {
        dt2_json_fail(json, "four hexadecimal digits are expected after \\u");
        return UINT32_MAX;
    }
    bool pair = high >= 0xD800 && high < 0xDC00 && json->at[6] == '\\' && json->at[7] == 'u';
    uint32_t low = pair ? hex4(json->at + 8) : 0;
    if (pair && low >= 0xDC00 && low < 0xE000) {
        json->at += 12;
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    if (high >= 0xD800 && high < 0xE000) {
        dt2_json_fail(json, "half of a surrogate pair is no character");
        return UINT32_MAX;
    }
    json->at += 6;
    return high;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xE0 | c >> 12);
        } else {
            *to++ = (char)(0xF0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *to++ = (char)(0x80 | (c & 0x3F));
    return to;
}

/* Writes the character of the escape at `at` to `to`, which is never ahead of it; NULL when it is none. */
static char *unescape(struct dt2_json *json, char *to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = json->at[1];
    if (c == 'u') {
        uint32_t character = unicode_escape(json);
        return character == UINT32_MAX ? NULL : put_utf8(to, character);
    }
    const char *letter = c ? strchr(letters, c) : NULL;
    if (!letter) {
        dt2_json_fail(json, "no such escape");
        return NULL;
    }
    *to = meanings[letter - letters];
    json->at += 2;
    return to + 1;
}

bool dt2_json_string(struct dt2_json *json, struct dt2_json_text *string)
{
    if (json->problem)
        return false;
    if (dt2_json_peek(json) != '"')
        return fail_here(json, "a string is expected");
    char *begin = ++json->at;
    char *to = json->at = plain_end(json, begin);
    while (*json->at != '"') {
        if (*json->at != '\\')
            return fail_here(json, "a control character in a string");
        to = unescape(json, to);
        if (!to)
            return false;
        char *run = json->at;
        json->at = plain_end(json, run);
        memmove(to, run, (size_t)(json->at - run));
        to += json->at - run;
    }
    *to = '\0';
    json->at++;
    *string = (struct dt2_json_text){ begin, (size_t)(to - begin) };
    return true;
}

const char *dt2_json_c_string(const struct dt2_json_text *string)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    const size_t more = sizeof replacement - 2; /* \u0000 took six bytes */
    size_t nuls = 0, i = string->length;
    for (size_t j = 0; j < string->length; j++)
        nuls += string->text[j] == '\0';
    char *to = string->text + string->length + more * nuls;
    *to = '\0';
    while (nuls) { /* from the end, so that nothing is overwritten that is still to be moved */
        char c = string->text[--i];
        if (c) {
            *--to = c;
            continue;
        }
        to -= more + 1;
        memcpy(to, replacement, more + 1);
        nuls--;
    }
    return string->text;
}

/* -- numbers, and values that nobody wants -- */

bool dt2_json_u64(struct dt2_json *json, uint64_t *value)
{
    if (json->problem)
        return false;
    if (!is_digit(dt2_json_peek(json)))
        return fail_here(json, "a whole number without sign is expected");
    if (*json->at == '0' && is_digit(json->at[1]))
        return dt2_json_fail(json, "a number begins with 0");
    const char *at = json->at;
    uint64_t sum = 0;
    for (; is_digit(*at); at++)
        if (dt2_mul_overflows(sum, 10, &sum) || dt2_add_overflows(sum, (uint64_t)(*at - '0'), &sum))
            return dt2_json_fail(json, "a number of 2^64 or more");
    if (*at == '.' || *at == 'e' || *at == 'E')
        return dt2_json_fail(json, "a whole number is expected, without fraction or exponent");
    json->at += at - json->at;
    *value = sum;
    return true;
}

static bool skip_digits(struct dt2_json *json)
{
    if (!is_digit(*json->at))
        return fail_here(json, "a digit is expected");
    while (is_digit(*json->at))
        json->at++;
    return true;
}

/* Whether a number, well-formed, is beyond the range of a double; without strtod(), which heeds the locale. */
static bool exceeds_double(const char *at)
{
    static const char limit[] = "1797693134862315808"; /* 10^309 times 0.this rounds to infinity, and all above */
    char digits[sizeof limit] = "0000000000000000000";
    int64_t magnitude = 0, exponent = 0; /* the number is 0.DIGITS times 10^magnitude */
    size_t count = 0;
    bool point = false;
    for (at += *at == '-'; is_digit(*at) || *at == '.'; at++) {
        bool leading = count == 0 && *at == '0';
        if (*at == '.')
            point = true;
        else if (leading == point)
            magnitude += point ? -1 : 1;
        if (is_digit(*at) && !leading && count < sizeof limit - 1)
            digits[count++] = *at;
    }
    if ((*at | 0x20) == 'e') {
        bool negative = *++at == '-';
        for (at += negative || *at == '+'; is_digit(*at); at++)
            if (exponent < INT32_MAX)
                exponent = 10 * exponent + (*at - '0');
        magnitude += negative ? -exponent : exponent;
    }
    return count && (magnitude > 309 || (magnitude == 309 && memcmp(digits, limit, sizeof limit - 1) >= 0));
}

static bool skip_number(struct dt2_json *json)
{
    const char *begin = json->at;
    if (*json->at == '-')
        json->at++;
    if (*json->at == '0' && is_digit(json->at[1]))
        return dt2_json_fail(json, "a number begins with 0");
    if (!skip_digits(json))
        return false;
    if (*json->at == '.') {
        json->at++;
        if (!skip_digits(json))
            return false;
    }
    if (*json->at == 'e' || *json->at == 'E') {
        json->at++;
        if (*json->at == '+' || *json->at == '-')
            json->at++;
        if (!skip_digits(json))
            return false;
    }
    return !exceeds_double(begin) || dt2_json_fail(json, "a number that no double can hold");
}

static bool skip_word(struct dt2_json *json)
{
    static const char *const words[] = { "true", "false", "null" };
    for (size_t i = 0; i < DT2_COUNT(words); i++) {
        size_t length = strlen(words[i]);
        if (strncmp(json->at, words[i], length) == 0) {
            json->at += length;
            return true;
        }
    }
    return fail_here(json, "a value is expected");
}

bool dt2_json_skip(struct dt2_json *json)
{
    struct dt2_json_text ignored;
    if (json->problem)
        return false;
    switch (dt2_json_peek(json)) {
    case '{':
        dt2_json_enter(json, '{');
        while (dt2_json_member(json, &ignored))
            dt2_json_skip(json); /* no deeper than DT2_JSON_DEPTH */
        break;
    case '[':
        dt2_json_enter(json, '[');
        while (dt2_json_element(json))
            dt2_json_skip(json);
        break;
    case '"':
        dt2_json_string(json, &ignored);
        break;
    default:
        if (*json->at == '-' || is_digit(*json->at))
            skip_number(json);
        else
            skip_word(json);
    }
    return !json->problem;
}

bool dt2_json_finish(struct dt2_json *json)
{
    if (json->problem)
        return false;
    if (dt2_json_peek(json) != '\0' || json->at != json->end)
        return dt2_json_fail(json, "nothing may follow the value");
    return true;
}
