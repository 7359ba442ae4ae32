/* SPDX-License-Identifier: BSD-3-Clause */
/* The metadata of a GGUF file: keys and values of thirteen types, put into words. Long arrays are cut short. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf/gguf.h"
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT_DEFAULT 32
#define PAIR_MIN 13         /* bytes: an empty key, the type, a value of one byte */
#define DEPTH_MAX 8         /* of arrays in arrays */
#define ELEMENTS_SHOWN 16   /* of one value, arrays in arrays together */
#define ELEMENT_LENGTH 64   /* bytes shown of a string in an array */

enum type { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, TYPE_COUNT };

/* Bytes of a value in the file: of a string and an array the least, which is that of an empty one. */
static const uint8_t sizes[TYPE_COUNT] = { 1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8 };

/* The type and number of an array's elements. */
struct array {
    uint32_t type;
    uint64_t count;
};

static int check_type(struct dt2_gguf_cursor *cursor, uint32_t type)
{
    if (type < TYPE_COUNT)
        return 0;
    return dt2_gguf_refuse(cursor, "its value has type %" PRIu32 "; there are types 0 to %d", type, TYPE_COUNT - 1);
}

static int take_array(struct dt2_gguf_cursor *cursor, struct array *array)
{
    int rc = dt2_gguf_take(cursor, &array->type, sizeof array->type);
    if (rc == 0)
        rc = dt2_gguf_take(cursor, &array->count, sizeof array->count);
    if (rc == 0)
        rc = check_type(cursor, array->type);
    if (rc == 0 && array->count > dt2_gguf_left(cursor) / sizes[array->type])
        rc = dt2_gguf_refuse(cursor, "an array of %" PRIu64 " elements is to follow, and %" PRIu64 " bytes are left",
                             array->count, dt2_gguf_left(cursor));
    return rc;
}

/* -- reading over values -- */

static int skip_string(struct dt2_gguf_cursor *cursor)
{
    uint64_t length;
    int rc = dt2_gguf_take(cursor, &length, sizeof length);
    return rc == 0 ? dt2_gguf_skip(cursor, length) : rc;
}

static int refuse_depth(struct dt2_gguf_cursor *cursor)
{
    return dt2_gguf_refuse(cursor, "arrays are nested more than %d deep", DEPTH_MAX);
}

/* `count` values of one type. Each costs the file a byte or more, so that the time stays linear. */
static int skip_values(struct dt2_gguf_cursor *cursor, uint32_t type, uint64_t count, unsigned depth)
{
    if (type != STRING && type != ARRAY)
        return dt2_gguf_skip(cursor, count * sizes[type]); /* no more than what is left: take_array() has seen to it */
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct array array;
        if (type == STRING) {
            rc = skip_string(cursor);
            continue;
        }
        if (depth == DEPTH_MAX)
            return refuse_depth(cursor);
        rc = take_array(cursor, &array);
        if (rc == 0)
            rc = skip_values(cursor, array.type, array.count, depth + 1);
    }
    return rc;
}

/* -- values in words -- */

/* With as few digits as bring the number back, and a point whatever the locale. */
static void add_float(struct dt2_text *text, double value, bool single)
{
    char digits[64];
    int precision = 6, most = single ? 9 : 17;
    do
        snprintf(digits, sizeof digits, "%.*g", precision, value);
    while (precision++ < most && (single ? (double)strtof(digits, NULL) : strtod(digits, NULL)) != value);
    const char *point = localeconv()->decimal_point;
    char *found = strcmp(point, ".") == 0 ? NULL : strstr(digits, point);
    size_t before = found ? (size_t)(found - digits) : strlen(digits);
    dt2_text_add(text, digits, before);
    if (found)
        dt2_text_addf(text, ".%s", found + strlen(point));
}

static int add_number(struct dt2_gguf_cursor *cursor, uint32_t type)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } value;
    struct dt2_text *text = &cursor->text;
    int rc = dt2_gguf_take(cursor, &value, sizes[type]);
    if (rc < 0)
        return rc;
    switch (type) {
    case F32:
        add_float(text, (double)value.f32, true);
        break;
    case F64:
        add_float(text, value.f64, false);
        break;
    case BOOL:
        dt2_text_addf(text, "%s", value.u8 ? "true" : "false");
        break;
    case I8:
    case I16:
    case I32:
    case I64:
        dt2_text_addf(text, "%" PRIi64,
                      type == I8 ? value.i8 : type == I16 ? value.i16 : type == I32 ? value.i32 : value.i64);
        break;
    default:
        dt2_text_addf(text, "%" PRIu64,
                      type == U8 ? value.u8 : type == U16 ? value.u16 : type == U32 ? value.u32 : value.u64);
    }
    return 0;
}

/* A string in an array, quoted and cut. */
static int add_quoted(struct dt2_gguf_cursor *cursor)
{
    char bytes[ELEMENT_LENGTH], shown[DT2_SHOWN];
    uint64_t length;
    int rc = dt2_gguf_take(cursor, &length, sizeof length);
    size_t kept = rc == 0 ? dt2_min(length, sizeof bytes) : 0;
    if (rc == 0)
        rc = dt2_gguf_take(cursor, bytes, kept);
    if (rc == 0)
        rc = dt2_gguf_skip(cursor, length - kept);
    if (rc == 0)
        dt2_text_addf(&cursor->text, "\"%s%s\"", dt2_shown(bytes, kept, shown), length > kept ? "..." : "");
    return rc;
}

/* `left` counts down the elements that are still to be shown, those of arrays in arrays too. */
static int add_array(struct dt2_gguf_cursor *cursor, unsigned depth, unsigned *left)
{
    struct array array;
    int rc = take_array(cursor, &array);
    uint64_t shown = 0;
    dt2_text_add(&cursor->text, "[", 1);
    for (; rc == 0 && shown < array.count && *left > 0; shown++) {
        (*left)--;
        if (shown)
            dt2_text_add(&cursor->text, ", ", 2);
        if (array.type == STRING)
            rc = add_quoted(cursor);
        else if (array.type != ARRAY)
            rc = add_number(cursor, array.type);
        else if (depth == DEPTH_MAX)
            rc = refuse_depth(cursor);
        else
            rc = add_array(cursor, depth + 1, left);
    }
    if (rc == 0 && shown < array.count) {
        dt2_text_addf(&cursor->text, "%s... %" PRIu64 " in all", shown ? ", " : "", array.count);
        rc = skip_values(cursor, array.type, array.count - shown, depth);
    }
    dt2_text_add(&cursor->text, "]", 1);
    return rc;
}

static int add_string(struct dt2_gguf_cursor *cursor)
{
    uint64_t length;
    int rc = dt2_gguf_take(cursor, &length, sizeof length);
    return rc == 0 ? dt2_gguf_copy(cursor, length) : rc;
}

static int add_value(struct dt2_gguf_cursor *cursor, uint32_t type)
{
    unsigned left = ELEMENTS_SHOWN;
    int rc = check_type(cursor, type);
    if (rc == 0 && type == STRING)
        rc = add_string(cursor);
    else if (rc == 0)
        rc = type == ARRAY ? add_array(cursor, 1, &left) : add_number(cursor, type);
    if (rc < 0)
        return rc;
    dt2_text_add(&cursor->text, "", 1);
    return cursor->text.failed ? dt2_fail_nomem(cursor->err) : 0;
}

/* -- pairs -- */

static int note_alignment(struct dt2_gguf_cursor *cursor, const struct dt2_gguf_pair *pair, uint32_t type,
                          uint32_t *alignment)
{
    if (strcmp(cursor->text.data + pair->key_at, "general.alignment") != 0)
        return 0;
    if (type != U32)
        return dt2_gguf_refuse(cursor, "its value has type %" PRIu32 "; an alignment has type %d (32 bits, no sign)",
                               type, U32);
    uint64_t value = strtoull(cursor->text.data + pair->value_at, NULL, 10);
    if (value == 0 || (value & (value - 1)) != 0)
        return dt2_gguf_refuse(cursor, "an alignment of %" PRIu64 " is no power of two", value);
    *alignment = (uint32_t)value;
    return 0;
}

static int read_pair(struct dt2_gguf_cursor *cursor, uint64_t number, struct dt2_gguf_pair *pair, uint32_t *alignment)
{
    uint32_t type;
    int rc = dt2_gguf_name(cursor, "key", number, &pair->key_at);
    if (rc < 0)
        return rc;
    if (!cursor->text.data[pair->key_at])
        return dt2_gguf_refuse(cursor, "a key must not be empty");
    rc = dt2_gguf_take(cursor, &type, sizeof type);
    pair->value_at = cursor->text.length;
    if (rc == 0)
        rc = add_value(cursor, type);
    return rc == 0 ? note_alignment(cursor, pair, type, alignment) : rc;
}

static int refuse_twice(struct dt2_gguf_cursor *cursor, const struct dt2_gguf_pairs *pairs)
{
    DT2_AUTO struct dt2_name *keys = dt2_alloc(pairs->count, sizeof *keys);
    if (!keys)
        return dt2_fail_nomem(cursor->err);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *key = cursor->text.data + pairs->items[i].key_at;
        keys[i] = dt2_name_make(key, strlen(key), i);
    }
    dt2_names_sort(keys, pairs->count);
    const struct dt2_name *twice = dt2_names_twice(keys, pairs->count);
    if (!twice)
        return 0;
    cursor->item_name = pairs->items[twice->index].key_at;
    return dt2_gguf_refuse(cursor, "the key is there twice");
}

int dt2_gguf_read_pairs(struct dt2_gguf_cursor *cursor, uint64_t count, struct dt2_gguf_pairs *pairs)
{
    pairs->alignment = ALIGNMENT_DEFAULT;
    if (count > dt2_gguf_left(cursor) / PAIR_MIN)
        return dt2_gguf_refuse(cursor, "%" PRIu64 " keys are to follow, and %" PRIu64 " bytes are left", count,
                               dt2_gguf_left(cursor));
    for (uint64_t i = 0; i < count; i++) {
        if (!DT2_GROW(pairs->items, pairs->count, pairs->capacity))
            return dt2_fail_nomem(cursor->err);
        int rc = read_pair(cursor, i, &pairs->items[pairs->count], &pairs->alignment);
        if (rc < 0)
            return rc;
        pairs->count++;
    }
    return refuse_twice(cursor, pairs);
}
