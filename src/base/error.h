/* SPDX-License-Identifier: BSD-3-Clause */
/* Filling errors. A function that fails writes `return dt2_fail(err, DT2_E..., "...")`. */
#ifndef DT2_BASE_ERROR_H
#define DT2_BASE_ERROR_H

#include <distorch2/error.h>
#include <errno.h>
#include <stdarg.h>

/* Fills *err (NULL is fine) with no suggestion; returns `code`. errno stays as it was. */
int dt2_fail(struct dt2_error *err, int code, const char *format, ...) DT2_PRINTF(3, 4);
int dt2_failv(struct dt2_error *err, int code, const char *format, va_list args);
/* Adds the suggestion to an error that was filled before; NULL is fine. */
void dt2_suggest(struct dt2_error *err, const char *format, ...) DT2_PRINTF(2, 3);
/* Puts words before the text of an error that was filled before, such as "FILE: "; returns err's code, or `code` without err. */
int dt2_fail_prefix(struct dt2_error *err, int code, const char *format, ...) DT2_PRINTF(3, 4);
/* Makes an error that was filled before one of `code`; returns it. NULL is fine. */
int dt2_fail_as(struct dt2_error *err, int code);
/* Formats into an array, cut at a whole UTF-8 character when longer. */
void dt2_format_into(char *out, size_t size, const char *format, va_list args) DT2_PRINTF(3, 0);
/* The failure of our own bookkeeping. */
int dt2_fail_nomem(struct dt2_error *err);
/* An allocation string with a caret under the character at `offset`: "what\n  string\n  ^". Long strings are cut around it. */
int dt2_fail_caret(struct dt2_error *err, int code, const char *string, size_t offset, const char *format, ...)
    DT2_PRINTF(5, 6);

/* Public functions begin with DT2_KEEP_ERRNO: errno is restored when the scope is left. */
static inline void dt2_restore_errno(const int *saved)
{
    errno = *saved;
}
#define DT2_KEEP_ERRNO int dt2_saved_errno __attribute__((cleanup(dt2_restore_errno), unused)) = errno

#endif
