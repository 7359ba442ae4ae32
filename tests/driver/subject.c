/* SPDX-License-Identifier: BSD-3-Clause */
#include "subject.h"

/* -- what was called, and how it left errno */

atomic_bool called[ENTRY_MAX];
_Atomic(const char *) disturbed_errno;

void note_call(size_t entry_offset, const char *entry)
{
    if (errno != ERRNO_BEFORE)
        disturbed_errno = entry;
    called[entry_offset / sizeof(void *)] = true;
}

bool tap_good(struct subject *s, int status, const char *file, int line, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool holds = tap_check(status == DT2_BACKEND_OK, file, line, "%s: %s", s->name, text);
    if (!holds)
        diag("status %d: %s (%s, %lld)", status, s->err.text, s->err.vendor_name, (long long)s->err.vendor_code);
    return holds;
}

bool tap_refused(struct subject *s, int expected, int status, const char *file, int line, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool holds = status == expected && s->err.status == expected && s->err.text[0];
    tap_check(holds, file, line, "%s: %s is refused", s->name, text);
    if (!holds)
        diag("status %d, not %d; in the error %d '%s'", status, expected, s->err.status, s->err.text);
    return holds;
}

/* -- bytes */

void fill_pattern(void *memory, size_t bytes, uint64_t pattern)
{
    unsigned char *out = memory;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)((i * 0x9E3779B97F4A7C15u + (i >> 8) * 31 + pattern * 0xBF58476D1CE4E5B9u) >> 56);
}

bool is_pattern(const void *memory, size_t bytes, uint64_t pattern)
{
    const unsigned char *in = memory;
    for (size_t i = 0; i < bytes; i++)
        if (in[i] != (unsigned char)((i * 0x9E3779B97F4A7C15u + (i >> 8) * 31 + pattern * 0xBF58476D1CE4E5B9u) >> 56))
            return false;
    return true;
}

void *blank(size_t bytes)
{
    unsigned char *memory = malloc(bytes ? bytes : 1);
    if (memory)
        memset(memory, 0xEE, bytes);
    return memory;
}

bool put(struct subject *s, dt2_handle buffer, uint64_t offset, const void *source, uint64_t bytes)
{
    return CALL(s, copy_h2d, s->queue, buffer, offset, source, bytes) == 0 && CALL(s, queue_wait, s->queue) == 0;
}

bool get(struct subject *s, dt2_handle buffer, uint64_t offset, void *destination, uint64_t bytes)
{
    return CALL(s, copy_d2h, s->queue, buffer, offset, destination, bytes) == 0 && CALL(s, queue_wait, s->queue) == 0;
}

dt2_handle new_buffer(struct subject *s, uint64_t bytes)
{
    dt2_handle buffer = 0;
    good(s, CALL(s, buffer_alloc, s->device, bytes, &buffer), "a buffer of %" PRIu64 " bytes", bytes);
    return buffer;
}

void free_buffer(struct subject *s, dt2_handle buffer)
{
    if (buffer)
        good(s, CALL(s, buffer_free, buffer), "a buffer is freed");
}
