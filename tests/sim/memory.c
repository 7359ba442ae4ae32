/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device memory: the program gets addresses out of ranges that are reserved without access, and no address a second
 * time. The bytes are elsewhere, in a shadow that only the streams' threads reach. Pinned and registered memory is
 * remembered.
 */
#include "engine.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 256, GARBAGE_BYTES = 4096 };
static const uint64_t CHUNK_BYTES = 64ull << 30;

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* -- addresses */

bool sim_is_device_address(const void *address)
{
    for (const struct sim_chunk *chunk = sim.chunks; chunk; chunk = chunk->next)
        if ((const char *)address >= chunk->base && (const char *)address < chunk->base + chunk->bytes)
            return true;
    return false;
}

static void *map(uint64_t bytes, int protection)
{
    void *address = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* A chunk of a device with so much room. */
static struct sim_chunk *chunk_for(const struct sim_device *device, uint64_t bytes)
{
    struct sim_chunk *chunk = sim.chunks;
    while (chunk && (chunk->device != device || bytes > chunk->bytes - chunk->used))
        chunk = chunk->next;
    if (chunk || !(chunk = malloc(sizeof *chunk)))
        return chunk;
    *chunk = (struct sim_chunk){ .device = device, .bytes = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES };
    while (!(chunk->base = map(chunk->bytes, PROT_NONE)) && chunk->bytes / 2 >= bytes)
        chunk->bytes /= 2; /* valgrind has not so many addresses */
    if (!chunk->base) {
        free(chunk);
        return NULL;
    }
    chunk->next = sim.chunks;
    sim.chunks = chunk;
    return chunk;
}

/* Aligned to 256 bytes and no more, as the vendors promise it; a hole before and after. */
static char *reserve(const struct sim_device *device, uint64_t bytes)
{
    uint64_t page = page_bytes(), whole = (bytes + 2 * page) / page * page + page;
    struct sim_chunk *chunk = chunk_for(device, whole);
    if (!chunk)
        return NULL;
    char *address = chunk->base + chunk->used + page + ALIGNMENT;
    chunk->used += whole;
    return address;
}

/* -- device memory */

static bool within(const char *base, uint64_t size, const void *address, uint64_t bytes)
{
    const char *at = address;
    return at >= base && bytes <= size && (uint64_t)(at - base) <= size - bytes;
}

struct sim_allocation *sim_find_allocation(const void *address)
{
    struct sim_allocation *a = sim.allocations;
    while (a && !within(a->address, a->bytes, address, 1))
        a = a->next;
    return a;
}

static bool was_freed(const void *address)
{
    for (const struct sim_allocation *a = sim.freed; a; a = a->next)
        if (within(a->address, a->bytes, address, 1))
            return true;
    return false;
}

struct sim_allocation *sim_find_range(const void *address, uint64_t bytes, const char *what)
{
    struct sim_allocation *a = sim_find_allocation(address);
    if (a && within(a->address, a->bytes, address, bytes))
        return a;
    if (was_freed(address))
        sim_note(SIM_USE_AFTER_FREE, "%s of %llu bytes at %p, which was freed", what, (unsigned long long)bytes,
                 address);
    else
        sim_note(SIM_OUT_OF_RANGE, "%s of %llu bytes at %p, which is within no allocation", what,
                 (unsigned long long)bytes, address);
    return NULL;
}

const struct sim_device *sim_device_of(const void *address)
{
    const struct sim_allocation *a = sim_find_allocation(address);
    return a ? a->context->device : NULL;
}

/* What was never written is no zeros. */
static void fill_garbage(char *memory, uint64_t bytes)
{
    memset(memory, 0xD5, bytes < GARBAGE_BYTES ? bytes : GARBAGE_BYTES);
}

int sim_malloc(struct sim_context *context, uint64_t bytes, void **address)
{
    SIM_LOCKED;
    const struct sim_device *device = context->device;
    uint64_t granule = device->granule_bytes;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    if (bytes == 0 || bytes > device->memory_bytes)
        return bytes ? SIM_NOMEM : SIM_INVALID_VALUE;
    uint64_t charged = (bytes + granule - 1) / granule * granule;
    struct sim_allocation *a = malloc(sizeof *a);
    if (!a || sim_take_bytes(device, charged)) {
        free(a);
        return SIM_NOMEM;
    }
    *a = (struct sim_allocation){
        .next = sim.allocations, .context = context, .bytes = bytes, .charged_bytes = charged
    };
    a->address = reserve(device, bytes);
    a->shadow = a->address ? map(bytes, PROT_READ | PROT_WRITE) : NULL;
    if (!a->shadow) {
        sim_give_bytes(device, charged);
        free(a);
        return SIM_NOMEM;
    }
    madvise(a->shadow, bytes, MADV_HUGEPAGE); /* the first touch of 4 KiB pages is slower than a card's link */
    fill_garbage(a->shadow, bytes);
    sim.allocations = a;
    *address = a->address;
    return SIM_OK;
}

/* Commands that touch it at this moment are let finish; those that come later find nothing there. */
static void free_allocation(struct sim_allocation **link)
{
    struct sim_allocation *a = *link;
    *link = a->next;
    a->next = sim.freed;
    sim.freed = a;
    sim_wait_untouched(a->address, a->bytes);
    munmap(a->shadow, a->bytes);
    sim_give_bytes(a->context->device, a->charged_bytes);
}

int sim_free(struct sim_context *context, void *address)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    struct sim_allocation **link = &sim.allocations;
    while (*link && ((*link)->address != address || (*link)->context->api != context->api))
        link = &(*link)->next;
    if (!*link) {
        if (was_freed(address))
            sim_note(SIM_USE_AFTER_FREE, "memory at %p is freed a second time", address);
        else if (sim_is_device_address(address))
            sim_note(SIM_OUT_OF_RANGE, "%p is freed, which is within an allocation but does not begin it", address);
        return SIM_INVALID_VALUE;
    }
    struct sim_context *owner = (*link)->context;
    if (sim_pending(address, (*link)->bytes, false))
        sim_note(SIM_USE_AFTER_FREE, "%llu bytes at %p are freed before the commands that use them have run",
                 (unsigned long long)(*link)->bytes, address);
    sim_order_forget(address, (*link)->bytes);
    free_allocation(link);
    return sim_context_check(owner);
}

/* -- pinned and registered memory of the host */

struct sim_region *sim_find_region(const struct sim_context *context, const void *address, uint64_t bytes)
{
    struct sim_region *region = sim.regions;
    while (region && !(region->context->api == context->api && (region->portable || region->context == context) &&
                       within(region->address, region->bytes, address, bytes)))
        region = region->next;
    return region;
}

static bool overlaps_region(enum sim_api api, const char *address, uint64_t bytes)
{
    for (const struct sim_region *region = sim.regions; region; region = region->next)
        if (region->context->api == api && address < region->address + region->bytes &&
            region->address < address + bytes)
            return true;
    return false;
}

/* Whether so much more can be pinned in the contexts of a device. */
static bool can_pin(const struct sim_device *device, uint64_t bytes)
{
    uint64_t pinned = 0;
    for (const struct sim_region *region = sim.regions; region; region = region->next)
        pinned += region->context->device == device ? region->bytes : 0;
    return device->pinnable_bytes == 0 ||
           (pinned <= device->pinnable_bytes && bytes <= device->pinnable_bytes - pinned);
}

static int add_region(const struct sim_region *what)
{
    struct sim_region *region = can_pin(what->context->device, what->bytes) ? malloc(sizeof *region) : NULL;
    if (!region)
        return SIM_NOMEM;
    *region = *what;
    region->next = sim.regions;
    sim.regions = region;
    return SIM_OK;
}

int sim_host_alloc(struct sim_context *context, uint64_t bytes, bool portable, void **address)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    if (bytes == 0 || bytes > UINT64_MAX - 4 * page_bytes())
        return SIM_INVALID_VALUE;
    char *memory = map(bytes, PROT_READ | PROT_WRITE);
    if (!memory)
        return SIM_NOMEM;
    struct sim_region region = { NULL, context, memory, bytes, SIM_PINNED, portable };
    int status = add_region(&region);
    if (status) {
        munmap(memory, bytes);
        return status;
    }
    fill_garbage(memory, bytes);
    *address = memory;
    return SIM_OK;
}

/* Takes a region out of the list; the program must not have it in use any more. */
static void drop_region(struct sim_region **link, const char *what)
{
    struct sim_region *region = *link;
    if (sim_pending(region->address, region->bytes, false))
        sim_note(SIM_USE_AFTER_FREE,
                 "%llu bytes of host memory at %p are %s before the commands that use them have run",
                 (unsigned long long)region->bytes, (void *)region->address, what);
    *link = region->next;
    sim_wait_untouched(region->address, region->bytes);
    sim_order_forget(region->address, region->bytes);
    if (region->kind == SIM_PINNED)
        munmap(region->address, region->bytes);
    free(region);
}

static struct sim_region **region_at(enum sim_api api, const void *address, enum sim_memory_kind kind)
{
    struct sim_region **link = &sim.regions;
    while (*link && ((*link)->address != address || (*link)->kind != kind || (*link)->context->api != api))
        link = &(*link)->next;
    return link;
}

int sim_host_free(struct sim_context *context, void *address)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    struct sim_region **link = region_at(context->api, address, SIM_PINNED);
    if (!*link)
        return SIM_INVALID_VALUE;
    struct sim_context *owner = (*link)->context;
    drop_region(link, "freed");
    return sim_context_check(owner);
}

/* Whether the process may write to all of a range: cards that are real pin no other memory. */
static bool is_writable(const void *address, uint64_t bytes)
{
    uintptr_t at = (uintptr_t)address, end = at + bytes;
    char line[512], write;
    unsigned long begin, limit;
    FILE *stream = fopen("/proc/self/maps", "re");
    if (!stream)
        return true;
    while (at < end && fgets(line, sizeof line, stream))
        if (sscanf(line, "%lx-%lx %*c%c", &begin, &limit, &write) == 3 && begin <= at && at < limit) {
            if (write != 'w')
                break;
            at = limit;
        }
    fclose(stream);
    return at >= end;
}

int sim_host_register(struct sim_context *context, void *address, uint64_t bytes, bool portable)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    if (!address || bytes == 0 || bytes > UINT64_MAX - (uintptr_t)address)
        return SIM_INVALID_VALUE;
    if (sim_is_device_address(address))
        return SIM_INVALID_VALUE;
    if (!is_writable(address, bytes))
        return SIM_INVALID_VALUE;
    if (overlaps_region(context->api, address, bytes))
        return SIM_HOST_REGISTERED;
    struct sim_region region = { NULL, context, address, bytes, SIM_REGISTERED, portable };
    return add_region(&region);
}

int sim_host_unregister(struct sim_context *context, void *address)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    struct sim_region **link = region_at(context->api, address, SIM_REGISTERED);
    if (!*link)
        return address ? SIM_HOST_NOT_REGISTERED : SIM_INVALID_VALUE;
    struct sim_context *owner = (*link)->context;
    drop_region(link, "unregistered");
    return sim_context_check(owner);
}

/* -- all of them */

void sim_free_all(struct sim_context *context)
{
    for (struct sim_allocation **link = &sim.allocations; *link;)
        if ((*link)->context == context)
            free_allocation(link);
        else
            link = &(*link)->next;
    for (struct sim_region **link = &sim.regions; *link;)
        if ((*link)->context == context)
            drop_region(link, "gone with their context");
        else
            link = &(*link)->next;
}

void sim_describe(enum sim_api api, const void *address, struct sim_pointer *pointer)
{
    SIM_LOCKED;
    *pointer = (struct sim_pointer){ .device = NULL };
    const struct sim_allocation *a = sim_find_allocation(address);
    if (a && a->context->api == api) {
        *pointer = (struct sim_pointer){ a->context->device, a->context, true, false, a->address, a->bytes };
        return;
    }
    for (const struct sim_region *r = sim.regions; r; r = r->next)
        if (r->context->api == api && within(r->address, r->bytes, address, 1))
            *pointer = (struct sim_pointer){ r->context->device,        r->context, false,
                                             r->kind == SIM_REGISTERED, r->address, r->bytes };
}

/* -- the host's hand on device memory */

static struct sigaction before;

/* Writes down what happened, then lets whoever was there before see the same fault again. */
static void on_fault(int number, siginfo_t *info, void *unused)
{
    (void)unused;
    if (sim_is_device_address(info->si_addr))
        sim_report_touch(info->si_addr);
    sigaction(number, &before, NULL);
}

void sim_watch_faults(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGSEGV, &action, &before);
}
