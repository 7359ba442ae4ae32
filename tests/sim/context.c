/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices as the faces see them, contexts and their errors, access between devices. */
#include "engine.h"

/* -- devices */

unsigned sim_device_count(enum sim_api api)
{
    SIM_LOCKED;
    return sim.shown_count[api];
}

const struct sim_device *sim_device_at(enum sim_api api, unsigned index)
{
    SIM_LOCKED;
    return index < sim.shown_count[api] ? &sim.machine.devices[sim.shown[api][index]] : NULL;
}

unsigned sim_machine_count(void)
{
    SIM_LOCKED;
    return sim.machine.count;
}

const struct sim_device *sim_machine_device(unsigned number)
{
    SIM_LOCKED;
    return &sim.machine.devices[number];
}

struct sim_state *sim_state(const struct sim_device *device)
{
    return &sim.states[device->number];
}

static uint64_t free_bytes_of(const struct sim_device *device)
{
    const struct sim_state *state = sim_state(device);
    uint64_t taken = state->used_bytes + state->others_bytes;
    return taken < device->memory_bytes ? device->memory_bytes - taken : 0;
}

void sim_free_bytes(const struct sim_device *device, uint64_t *free_bytes)
{
    SIM_LOCKED;
    *free_bytes = free_bytes_of(device);
    sim_state(device)->others_bytes += device->others_grow_bytes;
}

void sim_runtime_free_bytes(const struct sim_device *device, uint64_t *free_bytes)
{
    sim_free_bytes(device, free_bytes);
    *free_bytes -= *free_bytes < device->page_cache_bytes ? *free_bytes : device->page_cache_bytes;
}

void sim_show_bytes(const struct sim_device *device)
{
    if (!sim.sysfs || !device->shown[SIM_HIP] || !device->has_pci)
        return;
    sim_sysfs_write(device, device->memory_bytes - free_bytes_of(device));
    sim_state(device)->others_bytes += device->others_grow_bytes; /* nobody tells when the file is read */
}

int sim_take_bytes(const struct sim_device *device, uint64_t bytes)
{
    struct sim_state *state = sim_state(device);
    if (bytes > free_bytes_of(device))
        return SIM_NOMEM;
    state->used_bytes += bytes;
    if (state->used_bytes > state->peak_bytes)
        state->peak_bytes = state->used_bytes;
    sim_show_bytes(device);
    return SIM_OK;
}

void sim_give_bytes(const struct sim_device *device, uint64_t bytes)
{
    sim_state(device)->used_bytes -= bytes;
    sim_show_bytes(device);
}

int sim_lost(const struct sim_device *device)
{
    return sim_state(device)->lost ? device->lost_code : SIM_OK;
}

/* -- contexts */

bool sim_sticks(int status)
{
    /* 704 to 709, 712 and 713 are a caller's mistakes; 214 is memory that lost a bit. */
    return status == 214 || (status >= 700 && status <= 703) || status == 710 || (status >= 714 && status <= 719) ||
           status == SIM_UNKNOWN;
}

void sim_context_stick(struct sim_context *context, int status)
{
    if (context->api != SIM_OPENCL && !context->sticky) /* OpenCL's errors stay with their events */
        context->sticky = status;
}

int sim_context_check(struct sim_context *context)
{
    struct sim_state *state = sim_state(context->device);
    if (++state->calls == context->device->lost_at)
        state->lost = true;
    int status = sim_lost(context->device);
    return status ? status : context->sticky;
}

int sim_context_ensure(struct sim_context *context)
{
    int status = sim_context_check(context);
    if (status || context->made)
        return status;
    status = sim_take_bytes(context->device, context->device->context_bytes);
    if (status)
        return status;
    context->made = true;
    sim_state(context->device)->contexts_made++;
    return SIM_OK;
}

struct sim_context *sim_primary(enum sim_api api, const struct sim_device *device)
{
    return &sim.contexts[api][device->number];
}

const struct sim_device *sim_context_device(const struct sim_context *context)
{
    return context->device;
}

bool sim_context_is(enum sim_api api, const void *what)
{
    SIM_LOCKED;
    for (unsigned i = 0; i < sim.machine.count; i++)
        if (what == &sim.contexts[api][i])
            return true;
    return false;
}

bool sim_context_active(const struct sim_context *context)
{
    SIM_LOCKED;
    return context->made;
}

int sim_context_make(struct sim_context *context)
{
    SIM_LOCKED;
    return sim_context_ensure(context);
}

int sim_context_retain(struct sim_context *context)
{
    SIM_LOCKED;
    int status = sim_context_ensure(context);
    if (status == SIM_OK)
        context->retained++;
    return status;
}

/* What is left of a program in a context that it lets go. */
static void note_abandoned(const struct sim_context *context)
{
    const char *id = context->device->id;
    for (const struct sim_allocation *a = sim.allocations; a; a = a->next)
        if (a->context == context)
            sim_note(SIM_ABANDONED, "%llu bytes of %s are left in a context that ends", (unsigned long long)a->bytes,
                     id);
    for (const struct sim_region *region = sim.regions; region; region = region->next)
        if (region->context == context)
            sim_note(SIM_ABANDONED, "%llu bytes of the host are left pinned in a context of %s that ends",
                     (unsigned long long)region->bytes, id);
    for (const struct sim_stream *stream = sim.streams; stream; stream = stream->next)
        if (stream->context == context && stream->id > SIM_DEFAULT_STREAM)
            sim_note(SIM_ABANDONED, "a stream is left in a context of %s that ends", id);
    for (const struct sim_event *event = sim.events; event; event = event->next)
        if (event->context == context && event->id)
            sim_note(SIM_ABANDONED, "an event is left in a context of %s that ends", id);
}

/* Streams, events and memory of a context go with it. */
static void destroy(struct sim_context *context)
{
    if (!context->made)
        return;
    sim_close_streams(context);
    sim_free_all(context);
    context->made = false;
    context->by_runtime = false;
    context->peers = 0;
    sim_give_bytes(context->device, context->device->context_bytes);
}

int sim_context_release(struct sim_context *context)
{
    SIM_LOCKED;
    if (context->retained == 0)
        return SIM_INVALID_CONTEXT;
    if (--context->retained || context->by_runtime)
        return SIM_OK;
    note_abandoned(context);
    destroy(context);
    context->sticky = SIM_OK;
    return SIM_OK;
}

int sim_context_reset(struct sim_context *context)
{
    SIM_LOCKED;
    int status = sim_lost(context->device);
    destroy(context);
    context->sticky = SIM_OK;
    return status;
}

int sim_context_wait(struct sim_context *context)
{
    SIM_LOCKED;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    uint64_t now = sim.next_sequence;
    for (bool waited = true; waited;) { /* the list may have changed while the lock was free */
        waited = false;
        for (struct sim_stream *stream = sim.streams; stream && !waited; stream = stream->next)
            if (stream->context == context && stream->head && stream->head->sequence < now) {
                sim_drain(stream, now);
                waited = true;
            }
    }
    return sim_context_check(context);
}

/* -- peers */

static const struct sim_device *peer_at(enum sim_api api, int index)
{
    return index >= 0 && (unsigned)index < sim.shown_count[api] ? &sim.machine.devices[sim.shown[api][index]] : NULL;
}

int sim_can_access_peer(enum sim_api api, int index, int peer, int *can)
{
    SIM_LOCKED;
    const struct sim_device *from = peer_at(api, index), *to = peer_at(api, peer);
    if (!from || !to)
        return SIM_INVALID_DEVICE;
    *can = from != to && (from->peers >> to->number & 1);
    return SIM_OK;
}

int sim_enable_peer(struct sim_context *context, int peer)
{
    SIM_LOCKED;
    const struct sim_device *to = peer_at(context->api, peer);
    if (!to || to == context->device)
        return SIM_INVALID_DEVICE;
    int forbidden = sim_capture_forbids(context);
    if (forbidden)
        return forbidden;
    if (!(context->device->peers >> to->number & 1))
        return SIM_PEER_UNSUPPORTED;
    if (context->peers >> to->number & 1)
        return SIM_PEER_ENABLED;
    int status = sim_context_ensure(&sim.contexts[context->api][to->number]);
    if (status == SIM_OK)
        context->peers |= 1u << to->number;
    return status;
}

int sim_disable_peer(struct sim_context *context, int peer)
{
    SIM_LOCKED;
    const struct sim_device *to = peer_at(context->api, peer);
    if (!to)
        return SIM_INVALID_DEVICE;
    if (!(context->peers >> to->number & 1))
        return SIM_PEER_NOT_ENABLED;
    context->peers &= ~(1u << to->number);
    return SIM_OK;
}
