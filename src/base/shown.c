/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/shown.h"
#include "base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE_SIZE 8 /* of the longest, "\u202e", with its NUL */

/* The code of a well-formed character of `length` bytes. */
static uint32_t code_of(const unsigned char *s, size_t length)
{
    uint32_t code = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s[i] & 0x3F);
    return code;
}

/* Whether a character could move the cursor, or break or reorder what stands on the line. */
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* What stands for the first character of the text; *taken: its bytes. Returns the length of what stands for it. */
static size_t escape(const char *text, size_t length, char piece[ESCAPE_SIZE], size_t *taken)
{
    size_t n = dt2_utf8_character(text, length);
    uint32_t code = n ? code_of((const unsigned char *)text, n) : 0;
    *taken = n ? n : 1;
    if (n && !is_harmful(code)) {
        memcpy(piece, text, n);
        return n;
    }
    if (n > 1)
        return (size_t)snprintf(piece, ESCAPE_SIZE, "\\u%04x", (unsigned)code & 0xFFFFu); /* none of them is above */
    return (size_t)snprintf(piece, ESCAPE_SIZE, "\\x%02x", (unsigned char)text[0]);
}

char *dt2_show_into(char *out, size_t size, const char *text, size_t length)
{
    static const char more[] = "...";
    size_t used = 0, whole = 0; /* whole: up to the last piece that leaves room for `more` */
    while (length > 0) {
        char piece[ESCAPE_SIZE];
        size_t taken, n = escape(text, length, piece, &taken);
        if (used + sizeof more <= size)
            whole = used;
        if (used + n >= size) {
            memcpy(out + whole, more, sizeof more);
            return out;
        }
        memcpy(out + used, piece, n);
        used += n;
        text += taken;
        length -= taken;
    }
    out[used] = '\0';
    return out;
}

char *dt2_shown(const char *name, size_t length, char out[DT2_SHOWN])
{
    return dt2_show_into(out, DT2_SHOWN, name, length);
}

char *dt2_show(const char *text, char *out, size_t size)
{
    return dt2_show_into(out, size, text, strlen(text));
}

bool dt2_is_showable(const char *text, size_t length)
{
    while (length > 0) {
        size_t n = dt2_utf8_character(text, length);
        if (n == 0 || is_harmful(code_of((const unsigned char *)text, n)))
            return false;
        text += n;
        length -= n;
    }
    return true;
}
