/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/text.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* -- memory -- */

static void *need(void *memory)
{
    if (memory)
        return memory;
    fputs("distorch2: out of memory\n", stderr);
    exit(dt2_exit_status(DT2_ENOMEM));
}

void *cli_alloc(size_t count, size_t size)
{
    return need(calloc(count ? count : 1, size));
}

void *cli_grow(void *memory, size_t count, size_t size)
{
    return need(reallocarray(memory, count ? count : 1, size));
}

char *cli_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    return need(n < 0 ? NULL : text);
}

/* -- UTF-8 -- */

/* The character at `text` (not at its end) and its length in bytes; 0 when the first byte begins no valid character. */
static size_t decode(const char *text, uint32_t *character)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *character = s[0];
        return 1;
    }
    size_t length = s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC2 ? 2 : 0;
    if (length == 0 || s[0] >= 0xF5)
        return 0;
    uint32_t value = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3F);
    }
    bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *character = value;
    return length;
}

/* Whether a character could move the cursor or reorder what stands on the line. */
static bool unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

#define ESCAPE_SIZE 7 /* of the longest escape, "\u202e", with its NUL */

char *cli_printable(const char *text, bool lines)
{
    char *out = cli_alloc(strlen(text) + 1, ESCAPE_SIZE);
    char *end = out;
    while (*text) {
        uint32_t c;
        size_t length = decode(text, &c);
        if (length && (!unprintable(c) || (lines && c == '\n')))
            end = mempcpy(end, text, length);
        else if (length > 1)
            end += sprintf(end, "\\u%04" PRIx32, c);
        else
            end += sprintf(end, "\\x%02x", (unsigned char)*text);
        text += length ? length : 1;
    }
    *end = '\0';
    return out;
}

char *cli_json_shown(const char *document)
{
    char *out = cli_alloc(strlen(document) + 1, ESCAPE_SIZE);
    char *end = out;
    while (*document) {
        uint32_t c;
        size_t length = decode(document, &c);
        bool shown = !length || !unprintable(c) || c == '\n'; /* jansson escapes what is below ' ' itself */
        length = length ? length : 1;
        if (shown)
            end = mempcpy(end, document, length);
        else
            end += sprintf(end, "\\u%04" PRIx32, c);
        document += length;
    }
    *end = '\0';
    return out;
}

char *cli_utf8(const char *text)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *out = cli_alloc(strlen(text) + 1, sizeof replacement - 1);
    char *end = out;
    while (*text) {
        uint32_t c;
        size_t length = decode(text, &c);
        end = length ? mempcpy(end, text, length) : mempcpy(end, replacement, sizeof replacement - 1);
        text += length ? length : 1;
    }
    *end = '\0';
    return out;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

size_t cli_columns(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += !continues(*text);
    return n;
}

size_t cli_prefix(const char *text, size_t columns)
{
    size_t n = 0;
    while (text[n] && (continues(text[n]) || columns-- > 0))
        n++;
    return n;
}

char *cli_shortened(const char *text, size_t columns)
{
    size_t all = cli_columns(text);
    if (all <= columns)
        return cli_format("%s", text);
    size_t kept = columns - 2, tail = kept / 3; /* names differ in their numbers, which stand at the front */
    return cli_format("%.*s..%s", (int)cli_prefix(text, kept - tail), text, text + cli_prefix(text, all - tail));
}

/* -- numbers -- */

char *cli_age(int64_t when)
{
    int64_t age = when < 0 ? -1 : (int64_t)time(NULL) - when;
    if (age >= 2 * 86400)
        return cli_format("%lld days ago", (long long)(age / 86400));
    if (age >= 2 * 3600)
        return cli_format("%lld hours ago", (long long)(age / 3600));
    if (age >= 120)
        return cli_format("%lld minutes ago", (long long)(age / 60));
    return cli_format("%s", when < 0 ? "" : "just now");
}

char *cli_grouped(uint64_t number, char *out)
{
    char digits[CLI_NUMBER_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *end = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return out;
}

/* Three digits of a number from 0 up. */
static void three_digits(double value, const char *unit, char *out)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(out, CLI_NUMBER_SIZE, "%.*f %s", decimals, value, unit);
}

char *cli_share(uint64_t part, uint64_t whole, char *out)
{
    if (whole == 0)
        snprintf(out, CLI_NUMBER_SIZE, "-");
    else
        snprintf(out, CLI_NUMBER_SIZE, "%.1f %%", 100.0 * (double)part / (double)whole);
    return out;
}

double cli_gbps(uint64_t bytes, uint64_t ns)
{
    return bytes && ns ? (double)bytes / (double)ns : -1;
}

char *cli_rate(double gbps, char *out)
{
    if (gbps < 0)
        snprintf(out, CLI_NUMBER_SIZE, "-");
    else if (gbps < 0.9995)
        three_digits(gbps * 1e3, "MB/s", out);
    else
        three_digits(gbps, "GB/s", out);
    return out;
}

char *cli_seconds(uint64_t ns, char *out)
{
    double seconds = (double)ns / 1e9;
    snprintf(out, CLI_NUMBER_SIZE, "%.*f s", seconds < 9.9995 ? 3 : 1, seconds);
    return out;
}

char *cli_clock(uint64_t ns, char *out)
{
    uint64_t seconds = ns / 1000000000u + (ns % 1000000000u != 0);
    unsigned minutes = (unsigned)(seconds / 60 % 60), rest = (unsigned)(seconds % 60);
    if (seconds < 3600)
        snprintf(out, CLI_NUMBER_SIZE, "%u:%02u", minutes, rest);
    else
        snprintf(out, CLI_NUMBER_SIZE, "%" PRIu64 ":%02u:%02u", seconds / 3600, minutes, rest);
    return out;
}
