/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a model: what its caller gave for it, what was asked of addresses, and how it is listed. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include <inttypes.h>
#include <string.h>

/* -- given by the caller ------------------------------------------------------------------------------------------- */

int dt2_memory_check(const struct dt2_load_options *options, const struct dt2_devices *devices, struct dt2_error *err)
{
    for (size_t i = 0; i < options->memory_count; i++) {
        const struct dt2_memory *memory = &options->memory[i];
        size_t index;
        if (!memory->device || !memory->handle || memory->bytes == 0)
            return dt2_fail(err, DT2_EUSAGE, "memory %zu has no device, no handle or no bytes", i);
        int rc = dt2_devices_find(devices, memory->device, &index, err);
        if (rc < 0)
            return dt2_fail_prefix(err, rc, "memory: ");
        if (strcmp(dt2_devices_get(devices, index)->name, memory->device) != 0)
            return dt2_fail(err, DT2_EUSAGE, "memory on %s: the device is listed as %s, and is to be called that",
                            memory->device, dt2_devices_get(devices, index)->name);
    }
    return 0;
}

bool dt2_memory_given(const struct dt2_load_options *options, const char *device)
{
    size_t i = 0;
    while (i < options->memory_count && strcmp(options->memory[i].device, device) != 0)
        i++;
    return i < options->memory_count;
}

/* Where tensors may lie in a slab that was given: from its first aligned address on. */
static int room_of(const struct dt2_store *store, size_t slab, uint64_t alignment, struct dt2_room_given *room,
                   struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    struct dt2_backend_native native = { .struct_size = sizeof native };
    struct dt2_backend_error failure = { 0 };
    if (o->backend->buffer_native(o->driver, store->slabs[slab].buffer, &native, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    uint64_t over = native.is_address ? (uintptr_t)native.handle % alignment : 0;
    *room = (struct dt2_room_given){ over ? alignment - over : 0, store->slabs[slab].bytes };
    if (room->begin > room->end)
        room->begin = room->end;
    return 0;
}

int dt2_memory_adopt(const struct dt2_load_options *options, const char *device, struct dt2_store *store,
                     struct dt2_layout_rules *rules, struct dt2_error *err)
{
    struct dt2_room_given *rooms = NULL;
    int rc = 0;
    if (!dt2_memory_given(options, device))
        return 0;
    rules->given = rooms = dt2_alloc(options->memory_count, sizeof *rooms);
    if (!rooms)
        return dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < options->memory_count; i++) {
        if (strcmp(options->memory[i].device, device) != 0)
            continue;
        rc = dt2_store_adopt(store, options->memory[i].handle, options->memory[i].bytes, err);
        if (rc == 0)
            rc = room_of(store, store->slab_count - 1, rules->alignment_bytes, &rooms[rules->given_count], err);
        rules->given_count += rc == 0;
    }
    return rc;
}

void dt2_memory_credit(const struct dt2_load_options *options, const struct dt2_devices *devices,
                       struct dt2_limit *credits, size_t count)
{
    for (size_t i = 0; i < options->memory_count; i++)
        for (size_t j = 0; j < count; j++)
            if (dt2_charged_to(devices, options->memory[i].device, credits[j].name) &&
                dt2_add_overflows(credits[j].bytes, options->memory[i].bytes, &credits[j].bytes))
                credits[j].bytes = UINT64_MAX;
}

/* -- what was asked of addresses ------------------------------------------------------------------------------------ */

/* Moves the tensors of one slab so that the first of them lies at a multiple of the alignment. */
static int align_slab(struct dt2_model *model, size_t share, size_t slab, uint64_t alignment, struct dt2_error *err)
{
    const struct dt2_store *store = &model->storage.stores[share];
    struct dt2_room_given room;
    int rc = room_of(store, slab, alignment, &room, err);
    for (size_t i = 0; rc == 0 && i < model->layout.tensor_count; i++) {
        struct dt2_place *place = &model->layout.places[i];
        if (place->bytes && place->share == share && place->slab == slab)
            place->offset += room.begin;
    }
    return rc;
}

int dt2_memory_align(struct dt2_model *model, struct dt2_error *err)
{
    uint64_t alignment = model->plan->alignment_bytes;
    int rc = 0;
    for (size_t i = 0; i < model->storage.count; i++) {
        const struct dt2_store *store = &model->storage.stores[i];
        if (!store->opened || store->opened->alignment_bytes >= alignment)
            continue;
        for (size_t j = 0; rc == 0 && j < store->slab_count; j++)
            if (!store->slabs[j].adopted && !store->slabs[j].segment)
                rc = align_slab(model, i, j, alignment, err);
    }
    return rc;
}

/* -- listed ----------------------------------------------------------------------------------------------------------- */

static const struct dt2_sized sized_buffer = DT2_SIZED(struct dt2_buffer, bytes, "the buffer's", "DT2_BUFFER_INIT");

size_t dt2_model_buffer_count(const struct dt2_model *model)
{
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    size_t count = 0;
    DT2_KEEP_ERRNO;
    if (dt2_model_visit(m, NULL) < 0)
        return 0;
    for (size_t i = 0; i < model->storage.count; i++)
        count += model->storage.stores[i].slab_count;
    dt2_model_leave(m);
    return count;
}

/* The buffer of an index, while the model is borrowed. */
static int describe(const struct dt2_model *model, size_t index, struct dt2_buffer *buffer, struct dt2_error *err)
{
    size_t share = 0, slab = index;
    while (share < model->storage.count && slab >= model->storage.stores[share].slab_count)
        slab -= model->storage.stores[share++].slab_count;
    if (share == model->storage.count)
        return dt2_fail(err, DT2_EUSAGE, "model %s has no buffer %zu", model->name, index);
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    const struct dt2_slab *found = &model->storage.stores[share].slabs[slab];
    const struct dt2_store *store = dt2_storage_at(&m->storage, found->at);
    struct dt2_backend_native native = { .struct_size = sizeof native };
    struct dt2_backend_error failure = { 0 };
    if (store && store->opened->backend->buffer_native(store->opened->driver, found->buffer, &native, &failure) < 0)
        return dt2_fail_driver(err, store->opened->name, &failure);
    *buffer = (struct dt2_buffer){ .device = dt2_model_device_at(model, found->at), .handle = native.handle,
                                   .bytes = found->bytes };
    return 0;
}

int dt2_model_buffer(const struct dt2_model *model, size_t index, struct dt2_buffer *buffer, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    struct dt2_buffer found;
    int rc = dt2_result_check(&sized_buffer, buffer, err);
    if (rc == 0)
        rc = dt2_model_visit(m, err);
    if (rc < 0)
        return rc;
    rc = describe(model, index, &found, err);
    dt2_model_leave(m);
    if (rc == 0)
        dt2_result_write(&sized_buffer, &found, buffer);
    return rc;
}
