/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf/gguf.h"
#include <inttypes.h>
#include <string.h>

#define WINDOW 65536
#define TABLE_MAX 100000000 /* as much as safetensors allows its header */

int dt2_gguf_begin(struct dt2_gguf_cursor *cursor, const struct dt2_source *source, struct dt2_error *err)
{
    *cursor = (struct dt2_gguf_cursor){ .source = source, .err = err, .window = dt2_alloc(WINDOW, 1) };
    return cursor->window ? 0 : dt2_fail_nomem(err);
}

void dt2_gguf_clear(struct dt2_gguf_cursor *cursor)
{
    dt2_release(cursor->window);
    dt2_text_clear(&cursor->text);
}

int dt2_gguf_refuse(const struct dt2_gguf_cursor *cursor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(cursor->err, DT2_EFAILED, format, args);
    va_end(args);
    const char *path = cursor->source->path;
    if (!cursor->item)
        return dt2_fail_prefix(cursor->err, DT2_EFAILED, "%s: GGUF: ", path);
    if (cursor->item_name == SIZE_MAX)
        return dt2_fail_prefix(cursor->err, DT2_EFAILED, "%s: GGUF: %s number %" PRIu64 ": ", path, cursor->item,
                               cursor->item_number);
    char shown[DT2_SHOWN];
    const char *name = cursor->text.data + cursor->item_name;
    return dt2_fail_prefix(cursor->err, DT2_EFAILED, "%s: GGUF: %s '%s': ", path, cursor->item,
                           dt2_shown(name, strlen(name), shown));
}

uint64_t dt2_gguf_left(const struct dt2_gguf_cursor *cursor)
{
    return cursor->source->size - cursor->at;
}

/* Whether `size` more bytes may be read. */
static int check(const struct dt2_gguf_cursor *cursor, uint64_t size)
{
    uint64_t left = dt2_gguf_left(cursor);
    if (size > left)
        return dt2_gguf_refuse(cursor,
                               "%" PRIu64 " bytes are to follow at byte %" PRIu64 ", and only %" PRIu64
                               " are left; the file may be cut short",
                               size, cursor->at, left);
    if (size > TABLE_MAX - cursor->at) /* `at` never exceeds it */
        return dt2_gguf_refuse(cursor, "metadata and table of tensors exceed %d bytes", TABLE_MAX);
    return 0;
}

/* The part of the window that the next bytes are in: at least one of them. */
static int look(struct dt2_gguf_cursor *cursor, const unsigned char **bytes, size_t *length)
{
    uint64_t inside = cursor->at - cursor->window_begin;
    if (inside >= cursor->window_length) {
        size_t size = dt2_min(dt2_gguf_left(cursor), WINDOW);
        cursor->window_length = 0;
        int rc = dt2_source_pread(cursor->source, cursor->window, size, cursor->at, cursor->err);
        if (rc < 0)
            return rc;
        cursor->window_begin = cursor->at;
        cursor->window_length = size;
        inside = 0;
    }
    *bytes = cursor->window + inside;
    *length = cursor->window_length - inside;
    return 0;
}

int dt2_gguf_take(struct dt2_gguf_cursor *cursor, void *to, size_t size)
{
    int rc = check(cursor, size);
    char *end = (char *)to + size;
    for (char *next = to; rc == 0 && next < end;) {
        const unsigned char *bytes;
        size_t length;
        rc = look(cursor, &bytes, &length);
        if (rc < 0)
            break;
        length = dt2_min(length, (size_t)(end - next));
        memcpy(next, bytes, length);
        next += length;
        cursor->at += length;
    }
    return rc;
}

int dt2_gguf_copy(struct dt2_gguf_cursor *cursor, uint64_t size)
{
    int rc = check(cursor, size);
    while (rc == 0 && size > 0) {
        const unsigned char *bytes;
        size_t length;
        rc = look(cursor, &bytes, &length);
        if (rc < 0)
            break;
        length = dt2_min(length, size);
        dt2_text_add(&cursor->text, (const char *)bytes, length);
        size -= length;
        cursor->at += length;
    }
    return rc == 0 && cursor->text.failed ? dt2_fail_nomem(cursor->err) : rc;
}

int dt2_gguf_skip(struct dt2_gguf_cursor *cursor, uint64_t size)
{
    int rc = check(cursor, size);
    if (rc == 0)
        cursor->at += size;
    return rc;
}

int dt2_gguf_name(struct dt2_gguf_cursor *cursor, const char *item, uint64_t number, size_t *at)
{
    struct dt2_text *text = &cursor->text;
    cursor->item = item;
    cursor->item_number = number;
    cursor->item_name = SIZE_MAX;
    *at = text->length;
    uint64_t length;
    int rc = dt2_gguf_take(cursor, &length, sizeof length);
    if (rc == 0)
        rc = dt2_gguf_copy(cursor, length);
    if (rc < 0)
        return rc;
    dt2_text_add(text, "", 1);
    if (text->failed)
        return dt2_fail_nomem(cursor->err);
    const char *name = text->data + *at;
    char shown[DT2_SHOWN];
    if (memchr(name, '\0', length))
        return dt2_gguf_refuse(cursor, "the name '%s' holds the character NUL", dt2_shown(name, length, shown));
    if (!dt2_utf8_valid(name, length))
        return dt2_gguf_refuse(cursor, "its name is not valid UTF-8");
    cursor->item_name = *at;
    return 0;
}
