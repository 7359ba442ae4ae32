/* SPDX-License-Identifier: BSD-3-Clause */
/* Identity, opening and closing, and handles that are none. */
#include "base/text.h"
#include "subject.h"
#include <ctype.h>

static bool is_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    return length < size && dt2_utf8_valid(text, length);
}

/* "dddd:bb:dd.f" in lower case, or empty. */
static bool is_pci(const char *text)
{
    unsigned domain, bus, device, function;
    char again[64];
    if (!*text)
        return true;
    if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4 || bus > 255 || device > 31 || function > 7)
        return false;
    snprintf(again, sizeof again, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return strcmp(again, text) == 0;
}

static bool is_lower(const char *text)
{
    for (; *text; text++)
        if (isupper((unsigned char)*text))
            return false;
    return true;
}

/* What cannot be used is told in words, the same each time, cut where there is no room, and comes to an end. */
static void check_unusable(struct subject *s)
{
    uint32_t count = 0;
    char text[512], again[512], cut[8];
    if (!HAS(s, unusable))
        return;
    for (; count < 1000 && CALL(s, unusable, count, text, sizeof text) == 0; count++) {
        bool same = CALL(s, unusable, count, again, sizeof again) == 0 && strcmp(text, again) == 0 &&
                    CALL(s, unusable, count, cut, sizeof cut) == 0 && strncmp(text, cut, sizeof cut - 1) == 0;
        ok(same && is_text(text, sizeof text) && *text, "%s: cannot use: %s", s->name, text);
    }
    ok(count < 1000, "%s: it cannot use %u things", s->name, count);
    refused(s, DT2_BACKEND_INVALID, CALL(s, unusable, count, text, sizeof text), "one more");
}

void check_identity(struct subject *s)
{
    struct dt2_backend_device_info again, *info = &s->info;
    uint32_t count = 0;
    ok(CALL(s, device_count, &count) == 0 && count == s->device_count, "%s: the number of devices stays", s->name);
    memset(info, 0xAA, sizeof *info);
    info->struct_size = sizeof *info;
    if (!good(s, CALL(s, device_info, s->index, info), "it is described"))
        return;
    is_u64(info->struct_size, sizeof *info, "%s: struct_size is the caller's", s->name);
    ok(is_text(info->kind, sizeof info->kind) && is_text(info->vendor, sizeof info->vendor) &&
           is_text(info->model, sizeof info->model) && is_text(info->platform, sizeof info->platform) &&
           is_text(info->pci, sizeof info->pci) && is_text(info->uuid, sizeof info->uuid),
       "%s: its texts end, and are UTF-8", s->name);
    ok(!strcmp(info->kind, "cpu") || !strcmp(info->kind, "gpu") || !strcmp(info->kind, "accelerator") ||
           !strcmp(info->kind, "host"),
       "%s: it is a known kind of device: %s", s->name, info->kind);
    ok(is_pci(info->pci), "%s: a PCI address: '%s'", s->name, info->pci);
    ok(is_lower(info->uuid), "%s: a UUID: '%s'", s->name, info->uuid);
    uint64_t alignment = info->alignment_bytes;
    ok(alignment >= 1 && (alignment & (alignment - 1)) == 0, "%s: alignment %" PRIu64 " is a power of two", s->name,
       alignment);
    ok(info->total_bytes > 0 && info->max_alloc_bytes > 0, "%s: it has memory", s->name);
    ok(info->max_alloc_bytes <= info->total_bytes || info->max_alloc_bytes == DT2_UNKNOWN,
       "%s: one buffer is not larger than the device", s->name);

    if (HAS(s, describe)) {
        char text[512] = "", cut[4] = "???";
        good(s, CALL(s, describe, text, sizeof text), "the driver describes itself");
        good(s, CALL(s, describe, cut, sizeof cut), "it does so in 3 characters");
        ok(text[0] && strncmp(text, cut, 3) == 0 && !cut[3], "%s: it works with %s", s->name, text);
    }
    check_unusable(s);
    memset(&again, 0x55, sizeof again);
    again.struct_size = sizeof again;
    ok(CALL(s, device_info, s->index, &again) == 0 && strcmp(again.model, info->model) == 0 &&
           strcmp(again.pci, info->pci) == 0 && again.total_bytes == info->total_bytes,
       "%s: and always the same", s->name);
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_info, s->device_count, &again), "a device that is none");

    uint64_t free_bytes = UNTOUCHED;
    for (int may_open = 0; may_open < 2; may_open++)
        if (good(s, CALL(s, device_free_bytes, s->index, may_open, &free_bytes), "free bytes are asked for"))
            ok(free_bytes == DT2_UNKNOWN || free_bytes <= info->total_bytes, "%s: not more are free than there are",
               s->name);
    free_bytes = UNTOUCHED;
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_free_bytes, UINT32_MAX, false, &free_bytes),
            "a device that is none");
    is_u64(free_bytes, UNTOUCHED, "%s: and nothing is written", s->name);
}

void check_open(struct subject *s)
{
    dt2_handle device = UNTOUCHED, queue;
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_open, s->device_count, NULL, &device),
            "opening a device that is none");
    is_u64(device, UNTOUCHED, "%s: no handle is written", s->name);
    for (int i = 0; i < 2; i++) {
        if (!good(s, CALL(s, device_open, s->index, NULL, &device), "it opens, time %d", i + 1))
            return;
        good(s, CALL(s, device_close, device), "and closes");
    }
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_close, device), "closing it twice");
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_create, device, &queue), "a queue of a closed device");
    is_int(s->backend->device_close(s->driver, device, NULL), DT2_BACKEND_INVALID,
           "%s: who wants no error gets the status", s->name);
}

void check_busy(struct subject *s)
{
    dt2_handle device, buffer, queue, event;
    void *staging = NULL;
    if (!good(s, CALL(s, device_open, s->index, NULL, &device), "it opens beside itself"))
        return;
    if (good(s, CALL(s, buffer_alloc, device, 100, &buffer), "with a buffer")) {
        refused(s, DT2_BACKEND_BUSY, CALL(s, device_close, device), "closing with a live buffer");
        good(s, CALL(s, buffer_free, buffer), "the buffer is still there");
    }
    if (good(s, CALL(s, queue_create, device, &queue), "with a queue")) {
        refused(s, DT2_BACKEND_BUSY, CALL(s, device_close, device), "closing with a live queue");
        good(s, CALL(s, queue_wait, queue), "the queue still works");
        bool recorded = good(s, CALL(s, event_record, queue, &event), "with an event");
        good(s, CALL(s, queue_destroy, queue), "a queue goes before its event");
        if (recorded) {
            refused(s, DT2_BACKEND_BUSY, CALL(s, device_close, device), "closing with a live event");
            good(s, CALL(s, event_wait, event), "the event still works");
            good(s, CALL(s, event_free, event), "and is freed");
        }
    }
    if (HAS(s, host_alloc) && CALL(s, host_alloc, device, 4096, &staging) == 0) {
        refused(s, DT2_BACKEND_BUSY, CALL(s, device_close, device), "closing with live staging memory");
        memset(staging, 1, 4096);
        good(s, CALL(s, host_free, device, staging), "the staging memory is still there");
    }
    good(s, CALL(s, device_close, device), "and then it closes");
}

static bool same_native(const struct dt2_backend_device_native *a, const struct dt2_backend_device_native *b)
{
    return a->struct_size == b->struct_size && a->id == b->id && a->ordinal == b->ordinal;
}

/* The caller's own device, in the vendor's terms: told before it is open, and the same of it open, with its context. */
void check_device_native(struct subject *s)
{
    struct dt2_backend_device_native closed, open, again, untouched;
    dt2_handle other;
    if (!HAS(s, device_native))
        return;
    memset(&closed, 0xAA, sizeof closed);
    memset(&untouched, 0x55, sizeof untouched);
    untouched.struct_size = closed.struct_size = sizeof closed;
    again = open = untouched;
    if (!good(s, CALL(s, device_native, s->index, 0, &closed), "it says what it is to its vendor"))
        return;
    ok(closed.id || closed.ordinal >= 0 || strcmp(s->backend->name, "host") == 0, "%s: an object %p, or a number %lld", s->name,
       closed.id, (long long)closed.ordinal);
    ok(!closed.context && closed.ordinal >= -1, "%s: no context of what is not named as open", s->name);
    if (good(s, CALL(s, device_native, s->index, s->device, &open), "it says so open"))
        ok(same_native(&open, &closed), "%s: the same, in context %p", s->name, open.context);
    ok(CALL(s, device_native, s->index, s->device, &again) == 0 && same_native(&again, &open) && again.context == open.context,
       "%s: and always the same", s->name);
    again = untouched;
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_native, s->device_count, 0, &again), "a device that is none");
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_native, s->index, s->queue, &again), "a handle that is no device's");
    if (s->device_count > 1) {
        uint32_t beside = s->index ? 0 : 1;
        refused(s, DT2_BACKEND_INVALID, CALL(s, device_native, beside, s->device, &again), "the handle of another device");
        good(s, CALL(s, device_native, beside, 0, &open), "the other device");
        ok(!same_native(&open, &closed), "%s: no two devices are the same", s->name);
    }
    if (good(s, CALL(s, device_open, s->index, NULL, &other), "opened beside itself") &&
        good(s, CALL(s, device_close, other), "and closed"))
        refused(s, DT2_BACKEND_INVALID, CALL(s, device_native, s->index, other, &again), "a closed device");
    ok(memcmp(&again, &untouched, sizeof again) == 0, "%s: refusals write nothing", s->name);
}

/* -- every entry, with a handle that is none of its kind */

struct world { /* what is good beside the one handle that is not */
    dt2_handle device, buffer, queue, event;
    dt2_handle stale[5]; /* by kind */
    void *memory;
    void *address;
    dt2_handle out;
};

#define WRONG(name, entry, ...)                                                                                        \
    static int name(struct subject *s, struct world *w, dt2_handle h)                                                  \
    {                                                                                                                  \
        (void)w;                                                                                                       \
        return HAS(s, entry) ? CALL(s, entry, __VA_ARGS__) : DT2_BACKEND_INVALID;                                      \
    }
WRONG(close_device, device_close, h)
WRONG(alloc_device, buffer_alloc, h, 64, &w->out)
WRONG(wrap_device, buffer_wrap, h, w->memory, 4096, &w->out)
WRONG(adopt_buffer_device, buffer_adopt, h, w->memory, 64, &w->out)
WRONG(host_alloc_device, host_alloc, h, 64, &w->address)
WRONG(host_free_device, host_free, h, w->memory)
WRONG(register_device, host_register, h, w->memory, 4096)
WRONG(unregister_device, host_unregister, h, w->memory)
WRONG(queue_device, queue_create, h, &w->out)
WRONG(free_wrong_buffer, buffer_free, h)
WRONG(map_buffer, buffer_map, w->queue, h, 0, 64, DT2_MAP_READ, &w->address)
WRONG(unmap_buffer, buffer_unmap, w->queue, h, w->memory)
WRONG(h2d_buffer, copy_h2d, w->queue, h, 0, w->memory, 64)
WRONG(d2h_buffer, copy_d2h, w->queue, h, 0, w->memory, 64)
WRONG(d2d_destination, copy_d2d, w->queue, h, 0, w->buffer, 64, 64)
WRONG(d2d_source, copy_d2d, w->queue, w->buffer, 0, h, 64, 64)
WRONG(peer_destination, copy_peer, w->queue, h, 0, w->buffer, 64, 64)
WRONG(peer_source, copy_peer, w->queue, w->buffer, 0, h, 64, 64)
WRONG(destroy_queue, queue_destroy, h)
WRONG(wait_queue, queue_wait, h)
WRONG(map_queue, buffer_map, h, w->buffer, 0, 64, DT2_MAP_READ, &w->address)
WRONG(unmap_queue, buffer_unmap, h, w->buffer, w->memory)
WRONG(h2d_queue, copy_h2d, h, w->buffer, 0, w->memory, 64)
WRONG(d2h_queue, copy_d2h, h, w->buffer, 0, w->memory, 64)
WRONG(d2d_queue, copy_d2d, h, w->buffer, 0, w->buffer, 64, 64)
WRONG(record_queue, event_record, h, &w->out)
WRONG(wait_event_queue, queue_wait_event, h, w->event)
WRONG(wait_event_event, queue_wait_event, w->queue, h)
WRONG(wait_event, event_wait, h)
WRONG(free_event, event_free, h)

/* A driver whose devices have no queues of the caller's may say so before it looks at the device. */
static int adopt_queue_device(struct subject *s, struct world *w, dt2_handle h)
{
    int status = CALL(s, queue_adopt, h, w->memory, &w->out);
    return status == DT2_BACKEND_UNSUPPORTED ? DT2_BACKEND_INVALID : status;
}

static int native_buffer(struct subject *s, struct world *w, dt2_handle h)
{
    struct dt2_backend_native native = { .struct_size = sizeof native, .handle = w };
    int status = CALL(s, buffer_native, h, &native);
    return native.handle == w ? status : DT2_BACKEND_OK;
}

static int query_event(struct subject *s, struct world *w, dt2_handle h)
{
    bool done;
    (void)w;
    return CALL(s, event_query, h, &done);
}

static void try_wrong_handles(struct subject *s, struct world *w)
{
    static const struct {
        const char *name;
        int (*call)(struct subject *, struct world *, dt2_handle);
        enum dt2_handle_kind kind;
    } cases[] = {
#define D(function) { #function, function, DT2_HANDLE_DEVICE }
#define B(function) { #function, function, DT2_HANDLE_BUFFER }
#define Q(function) { #function, function, DT2_HANDLE_QUEUE }
#define E(function) { #function, function, DT2_HANDLE_EVENT }
        D(close_device),  D(alloc_device),      D(wrap_device),      D(adopt_buffer_device), D(host_alloc_device),
        D(host_free_device), D(register_device), D(unregister_device), D(queue_device),      D(adopt_queue_device),
        B(free_wrong_buffer), B(native_buffer), B(map_buffer),       B(unmap_buffer),        B(h2d_buffer),
        B(d2h_buffer),    B(d2d_destination),   B(d2d_source),       B(peer_destination),    B(peer_source),
        Q(destroy_queue), Q(wait_queue),        Q(map_queue),        Q(unmap_queue),         Q(h2d_queue),
        Q(d2h_queue),     Q(d2d_queue),         Q(record_queue),     Q(wait_event_queue),    E(wait_event_event),
        E(wait_event),    E(query_event),       E(free_event),
    };
    const dt2_handle live[] = { 0, w->device, w->buffer, w->queue, w->event };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int kind = cases[i].kind, wrong = 0;
        w->out = UNTOUCHED;
        for (int other = 0; other <= DT2_HANDLE_EVENT; other++) /* 0 is no handle at all */
            wrong += other != kind && cases[i].call(s, w, live[other]) != DT2_BACKEND_INVALID;
        wrong += cases[i].call(s, w, w->stale[kind]) != DT2_BACKEND_INVALID;
        wrong += cases[i].call(s, w, live[kind] ^ ((uint64_t)1 << 40)) != DT2_BACKEND_INVALID;
        wrong += cases[i].call(s, w, UINT64_MAX) != DT2_BACKEND_INVALID;
        is_int(wrong, 0, "%s: %s knows handles that are none", s->name, cases[i].name);
        is_u64(w->out, UNTOUCHED, "%s: %s then writes none", s->name, cases[i].name);
    }
}

void check_wrong_handles(struct subject *s)
{
    struct world w = { .device = s->device, .queue = s->queue, .out = UNTOUCHED };
    w.memory = aligned_alloc(64 * 1024, 64 * 1024);
    if (!w.memory || !(w.buffer = new_buffer(s, 256)) || CALL(s, event_record, s->queue, &w.event) != 0 ||
        CALL(s, event_record, s->queue, &w.stale[DT2_HANDLE_EVENT]) != 0 ||
        CALL(s, buffer_alloc, s->device, 256, &w.stale[DT2_HANDLE_BUFFER]) != 0 ||
        CALL(s, queue_create, s->device, &w.stale[DT2_HANDLE_QUEUE]) != 0 ||
        CALL(s, device_open, s->index, NULL, &w.stale[DT2_HANDLE_DEVICE]) != 0) {
        ok(false, "%s: objects to test with: %s", s->name, s->err.text);
        return;
    }
    good(s, CALL(s, event_free, w.stale[DT2_HANDLE_EVENT]), "an event is freed");
    good(s, CALL(s, buffer_free, w.stale[DT2_HANDLE_BUFFER]), "a buffer is freed");
    good(s, CALL(s, queue_destroy, w.stale[DT2_HANDLE_QUEUE]), "a queue is destroyed");
    good(s, CALL(s, device_close, w.stale[DT2_HANDLE_DEVICE]), "a device is closed");
    refused(s, DT2_BACKEND_INVALID, CALL(s, event_free, w.stale[DT2_HANDLE_EVENT]), "freeing an event twice");
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_free, w.stale[DT2_HANDLE_BUFFER]), "freeing a buffer twice");
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_destroy, w.stale[DT2_HANDLE_QUEUE]), "destroying a queue twice");
    try_wrong_handles(s, &w);
    good(s, CALL(s, event_wait, w.event), "the event is as it was");
    good(s, CALL(s, event_free, w.event), "and is freed");
    free_buffer(s, w.buffer);
    free(w.memory);
}
