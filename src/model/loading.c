/* SPDX-License-Identifier: BSD-3-Clause */
/* A load from request to loaded model. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sized.h"
#include "base/thread.h"
#include "load/disks.h"
#include "machine/host.h"
#include "model/model.h"
#include <string.h>
#include <time.h>

#define STAGING_BYTES ((uint64_t)64 << 20)
#define THREADS_MOST 16
#define MOSTLY_CACHED 0.9
#define COLD_DEPTH 32
#define COLD_THREADS 8
#define DEPTH_MOST 64

static const struct dt2_sized sized_options =
    DT2_SIZED(struct dt2_load_options, progress_data, "the load options'", "DT2_LOAD_OPTIONS_INIT");

/*
 * Processors that this process may use, at most 16. Of a file that waits for its disk some more: one that copies, or is kept off its
 * processor by others, leaves the disk without work, and the others go on.
 */
static unsigned default_threads(bool cold)
{
    unsigned count = dt2_thread_processors();
    count = count && count < THREADS_MOST ? count : THREADS_MOST;
    return cold && count < COLD_THREADS ? COLD_THREADS : count;
}

static bool is_cold(const struct dt2_file *file)
{
    double cached = dt2_file_cached(file);
    return cached >= 0 && cached < MOSTLY_CACHED;
}

/*
 * How many reads are under way. Who reads what is in the page cache copies, and one for each thread is enough; who reads what is
 * not waits, and a disk is as fast as its queue is deep.
 */
static unsigned depth_of(const struct dt2_load_options *options, unsigned threads, bool cold)
{
    if (options->queue_depth)
        return (unsigned)dt2_min(options->queue_depth, DEPTH_MOST);
    return cold && !options->threads ? COLD_DEPTH : threads;
}

/* -- progress --------------------------------------------------------------------------------------------- */

struct reporter {
    const struct dt2_model *model;
    const struct dt2_load_options *options;
    struct dt2_progress_device *devices;
    const struct dt2_progress_device **pointers; /* to these */
    bool verifying;
    uint64_t begin_ns;
};

static int report(struct reporter *reporter, bool end)
{
    const struct dt2_model *model = reporter->model;
    size_t count = dt2_plan_share_count(model->plan);
    struct dt2_progress progress = { .model = model->name,
                                     .verifying = reporter->verifying,
                                     .elapsed_ns = dt2_now_ns() - reporter->begin_ns,
                                     .devices = reporter->pointers,
                                     .device_count = count };
    for (size_t i = 0; i < count; i++) {
        const struct dt2_share *share = dt2_plan_share(model->plan, i);
        reporter->devices[i] = (struct dt2_progress_device){ share->device, atomic_load(&model->lanes[i].done_bytes),
                                                             share->bytes };
        reporter->pointers[i] = &reporter->devices[i];
        progress.done_bytes += reporter->devices[i].done_bytes;
        progress.total_bytes += share->bytes;
    }
    if (!end && progress.done_bytes == progress.total_bytes)
        return 0; /* the end is told when all has arrived, and once */
    return reporter->options->progress(reporter->options->progress_data, &progress);
}

static int report_tick(void *data)
{
    return report(data, false);
}

/* Runs one phase of a load with progress reported at both ends; a callback may also cancel at its end. */
static int run_phase(struct dt2_load *load, struct reporter *reporter, bool verifying,
                     int (*phase)(struct dt2_load *, struct dt2_error *), struct dt2_error *err)
{
    reporter->verifying = verifying;
    reporter->begin_ns = dt2_now_ns();
    bool listens = reporter->options->progress;
    for (size_t i = 0; i < load->storage->count; i++)
        atomic_store(&load->lanes[i].done_bytes, 0);
    if (listens && report(reporter, false) != 0)
        return dt2_fail(err, DT2_ECANCELLED, "cancelled");
    int rc = phase(load, err);
    if (rc == 0 && listens && report(reporter, true) != 0)
        rc = dt2_fail(err, DT2_ECANCELLED, "cancelled");
    return rc;
}

/* -- the steps -------------------------------------------------------------------------------------------- */

/* What the device of a share, and the request, ask of where tensors lie. An empty share has no device open. */
static struct dt2_layout_rules rules_of(const struct dt2_plan *plan, const struct dt2_opened *opened)
{
    struct dt2_layout_rules rules = { .alignment_bytes = 1, .max_alloc_bytes = DT2_UNKNOWN };
    if (!opened)
        return rules;
    rules.alignment_bytes = dt2_max(opened->alignment_bytes, plan->alignment_bytes);
    rules.max_alloc_bytes = opened->max_alloc_bytes;
    rules.padding_bytes = plan->padding_bytes;
    return rules;
}

/* Room at the end of each slab for what dt2_memory_align() moves. */
static void widen(const struct dt2_model *model, const struct dt2_storage *storage)
{
    for (size_t i = 0; i < storage->count; i++) {
        const struct dt2_store *store = &storage->stores[i];
        for (size_t j = 0; store->opened && !store->slabs && j < model->layout.shares[i].slab_count; j++)
            if (!dt2_layout_is_shared(&model->layout.shares[i], j))
                model->layout.shares[i].slab_bytes[j] +=
                    dt2_sub_floor(model->plan->alignment_bytes, store->opened->alignment_bytes);
    }
}

/* The compute device's share lies in about so many slabs, each of which can be evicted by itself, and none smaller than this. */
#define MOVABLE_PARTS 16
#define MOVABLE_LEAST ((uint64_t)64 << 10)

/* The share whose slabs may be evicted; SIZE_MAX: none. */
static size_t movable_share(const struct dt2_plan *plan)
{
    return plan->resident ? SIZE_MAX : dt2_plan_own_share(plan);
}

/* Whether the core alone says where tensors lie on a device: host memory that it takes, of which nothing was asked. */
static bool is_ours(const struct dt2_plan *plan, const struct dt2_store *store, const struct dt2_layout_rules *rules)
{
    return store->opened && store->opened->backend == dt2_host_backend() && !rules->given && plan->alignment_bytes == 0;
}

/* Lays the tensors out for devices that are open, in memory that was given or that is to be had. */
static int lay_out(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_storage *storage,
                   struct dt2_error *err)
{
    size_t count = storage->count, movable = movable_share(model->plan);
    DT2_AUTO struct dt2_layout_rules *rules = dt2_alloc(count, sizeof *rules);
    struct dt2_offsets offsets = { 0 };
    model->cold = is_cold(applicant->file);
    int rc = rules ? dt2_offsets_make(applicant->file, applicant->options->io, model->cold, &offsets, err)
                   : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rules[i] = rules_of(model->plan, storage->stores[i].opened);
        if (i == movable)
            rules[i].slab_bytes = dt2_max(dt2_plan_share(model->plan, i)->bytes / MOVABLE_PARTS, MOVABLE_LEAST);
        if (storage->stores[i].opened)
            rc = dt2_memory_adopt(applicant->options, dt2_plan_share(model->plan, i)->device, &storage->stores[i],
                                  &rules[i], err);
        if (rc == 0 && is_ours(model->plan, &storage->stores[i], &rules[i])) {
            rules[i].file_offsets = offsets.by_tensor;
            rules[i].block_bytes = offsets.block_bytes;
        }
    }
    if (rc == 0)
        rc = dt2_model_share_fix(model, applicant, rules, err);
    if (rc == 0)
        rc = dt2_layout_make(model->plan, dt2_blocks_array(applicant->blocks), model->table.count, rules,
                             &model->layout, err);
    for (size_t i = 0; rules && i < count; i++)
        dt2_release((void *)(uintptr_t)rules[i].given);
    for (size_t i = 0; rules && i < count; i++)
        dt2_release((void *)(uintptr_t)rules[i].fixed);
    dt2_release(offsets.by_tensor);
    if (rc == 0)
        widen(model, storage);
    return rc;
}

/* A block that lies in several slabs, as one above a device's largest allocation does, keeps all of them where they are. */
static void pin_down(const struct dt2_layout *layout, const struct dt2_block *block, struct dt2_slab *slabs)
{
    uint32_t first = UINT32_MAX;
    for (size_t i = 0; i < block->tensor_count; i++) {
        uint32_t slab = layout->places[block->tensors[i]].slab;
        if (block->tensor_bytes[i] == 0)
            continue;
        if (first == UINT32_MAX)
            first = slab;
        if (slab != first)
            slabs[slab].movable = slabs[first].movable = false;
    }
}

/* Says which slabs may be evicted. */
static void mark_movable(struct dt2_model *model, struct dt2_storage *storage)
{
    size_t movable = movable_share(model->plan);
    if (movable == SIZE_MAX)
        return;
    const struct dt2_share *share = dt2_plan_share(model->plan, movable);
    struct dt2_store *store = &storage->stores[movable];
    for (size_t i = 0; i < store->slab_count; i++)
        store->slabs[i].movable = !store->slabs[i].adopted && !store->slabs[i].segment;
    for (size_t i = 0; i < share->block_count; i++)
        pin_down(&model->layout, &model->blocks.blocks[share->blocks[i]], store->slabs);
    for (size_t i = 0; i < store->slab_count; i++)
        atomic_store(&store->slabs[i].uses, store->slabs[i].movable);
}

static struct dt2_segment *segment_of(const struct dt2_model *model)
{
    return model->sharing ? &model->sharing->shared.segment : NULL;
}

/* Opens the devices of the plan, lays the tensors out and allocates: all memory before the first byte. */
static int allocate(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err)
{
    model->lanes = dt2_alloc(dt2_plan_share_count(model->plan), sizeof *model->lanes);
    model->activities = dt2_alloc(dt2_plan_share_count(model->plan), sizeof *model->activities);
    if (!model->lanes || !model->activities)
        return dt2_fail_nomem(err);
    struct dt2_storage storage;
    int rc = dt2_storage_open(model->context->machine, model->plan, &storage, err);
    if (rc < 0)
        return rc;
    rc = lay_out(model, applicant, &storage, err);
    if (rc == 0)
        rc = dt2_storage_alloc(&storage, &model->layout, segment_of(model), err);
    if (rc < 0) {
        dt2_storage_clear(&storage);
        return rc;
    }
    mark_movable(model, &storage);
    model->storage = storage;
    return 0;
}

/* Copies the names of those ejected into the statistics. */
static int keep_ejected(struct dt2_model *model, const struct dt2_admission *admission, struct dt2_error *err)
{
    char **names = dt2_alloc(admission->eject_count, sizeof *names);
    model->stats.ejected = (const char *const *)names;
    if (!names)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < admission->eject_count; i++) {
        names[i] = dt2_strdup(admission->eject[i]->name);
        if (!names[i])
            return dt2_fail_nomem(err);
        model->stats.ejected_count++;
    }
    return 0;
}

/*
 * Decide, eject, allocate, register: one load at a time. From the registry's entry on the model is LOADING. DT2_ADMISSION_AGAIN: as
 * dt2_admission_make().
 */
static int admit(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err)
{
    struct dt2_admission admission;
    int rc = dt2_admission_make(model->context, applicant, &admission, err);
    if (rc != 0)
        return rc;
    rc = keep_ejected(model, &admission, err);
    if (rc == 0)
        rc = dt2_admission_eject(&admission, err);
    if (rc == 0) {
        model->plan = DT2_TAKE(admission.plan);
        rc = allocate(model, applicant, err);
    }
    if (rc == 0) {
        rc = dt2_memory_align(model, err);
    }
    if (rc == 0)
        rc = dt2_model_share_say(model, applicant, err);
    if (rc == 0)
        rc = dt2_registry_add(model->context, model, err);
    dt2_admission_clear(&admission);
    return rc;
}

static int keep_statistics(struct dt2_model *model, const struct dt2_load *load, uint64_t begin_ns,
                           struct dt2_error *err)
{
    size_t count = dt2_plan_share_count(model->plan);
    struct dt2_device_stats *devices = model->device_stats = dt2_alloc(count, sizeof *devices);
    const struct dt2_device_stats **pointers = dt2_alloc(count, sizeof *pointers);
    model->stats.devices = pointers;
    if (!devices || !pointers)
        return dt2_fail_nomem(err);
    model->stats.device_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct dt2_share *share = dt2_plan_share(model->plan, i);
        uint64_t end_ns = atomic_load(&model->lanes[i].end_ns);
        const struct dt2_activity *activity = &model->activities[i];
        devices[i] = (struct dt2_device_stats){ share->device,
                                                share->bytes,
                                                dt2_sub_floor(end_ns, begin_ns),
                                                activity->interval_ns,
                                                activity->count,
                                                activity->done_ns[DT2_READING],
                                                activity->done_ns[DT2_WAITING],
                                                activity->done_ns[DT2_COPYING] };
        pointers[i] = &devices[i];
        model->stats.bytes += share->bytes;
    }
    model->stats.staging_bytes = load->staging_used_bytes;
    model->stats.direct_bytes = atomic_load(&load->direct_bytes);
    model->stats.queue_depth = load->used_depth;
    model->stats.engine = load->used_uring ? "io_uring" : "threads";
    return 0;
}

/* Fills the allocated model, and verifies it when asked. */
static int transfer(struct dt2_model *model, const struct dt2_file *file, const struct dt2_load_options *options,
                    uint64_t request_ns, struct dt2_error *err)
{
    struct reporter reporter = { .model = model, .options = options };
    bool waits = model->cold || options->io == DT2_IO_DIRECT;
    unsigned threads = options->threads ? options->threads : default_threads(waits);
    struct dt2_load load = { .file = file,
                             .layout = &model->layout,
                             .storage = &model->storage,
                             .threads = threads,
                             .depth = depth_of(options, threads, waits),
                             .io = options->io,
                             .cold = model->cold,
                             .staging_bytes = options->staging_bytes ? options->staging_bytes : STAGING_BYTES,
                             .lanes = model->lanes,
                             .activities = model->activities,
                             .segment = segment_of(model),
                             .tick = options->progress ? report_tick : NULL,
                             .warnings = &model->plan->warnings,
                             .tick_data = &reporter };
    DT2_AUTO struct dt2_progress_device *devices = dt2_alloc(model->storage.count, sizeof *devices);
    DT2_AUTO const struct dt2_progress_device **pointers = dt2_alloc(model->storage.count, sizeof *pointers);
    if (!devices || !pointers)
        return dt2_fail_nomem(err);
    reporter.devices = devices;
    reporter.pointers = pointers;
    dt2_layout_join(&model->layout, file);
    uint64_t begin_ns = dt2_now_ns();
    int rc = run_phase(&load, &reporter, false, dt2_load_fill, err);
    if (model->sharing)
        rc = dt2_sharing_end(model->sharing, &model->storage, rc, err);
    dt2_model_share_count(model);
    model->stats.ns = dt2_now_ns() - request_ns;
    model->stats.verified_bytes = DT2_UNKNOWN;
    if (rc == 0)
        rc = keep_statistics(model, &load, begin_ns, err);
    if (rc == 0 && options->verify) {
        rc = run_phase(&load, &reporter, true, dt2_load_verify, err);
        model->stats.verified_bytes = model->stats.bytes;
    }
    return rc;
}

/* Ends a load: the model is LOADED, or all that it took is given back. */
static void settle(struct dt2_model *model, bool good, bool borrow)
{
    pthread_mutex_lock(&model->lock);
    model->borrowers += good && borrow; /* before anybody else can have it */
    model->state = good ? DT2_MODEL_LOADED : DT2_MODEL_UNLOADING;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
    if (!good)
        dt2_model_release(model);
}

/* -- waiting for others --------------------------------------------------------------------------------------------- */

enum { TELL_AFTER_MS = 30000 };

/* Somebody of those whose promises are waited for; 0: there is none any more. */
static pid_t somebody(struct dt2_ledger *ledger, const char *budget)
{
    pid_t whose = 0;
    if (dt2_ledger_lock(ledger)) {
        dt2_ledger_promised(ledger, budget, &whose);
        dt2_ledger_unlock(ledger);
    }
    return whose;
}

/* A moment of waiting for memory that other processes promised to take: told, and cancelled, by the progress callback. */
static int wait_a_moment(const struct dt2_model *model, const struct dt2_applicant *applicant, unsigned moment,
                         struct dt2_error *err)
{
    const struct timespec a_moment = { .tv_nsec = DT2_MOMENT_MS * 1000000L };
    const struct dt2_load_options *options = applicant->options;
    struct dt2_progress progress = { .model = model->name, .waiting = true };
    for (size_t i = 0; i < dt2_blocks_count(applicant->blocks); i++)
        progress.total_bytes += dt2_blocks_array(applicant->blocks)[i].bytes;
    progress.elapsed_ns = (uint64_t)moment * DT2_MOMENT_MS * 1000000;
    if (moment % DT2_TICK_MOMENTS == 0 && options->progress && options->progress(options->progress_data, &progress) != 0)
        return dt2_fail(err, DT2_ECANCELLED, "cancelled");
    if (moment == TELL_AFTER_MS / DT2_MOMENT_MS)
        dt2_log_line(&model->context->log, DT2_LOG_WARNING,
                     "%s waits for host memory that process %d has promised to take and has not yet taken", model->name,
                     (int)somebody(applicant->ledger, "cpu"));
    nanosleep(&a_moment, NULL);
    return 0;
}

/* Lets the model in, in its turn and when there is room beside what others promised. */
static int admit_in_turn(struct dt2_model *model, struct dt2_applicant *applicant, struct dt2_error *err)
{
    struct dt2_context *context = model->context;
    for (unsigned moment = 0;; moment++) {
        int entered = dt2_model_share_enter(model, applicant, err), rc = entered;
        if (entered == 0) {
            applicant->sharing = model->sharing;
            pthread_mutex_lock(&context->admission);
            rc = admit(model, applicant, err);
            pthread_mutex_unlock(&context->admission);
        }
        if (rc <= 0)
            return rc;
        if (entered == 0) /* who fits now goes before us */
            dt2_model_share_leave(model);
        rc = entered == 0 ? wait_a_moment(model, applicant, moment, err) : dt2_model_share_wait(model, applicant, moment, err);
        if (rc < 0)
            return rc;
    }
}

/* -- loads ---------------------------------------------------------------------------------------------------------- */

static int check_options(const struct dt2_load_options *options, struct dt2_error *err)
{
    if (options->io != DT2_IO_AUTO && options->io != DT2_IO_BUFFERED && options->io != DT2_IO_DIRECT)
        return dt2_fail(err, DT2_EUSAGE, "the load options' io is %d, which is none of enum dt2_io", (int)options->io);
    return 0;
}

static int load(struct dt2_context *context, const struct dt2_file *file, const struct dt2_applicant *applicant,
                const struct dt2_load_options *options, struct dt2_model **model, struct dt2_error *err)
{
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    uint64_t request_ns = dt2_now_ns();
    struct dt2_applicant complete = *applicant;
    complete.options = &how;
    complete.file = file;
    struct dt2_model *made;
    int rc = dt2_fork_check(context->generation, "context", err);
    if (rc == 0)
        rc = dt2_options_read(&sized_options, options, &how, err);
    if (rc == 0)
        rc = check_options(&how, err);
    if (rc == 0)
        rc = dt2_blocks_check(applicant->blocks, file, err);
    if (rc == 0)
        rc = dt2_model_create(context, file, applicant->blocks, how.name, &made, err);
    if (rc < 0)
        return rc;
    struct dt2_ledger ledger;
    dt2_ledger_open(&ledger, context);
    complete.ledger = &ledger;
    rc = dt2_model_share(made, file, &complete, err);
    if (rc == 0)
        rc = admit_in_turn(made, &complete, err);
    if (rc == 0)
        rc = transfer(made, file, &how, request_ns, err);
    dt2_ledger_close(&ledger);
    settle(made, rc == 0, how.borrow);
    if (rc < 0) {
        dt2_model_unref(made);
        return rc;
    }
    *model = made;
    return 0;
}

int dt2_model_load(struct dt2_context *context, const struct dt2_file *file, const struct dt2_blocks *blocks,
                   const struct dt2_request *request, const struct dt2_load_options *options, struct dt2_model **model,
                   struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return load(context, file, &(struct dt2_applicant){ .blocks = blocks, .request = request }, options, model, err);
}

int dt2_model_load_plan(struct dt2_context *context, const struct dt2_file *file, const struct dt2_blocks *blocks,
                        const struct dt2_plan *plan, const struct dt2_load_options *options, struct dt2_model **model,
                        struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return load(context, file, &(struct dt2_applicant){ .blocks = blocks, .plan = plan }, options, model, err);
}
