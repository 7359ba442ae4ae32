/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A strict pull parser of JSON (RFC 8259) for the headers of model files: no tree, no memory of its own, linear time.
 * It works in place: strings are unescaped where they stand, and stay there. The text must be valid UTF-8 and is
 * checked before.
 *
 * The first problem sticks: every function then returns false, so that loops end, and one test at the end is enough.
 *
 *     dt2_json_enter(json, '{');
 *     while (dt2_json_member(json, &key))
 *         dt2_json_u64(json, &value);
 *     if (!dt2_json_finish(json)) ... json->problem, dt2_json_offset(json)
 */
#ifndef DT2_FORMATS_JSON_SCAN_H
#define DT2_FORMATS_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many arrays and objects may be open at once: as many as in serde_json, which the reference is built on. */
#define DT2_JSON_DEPTH 127

struct dt2_json {
    char *begin;
    char *at;
    char *end; /* where a NUL stands */
    unsigned depth;
    bool first;          /* the next member or element is the first of its object or array */
    const char *problem; /* what was wrong at `at`; NULL: nothing */
};

/* A string of the text, NUL-terminated there; it may hold further NULs. */
struct dt2_json_text {
    char *text;
    size_t length;
};

/* `text` is changed, and text[length] must be NUL. */
void dt2_json_begin(struct dt2_json *json, char *text, size_t length);
/* The first character of the next value: one of { [ " t f n - or a digit, when it is one. */
char dt2_json_peek(struct dt2_json *json);
/* Enters an object, '{', or an array, '['. */
bool dt2_json_enter(struct dt2_json *json, char open);
/* The key of the object's next member, whose value is to be read then; false at the object's end, which is left. */
bool dt2_json_member(struct dt2_json *json, struct dt2_json_text *key);
/* Whether the array has one more element, which is to be read then; false at the array's end, which is left. */
bool dt2_json_element(struct dt2_json *json);
bool dt2_json_string(struct dt2_json *json, struct dt2_json_text *string);
/* The whole of a string that was read, for C: a NUL in it becomes U+FFFD, for which its escape leaves room. */
const char *dt2_json_c_string(const struct dt2_json_text *string);
/* A whole number from 0 to 2^64 - 1: no sign, no fraction, no exponent. */
bool dt2_json_u64(struct dt2_json *json, uint64_t *value);
/* Any value: reads over it. A number must be one that a double can hold, as in the reference. */
bool dt2_json_skip(struct dt2_json *json);
/* Whether all went well and nothing but white space is left. */
bool dt2_json_finish(struct dt2_json *json);
/* Sets the problem, at the current place, unless there is one already; returns false. */
bool dt2_json_fail(struct dt2_json *json, const char *problem);
size_t dt2_json_offset(const struct dt2_json *json);

#endif
