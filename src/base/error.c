/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "base/alloc.h"
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

void dt2_format_into(char *out, size_t size, const char *format, va_list args)
{
    int n = vsnprintf(out, size, format, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        trim_partial_character(out);
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

int dt2_fail_prefix(struct dt2_error *err, int code, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    if (!err)
        return code;
    char rest[sizeof err->text];
    memcpy(rest, err->text, sizeof rest);
    va_list args;
    va_start(args, format);
    dt2_format_into(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, "%s", rest);
    trim_partial_character(err->text);
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
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* one column each, so that the caret stays under its character */

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, "\n  %s%s\n  %*s^", begin ? "..." : "", line,
             (int)(columns(string + begin, offset - begin) + (begin ? 3 : 0)), "");
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
