/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of every size, their addresses and mappings, and memory of the host's. */
#include "subject.h"

/* Writes a pattern into a whole buffer and reads it back. */
static bool holds_data(struct subject *s, dt2_handle buffer, uint64_t bytes)
{
    void *source = blank(bytes), *back = blank(bytes);
    bool holds = source && back;
    if (holds) {
        fill_pattern(source, bytes, bytes);
        holds = put(s, buffer, 0, source, bytes) && get(s, buffer, 0, back, bytes) && is_pattern(back, bytes, bytes);
    }
    free(source);
    free(back);
    return holds;
}

/* The largest buffer that the device says it takes: there, to its last byte, or refused for want of memory. */
static void check_largest(struct subject *s)
{
    uint64_t largest = s->info.max_alloc_bytes;
    dt2_handle buffer = UNTOUCHED;
    if (largest >= DT2_UNKNOWN - 1) {
        skip(1, "the device knows no largest buffer");
        return;
    }
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_alloc, s->device, largest + 1, &buffer), "one byte too many");
    is_u64(buffer, UNTOUCHED, "%s: no handle is written", s->name);
    if (largest > 4096 * MiB) {
        skip(1, "the largest buffer is too large for a test");
        return;
    }
    int status = CALL(s, buffer_alloc, s->device, largest, &buffer);
    ok(status == DT2_BACKEND_OK || status == DT2_BACKEND_NOMEM, "%s: the largest buffer (%" PRIu64 " bytes): %s",
       s->name, largest, status ? s->err.text : "there");
    if (status != DT2_BACKEND_OK)
        return;
    unsigned char last = 0xA7, back = 0;
    ok(put(s, buffer, largest - 1, &last, 1) && get(s, buffer, largest - 1, &back, 1) && back == last,
       "%s: to its last byte", s->name);
    free_buffer(s, buffer);
}

/* Many buffers at once: each keeps what it was given. */
static void check_many(struct subject *s)
{
    enum { MANY = 48 };
    dt2_handle buffers[MANY] = { 0 };
    unsigned char bytes[4097];
    bool good_data = true;
    for (size_t i = 0; i < MANY; i++) {
        fill_pattern(bytes, sizeof bytes, i);
        good_data &= CALL(s, buffer_alloc, s->device, 1 + i * 87, &buffers[i]) == 0 &&
                     put(s, buffers[i], 0, bytes, 1 + i * 87);
    }
    for (size_t i = 0; i < MANY; i++) {
        memset(bytes, 0, sizeof bytes);
        good_data &= get(s, buffers[i], 0, bytes, 1 + i * 87) && is_pattern(bytes, 1 + i * 87, i) &&
                     CALL(s, buffer_free, buffers[i]) == 0;
    }
    ok(good_data, "%s: %d buffers at once keep their bytes apart", s->name, MANY);
}

void check_sizes(struct subject *s)
{
    static const uint64_t sizes[] = { 1, 2, 3, 63, 64, 65, 4095, 4096, 4097, 1 * MiB + 13, 9 * MiB - 1, 33 * MiB + 7 };
    static const uint64_t bad[] = { 0, UINT64_MAX, UINT64_MAX - 4095, (uint64_t)1 << 63 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        dt2_handle buffer = sizes[i] <= s->info.max_alloc_bytes ? new_buffer(s, sizes[i]) : 0;
        if (!buffer)
            continue;
        ok(holds_data(s, buffer, sizes[i]), "%s: %" PRIu64 " bytes go there and come back", s->name, sizes[i]);
        free_buffer(s, buffer);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dt2_handle buffer = UNTOUCHED;
        int status = CALL(s, buffer_alloc, s->device, bad[i], &buffer);
        bool limited = bad[i] == 0 || s->info.max_alloc_bytes != DT2_UNKNOWN;
        ok(status == DT2_BACKEND_INVALID || (!limited && status == DT2_BACKEND_NOMEM),
           "%s: a buffer of %" PRIu64 " bytes is refused: %s", s->name, bad[i], s->err.text);
        is_u64(buffer, UNTOUCHED, "%s: no handle is written", s->name);
    }
    check_largest(s);
    check_many(s);
}

/* What the host reads and writes at the address is what the buffer holds. */
static void check_address(struct subject *s, dt2_handle buffer, unsigned char *address)
{
    unsigned char bytes[1000];
    fill_pattern(bytes, sizeof bytes, 1);
    ok(put(s, buffer, 0, bytes, sizeof bytes) && is_pattern(address, sizeof bytes, 1),
       "%s: the host reads at the address what was copied", s->name);
    fill_pattern(address, sizeof bytes, 2);
    ok(get(s, buffer, 0, bytes, sizeof bytes) && is_pattern(bytes, sizeof bytes, 2),
       "%s: a copy reads what the host wrote at the address", s->name);
}

void check_native(struct subject *s)
{
    struct dt2_backend_native native = { .struct_size = sizeof native };
    dt2_handle buffer = new_buffer(s, 1000);
    if (!buffer)
        return;
    if (good(s, CALL(s, buffer_native, buffer, &native), "a native handle")) {
        ok(native.handle != NULL, "%s: it is something", s->name);
        is_u64(native.struct_size, sizeof native, "%s: struct_size is the caller's", s->name);
        if (native.is_address)
            is_u64((uintptr_t)native.handle % s->info.alignment_bytes, 0, "%s: it is aligned as tensors are", s->name);
        bool addressable = s->info.flags & DT2_DEVICE_HOST_ADDRESSABLE;
        ok(native.is_address || !addressable, "%s: what the host addresses has an address", s->name);
        if (addressable && native.is_address)
            check_address(s, buffer, native.handle);
    }
    free_buffer(s, buffer);
}

/* A buffer of another device is another context's, unless all are plain host memory. */
static void check_foreign(struct subject *s)
{
    struct dt2_backend_native native = { .struct_size = sizeof native };
    dt2_handle device, buffer, adopted = UNTOUCHED;
    if (s->device_count < 2 || (s->info.flags & DT2_DEVICE_HOST_ADDRESSABLE)) {
        skip(1, "there is no device of another context");
        return;
    }
    uint32_t other = (s->index + 1) % s->device_count;
    if (!good(s, CALL(s, device_open, other, NULL, &device), "another device opens"))
        return;
    if (good(s, CALL(s, buffer_alloc, device, 1000, &buffer), "with a buffer") &&
        good(s, CALL(s, buffer_native, buffer, &native), "whose handle is told")) {
        refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, native.handle, 1000, &adopted),
                "a buffer of another context");
        is_u64(adopted, UNTOUCHED, "%s: no handle is written", s->name);
        good(s, CALL(s, buffer_free, buffer), "the buffer is still there");
    }
    good(s, CALL(s, device_close, device), "the other device closes");
}

void check_adopt(struct subject *s)
{
    struct dt2_backend_native native = { .struct_size = sizeof native };
    unsigned char bytes[1000];
    dt2_handle adopted = UNTOUCHED, buffer = new_buffer(s, sizeof bytes);
    if (!buffer)
        return;
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, NULL, 100, &adopted), "adopting nothing");
    is_u64(adopted, UNTOUCHED, "%s: no handle is written", s->name);
    if (CALL(s, buffer_native, buffer, &native) == 0) {
        refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, native.handle, 0, &adopted),
                "adopting 0 bytes");
        if (good(s, CALL(s, buffer_adopt, s->device, native.handle, 900, &adopted), "a buffer is adopted")) {
            fill_pattern(bytes, sizeof bytes, 3);
            ok(put(s, adopted, 0, bytes, 900), "%s: it takes a copy", s->name);
            refused(s, DT2_BACKEND_INVALID, CALL(s, copy_h2d, s->queue, adopted, 0, bytes, 901),
                    "more than was adopted");
            good(s, CALL(s, buffer_free, adopted), "it is given back");
            refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_free, adopted), "giving it back twice");
            memset(bytes, 0, sizeof bytes);
            ok(get(s, buffer, 0, bytes, 900) && is_pattern(bytes, 900, 3), "%s: what it stood for lives on", s->name);
        }
    }
    free_buffer(s, buffer);
    check_foreign(s);
}

static void check_map_flags(struct subject *s, dt2_handle buffer, unsigned char *image, size_t bytes)
{
    enum { OFFSET = 1001, LENGTH = 2345 };
    static const unsigned flags[] = { DT2_MAP_WRITE, DT2_MAP_READ | DT2_MAP_WRITE, DT2_MAP_READ };
    unsigned char *back = blank(bytes);
    for (size_t i = 0; i < 3; i++) {
        void *address = NULL;
        /* queued, not waited for: the mapping must come after it */
        fill_pattern(image, bytes, 10 + i);
        bool queued = CALL(s, copy_h2d, s->queue, buffer, 0, image, bytes) == 0;
        if (!good(s, CALL(s, buffer_map, s->queue, buffer, OFFSET, LENGTH, flags[i], &address), "a map with flags %u",
                  flags[i]))
            continue;
        if (flags[i] & DT2_MAP_READ)
            ok(queued && memcmp(address, image + OFFSET, LENGTH) == 0, "%s: it shows what was copied before", s->name);
        if (flags[i] == DT2_MAP_WRITE)
            fill_pattern(address, LENGTH, 20);
        else if (flags[i] & DT2_MAP_WRITE)
            fill_pattern((unsigned char *)address + 5, LENGTH - 10, 21); /* the rest stays */
        if (flags[i] & DT2_MAP_WRITE)
            memcpy(image + OFFSET, address, LENGTH);
        good(s, CALL(s, buffer_unmap, s->queue, buffer, address), "and an unmap");
        ok(get(s, buffer, 0, back, bytes) && memcmp(back, image, bytes) == 0, "%s: the whole buffer is as it should be",
           s->name);
    }
    free(back);
}

void check_map(struct subject *s)
{
    enum { BYTES = 10007 };
    if (!HAS(s, buffer_map)) {
        skip(1, "the driver maps nothing: the core copies");
        return;
    }
    unsigned char *image = blank(BYTES), elsewhere;
    dt2_handle buffer = new_buffer(s, BYTES);
    if (!buffer || !image)
        return;
    check_map_flags(s, buffer, image, BYTES);
    void *address = NULL;
    static const uint64_t bad[][2] = { { 0, BYTES + 1 }, { BYTES, 1 }, { 1, UINT64_MAX }, { UINT64_MAX, 2 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(s, DT2_BACKEND_INVALID,
                CALL(s, buffer_map, s->queue, buffer, bad[i][0], bad[i][1], DT2_MAP_READ, &address),
                "mapping %" PRIu64 " bytes from %" PRIu64, bad[i][1], bad[i][0]);
    ok(!address, "%s: no address is written", s->name);
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_unmap, s->queue, buffer, &elsewhere),
            "unmapping what is not mapped");
    if (good(s, CALL(s, buffer_map, s->queue, buffer, 0, BYTES, DT2_MAP_READ, &address), "a map of the whole")) {
        good(s, CALL(s, buffer_unmap, s->queue, buffer, address), "an unmap");
        good(s, CALL(s, queue_wait, s->queue), "which the queue does");
    }
    free_buffer(s, buffer);
    free(image);
}

static void check_wrapped(struct subject *s, dt2_handle buffer, unsigned char *memory, size_t bytes)
{
    unsigned char *back = blank(bytes);
    void *address = NULL;
    if (good(s, CALL(s, buffer_map, s->queue, buffer, 0, bytes, DT2_MAP_WRITE, &address), "wrapped memory is mapped")) {
        ok(address == memory, "%s: where it is: nothing is copied", s->name);
        fill_pattern(address, bytes, 30);
        good(s, CALL(s, buffer_unmap, s->queue, buffer, address), "and unmapped");
    }
    ok(get(s, buffer, 0, back, bytes) && is_pattern(back, bytes, 30), "%s: copies read what the host wrote", s->name);
    fill_pattern(back, bytes, 31);
    ok(put(s, buffer, 0, back, bytes), "%s: copies write there", s->name);
    if (good(s, CALL(s, buffer_map, s->queue, buffer, 0, bytes, DT2_MAP_READ, &address), "mapped again"))
        ok(is_pattern(address, bytes, 31) && CALL(s, buffer_unmap, s->queue, buffer, address) == 0,
           "%s: the host reads what copies wrote", s->name);
    good(s, CALL(s, queue_wait, s->queue), "the queue is done");
    free(back);
}

void check_wrap(struct subject *s)
{
    enum { BYTES = 64 * 1024 + 64 };
    if (!HAS(s, buffer_wrap)) {
        skip(1, "the driver wraps no host memory");
        return;
    }
    unsigned char *memory = aligned_alloc(64 * 1024, 2 * 64 * 1024);
    dt2_handle buffer = UNTOUCHED;
    if (!memory)
        return;
    if (!(s->info.flags & DT2_DEVICE_SHARES_HOST)) {
        refused(s, DT2_BACKEND_UNSUPPORTED, CALL(s, buffer_wrap, s->device, memory, BYTES, &buffer),
                "wrapping host memory for a device that has its own");
        free(memory);
        return;
    }
    const struct {
        void *memory;
        uint64_t bytes;
    } bad[] = { { NULL, 4096 }, { memory, 0 }, { memory + 64, 4096 }, { memory, 4097 }, { memory, UINT64_MAX - 63 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_wrap, s->device, bad[i].memory, bad[i].bytes, &buffer),
                "wrapping %" PRIu64 " bytes, case %zu", bad[i].bytes, i);
    is_u64(buffer, UNTOUCHED, "%s: no handle is written", s->name);
    if (good(s, CALL(s, buffer_wrap, s->device, memory, BYTES, &buffer), "host memory is wrapped")) {
        if (HAS(s, buffer_map))
            check_wrapped(s, buffer, memory, BYTES);
        ok(holds_data(s, buffer, BYTES), "%s: it is a buffer as any other", s->name);
        free_buffer(s, buffer);
    }
    memset(memory, 1, BYTES); /* it is still ours */
    free(memory);
}

/* Host memory as source and destination of a copy. */
static bool carries(struct subject *s, unsigned char *memory, size_t bytes)
{
    unsigned char *plain = blank(bytes);
    dt2_handle buffer = new_buffer(s, bytes);
    fill_pattern(memory, bytes, 40);
    bool carried = buffer && put(s, buffer, 0, memory, bytes) && get(s, buffer, 0, plain, bytes) &&
                   is_pattern(plain, bytes, 40);
    fill_pattern(plain, bytes, 41);
    carried = carried && put(s, buffer, 0, plain, bytes) && get(s, buffer, 0, memory, bytes) &&
              is_pattern(memory, bytes, 41);
    free_buffer(s, buffer);
    free(plain);
    return carried;
}

void check_staging(struct subject *s)
{
    static const uint64_t sizes[] = { 1, 4095, 8 * MiB + 1 };
    void *memory = NULL;
    unsigned char elsewhere;
    if (!HAS(s, host_alloc)) {
        skip(1, "the driver has no staging memory: the core uses ordinary memory");
        return;
    }
    int status = CALL(s, host_alloc, s->device, 4096, &memory);
    if (status == DT2_BACKEND_UNSUPPORTED) {
        skip(1, "the device has no staging memory: the core uses ordinary memory");
        return;
    }
    if (!good(s, status, "staging memory"))
        return;
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_free, s->device, &elsewhere), "freeing other memory");
    good(s, CALL(s, host_free, s->device, memory), "it is freed");
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_free, s->device, memory), "freeing it twice");
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_free, s->device, NULL), "freeing nothing");
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_alloc, s->device, 0, &memory), "staging memory of 0 bytes");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!good(s, CALL(s, host_alloc, s->device, sizes[i], &memory), "%" PRIu64 " bytes of staging memory",
                  sizes[i]))
            continue;
        ok(carries(s, memory, sizes[i]), "%s: they carry bytes there and back", s->name);
        is_u64((uintptr_t)memory % 4096, 0, "%s: they begin on a page", s->name);
        good(s, CALL(s, host_free, s->device, memory), "they are freed");
    }
}

void check_registration(struct subject *s)
{
    enum { BYTES = 1 << 20 };
    if (!HAS(s, host_register)) {
        skip(1, "the driver pins no memory where it is: it stays pageable");
        return;
    }
    unsigned char *memory = aligned_alloc(4096, BYTES);
    if (!memory)
        return;
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_unregister, s->device, memory),
            "unregistering what is not registered");
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_register, s->device, NULL, BYTES), "registering nothing");
    refused(s, DT2_BACKEND_INVALID, CALL(s, host_register, s->device, memory, 0), "registering 0 bytes");
    if (good(s, CALL(s, host_register, s->device, memory, BYTES), "memory is registered")) {
        ok(carries(s, memory, BYTES), "%s: it carries bytes there and back", s->name);
        good(s, CALL(s, host_unregister, s->device, memory), "it is unregistered");
        refused(s, DT2_BACKEND_INVALID, CALL(s, host_unregister, s->device, memory), "unregistering it twice");
    }
    ok(carries(s, memory, BYTES), "%s: pageable memory carries bytes as well", s->name);
    free(memory);
}
