/* SPDX-License-Identifier: BSD-3-Clause */
/* A model as a handle: counted, borrowed, unloaded, asked. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/sized.h"
#include "load/move.h"
#include "model/model.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

int dt2_model_create(struct dt2_context *context, const struct dt2_file *file, const struct dt2_blocks *blocks,
                     const char *name, struct dt2_model **model, struct dt2_error *err)
{
    struct dt2_model *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    atomic_init(&made->references, 1);
    pthread_mutex_init(&made->lock, NULL);
    dt2_pins_init(&made->pins, context->machine, &context->pinned_bytes);
    pthread_cond_init(&made->changed, NULL);
    pthread_mutex_init(&made->lives, NULL);
    pthread_rwlock_init(&made->whereabouts, NULL);
    made->file = dt2_file_ref(file);
    made->generation = context->generation;
    made->context = context;
    made->state = DT2_MODEL_LOADING;
    made->path = dt2_strdup(dt2_file_path(file));
    made->name = dt2_strdup(name ? name : dt2_file_path(file));
    int rc = made->path && made->name ? dt2_table_copy(file, &made->table, err) : dt2_fail_nomem(err);
    if (rc == 0)
        rc = dt2_model_keep_blocks(made, blocks, err);
    if (rc < 0) {
        dt2_model_unref(made);
        return rc;
    }
    *model = made;
    return 0;
}

struct dt2_model *dt2_model_ref(struct dt2_model *model)
{
    atomic_fetch_add(&model->references, 1);
    return model;
}

void dt2_model_unref(struct dt2_model *model)
{
    DT2_KEEP_ERRNO;
    if (!model || dt2_fork_check(model->generation, "model", NULL) < 0 || atomic_fetch_sub(&model->references, 1) > 1)
        return;
    for (size_t i = 0; model->stats.ejected && i < model->stats.ejected_count; i++)
        dt2_release((void *)(uintptr_t)model->stats.ejected[i]);
    dt2_release((void *)(uintptr_t)model->stats.ejected);
    dt2_release((void *)(uintptr_t)model->stats.devices);
    dt2_release(model->device_stats);
    dt2_release(model->lanes);
    dt2_release(model->activities);
    dt2_release(model->not_shared);
    dt2_layout_clear(&model->layout);
    dt2_plan_free(model->plan);
    dt2_kept_blocks_clear(&model->blocks);
    dt2_release(model->owners);
    dt2_table_clear(&model->table);
    dt2_release(model->name);
    dt2_release(model->path);
    dt2_file_free(model->file);
    pthread_rwlock_destroy(&model->whereabouts);
    pthread_mutex_destroy(&model->lives);
    pthread_cond_destroy(&model->changed);
    dt2_pins_destroy(&model->pins);
    pthread_mutex_destroy(&model->lock);
    dt2_release(model);
}

static int borrow(struct dt2_model *model, bool again, struct dt2_error *err)
{
    if (dt2_fork_check(model->generation, "model", err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&model->lock);
    bool there = model->state == DT2_MODEL_LOADED ||
                 (again && model->state == DT2_MODEL_UNLOADING && model->borrowers > 0);
    model->borrowers += there;
    pthread_mutex_unlock(&model->lock);
    return there ? 0 : dt2_fail(err, DT2_EGONE, "model %s is not loaded any more", model->name);
}

int dt2_model_borrow(struct dt2_model *model, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return borrow(model, false, err);
}

int dt2_model_borrow_again(struct dt2_model *model, struct dt2_error *err)
{
    return borrow(model, true, err);
}

int dt2_model_visit(struct dt2_model *model, struct dt2_error *err)
{
    pthread_rwlock_rdlock(&model->whereabouts); /* before the borrow: who moves slabs counts borrowers */
    int rc = dt2_model_borrow_again(model, err);
    if (rc < 0)
        pthread_rwlock_unlock(&model->whereabouts);
    return rc;
}

void dt2_model_leave(struct dt2_model *model)
{
    dt2_model_return(model);
    pthread_rwlock_unlock(&model->whereabouts);
}

void dt2_model_return(struct dt2_model *model)
{
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(model->generation, "model", NULL) < 0)
        return;
    pthread_mutex_lock(&model->lock);
    if (model->borrowers > 0 && --model->borrowers == 0)
        pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
}

void dt2_model_release(struct dt2_model *model)
{
    struct dt2_context *context = model->context;
    struct dt2_storage storage;
    bool registered = false;
    pthread_mutex_lock(&context->lock); /* who counts what models hold must not see half of it gone */
    storage = model->storage;
    model->storage = (struct dt2_storage){ 0 };
    struct dt2_sharing *sharing = DT2_TAKE(model->sharing);
    for (size_t i = 0; i < context->count; i++)
        if (context->models[i] == model) {
            memmove(context->models + i, context->models + i + 1,
                    (--context->count - i) * sizeof(struct dt2_model *));
            registered = true;
            break;
        }
    pthread_mutex_unlock(&context->lock);
    dt2_storage_clear(&storage);
    dt2_sharing_free(sharing);
    dt2_file_free(DT2_TAKE(model->file));

    pthread_mutex_lock(&model->lock);
    model->state = DT2_MODEL_UNLOADED;
    model->context = NULL;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
    if (registered)
        dt2_model_unref(model);
}

/* Waits for the last borrower. With a log somebody hears of it when that takes longer than a second. The lock is held. */
static void wait_for_borrowers(struct dt2_model *model, const struct dt2_log *log)
{
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec++;
    while (model->borrowers > 0 && log)
        if (pthread_cond_timedwait(&model->changed, &model->lock, &soon) != 0)
            break;
    if (model->borrowers > 0 && log)
        dt2_log_line(log, DT2_LOG_WARNING,
                     "the context cannot end while model %s is in use: it has %zu borrowers, of which %u are sessions that "
                     "are open",
                     model->name, model->borrowers, atomic_load(&model->sessions));
    while (model->borrowers > 0)
        pthread_cond_wait(&model->changed, &model->lock);
}

/* Waits or refuses until the model can go. 0: it is ours to release; 1: it is gone; else why not. The lock is held. */
static int claim_for_unload(struct dt2_model *model, enum dt2_unload_mode mode, const struct dt2_log *log,
                            struct dt2_error *err)
{
    for (;;) {
        if (model->state == DT2_MODEL_UNLOADED)
            return 1;
        if (model->state == DT2_MODEL_LOADED && model->borrowers == 0) {
            model->state = DT2_MODEL_UNLOADING;
            return 0;
        }
        if (mode == DT2_UNLOAD_REFUSE && model->state == DT2_MODEL_LOADED) {
            dt2_fail(err, DT2_EBUSY, "model %s is in use by %zu borrowers", model->name, model->borrowers);
            dt2_suggest(err, "return what was borrowed, or unload with DT2_UNLOAD_WAIT");
            return DT2_EBUSY;
        }
        if (mode == DT2_UNLOAD_WAIT && model->state == DT2_MODEL_LOADED) {
            model->state = DT2_MODEL_UNLOADING; /* nobody new borrows while we wait */
            wait_for_borrowers(model, log);
            return 0;
        }
        pthread_cond_wait(&model->changed, &model->lock); /* it is loading, or another thread unloads it */
    }
}

void dt2_model_unload_at_last(struct dt2_model *model, const struct dt2_log *log)
{
    pthread_mutex_lock(&model->lock);
    int claimed = claim_for_unload(model, DT2_UNLOAD_WAIT, log, NULL);
    pthread_mutex_unlock(&model->lock);
    if (claimed == 0)
        dt2_model_release(model);
}

int dt2_model_unload(struct dt2_model *model, enum dt2_unload_mode mode, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(model->generation, "model", err) < 0)
        return DT2_EUSAGE;
    if (mode != DT2_UNLOAD_REFUSE && mode != DT2_UNLOAD_WAIT)
        return dt2_fail(err, DT2_EUSAGE, "%d is no way to unload a model: it is no enum dt2_unload_mode", (int)mode);
    pthread_mutex_lock(&model->lock);
    int claimed = claim_for_unload(model, mode, NULL, err);
    pthread_mutex_unlock(&model->lock);
    if (claimed == 0)
        dt2_model_release(model);
    return claimed < 0 ? claimed : 0;
}

const char *dt2_model_name(const struct dt2_model *model)
{
    return model->name;
}

const char *dt2_model_path(const struct dt2_model *model)
{
    return model->path;
}

bool dt2_model_loaded(const struct dt2_model *model)
{
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model; /* the lock is not part of what const promises */
    if (dt2_fork_check(m->generation, "model", NULL) < 0)
        return false;
    pthread_mutex_lock(&m->lock);
    bool loaded = m->state == DT2_MODEL_LOADED;
    pthread_mutex_unlock(&m->lock);
    return loaded;
}

const struct dt2_plan *dt2_model_applied_plan(const struct dt2_model *model)
{
    return model->plan;
}

const struct dt2_model_stats *dt2_model_statistics(const struct dt2_model *model)
{
    return &model->stats;
}

/* -- tensors ---------------------------------------------------------------------------------------------- */

/* The slab of a tensor with bytes. The model is borrowed. */
static const struct dt2_slab *slab_of(const struct dt2_model *model, const struct dt2_place *place)
{
    return &model->storage.stores[place->share].slabs[place->slab];
}

size_t dt2_model_tensor_count(const struct dt2_model *model)
{
    return model->table.count;
}

const struct dt2_tensor *dt2_model_tensor(const struct dt2_model *model, size_t index)
{
    return index < model->table.count ? &model->table.tensors[index] : NULL;
}

int dt2_model_find(const struct dt2_model *model, const char *name, size_t *index, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return dt2_table_find(&model->table, name, index, err);
}

const char *dt2_model_device_at(const struct dt2_model *model, size_t at)
{
    if (at < model->storage.count)
        return dt2_plan_share(model->plan, at)->device;
    return at == dt2_storage_refuge(&model->storage) ? "cpu" : "file";
}

/* The device where a tensor lies by now. The model is visited. */
static const char *device_of(const struct dt2_model *model, const struct dt2_place *place)
{
    if (place->bytes == 0 || model->storage.stores[place->share].slab_count == 0)
        return dt2_plan_share(model->plan, place->share)->device;
    return dt2_model_device_at(model, slab_of(model, place)->at);
}

const char *dt2_model_device(const struct dt2_model *model, size_t index)
{
    if (index >= model->table.count || model->owners[index] == SIZE_MAX)
        return NULL;
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    const struct dt2_place *place = &model->layout.places[index];
    DT2_KEEP_ERRNO;
    if (dt2_model_visit(m, NULL) < 0)
        return dt2_plan_share(model->plan, place->share)->device;
    const char *device = device_of(model, place);
    dt2_model_leave(m);
    return device;
}

static int check_index(const struct dt2_model *model, size_t index, struct dt2_error *err)
{
    if (index >= model->table.count)
        return dt2_fail(err, DT2_EUSAGE, "model %s has %zu tensors; there is no index %zu", model->name,
                        model->table.count, index);
    if (model->owners[index] == SIZE_MAX)
        return dt2_fail(err, DT2_EUSAGE, "tensor %s of model %s is in no block, and was not loaded",
                        model->table.tensors[index].name, model->name);
    return 0;
}

/* The store whose device holds a tensor with bytes; NULL: the file alone has it. */
static const struct dt2_store *store_of(const struct dt2_model *model, const struct dt2_place *place)
{
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    return dt2_storage_at(&m->storage, slab_of(model, place)->at);
}

const struct dt2_sized dt2_sized_native = DT2_SIZED(struct dt2_native, offset, "the result's", "DT2_NATIVE_INIT");

static int native_of(const struct dt2_model *model, size_t index, struct dt2_native *native, struct dt2_error *err)
{
    const struct dt2_place *place = &model->layout.places[index];
    *native = (struct dt2_native){ .device = device_of(model, place) };
    if (place->bytes == 0 || model->storage.stores[place->share].slab_count == 0)
        return 0; /* a tensor without bytes lies nowhere */
    const struct dt2_store *store = store_of(model, place);
    if (!store)
        return dt2_fail(err, DT2_EGONE, "tensor %s of model %s was evicted, and lies in its file alone",
                        model->table.tensors[index].name, model->name);
    struct dt2_backend_native found = { .struct_size = sizeof found };
    struct dt2_backend_error failure = { 0 };
    const struct dt2_opened *o = store->opened;
    if (o->backend->buffer_native(o->driver, slab_of(model, place)->buffer, &found, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    native->handle = found.is_address ? (char *)found.handle + place->offset : found.handle;
    native->offset = found.is_address ? 0 : place->offset;
    return 0;
}

int dt2_model_native(const struct dt2_model *model, size_t index, struct dt2_native *native, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    struct dt2_native found;
    int rc = dt2_result_check(&dt2_sized_native, native, err);
    if (rc == 0)
        rc = check_index(model, index, err);
    if (rc == 0)
        rc = dt2_model_visit(m, err);
    if (rc < 0)
        return rc;
    rc = native_of(model, index, &found, err);
    dt2_model_leave(m);
    if (rc == 0)
        dt2_result_write(&dt2_sized_native, &found, native);
    return rc;
}

static int read_back(const struct dt2_model *model, size_t index, void *destination, struct dt2_error *err)
{
    const struct dt2_place *place = &model->layout.places[index];
    if (place->bytes == 0)
        return 0;
    const struct dt2_store *store = store_of(model, place);
    struct dt2_backend_error failure = { 0 };
    dt2_handle queue;
    if (!store)
        return dt2_slab_read(model->file, &model->layout, (struct dt2_slab_name){ place->share, place->slab }, place->offset,
                             place->bytes, destination, err);
    const struct dt2_opened *o = store->opened;
    if (o->backend->queue_create(o->driver, o->device, &queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    int status = o->backend->copy_d2h(o->driver, queue, slab_of(model, place)->buffer, place->offset, destination,
                                      place->bytes, &failure);
    if (status == 0)
        status = o->backend->queue_wait(o->driver, queue, &failure);
    o->backend->queue_destroy(o->driver, queue, NULL);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

int dt2_model_read(struct dt2_model *model, size_t index, void *destination, uint64_t size, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    int rc = check_index(model, index, err);
    if (rc < 0)
        return rc;
    const struct dt2_tensor *tensor = &model->table.tensors[index];
    if (size != tensor->bytes)
        return dt2_fail(err, DT2_EUSAGE, "tensor %s has %" PRIu64 " bytes, the destination %" PRIu64, tensor->name,
                        tensor->bytes, size);
    rc = dt2_model_visit(model, err);
    if (rc < 0)
        return rc;
    rc = read_back(model, index, destination, err);
    dt2_model_leave(model);
    return rc;
}
