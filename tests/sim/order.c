/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes before what, by vector clocks: a command comes after those before it in its stream, after what the stream was
 * made to wait for, and after all that the host knew to be over when it was queued. Two commands that touch the same bytes, one
 * of them writing, and of which neither comes first, are wrong even where their timing was right this time.
 *
 * The host is one: which of its threads has told another is not to be seen from here. So nothing is blamed that is in order,
 * and a race that only the threads of a program have among themselves is not seen.
 */
#include "engine.h"
#include <string.h>

/* What was done to a range, and has not been known to be over when anything was queued since. */
struct access {
    const char *begin, *end;
    unsigned slot;
    bool writes;
    uint64_t time; /* of the slot's clock */
};

enum { ACCESSES_MAX = 2048 };
static struct access accesses[ACCESSES_MAX];
static unsigned access_count;
static struct sim_clock host;
static uint64_t latest[SIM_SLOTS];

static void merge(struct sim_clock *clock, const struct sim_clock *other)
{
    for (unsigned i = 0; i < SIM_SLOTS; i++)
        if (clock->times[i] < other->times[i])
            clock->times[i] = other->times[i];
}

void sim_order_known(const struct sim_clock *clock)
{
    merge(&host, clock);
    unsigned kept = 0;
    for (unsigned i = 0; i < access_count; i++)
        if (accesses[i].time > host.times[accesses[i].slot])
            accesses[kept++] = accesses[i];
    access_count = kept;
}

/* A slot that no stream has; one that had it before is taken to come first. The last one is for all that find none. */
void sim_order_join(struct sim_stream *stream)
{
    bool taken[SIM_SLOTS] = { false };
    for (const struct sim_stream *other = sim.streams; other; other = other->next)
        taken[other->slot] |= other != stream;
    while (stream->slot < SIM_SLOTS - 1 && taken[stream->slot])
        stream->slot++;
    stream->clock = host;
    stream->clock.times[stream->slot] = latest[stream->slot];
}

void sim_order_forget(const void *address, uint64_t bytes)
{
    const char *begin = address, *end = begin + bytes;
    unsigned kept = 0;
    for (unsigned i = 0; i < access_count; i++)
        if (accesses[i].end <= begin || end <= accesses[i].begin)
            accesses[kept++] = accesses[i];
    access_count = kept;
}

/* Compares an access with all before it, and puts it in the place of those that it stands for. */
static void add(const struct sim_stream *stream, const struct access *access)
{
    unsigned kept = 0;
    bool told = false;
    for (unsigned i = 0; i < access_count; i++) {
        const struct access *before = &accesses[i];
        bool overlaps = before->begin < access->end && access->begin < before->end;
        bool ordered = before->time <= stream->clock.times[before->slot];
        if (overlaps && !ordered && (before->writes || access->writes) && !told) {
            sim_note(SIM_UNORDERED, "%s %zu bytes at %p and %s %zu bytes at %p, and nothing says which comes first",
                     before->writes ? "a write of" : "a read of", (size_t)(before->end - before->begin),
                     (const void *)before->begin, access->writes ? "a write of" : "a read of",
                     (size_t)(access->end - access->begin), (const void *)access->begin);
            told = true;
        }
        bool covered = access->begin <= before->begin && before->end <= access->end && ordered;
        if (!covered || (before->writes && !access->writes))
            accesses[kept++] = *before;
    }
    if (kept == ACCESSES_MAX)
        memmove(accesses, accesses + 1, --kept * sizeof *accesses);
    accesses[kept] = *access;
    access_count = kept + 1;
}

static void touch(const struct sim_stream *stream, const void *address, uint64_t bytes, bool writes)
{
    const char *begin = address;
    if (begin && bytes)
        add(stream, &(struct access){ .begin = begin, .end = begin + bytes, .slot = stream->slot, .writes = writes,
                                      .time = stream->clock.times[stream->slot] });
}

/* The default stream comes after all blocking ones of its context, and they after it. */
static void follow_default(struct sim_stream *stream)
{
    const struct sim_stream *legacy = stream->context->legacy;
    for (const struct sim_stream *other = sim.streams; other && stream == legacy; other = other->next)
        if (other->context == stream->context && other->blocking)
            merge(&stream->clock, &other->clock);
    if (stream->blocking && legacy)
        merge(&stream->clock, &legacy->clock);
}

void sim_order_queued(struct sim_stream *stream, const struct sim_op *op)
{
    const struct sim_command *command = &op->command;
    merge(&stream->clock, &host);
    follow_default(stream);
    for (unsigned i = 0; i < op->wait_count; i++)
        merge(&stream->clock, &op->waits[i].event->clock);
    stream->clock.times[stream->slot] = ++latest[stream->slot];
    if (op->completes)
        op->completes->clock = stream->clock;
    if (command->kind == SIM_KERNEL || (command->kind == SIM_COPY && !op->staged))
        touch(stream, command->from, command->bytes, false);
    if (command->kind == SIM_COPY || command->kind == SIM_FILL)
        touch(stream, command->to, command->bytes, true);
}
