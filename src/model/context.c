/* SPDX-License-Identifier: BSD-3-Clause */
/* The context and its registry of models. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "machine/native.h"
#include "model/model.h"
#include "model/speeds.h"
#include <string.h>

static const struct dt2_sized sized_options =
    DT2_SIZED(struct dt2_context_options, backend_path, "the context options'", "DT2_CONTEXT_OPTIONS_INIT");

int dt2_context_create(const struct dt2_context_options *options, struct dt2_context **context, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_context_options how = DT2_CONTEXT_OPTIONS_INIT;
    if (dt2_options_read(&sized_options, options, &how, err) < 0)
        return DT2_EUSAGE;
    struct dt2_context *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    made->generation = dt2_fork_generation();
    made->log = (struct dt2_log){ how.log, how.log_data };
    const struct dt2_module_options modules = { how.backend_path, how.cuda_runtime, how.hip_runtime,
                                                how.drivers,      how.probe_isolated };
    int rc = dt2_machine_create(&made->log, &modules, &made->machine, err);
    if (rc == 0) {
        rc = dt2_native_give(made->machine, how.native_contexts, how.native_context_count, err);
        if (rc < 0)
            dt2_machine_destroy(made->machine);
    }
    if (rc < 0) {
        dt2_release(made);
        return rc;
    }
    pthread_mutex_init(&made->admission, NULL);
    pthread_mutex_init(&made->lock, NULL);
    *context = made;
    return 0;
}

void dt2_context_destroy(struct dt2_context *context)
{
    DT2_KEEP_ERRNO;
    if (!context || dt2_fork_check(context->generation, "context", NULL) < 0)
        return; /* nothing of the parent's is given back in its child */
    while (context->count > 0)
        dt2_model_unload_at_last(context->models[context->count - 1], &context->log);
    dt2_machine_destroy(context->machine);
    pthread_mutex_destroy(&context->lock);
    pthread_mutex_destroy(&context->admission);
    dt2_devices_free(context->kept);
    dt2_release(context->models);
    dt2_release(context);
}

int dt2_registry_add(struct dt2_context *context, struct dt2_model *model, struct dt2_error *err)
{
    pthread_mutex_lock(&context->lock);
    bool room = DT2_GROW(context->models, context->count, context->capacity);
    if (room)
        context->models[context->count++] = dt2_model_ref(model);
    pthread_mutex_unlock(&context->lock);
    return room ? 0 : dt2_fail_nomem(err);
}

static bool is_loaded(struct dt2_model *model)
{
    pthread_mutex_lock(&model->lock);
    bool loaded = model->state == DT2_MODEL_LOADED;
    pthread_mutex_unlock(&model->lock);
    return loaded;
}

size_t dt2_context_models(struct dt2_context *context, struct dt2_model **models, size_t capacity)
{
    DT2_KEEP_ERRNO;
    size_t count = 0;
    if (dt2_fork_check(context->generation, "context", NULL) < 0)
        return 0;
    pthread_mutex_lock(&context->lock);
    for (size_t i = 0; i < context->count; i++) {
        if (!is_loaded(context->models[i]))
            continue;
        if (count < capacity)
            models[count] = dt2_model_ref(context->models[i]);
        count++;
    }
    pthread_mutex_unlock(&context->lock);
    return count;
}

/* -- devices, less what the models hold ------------------------------------------------------------------- */

/*
 * What one share of a model still takes from a budget that measures free memory itself: memory that was mapped and not
 * written yet. Of a budget that cannot measure, all that it holds.
 */
static uint64_t share_takes(const struct dt2_model *model, size_t share, const struct dt2_budget *budget)
{
    const struct dt2_store *store = &model->storage.stores[share];
    uint64_t held = dt2_storage_bytes(&model->storage, share);
    if (budget->free_bytes == DT2_UNKNOWN)
        return held;
    bool lazy = store->opened && (store->host || (store->opened->flags & DT2_DEVICE_HOST_ADDRESSABLE));
    if (!lazy || atomic_load(&model->lanes[share].end_ns))
        return 0;
    return dt2_sub_floor(held, atomic_load(&model->lanes[share].done_bytes));
}

bool dt2_charged_to(const struct dt2_devices *devices, const char *device, const char *budget)
{
    size_t index;
    if (dt2_devices_find(devices, device, &index, NULL) < 0)
        return false;
    const struct dt2_device *d = &devices->devices[index];
    for (size_t i = 0; i < d->budget_count; i++)
        if (strcmp(d->budgets[i], budget) == 0)
            return true;
    return false;
}

/* Adds to `taken` (by budget) what a model takes of them. Windows are touched at once: only who cannot measure is told of them. */
static void add_taken(const struct dt2_devices *devices, struct dt2_model *model, uint64_t *taken)
{
    const char *compute = dt2_plan_compute_device(model->plan);
    uint64_t window = atomic_load(&model->window_bytes);
    for (size_t j = 0; window && j < devices->budget_count; j++)
        if (devices->budgets[j].free_bytes == DT2_UNKNOWN && dt2_charged_to(devices, compute, devices->budgets[j].name))
            taken[j] += window;
    for (size_t i = 0; i < model->storage.count; i++)
        for (size_t j = 0; j < devices->budget_count; j++)
            if (dt2_charged_to(devices, dt2_plan_share(model->plan, i)->device, devices->budgets[j].name))
                taken[j] += share_takes(model, i, &devices->budgets[j]);
    uint64_t refuge = dt2_storage_bytes(&model->storage, dt2_storage_refuge(&model->storage));
    for (size_t j = 0; refuge && j < devices->budget_count; j++)
        if (devices->budgets[j].free_bytes == DT2_UNKNOWN && dt2_charged_to(devices, "cpu", devices->budgets[j].name))
            taken[j] += refuge;
}

void dt2_budget_take(struct dt2_devices *devices, size_t index, uint64_t bytes)
{
    struct dt2_budget *budget = &devices->budgets[index];
    uint64_t free_bytes = budget->free_bytes == DT2_UNKNOWN ? budget->total_bytes : budget->free_bytes;
    if (bytes == 0 || free_bytes == DT2_UNKNOWN)
        return;
    budget->free_bytes = dt2_sub_floor(free_bytes, bytes);
    for (size_t j = 0; j < devices->count; j++)
        if (strcmp(devices->devices[j].name, budget->name) == 0)
            devices->devices[j].free_bytes = budget->free_bytes;
}

/* It is read again by who asks next. */
static void forget_kept(struct dt2_context *context)
{
    pthread_mutex_lock(&context->lock);
    dt2_devices_free(context->kept);
    context->kept = NULL;
    context->kept_read = false;
    pthread_mutex_unlock(&context->lock);
}

/* What was measured now is kept; else what was before is taken over. Not of a machine that is only described. */
static int with_speeds(struct dt2_context *context, unsigned flags, struct dt2_devices *devices, struct dt2_error *err)
{
    if (!dt2_machine_is_here(context->machine))
        return 0;
    pthread_mutex_lock(&context->lock);
    if (!context->kept_read)
        context->kept = dt2_speeds_read(&context->log);
    context->kept_read = true;
    int rc = context->kept ? dt2_speeds_recall(context->kept, !(flags & DT2_DEVICES_MEASURE), devices, err) : 0;
    pthread_mutex_unlock(&context->lock);
    if (rc < 0 || !(flags & DT2_DEVICES_MEASURE))
        return rc;
    dt2_speeds_measure(&context->log, dt2_machine_start_ns(context->machine), devices);
    dt2_speeds_keep(&context->log, devices);
    forget_kept(context);
    return 0;
}

void dt2_context_learn(struct dt2_context *context, const char *device, const char *network, uint64_t step_ns)
{
    if (dt2_machine_is_here(context->machine) && dt2_speeds_learn(&context->log, device, network, step_ns))
        forget_kept(context);
}

int dt2_context_devices(struct dt2_context *context, unsigned flags, const struct dt2_wanted *wanted,
                        struct dt2_devices **devices, struct dt2_error *err)
{
    struct dt2_devices *made;
    int rc = dt2_machine_list(context->machine, flags, wanted, &made, err);
    if (rc < 0)
        return rc;
    rc = with_speeds(context, flags, made, err);
    if (rc < 0) {
        dt2_devices_free(made);
        return rc;
    }
    DT2_AUTO uint64_t *taken = dt2_alloc(made->budget_count, sizeof *taken);
    if (!taken) {
        dt2_devices_free(made);
        return dt2_fail_nomem(err);
    }
    pthread_mutex_lock(&context->lock);
    for (size_t i = 0; i < context->count; i++)
        add_taken(made, context->models[i], taken);
    pthread_mutex_unlock(&context->lock);
    for (size_t i = 0; i < made->budget_count; i++)
        dt2_budget_take(made, i, taken[i]);
    *devices = made;
    return 0;
}

int dt2_devices_list(struct dt2_context *context, unsigned flags, struct dt2_devices **devices, struct dt2_error *err)
{
    const unsigned known = DT2_DEVICES_FREE | DT2_DEVICES_MEASURE | DT2_DEVICES_UNUSABLE;
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(context->generation, "context", err) < 0)
        return DT2_EUSAGE;
    if (flags & ~known)
        return dt2_fail(err, DT2_EUSAGE, "flags %#x: %#x is no enum dt2_devices_flag", flags, flags & ~known);
    return dt2_context_devices(context, flags, NULL, devices, err);
}

int dt2_device_native(struct dt2_context *context, const char *device, bool open, struct dt2_native_device *native,
                      struct dt2_error *err)
{
    static const struct dt2_sized sized =
        DT2_SIZED(struct dt2_native_device, ordinal, "the native device's", "DT2_NATIVE_DEVICE_INIT");
    DT2_KEEP_ERRNO;
    struct dt2_native_device found = DT2_NATIVE_DEVICE_INIT;
    if (dt2_fork_check(context->generation, "context", err) < 0 || dt2_result_check(&sized, native, err) < 0)
        return DT2_EUSAGE;
    int rc = dt2_native_tell(context->machine, device, open, &found, err);
    if (rc == 0)
        dt2_result_write(&sized, &found, native);
    return rc;
}
