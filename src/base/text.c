/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void dt2_text_add(struct dt2_text *text, const char *bytes, size_t length)
{
    if (text->failed)
        return;
    size_t need;
    if (__builtin_add_overflow(text->length, length, &need) || need == SIZE_MAX) {
        text->failed = true;
        return;
    }
    if (need + 1 > text->capacity) {
        size_t capacity = need + 1 > SIZE_MAX / 2 ? need + 1 : (need + 1) * 2;
        char *grown = dt2_realloc(text->data, capacity, 1);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length = need;
    text->data[need] = '\0';
}

void dt2_text_addf(struct dt2_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    DT2_AUTO char *bytes = length < 0 ? NULL : dt2_alloc((size_t)length + 1, 1);
    if (!bytes) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(bytes, (size_t)length + 1, format, args);
    va_end(args);
    dt2_text_add(text, bytes, (size_t)length);
}

char *dt2_text_take(struct dt2_text *text)
{
    if (!text->failed && !text->data)
        dt2_text_add(text, "", 0);
    if (text->failed) {
        dt2_text_clear(text);
        return NULL;
    }
    char *data = text->data;
    *text = (struct dt2_text){ 0 };
    return data;
}

void dt2_text_clear(struct dt2_text *text)
{
    dt2_release(text->data);
    *text = (struct dt2_text){ 0 };
}

char *dt2_read_line(const char *path)
{
    DT2_AUTO char *data = NULL;
    size_t length;
    if (dt2_read_file(path, 1 << 20, &data, &length, NULL) < 0)
        return NULL;
    data[strcspn(data, "\n")] = '\0';
    return DT2_TAKE(data);
}

/* Reads to the end of `fd`, whose size is unknown or untrustworthy (files of /proc say 0). */
static int read_all(int fd, const char *path, size_t limit, struct dt2_text *text, struct dt2_error *err)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dt2_fail(err, DT2_EFAILED, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0)
            return 0;
        if (text->length + (size_t)n > limit)
            return dt2_fail(err, DT2_EFAILED, "%s: larger than the %zu bytes that are read of such a file", path,
                            limit);
        dt2_text_add(text, chunk, (size_t)n);
    }
}

int dt2_read_file(const char *path, size_t limit, char **data, size_t *length, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dt2_fail(err, errno == ENOENT ? DT2_ENOENT : DT2_EFAILED, "%s: cannot open: %s", path,
                        strerror(errno));
    struct dt2_text text = { 0 };
    int rc = read_all(fd, path, limit, &text, err);
    close(fd);
    if (rc < 0) {
        dt2_text_clear(&text);
        return rc;
    }
    size_t n = text.length;
    char *taken = dt2_text_take(&text);
    if (!taken)
        return dt2_fail_nomem(err);
    *data = taken;
    *length = n;
    return 0;
}

/* Unicode's table 3-7. */
size_t dt2_utf8_character(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    unsigned char low = 0x80, high = 0xBF;
    size_t need;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        need = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        need = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        need = 4;
    else
        return 0;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F;
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F;
    if (need > length || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return need;
}

bool dt2_utf8_valid(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < length;) {
        uint64_t eight; /* headers of models are megabytes of ASCII */
        if (length - i >= sizeof eight && !(memcpy(&eight, s + i, sizeof eight), eight & 0x8080808080808080u)) {
            i += sizeof eight;
            continue;
        }
        size_t n = dt2_utf8_character(text + i, length - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

char *dt2_utf8_clean(const char *text)
{
    struct dt2_text clean = { 0 };
    for (size_t left = strlen(text); left > 0;) {
        size_t n = dt2_utf8_character(text, left);
        if (n)
            dt2_text_add(&clean, text, n);
        else
            dt2_text_add(&clean, "\xEF\xBF\xBD", 3);
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    return dt2_text_take(&clean);
}

/* -- the nearest names -- */

#define EDIT_MAX 128 /* characters of a name that are compared */

size_t dt2_edit_distance(const char *a, const char *b, size_t limit)
{
    size_t n = strnlen(a, EDIT_MAX), m = strnlen(b, EDIT_MAX);
    if ((n > m ? n - m : m - n) > limit)
        return limit + 1;
    size_t rows[3][EDIT_MAX + 1]; /* the row being filled, the one before it, and the one before that */
    size_t *now = rows[0], *before = rows[1], *earlier = rows[2];
    for (size_t j = 0; j <= m; j++)
        before[j] = j;
    memcpy(earlier, before, sizeof rows[0]);
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            size_t best = before[j - 1] + (x != y);
            best = dt2_min(best, dt2_min(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2]))
                best = dt2_min(best, earlier[j - 2] + 1);
            now[j] = best;
        }
        size_t *spare = earlier;
        earlier = before;
        before = now;
        now = spare;
    }
    return dt2_min(before[m], limit + 1);
}

void dt2_nearest_offer(struct dt2_nearest *nearest, const char *name)
{
    size_t wanted = strlen(nearest->wanted), offered = strlen(name);
    size_t limit = wanted / 3 + 1;
    size_t distance = dt2_edit_distance(nearest->wanted, name, limit);
    if (distance > limit) {
        bool contained = wanted >= 3 && offered >= 3 && (strcasestr(name, nearest->wanted) || strcasestr(nearest->wanted, name));
        if (!contained)
            return;
        distance = limit;
    }
    size_t at = nearest->count;
    while (at > 0 && nearest->distances[at - 1] > distance)
        at--;
    if (at == DT2_NEAREST)
        return;
    size_t kept = nearest->count < DT2_NEAREST ? nearest->count : DT2_NEAREST - 1;
    memmove(nearest->names + at + 1, nearest->names + at, (kept - at) * sizeof *nearest->names);
    memmove(nearest->distances + at + 1, nearest->distances + at, (kept - at) * sizeof *nearest->distances);
    nearest->names[at] = name;
    nearest->distances[at] = distance;
    nearest->count = kept + 1;
}

void dt2_nearest_suggest(const struct dt2_nearest *nearest, struct dt2_error *err)
{
    const char *const *n = nearest->names;
    switch (nearest->count) {
    case 0:
        return;
    case 1:
        dt2_suggest(err, "did you mean %s?", n[0]);
        return;
    case 2:
        dt2_suggest(err, "did you mean %s or %s?", n[0], n[1]);
        return;
    default:
        dt2_suggest(err, "did you mean %s, %s or %s?", n[0], n[1], n[2]);
    }
}
