/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/shown.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

/* The part of an allocation string that is shown around a caret. */
#define CARET_WIDTH 72

/* Cuts a UTF-8 text that filled its array back to whole characters. */
static void trim_partial_character(char *text)
{
    size_t length = strlen(text);
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (lead >= 0x80 && length - (start - 1) < need)
        text[start - 1] = '\0';
}

#define TEXT_MOST sizeof((struct dt2_error *)0)->text

void dt2_format_into(char *out, size_t size, const char *format, va_list args)
{
    char raw[TEXT_MOST];
    int n = vsnprintf(out, size, format, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        trim_partial_character(out);
    size_t length = dt2_min(strlen(out), sizeof raw);
    if (dt2_is_showable(out, length))
        return;
    memcpy(raw, out, length);
    dt2_show_into(out, size, raw, length);
}

int dt2_failv(struct dt2_error *err, int code, const char *format, va_list args)
{
    DT2_KEEP_ERRNO;
    if (err) {
        err->code = code;
        err->suggestion[0] = '\0';
        dt2_format_into(err->text, sizeof err->text, format, args);
    }
    return code;
}

int dt2_fail(struct dt2_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(err, code, format, args);
    va_end(args);
    return code;
}

void dt2_suggest(struct dt2_error *err, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    if (!err)
        return;
    va_list args;
    va_start(args, format);
    dt2_format_into(err->suggestion, sizeof err->suggestion, format, args);
    va_end(args);
}

/* A prefix is cut before the words that it stands before, down to so many bytes; the lines of a caret never are. */
#define PREFIX_LEAST 512

int dt2_fail_prefix(struct dt2_error *err, int code, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    if (!err)
        return code;
    char rest[sizeof err->text];
    memcpy(rest, err->text, sizeof rest);
    size_t words = strcspn(rest, "\n"), caret = strlen(rest + words);
    size_t kept = dt2_min(words, sizeof err->text - caret - PREFIX_LEAST);
    va_list args;
    va_start(args, format);
    dt2_format_into(err->text, sizeof err->text - caret - kept, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    dt2_show_into(err->text + used, sizeof err->text - caret - used, rest, words);
    strcat(err->text, rest + words);
    return err->code;
}

int dt2_fail_as(struct dt2_error *err, int code)
{
    if (err)
        err->code = code;
    return code;
}

int dt2_fail_nomem(struct dt2_error *err)
{
    return dt2_fail(err, DT2_ENOMEM, "out of host memory for bookkeeping");
}

/* How many columns a UTF-8 text takes, taking one a character. */
static size_t columns(const char *text, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* What would not be shown as it is becomes '?', a column a character, so that the caret stays under its own. */
static void make_plain(char *line)
{
    char *end = line;
    for (size_t n; *line; line += n) {
        n = dt2_utf8_character(line, strlen(line));
        bool good = n && dt2_is_showable(line, n);
        n = n ? n : 1;
        if (good)
            end = (char *)memmove(end, line, n) + n;
        else if (((unsigned char)*line & 0xC0) != 0x80)
            *end++ = (unsigned char)*line < ' ' ? ' ' : '?';
    }
    *end = '\0';
}

/* Appends the lines of the caret. What stands before them is cut where both are too long. */
static void add_caret(struct dt2_error *err, const char *line, bool cut, size_t column)
{
    char lines[2 * CARET_WIDTH * 4], shorter[sizeof err->text];
    int n = snprintf(lines, sizeof lines, "\n  %s%s\n  %*s^", cut ? "..." : "", line, (int)column + (cut ? 3 : 0), "");
    size_t room = sizeof err->text - dt2_min((size_t)n, sizeof lines - 1);
    if (strlen(err->text) >= room) {
        memcpy(shorter, err->text, sizeof shorter);
        dt2_show_into(err->text, room, shorter, strlen(shorter));
    }
    strcat(err->text, lines);
}

int dt2_fail_caret(struct dt2_error *err, int code, const char *string, size_t offset, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    va_list args;
    va_start(args, format);
    dt2_failv(err, code, format, args);
    va_end(args);
    if (!err)
        return code;
    size_t length = strlen(string);
    size_t begin = offset > CARET_WIDTH / 2 && length > CARET_WIDTH ? offset - CARET_WIDTH / 2 : 0;
    while (begin > 0 && ((unsigned char)string[begin] & 0xC0) == 0x80)
        begin--;
    size_t shown = length - begin > CARET_WIDTH ? CARET_WIDTH : length - begin;
    char line[CARET_WIDTH + 1];
    memcpy(line, string + begin, shown);
    line[shown] = '\0';
    trim_partial_character(line);
    make_plain(line);
    add_caret(err, line, begin > 0, columns(string + begin, offset - begin));
    return code;
}

const char *dt2_code_name(int code)
{
    static const char *const names[] = { "DT2_OK",        "DT2_EFAILED", "DT2_EUSAGE", "DT2_ENOFIT",
                                         "DT2_ENOENT",    "DT2_ECANCELLED", "DT2_EBUSY", "DT2_ENOMEM",
                                         "DT2_EGONE",     "DT2_EFULL",   "DT2_EPARKED" };
    return code <= 0 && code > -(int)(sizeof names / sizeof *names) ? names[-code] : "unknown";
}

int dt2_exit_status(int code)
{
    switch (code) {
    case DT2_OK:
        return 0;
    case DT2_EUSAGE:
        return 2;
    case DT2_ENOFIT:
        return 3;
    case DT2_ENOENT:
        return 4;
    case DT2_ECANCELLED:
        return 130;
    default:
        return 1;
    }
}

const char *dt2_version(void)
{
    return PACKAGE_VERSION;
}

void dt2_text_free(char *text)
{
    DT2_KEEP_ERRNO;
    dt2_release(text);
}
