/* SPDX-License-Identifier: BSD-3-Clause */
/* Text: a growing buffer, whole files, the nearest of several names. */
#ifndef DT2_BASE_TEXT_H
#define DT2_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <distorch2/error.h>

/* A buffer that grows. Starts zeroed; `failed` sticks when memory ran out, so that one check at the end is enough. */
struct dt2_text {
    char *data; /* NUL-terminated once anything was added */
    size_t length;
    size_t capacity;
    bool failed;
};
void dt2_text_add(struct dt2_text *text, const char *bytes, size_t length);
void dt2_text_addf(struct dt2_text *text, const char *format, ...) DT2_PRINTF(2, 3);
/* The text, which the caller then owns; NULL when memory ran out. Leaves the buffer empty. */
char *dt2_text_take(struct dt2_text *text);
void dt2_text_clear(struct dt2_text *text);

/* The first line of a small file (of /proc or /sys) without its newline, to be released; NULL when it cannot be read. */
char *dt2_read_line(const char *path);
/* A whole file of at most `limit` bytes, NUL-terminated; *length without the NUL. Errors: DT2_ENOENT, DT2_EFAILED. */
int dt2_read_file(const char *path, size_t limit, char **data, size_t *length, struct dt2_error *err);

/* The number of bytes of the well-formed UTF-8 character at the beginning of `text`; 0 when there is none. */
size_t dt2_utf8_character(const char *text, size_t length);
/* Whether `text` of `length` bytes is well-formed UTF-8 (no surrogates, no overlong forms). */
bool dt2_utf8_valid(const char *text, size_t length);
/* A copy of `text` in which every byte that is not part of UTF-8 became U+FFFD, for JSON; NULL without memory. */
char *dt2_utf8_clean(const char *text);

/* Edits (insert, delete, replace, swap of neighbours) between two names, case ignored; capped at `limit` + 1. */
size_t dt2_edit_distance(const char *a, const char *b, size_t limit);

/*
 * Collects the names nearest to one that was misspelt: offer every candidate, then ask. Names that are contained in
 * one another count as near. At most DT2_NEAREST are kept, the nearest first, ties in the order offered.
 */
#define DT2_NEAREST 3
struct dt2_nearest {
    const char *wanted;
    const char *names[DT2_NEAREST];
    size_t distances[DT2_NEAREST];
    size_t count;
};
void dt2_nearest_offer(struct dt2_nearest *nearest, const char *name);
/* Sets the suggestion of *err to "did you mean A, B or C?", or leaves it alone when nothing was near. */
void dt2_nearest_suggest(const struct dt2_nearest *nearest, struct dt2_error *err);

#endif
