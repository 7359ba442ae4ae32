/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes to standard error: failures, warnings, the library's log, and a status area that is redrawn in place. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <distorch2.h>

/* Fills *err; returns `code`. */
int cli_fail(struct dt2_error *err, int code, const char *format, ...) DT2_PRINTF(3, 4);
/* Adds a suggestion to an error that was filled before; returns its code. */
int cli_suggest(struct dt2_error *err, const char *format, ...) DT2_PRINTF(2, 3);
/* Puts words before the text of an error that was filled before; returns its code. */
int cli_prefix_error(struct dt2_error *err, const char *format, ...) DT2_PRINTF(2, 3);
/* Puts a line behind it; returns its code. */
int cli_append_error(struct dt2_error *err, const char *format, ...) DT2_PRINTF(2, 3);

/* From now on only what is as grave as `level` is said. Errors always are. */
void cli_report_level(enum dt2_log_level level);

/* "distorch2: TEXT" and, where there is one, "hint: SUGGESTION". */
void cli_report(const struct dt2_error *err);
/* "distorch2: warning: TEXT" */
void cli_warn(const char *text);
/* A line for people, as it is; with warnings. */
void cli_note(const char *format, ...) DT2_PRINTF(1, 2);

/* A line that was asked for, whatever the level. */
void cli_line(const char *text);

/* The library's log. Any thread may call it. */
dt2_log_fn cli_log;

/* Draws `lines` lines, each with its newline, over those drawn before. Whatever else is said stands above them. */
void cli_status_show(const char *text, unsigned lines);
void cli_status_hide(void);

#endif
