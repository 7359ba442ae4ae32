/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies, fills and kernels. When one is queued: what cannot be is refused, a pageable source is staged as the vendors
 * do it, and the source is summed. When its time has come, after a delay: the source is summed again, and the bytes
 * move. A kernel compares what it reads when it begins and again when it ends.
 */
#include "engine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* OpenCL's word for a command whose wait list holds one that failed. */
enum { FAILED_WAIT = -14 };

/* -- when it is queued */

/* Fast rather than good: four lanes of eight bytes. What it must see is a byte that changed. */
uint64_t sim_sum(const void *memory, uint64_t bytes)
{
    const unsigned char *in = memory;
    uint64_t lanes[4] = { 1, 2, 3, 4 }, words[4];
    for (; bytes >= sizeof words; bytes -= sizeof words, in += sizeof words) {
        memcpy(words, in, sizeof words);
        for (int i = 0; i < 4; i++)
            lanes[i] = (lanes[i] ^ words[i]) * 0x9E3779B97F4A7C15u;
    }
    for (; bytes; bytes--)
        lanes[0] = (lanes[0] ^ *in++) * 0x9E3779B97F4A7C15u;
    return lanes[0] ^ (lanes[1] << 1 | lanes[1] >> 63) ^ (lanes[2] << 2 | lanes[2] >> 62) ^
           (lanes[3] << 3 | lanes[3] >> 61);
}

/* A device's side of a command: within one allocation, which the stream's device can reach. */
static int check_device_side(const struct sim_stream *stream, const struct sim_command *command, const void *address,
                             const struct sim_device *named, const char *what)
{
    const struct sim_allocation *a = sim_find_range(address, command->bytes, what);
    if (!a || a->context->api != stream->context->api)
        return SIM_INVALID_VALUE;
    const struct sim_device *owner = a->context->device, *own = stream->context->device;
    if (command->direction == SIM_PEER)
        return owner == named ? SIM_OK : SIM_INVALID_VALUE;
    if (owner == own || (stream->context->peers >> owner->number & 1))
        return SIM_OK;
    sim_note(SIM_PEER_ACCESS, "%s of %llu bytes of %s by a stream of %s, which has no access to it", what,
             (unsigned long long)command->bytes, owner->id, own->id);
    return SIM_PEER_NOT_ENABLED;
}

/* Whether what the caller says of the two sides is so. */
static bool direction_holds(const struct sim_command *command, bool to_device, bool from_device)
{
    switch (command->direction) {
    case SIM_ANY:
        return true;
    case SIM_PEER:
    case SIM_D2D:
        return to_device && from_device;
    case SIM_H2D:
        return to_device && !from_device;
    case SIM_D2H:
        return !to_device && from_device;
    default:
        return !to_device && !from_device;
    }
}

static int check(const struct sim_stream *stream, const struct sim_command *command)
{
    if (command->kind == SIM_NOTHING)
        return SIM_OK;
    bool to_device = sim_is_device_address(command->to), from_device = sim_is_device_address(command->from);
    int status = SIM_OK;
    if (command->kind == SIM_FILL && !to_device)
        return SIM_INVALID_VALUE;
    if (command->kind == SIM_KERNEL && command->bytes && !from_device)
        return SIM_INVALID_VALUE;
    if (command->kind == SIM_COPY &&
        (!command->to || !command->from || !direction_holds(command, to_device, from_device)))
        return SIM_INVALID_VALUE;
    if (to_device)
        status = check_device_side(stream, command, command->to, command->to_device, "a write");
    if (status == SIM_OK && from_device)
        status = check_device_side(stream, command, command->from, command->from_device, "a read");
    return status;
}

/* What is to be written to the host's memory is not there yet, and looks like it: also for who reads what was there
 * before. */
static void spoil(void *memory, uint64_t bytes)
{
    enum { SOME = 1024 };
    memset(memory, 0xDA, bytes < SOME ? bytes : SOME);
}

static void count(struct sim_op *op, bool to_device, bool from_device)
{
    enum sim_copy_kind kind =
        to_device ? (from_device ? SIM_COUNT_D2D : SIM_COUNT_H2D) : (from_device ? SIM_COUNT_D2H : SIM_COUNT_H2H);
    if (op->command.direction == SIM_PEER)
        kind = SIM_COUNT_PEER;
    sim.copies[kind][op->host_kind]++;
}

/* What the host's memory is decides when it is read; the lock is free while bytes are read here. */
static int prepare(struct sim_stream *stream, struct sim_op *op)
{
    const struct sim_command *command = &op->command;
    if (command->kind != SIM_COPY)
        return SIM_OK;
    bool to_device = sim_is_device_address(command->to), from_device = sim_is_device_address(command->from);
    op->has_host = !to_device || !from_device;
    if (op->has_host) {
        const struct sim_region *region =
            sim_find_region(stream->context, to_device ? command->from : command->to, command->bytes);
        op->host_kind = region ? region->kind : SIM_PAGEABLE;
    }
    count(op, to_device, from_device);
    if (!to_device && !sim_pending(command->to, command->bytes, false))
        spoil(command->to, command->bytes);
    if (from_device)
        return SIM_OK;
    bool stage = command->staged || (op->host_kind == SIM_PAGEABLE && !command->late);
    op->checked = !stage && sim.machine.checksum && !sim_pending(command->from, command->bytes, true);
    if (stage && !(op->staged = malloc(command->bytes)))
        return SIM_NOMEM;
    stream->waiters++;
    sim_unlock();
    if (stage)
        memcpy(op->staged, command->from, command->bytes);
    else if (op->checked)
        op->checksum = sim_sum(command->from, command->bytes);
    sim_lock();
    stream->waiters--;
    return SIM_OK;
}

int sim_run(struct sim_context *context, uintptr_t id, const struct sim_command *command)
{
    SIM_LOCKED;
    struct sim_stream *stream = sim_find_stream(context, id);
    if (!stream)
        return SIM_INVALID_HANDLE;
    context = stream->context;
    int status = sim_context_check(context);
    if (status || (command->bytes == 0 && command->kind != SIM_NOTHING && command->kind != SIM_KERNEL))
        return status;
    bool captured = false;
    if ((command->blocks && (status = sim_capture_forbids(context))) || (status = check(stream, command)) ||
        (status = sim_capture_take(stream, &captured)) || captured)
        return status;
    struct sim_op *op = sim_op_new(context, command);
    if (!op)
        return SIM_NOMEM;
    if ((status = prepare(stream, op))) {
        sim_op_drop(op);
        return status;
    }
    bool pageable = op->has_host && op->host_kind == SIM_PAGEABLE && !sim_is_device_address(command->to);
    sim_queue(stream, op);
    if (command->blocks || (pageable && !command->late)) {
        sim_drain(stream, op->sequence + 1);
        status = context->sticky;
    }
    return status;
}

/* -- when its time has come */

const struct sim_device *sim_link_of(const struct sim_stream *stream, const struct sim_op *op)
{
    const struct sim_command *command = &op->command;
    if (command->kind != SIM_COPY)
        return NULL;
    if (op->has_host)
        return stream->context->device;
    const struct sim_device *to = sim_device_of(command->to);
    return to == sim_device_of(command->from) ? NULL : to;
}

/* The other link that a copy between two devices is on; NULL: there is none. */
static const struct sim_device *source_link_of(const struct sim_op *op)
{
    const struct sim_command *command = &op->command;
    if (command->kind != SIM_COPY || op->has_host)
        return NULL;
    const struct sim_device *from = sim_device_of(command->from);
    return from == sim_device_of(command->to) ? NULL : from;
}

/* When bytes that begin now have crossed a link; NULL: at once. */
static uint64_t cross(const struct sim_device *device, uint64_t now, uint64_t bytes)
{
    if (!device || device->link_gbps <= 0)
        return now;
    uint64_t *link_free_ns = &sim_state(device)->link_free_ns;
    if (*link_free_ns < now)
        *link_free_ns = now;
    return *link_free_ns += (uint64_t)((double)bytes / device->link_gbps);
}

/* When a command that begins now is done: most soon, some late, none before its bytes have crossed the links. */
static uint64_t end_of(struct sim_stream *stream, const struct sim_op *op)
{
    uint64_t now = sim_now_ns(), random = sim_random(&stream->random);
    uint64_t most_ns = (uint64_t)sim.machine.delay_us * 1000;
    if (random % 16 == 0)
        most_ns *= 10;
    if (op->command.kind == SIM_NOTHING && random % 8)
        most_ns = 0;
    uint64_t delay_ns = op->command.duration_ns + (most_ns ? (random >> 8) % most_ns : 0);
    uint64_t in_ns = cross(sim_link_of(stream, op), now, op->command.bytes);
    uint64_t out_ns = cross(source_link_of(op), now, op->command.bytes);
    return (in_ns > out_ns ? in_ns : out_ns) + delay_ns;
}

/* What moving bytes takes us is part of the time that they are on a link, of which a quarter passes before. */
static uint64_t moving_time_ns(const struct sim_stream *stream, const struct sim_op *op)
{
    const struct sim_device *device = sim_link_of(stream, op);
    if (!device || device->link_gbps <= 0)
        return 0;
    double link_ns = (double)op->command.bytes / device->link_gbps, slow_ns = (double)op->command.bytes;
    return (uint64_t)(link_ns * 0.75 < slow_ns ? link_ns * 0.75 : slow_ns);
}

static void sleep_until(uint64_t end_ns)
{
    struct timespec end = { .tv_sec = (time_t)(end_ns / 1000000000u), .tv_nsec = (long)(end_ns % 1000000000u) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
}

/* Where the bytes of one side are now; NULL when they are gone. */
static char *resolve(const struct sim_stream *stream, const struct sim_op *op, const void *address, const char *what)
{
    if (sim_is_device_address(address)) {
        const struct sim_allocation *a = sim_find_range(address, op->command.bytes, what);
        return a ? a->shadow + ((const char *)address - a->address) : NULL;
    }
    /* what was pinned when the command was queued must still be */
    if (op->host_kind != SIM_PAGEABLE && !sim_find_region(stream->context, address, op->command.bytes))
        return NULL;
    return (char *)(uintptr_t)address;
}

/* Whether a copy goes directly between two devices, and only says that it does. */
static bool lies(const struct sim_stream *stream, const struct sim_command *command)
{
    const struct sim_device *to = sim_device_of(command->to), *from = sim_device_of(command->from);
    if (command->kind != SIM_COPY || !to || !from || !(to->liars >> from->number & 1))
        return false;
    const struct sim_context *contexts = sim.contexts[stream->context->api];
    return (contexts[to->number].peers >> from->number & 1) || (contexts[from->number].peers >> to->number & 1);
}

/* One time zeros arrive, another time nothing. */
static void lie(struct sim_op *op, char *to)
{
    if (sim.lies++ % 2)
        return;
    op->running = true;
    sim_unlock();
    memset(to, 0, op->command.bytes);
    sim_lock();
    op->running = false;
}

static void move(struct sim_op *op, char *to, const char *from)
{
    const struct sim_command *command = &op->command;
    bool overwritten = false;
    op->running = true;
    sim_unlock();
    if (command->kind == SIM_FILL) {
        for (uint64_t at = 0; at < command->bytes; at += command->pattern_bytes)
            memcpy(to + at, command->pattern,
                   command->bytes - at < command->pattern_bytes ? command->bytes - at : command->pattern_bytes);
    } else {
        overwritten = op->checked && sim_sum(from, command->bytes) != op->checksum;
        memmove(to, from, command->bytes);
    }
    sim_lock();
    op->running = false;
    if (overwritten)
        sim_note(SIM_OVERWRITTEN_SOURCE, "the source of %llu bytes at %p changed before the copy had run",
                 (unsigned long long)command->bytes, (const void *)from);
}

/* What a command is told by: where it writes to; a kernel by where it reads from. */
static const void *side(const struct sim_op *op)
{
    return op->command.kind == SIM_KERNEL ? op->command.from : op->command.to;
}

/* What is in the way of a command because nothing put the two in order, which was noted, is not disturbed while it runs. */
static void keep_apart(const struct sim_stream *stream, const struct sim_op *op)
{
    const struct sim_op *other;
    while ((other = sim_conflict(stream, op)) && other->running)
        sim_wait_untouched(side(other), other->command.bytes);
}

/* A look of a kernel at its bytes. */
static int look(struct sim_stream *stream, struct sim_op *op)
{
    const struct sim_command *command = &op->command;
    if (command->bytes == 0)
        return SIM_OK;
    keep_apart(stream, op);
    const char *from = resolve(stream, op, command->from, "a kernel's read");
    if (!from)
        return SIM_ILLEGAL_ADDRESS;
    op->running = true;
    sim_unlock();
    bool right = sim_sum(from, command->bytes) == command->sum;
    sim_lock();
    op->running = false;
    pthread_cond_broadcast(&sim.changed);
    if (!right)
        sim_note(SIM_WRONG_BYTES, "a kernel of %s finds wrong ones among %llu bytes at %p", stream->context->device->id,
                 (unsigned long long)command->bytes, command->from);
    return SIM_OK;
}

static int failed_wait(const struct sim_stream *stream, const struct sim_op *op)
{
    for (unsigned i = 0; stream->context->api == SIM_OPENCL && i < op->wait_count; i++)
        if (op->waits[i].event->status)
            return FAILED_WAIT;
    return SIM_OK;
}

int sim_execute(struct sim_stream *stream, struct sim_op *op)
{
    static struct sim_function execute = { .name = "execute", .is_work = true };
    const struct sim_command *command = &op->command;
    int status = failed_wait(stream, op);
    if (status == SIM_OK && command->kind != SIM_NOTHING)
        status = sim_turn(&execute);
    if (status == SIM_OK && command->kind == SIM_KERNEL)
        status = look(stream, op);
    uint64_t end_ns = end_of(stream, op), moving_ns = moving_time_ns(stream, op);
    sim_unlock();
    sleep_until(end_ns - moving_ns);
    sim_lock();
    if (status == SIM_OK)
        status = sim_lost(stream->context->device);
    if (status == SIM_OK)
        status = stream->context->sticky;
    if (status || command->kind == SIM_NOTHING)
        return status;
    if (command->kind == SIM_KERNEL) {
        sim.kernels += command->bytes > 0;
        return look(stream, op);
    }
    keep_apart(stream, op);
    char *to = resolve(stream, op, command->to, "a late write");
    const char *from = op->staged;
    if (command->kind == SIM_COPY && !from)
        from = resolve(stream, op, command->from, "a late read");
    if (!to || (command->kind == SIM_COPY && !from))
        return SIM_ILLEGAL_ADDRESS;
    if (lies(stream, command))
        lie(op, to);
    else
        move(op, to, from);
    if (moving_ns) {
        sim_unlock();
        sleep_until(end_ns);
        sim_lock();
    }
    return SIM_OK;
}
