/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/report.h"
#include "cli/text.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- errors -- */

/* Text of one line, cut at a whole character: what a user or a file calls something must not look like more lines. */
static void format_into(char *out, size_t size, const char *format, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    char *safe = cli_printable(n < 0 ? "" : text, false);
    size_t length = strlen(safe);
    while (length >= size)
        for (length--; length > 0 && ((unsigned char)safe[length] & 0xC0) == 0x80;)
            length--;
    memcpy(out, safe, length);
    out[length] = '\0';
    free(safe);
    free(n < 0 ? NULL : text);
}

int cli_fail(struct dt2_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->code = code;
    err->suggestion[0] = '\0';
    format_into(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

int cli_suggest(struct dt2_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_into(err->suggestion, sizeof err->suggestion, format, args);
    va_end(args);
    return err->code;
}

int cli_prefix_error(struct dt2_error *err, const char *format, ...)
{
    char rest[sizeof err->text];
    memcpy(rest, err->text, sizeof rest);
    va_list args;
    va_start(args, format);
    format_into(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, "%s", rest);
    return err->code;
}

int cli_append_error(struct dt2_error *err, const char *format, ...)
{
    size_t used = strlen(err->text);
    if (used + 1 < sizeof err->text) { /* on a line of its own */
        err->text[used++] = '\n';
        err->text[used] = '\0';
    }
    va_list args;
    va_start(args, format);
    format_into(err->text + used, sizeof err->text - used, format, args);
    va_end(args);
    return err->code;
}

/* -- standard error -- */

static enum dt2_log_level said = DT2_LOG_WARNING;

void cli_report_level(enum dt2_log_level level)
{
    said = level;
}

/* One writer at a time: the library's threads log while this one draws. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned status_lines;

static void erase_status(void)
{
    if (status_lines)
        fprintf(stderr, "\r\033[%uA\033[J", status_lines);
    status_lines = 0;
}

void cli_status_show(const char *text, unsigned lines)
{
    pthread_mutex_lock(&lock);
    erase_status();
    fputs(text, stderr);
    status_lines = lines;
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void cli_status_hide(void)
{
    cli_status_show("", 0);
}

/* `lines`: those of an error, whose own newlines are told from those in names already. */
static void say(const char *lead, const char *text, bool lines)
{
    char *safe = cli_printable(text, lines);
    fflush(stdout); /* what was printed before stands before it */
    pthread_mutex_lock(&lock);
    erase_status();
    fprintf(stderr, "%s%s\n", lead, safe);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
    free(safe);
}

void cli_report(const struct dt2_error *err)
{
    say("distorch2: ", err->text, true);
    if (err->suggestion[0])
        say("hint: ", err->suggestion, false);
}

void cli_warn(const char *text)
{
    if (said >= DT2_LOG_WARNING)
        say("distorch2: warning: ", text, false);
}

void cli_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n >= 0 && said >= DT2_LOG_WARNING)
        say("", text, false);
    free(n < 0 ? NULL : text);
}

void cli_line(const char *text)
{
    say("", text, false);
}

void cli_log(void *unused, enum dt2_log_level level, const char *line)
{
    static const char *const leads[] = { "distorch2: ", "distorch2: warning: ", "distorch2: info: ",
                                         "distorch2: debug: " };
    (void)unused;
    if (level <= said)
        say(leads[level], line, false);
}
