/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/error.h"
#include "machine/modules.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/*
 * A handle is a slot's index, what it stands for, and how often the slot has been used: 32, 4 and 28 bits. A slot whose
 * count is used up is never used again, so a handle that was taken stays invalid for good.
 */
#define KIND_SHIFT 32
#define GENERATION_SHIFT 36
#define KIND_MASK 15u
#define GENERATION_MAX ((1u << 28) - 1)
#define NO_SLOT UINT32_MAX

struct slot {
    dt2_handle handle; /* the last one given out */
    void *object;      /* NULL while nothing stands behind the handle */
    uint32_t next_free;
};

struct dt2_services {
    struct dt2_backend_services table;
    struct dt2_log log;
    struct dt2_module_options options;
    pthread_mutex_t lock; /* guards what follows */
    struct slot *slots;
    size_t count;
    size_t capacity;
    size_t live;
    uint32_t first_free;
};

static void service_log(void *core, int level, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    const struct dt2_services *services = core;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    line[strcspn(line, "\n")] = '\0'; /* what is passed on is made fit to be shown there */
    if (level < DT2_LOG_ERROR || level > DT2_LOG_DEBUG)
        level = DT2_LOG_DEBUG;
    dt2_log_line(&services->log, (enum dt2_log_level)level, "%s", line);
}

static int service_fail(void *core, struct dt2_backend_error *err, int status, int64_t vendor_code,
                        const char *vendor_name, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    (void)core;
    if (!err)
        return status;
    err->status = status;
    err->vendor_code = vendor_code;
    snprintf(err->vendor_name, sizeof err->vendor_name, "%s", vendor_name ? vendor_name : "");
    va_list args;
    va_start(args, format);
    dt2_format_into(err->text, sizeof err->text, format, args);
    va_end(args);
    return status;
}

static void *service_alloc(void *core, size_t bytes)
{
    DT2_KEEP_ERRNO;
    (void)core;
    return dt2_alloc(bytes, 1);
}

static void service_release(void *core, void *memory)
{
    DT2_KEEP_ERRNO;
    (void)core;
    dt2_release(memory);
}

/* The index of a slot that nobody uses, NO_SLOT without memory. */
static uint32_t free_slot(struct dt2_services *services)
{
    uint32_t index = services->first_free;
    if (index != NO_SLOT) {
        services->first_free = services->slots[index].next_free;
        return index;
    }
    if (services->count == NO_SLOT || !DT2_GROW(services->slots, services->count, services->capacity))
        return NO_SLOT;
    services->slots[services->count] = (struct slot){ 0 };
    return (uint32_t)services->count++;
}

static dt2_handle service_handle_new(void *core, enum dt2_handle_kind kind, void *object)
{
    DT2_KEEP_ERRNO;
    struct dt2_services *services = core;
    dt2_handle handle = 0;
    if (!object || kind < 1 || (unsigned)kind > KIND_MASK)
        return 0;
    pthread_mutex_lock(&services->lock);
    uint32_t index = free_slot(services);
    if (index != NO_SLOT) {
        struct slot *slot = &services->slots[index];
        uint64_t generation = (slot->handle >> GENERATION_SHIFT) + 1;
        handle = generation << GENERATION_SHIFT | (uint64_t)kind << KIND_SHIFT | index;
        slot->handle = handle;
        slot->object = object;
        services->live++;
    }
    pthread_mutex_unlock(&services->lock);
    return handle;
}

/* The slot behind a handle that lives, NULL for any other number. */
static struct slot *find_slot(struct dt2_services *services, enum dt2_handle_kind kind, dt2_handle handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= services->count || (handle >> KIND_SHIFT & KIND_MASK) != (uint64_t)kind)
        return NULL;
    struct slot *slot = &services->slots[index];
    return slot->handle == handle && slot->object ? slot : NULL;
}

static void *service_handle_get(void *core, enum dt2_handle_kind kind, dt2_handle handle)
{
    struct dt2_services *services = core;
    pthread_mutex_lock(&services->lock);
    struct slot *slot = find_slot(services, kind, handle);
    void *object = slot ? slot->object : NULL;
    pthread_mutex_unlock(&services->lock);
    return object;
}

static void *service_handle_take(void *core, enum dt2_handle_kind kind, dt2_handle handle)
{
    struct dt2_services *services = core;
    pthread_mutex_lock(&services->lock);
    struct slot *slot = find_slot(services, kind, handle);
    void *object = slot ? slot->object : NULL;
    if (slot) {
        slot->object = NULL;
        services->live--;
        if (handle >> GENERATION_SHIFT < GENERATION_MAX) {
            slot->next_free = services->first_free;
            services->first_free = (uint32_t)handle;
        }
    }
    pthread_mutex_unlock(&services->lock);
    return object;
}

static const char *service_option(void *core, const char *name)
{
    const struct dt2_module_options *options = &((struct dt2_services *)core)->options;
    if (strcmp(name, "cuda_runtime") == 0)
        return options->cuda_runtime;
    return strcmp(name, "hip_runtime") == 0 ? options->hip_runtime : NULL;
}

int dt2_services_create(const struct dt2_log *log, struct dt2_services **services, struct dt2_error *err)
{
    struct dt2_services *created = dt2_alloc(1, sizeof *created);
    if (!created)
        return dt2_fail_nomem(err);
    pthread_mutex_init(&created->lock, NULL); /* of the default kind: cannot fail */
    if (log)
        created->log = *log;
    created->first_free = NO_SLOT;
    created->table = (struct dt2_backend_services){
        .struct_size = sizeof created->table,
        .abi = DT2_BACKEND_ABI,
        .core = created,
        .log = service_log,
        .fail = service_fail,
        .alloc = service_alloc,
        .release = service_release,
        .handle_new = service_handle_new,
        .handle_get = service_handle_get,
        .handle_take = service_handle_take,
        .option = service_option,
    };
    *services = created;
    return DT2_OK;
}

void dt2_services_destroy(struct dt2_services *services)
{
    if (!services)
        return;
    pthread_mutex_destroy(&services->lock);
    dt2_release(services->slots);
    dt2_release(services);
}

void dt2_services_tell(struct dt2_services *services, const struct dt2_module_options *options)
{
    if (options)
        services->options = *options;
}

const struct dt2_backend_services *dt2_services_table(struct dt2_services *services)
{
    return &services->table;
}

size_t dt2_services_live(struct dt2_services *services)
{
    pthread_mutex_lock(&services->lock);
    size_t live = services->live;
    pthread_mutex_unlock(&services->lock);
    return live;
}

int dt2_fail_driver(struct dt2_error *err, const char *device, const struct dt2_backend_error *failure)
{
    int code = failure->status == DT2_BACKEND_NOMEM       ? DT2_ENOFIT
               : failure->status == DT2_BACKEND_CAPTURING ? DT2_EBUSY
                                                          : DT2_EFAILED;
    if (failure->vendor_name[0])
        return dt2_fail(err, code, "%s: %s (%s, %lld)", device, failure->text, failure->vendor_name,
                        (long long)failure->vendor_code);
    return dt2_fail(err, code, "%s: %s", device, failure->text);
}
