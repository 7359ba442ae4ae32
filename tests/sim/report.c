/* SPDX-License-Identifier: BSD-3-Clause */
/* What went wrong, in words and in numbers, and what is left behind; written when the process ends. */
#include "engine.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const violation_keys[SIM_VIOLATION_COUNT] = {
    "host_touch",   "use_after_free", "overwritten_source", "wrong_bytes", "unordered",
    "wrong_device", "out_of_range",   "bad_handle",         "peer_access", "captured",
    "abandoned",    "after_end",
};

/* -- violations */

enum { TEXTS_MAX = 64, TEXT_BYTES = 200 };
static char texts[TEXTS_MAX][TEXT_BYTES];
static unsigned text_count;

static void note(enum sim_violation what, const char *format, va_list args)
{
    sim.violations[what]++;
    if (text_count < TEXTS_MAX)
        vsnprintf(texts[text_count++], TEXT_BYTES, format, args);
}

void sim_note(enum sim_violation what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(what, format, args);
    va_end(args);
}

void sim_violation(enum sim_violation what, const char *format, ...)
{
    SIM_LOCKED;
    va_list args;
    va_start(args, format);
    note(what, format, args);
    va_end(args);
}

/* -- objects of the faces */

enum { KINDS_MAX = 16 };
static struct {
    char kind[16];
    int64_t live;
} kinds[KINDS_MAX];

void sim_count_object(const char *kind, int change)
{
    SIM_LOCKED;
    for (int i = 0; i < KINDS_MAX; i++)
        if (!kinds[i].kind[0] || strcmp(kinds[i].kind, kind) == 0) {
            snprintf(kinds[i].kind, sizeof kinds[i].kind, "%s", kind);
            kinds[i].live += change;
            return;
        }
}

void sim_spin(void)
{
    SIM_LOCKED;
    sim.spins++;
}

/* -- the report */

static void report_leaks(FILE *out, uint64_t *wrong)
{
    uint64_t allocations = 0, bytes = 0, regions[SIM_MEMORY_KIND_COUNT] = { 0 }, streams = 0, events = 0, retained = 0;
    for (const struct sim_allocation *a = sim.allocations; a; a = a->next)
        allocations++, bytes += a->bytes;
    for (const struct sim_region *region = sim.regions; region; region = region->next)
        regions[region->kind]++;
    for (const struct sim_stream *stream = sim.streams; stream; stream = stream->next)
        streams += stream->id && stream->id != SIM_DEFAULT_STREAM;
    for (const struct sim_event *event = sim.events; event; event = event->next)
        events += event->id != 0;
    for (int api = 0; api < SIM_OPENCL; api++)
        for (unsigned i = 0; i < sim.machine.count; i++)
            retained += sim.contexts[api][i].retained;
    fprintf(out, "unfreed_bytes=%llu\nunfreed_allocations=%llu\nunfreed_streams=%llu\nunfreed_events=%llu\n",
            (unsigned long long)bytes, (unsigned long long)allocations, (unsigned long long)streams,
            (unsigned long long)events);
    fprintf(out, "unfreed_pinned=%llu\nstill_registered=%llu\nretained_contexts=%llu\n",
            (unsigned long long)regions[SIM_PINNED], (unsigned long long)regions[SIM_REGISTERED],
            (unsigned long long)retained);
    *wrong += allocations + streams + events + regions[SIM_PINNED] + regions[SIM_REGISTERED] + retained;
    for (int i = 0; i < KINDS_MAX && kinds[i].kind[0]; i++) {
        fprintf(out, "unfreed_%s=%lld\n", kinds[i].kind, (long long)kinds[i].live);
        *wrong += kinds[i].live > 0 ? (uint64_t)kinds[i].live : 0;
    }
}

static void report_devices(FILE *out)
{
    uint64_t contexts = 0;
    for (unsigned i = 0; i < sim.machine.count; i++) {
        const struct sim_state *state = &sim.states[i];
        const char *id = sim.machine.devices[i].id;
        uint64_t bytes = 0;
        for (const struct sim_allocation *a = sim.allocations; a; a = a->next)
            bytes += a->context->device->number == i ? a->bytes : 0;
        contexts += state->contexts_made;
        fprintf(out, "contexts.%s=%llu\ncalls_on.%s=%llu\npeak_bytes.%s=%llu\nunfreed_bytes.%s=%llu\n", id,
                (unsigned long long)state->contexts_made, id, (unsigned long long)state->calls, id,
                (unsigned long long)state->peak_bytes, id, (unsigned long long)bytes);
    }
    fprintf(out, "contexts=%llu\n", (unsigned long long)contexts);
}

static void report_copies(FILE *out)
{
    static const char *const copies[] = { "h2d", "d2h", "d2d", "peer", "h2h" };
    static const char *const memory[] = { "pageable", "pinned", "registered" };
    for (int i = 0; i < SIM_COPY_KIND_COUNT; i++)
        for (int j = 0; j < SIM_MEMORY_KIND_COUNT; j++)
            if (i <= SIM_COUNT_D2H || j == 0)
                fprintf(out, "copies.%s%s%s=%llu\n", copies[i], i <= SIM_COUNT_D2H ? "." : "",
                        i <= SIM_COUNT_D2H ? memory[j] : "", (unsigned long long)sim.copies[i][j]);
    fprintf(out, "kernels=%llu\nlies=%llu\nspins=%llu\n", (unsigned long long)sim.kernels,
            (unsigned long long)sim.lies, (unsigned long long)sim.spins);
}

static void report(FILE *out)
{
    uint64_t wrong = 0;
    fprintf(out, "process=%ld\nmachine=%s\nseed=%llu\n", (long)getpid(), sim.machine.path,
            (unsigned long long)sim.machine.seed);
    report_devices(out);
    report_copies(out);
    report_leaks(out, &wrong);
    for (int i = 0; i < SIM_VIOLATION_COUNT; i++) {
        fprintf(out, "%s=%llu\n", violation_keys[i], (unsigned long long)sim.violations[i]);
        wrong += sim.violations[i];
    }
    fprintf(out, "calls=%llu\ninjected=%llu\n", (unsigned long long)sim.calls, (unsigned long long)sim.injected);
    for (const struct sim_record *record = sim.records; record; record = record->next)
        fprintf(out, "calls.%s=%llu\n", record->name, (unsigned long long)record->calls);
    for (const struct sim_face *face = sim.faces; face; face = face->next)
        fprintf(out, "calls_of.%s=%llu\n", face->path, (unsigned long long)face->calls);
    for (unsigned i = 0; i < text_count; i++)
        fprintf(out, "violation=%s\n", texts[i]);
    fprintf(out, "violations=%llu\n", (unsigned long long)wrong);
}

/* The report as one text, to be freed. */
static char *report_text(size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return NULL;
    report(out);
    fclose(out);
    return text;
}

uint64_t sim_value(const char *key)
{
    SIM_LOCKED;
    size_t size, length = strlen(key);
    char *text = report_text(&size);
    uint64_t value = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, key, length) == 0 && line[length] == '=')
            value = strtoull(line + length + 1, NULL, 10);
    free(text);
    return value;
}

/* Several processes may write to one file, each its report as a whole. */
static int open_report(void)
{
    const char *path = getenv("DISTORCH2_SIM_REPORT");
    return path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
}

static void write_all(int fd, const char *text, size_t size)
{
    ssize_t written;
    while (size && (written = write(fd, text, size)) > 0)
        text += written, size -= (size_t)written;
}

/* Within a signal handler: what can be said without taking a lock or memory. */
void sim_report_touch(const void *address)
{
    char text[] = "host_touch=1\nviolation=the host touches device memory at 0x0000000000000000\nviolations=1\n";
    char *digit = strstr(text, "0x") + 17;
    for (uintptr_t rest = (uintptr_t)address; rest; rest >>= 4)
        *digit-- = "0123456789abcdef"[rest & 15];
    int fd = open_report();
    if (fd < 0)
        return;
    write_all(fd, text, sizeof text - 1);
    close(fd);
}

static pid_t started;

void sim_report_begin(void)
{
    started = getpid();
}

/*
 * The end of the runtimes' static objects, which were made when the runtimes were loaded: so all handlers that were registered
 * later have run. It takes a while where a program has left things behind, and so does what threads of it may still do.
 */
static void end_runtimes(void)
{
    enum { END_US = 50000 };
    if (started != getpid())
        return;
    sim_lock();
    sim.ended = true;
    bool left_behind = sim.streams || sim.allocations;
    sim_unlock();
    if (left_behind)
        usleep(END_US);
}

__attribute__((constructor)) static void register_end(void)
{
    atexit(end_runtimes);
}

__attribute__((destructor)) static void write_report(void)
{
    int fd;
    if (started != getpid() || (fd = open_report()) < 0)
        return;
    SIM_LOCKED;
    size_t size;
    char *text = report_text(&size);
    if (text)
        write_all(fd, text, size);
    free(text);
    close(fd);
}
