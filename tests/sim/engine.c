/* SPDX-License-Identifier: BSD-3-Clause */
/* The start of the engine, counted calls and those that fail on demand, and what a thread's driver remembers. */
#include "engine.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sim_engine sim = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* -- what a thread's driver remembers, for each runtime on its own */

enum { STACK_MAX = 16 };

static _Thread_local struct {
    struct sim_context *stack[STACK_MAX];
    unsigned depth;
    int device; /* of the runtime, while no context is current */
    int last_error;
} threads[SIM_API_COUNT];

/* -- start */

uint64_t sim_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sim_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Whether a word of a visibility variable names a device: by its index, or by the beginning of its UUID. */
static bool word_names(const char *word, unsigned index, const struct sim_device *device)
{
    char *end, uuid[64], *out = uuid;
    unsigned long number = strtoul(word, &end, 10);
    if (*word && !*end)
        return number == index;
    out += sprintf(out, device->mig ? "MIG-" : "GPU-");
    for (int i = 0; i < 16; i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", device->uuid[i]);
    return strlen(word) > 4 && strncmp(word, uuid, strlen(word)) == 0;
}

/* Keeps the devices that a variable names, in its order; the list ends at the first word that names none. */
static void keep_visible(enum sim_api api, const char *variable)
{
    const char *value = getenv(variable);
    if (!value || !sim.machine.respect_visibility)
        return;
    unsigned all[SIM_DEVICES_MAX], count = sim.shown_count[api];
    memcpy(all, sim.shown[api], sizeof all);
    sim.shown_count[api] = 0;
    char copy[512], *state = NULL;
    snprintf(copy, sizeof copy, "%s", value);
    for (char *word = strtok_r(copy, ", ", &state); word; word = strtok_r(NULL, ", ", &state)) {
        unsigned i = 0;
        while (i < count && !word_names(word, i, &sim.machine.devices[all[i]]))
            i++;
        if (i == count || sim.shown_count[api] == SIM_DEVICES_MAX)
            break;
        sim.shown[api][sim.shown_count[api]++] = all[i];
    }
}

static void start(void)
{
    sim_machine_read(getenv("DISTORCH2_SIM"), &sim.machine);
    sim.sysfs = getenv("DISTORCH2_SIM_SYSFS");
    for (unsigned i = 0; i < sim.machine.count; i++) {
        const struct sim_device *device = &sim.machine.devices[i];
        sim.states[i].others_bytes = device->others_bytes;
        for (int api = 0; api < SIM_API_COUNT; api++) {
            sim.contexts[api][i] = (struct sim_context){ .api = api, .device = device };
            if (device->shown[api])
                sim.shown[api][sim.shown_count[api]++] = i;
        }
        sim_show_bytes(device);
    }
    keep_visible(SIM_CUDA, "CUDA_VISIBLE_DEVICES");
    keep_visible(SIM_HIP, "ROCR_VISIBLE_DEVICES");
    keep_visible(SIM_HIP, "HIP_VISIBLE_DEVICES");
    sim_watch_faults();
    sim_report_begin();
}

void sim_lock(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    pthread_mutex_lock(&sim.lock);
}

void sim_unlock(void)
{
    pthread_mutex_unlock(&sim.lock);
}

/* -- calls */

/*
 * Whether a failure is meant for a function. One of the runtime's is meant for libcuda's twin as well: a test need not
 * know which of the two the driver calls.
 */
static bool is_meant(const char *asked, const char *name)
{
    static const char *const twins[][2] = {
        { "cudaMalloc", "cuMemAlloc_v2" },
        { "cudaHostAlloc", "cuMemHostAlloc" },
        { "cudaHostRegister", "cuMemHostRegister_v2" },
        { "cudaStreamCreateWithFlags", "cuStreamCreate" },
        { "cudaEventCreateWithFlags", "cuEventCreate" },
        { "cudaEventRecord", "cuEventRecord" },
    };
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
        if (strcmp(asked, twins[i][0]) == 0 && strcmp(name, twins[i][1]) == 0)
            return true;
    return strcmp(asked, name) == 0;
}

/* The code with which this call is to fail, or 0; failures that have had their turn are gone. */
static int demanded(const struct sim_function *function)
{
    int code = 0;
    for (unsigned i = 0; i < sim.machine.failure_count; i++) {
        struct sim_failure *failure = &sim.machine.failures[i];
        bool any = strcmp(failure->function, "*") == 0 && !function->is_work;
        if (!any && !is_meant(failure->function, function->name))
            continue;
        if (failure->nth > 1) {
            failure->nth--;
            continue;
        }
        code = failure->code;
        if (!failure->onwards)
            *failure = sim.machine.failures[--sim.machine.failure_count], i--;
    }
    return code;
}

/* The record of a function; NULL without memory, which is no reason to stop. */
static struct sim_record *record_of(const char *name)
{
    struct sim_record *record = sim.records;
    while (record && strcmp(record->name, name))
        record = record->next;
    if (record || !(record = calloc(1, sizeof *record)))
        return record;
    snprintf(record->name, sizeof record->name, "%s", name);
    record->next = sim.records;
    return sim.records = record;
}

/* The face of a file; NULL without memory. */
static struct sim_face *face_of(const char *path)
{
    struct sim_face *face = sim.faces;
    while (face && strcmp(face->path, path))
        face = face->next;
    if (face || !(face = calloc(1, sizeof *face + strlen(path) + 1)))
        return face;
    strcpy(face->path, path);
    face->next = sim.faces;
    return sim.faces = face;
}

/* Which file a function stands in is asked without our lock: the linker has one, under which it runs constructors. */
static void count_face(struct sim_function *function)
{
    struct sim_face *face = atomic_load(&function->face);
    Dl_info info = { 0 };
    if (!face && !dladdr(function, &info))
        return;
    SIM_LOCKED;
    if (!face && (face = face_of(info.dli_fname)))
        atomic_store(&function->face, face);
    if (face)
        face->calls++;
}

int sim_turn(struct sim_function *function)
{
    if (function->record || (function->record = record_of(function->name)))
        function->record->calls++;
    sim.calls += !function->is_work;
    if (sim.ended && !function->is_work)
        sim_note(SIM_AFTER_END, "%s is called when the runtime has taken itself down", function->name);
    int code = demanded(function);
    sim.injected += code != 0;
    return code;
}

int sim_enter(struct sim_function *function)
{
    count_face(function);
    SIM_LOCKED;
    int code = sim_turn(function);
    struct sim_context *context = sim_current(function->api);
    if (context && context->made && sim_sticks(code))
        sim_context_stick(context, code);
    return code;
}

int sim_remember(enum sim_api api, int status)
{
    if (status != SIM_OK && (status != SIM_NOT_READY || api == SIM_HIP))
        threads[api].last_error = status;
    return status;
}

int sim_last_error(enum sim_api api, bool clear)
{
    SIM_LOCKED;
    struct sim_context *context = sim_current(api);
    int status = context && context->sticky ? context->sticky : threads[api].last_error;
    if (clear)
        threads[api].last_error = SIM_OK;
    return status;
}

void sim_fail(const char *function, uint64_t nth, bool onwards, int code)
{
    SIM_LOCKED;
    if (sim.machine.failure_count == SIM_FAILURES_MAX)
        return;
    struct sim_failure *failure = &sim.machine.failures[sim.machine.failure_count++];
    *failure = (struct sim_failure){ .nth = nth, .onwards = onwards, .code = code };
    snprintf(failure->function, sizeof failure->function, "%s", function);
}

void sim_forgive(void)
{
    SIM_LOCKED;
    sim.machine.failure_count = 0;
}

uint64_t sim_calls(const char *name)
{
    SIM_LOCKED;
    if (strcmp(name, "*") == 0)
        return sim.calls;
    const struct sim_record *record = record_of(name);
    return record ? record->calls : 0;
}

/* -- what is current. Only the thread itself changes it, so no lock is needed but where contexts are made. */

struct sim_context *sim_current(enum sim_api api)
{
    return threads[api].depth ? threads[api].stack[threads[api].depth - 1] : NULL;
}

void sim_set_current(enum sim_api api, struct sim_context *context)
{
    if (threads[api].depth == 0 && context)
        threads[api].depth = 1;
    if (threads[api].depth && context)
        threads[api].stack[threads[api].depth - 1] = context;
    else if (threads[api].depth)
        threads[api].depth--;
}

int sim_push_current(enum sim_api api, struct sim_context *context)
{
    if (!context || threads[api].depth == STACK_MAX)
        return SIM_INVALID_CONTEXT;
    threads[api].stack[threads[api].depth++] = context;
    return SIM_OK;
}

int sim_pop_current(enum sim_api api, struct sim_context **context)
{
    if (threads[api].depth == 0)
        return SIM_INVALID_CONTEXT;
    *context = threads[api].stack[--threads[api].depth];
    return SIM_OK;
}

int sim_get_device(enum sim_api api)
{
    SIM_LOCKED;
    const struct sim_context *current = sim_current(api);
    for (unsigned i = 0; current && i < sim.shown_count[api]; i++)
        if (sim.shown[api][i] == current->device->number)
            return (int)i;
    return threads[api].device;
}

int sim_set_device(enum sim_api api, int index, bool make)
{
    SIM_LOCKED;
    if (index < 0 || (unsigned)index >= sim.shown_count[api])
        return sim.shown_count[api] ? SIM_INVALID_DEVICE : SIM_NO_DEVICE;
    struct sim_context *context = &sim.contexts[api][sim.shown[api][index]];
    int status = make ? sim_context_ensure(context) : SIM_OK;
    if (status == SIM_OK) {
        context->by_runtime = true;
        threads[api].device = index;
        sim_set_current(api, context);
    }
    return status;
}

int sim_here(enum sim_api api, struct sim_context **context)
{
    SIM_LOCKED;
    if (sim.shown_count[api] == 0)
        return SIM_NO_DEVICE;
    *context = sim_current(api);
    if (*context && !(*context)->made && api == SIM_CUDA) /* HIP's are made when they are first used */
        return SIM_CONTEXT_DESTROYED;
    if (*context)
        return sim_context_ensure(*context);
    *context = &sim.contexts[api][sim.shown[api][threads[api].device]];
    int status = sim_context_ensure(*context);
    if (status == SIM_OK) {
        (*context)->by_runtime = true;
        sim_set_current(api, *context);
    }
    return status;
}
