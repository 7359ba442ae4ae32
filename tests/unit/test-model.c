/* SPDX-License-Identifier: BSD-3-Clause */
/* Models from load to unload: bytes, places, borrowing, ejecting, threads, and failures that give everything back. */
#include "base/checked.h"
#include "support/layout.h"
#include "support/opencl.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define TENSORS 40
#define MIB (1ull << 20)

static struct dt2_context *context;
static bool has_opencl; /* opencl:0 and opencl:1 */

/* A model file on disk with its bytes, opened. */
struct source {
    char path[PATH_MAX];
    unsigned char *bytes;
    size_t size;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

static void make_source(struct source *source, const char *name)
{
    static char names[TENSORS][24], shapes[TENSORS][24];
    struct layout layout = { 0 };
    for (size_t i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "block%zu.%s", i / 2, i % 2 ? "bias" : "weight");
        snprintf(shapes[i], sizeof shapes[i], "%" PRIu64, i % 2 ? 1 + random_below(5000) : 1 + random_below(400000));
        layout_add(&layout, names[i], "U8", shapes[i]);
    }
    size_t header_size;
    char *header = layout_header(&layout, &header_size);
    source->size = header_size + layout.bytes;
    source->bytes = malloc(source->size);
    memcpy(source->bytes, header, header_size);
    for (size_t i = header_size; i < source->size; i++)
        source->bytes[i] = (unsigned char)random_u64();
    snprintf(source->path, sizeof source->path, "%s", scratch_file(name, source->bytes, source->size, 0));
    struct dt2_error err;
    if (dt2_file_open(source->path, &source->file, &err) < 0 || dt2_blocks_make(source->file, &source->blocks, &err) < 0)
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);
}

static void free_source(struct source *source)
{
    dt2_blocks_free(source->blocks);
    dt2_file_free(source->file);
    free(source->bytes);
}

static struct dt2_request spread(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = has_opencl ? "opencl:0" : "cpu";
    request.expert_mode_allocations = has_opencl ? "opencl:0,30%;opencl:1,30%;cpu,*" : "cpu,*";
    return request;
}

static int load(struct source *source, struct dt2_request *request, struct dt2_load_options *options,
                struct dt2_model **model, struct dt2_error *err)
{
    *model = NULL;
    return dt2_model_load(context, source->file, source->blocks, request, options, model, err);
}

/* Every tensor read back equals the file's bytes. */
static bool all_bytes(struct source *source, struct dt2_model *model)
{
    bool same = true;
    for (size_t i = 0; i < dt2_model_tensor_count(model); i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(model, i);
        unsigned char *copy = malloc(tensor->bytes);
        same &= dt2_model_read(model, i, copy, tensor->bytes, NULL) == 0 &&
                memcmp(copy, source->bytes + tensor->offset, tensor->bytes) == 0;
        free(copy);
    }
    return same;
}

static size_t loaded_count(void)
{
    return dt2_context_models(context, NULL, 0);
}

static void test_load(struct source *source)
{
    struct dt2_request request = spread();
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    options.verify = true;
    options.name = "a model";
    if (!ok(load(source, &request, &options, &model, &err) == 0, "a spread load, verified")) {
        diag("%s", err.text);
        exit(done_testing());
    }
    is_str(dt2_model_name(model), "a model", "its name");
    is_str(dt2_model_path(model), source->path, "its path");
    ok(dt2_model_loaded(model), "it is loaded");
    ok(all_bytes(source, model), "every tensor reads back as the file has it");
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    is_u64(stats->bytes, dt2_file_total_bytes(source->file), "all bytes are counted");
    is_u64(stats->verified_bytes, stats->bytes, "and verified");
    ok(stats->ns > 0, "it took time");
    uint64_t sum = 0;
    for (size_t i = 0; i < stats->device_count; i++)
        sum += stats->devices[i]->bytes;
    is_u64(sum, stats->bytes, "the devices' bytes sum to it");

    const struct dt2_plan *plan = dt2_model_applied_plan(model);
    bool placed = true, native = true;
    for (size_t i = 0; i < dt2_blocks_count(source->blocks); i++) {
        const struct dt2_block *block = &dt2_blocks_array(source->blocks)[i];
        const char *device = dt2_plan_share(plan, dt2_plan_block_share(plan, i))->device;
        for (size_t j = 0; j < block->tensor_count; j++) {
            struct dt2_native where = DT2_NATIVE_INIT;
            placed &= strcmp(dt2_model_device(model, block->tensors[j]), device) == 0;
            native &= dt2_model_native(model, block->tensors[j], &where, NULL) == 0 && where.handle &&
                      strcmp(where.device, device) == 0;
            if (strcmp(device, "cpu") == 0)
                native &= (uintptr_t)where.handle % 64 == 0 &&
                          memcmp(where.handle, source->bytes + dt2_model_tensor(model, block->tensors[j])->offset,
                                 dt2_model_tensor(model, block->tensors[j])->bytes) == 0;
        }
    }
    ok(placed, "every tensor is where the plan puts its block");
    ok(native, "and has a native address; on cpu one that can be read, aligned to 64 bytes");

    size_t index;
    is_int(dt2_model_find(model, "block3.bias", &index, &err), 0, "a tensor by its name");
    is_str(dt2_model_tensor(model, index)->name, "block3.bias", "is that tensor");
    is_int(dt2_model_find(model, "block3.bios", &index, &err), DT2_ENOENT, "no such tensor");
    ok(strstr(err.suggestion, "block3.bias"), "the nearest is named");
    char byte;
    is_int(dt2_model_read(model, 0, &byte, 1, &err), DT2_EUSAGE, "a wrong size is refused");
    is_int(dt2_model_read(model, TENSORS, &byte, 1, &err), DT2_EUSAGE, "a wrong index is refused");
    ok(dt2_model_tensor(model, TENSORS) == NULL && dt2_model_device(model, TENSORS) == NULL, "in every function");

    is_u64(loaded_count(), 1, "the registry has it");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), 0, "unload");
    is_u64(loaded_count(), 0, "the registry has it no more");
    ok(!dt2_model_loaded(model), "the handle knows");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), 0, "unloading again is no error");
    is_int(dt2_model_read(model, 0, &byte, dt2_model_tensor(model, 0)->bytes, &err), DT2_EGONE, "there is nothing to read");
    is_str(dt2_model_tensor(model, 1)->name, "block0.bias", "names live as long as the handle");
    dt2_model_unref(model);
}

static void test_eject(struct source *a, struct source *b)
{
    struct dt2_request request = spread();
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *first, *second, *third;
    struct dt2_error err = { 0 };
    options.name = "A";
    load(a, &request, &options, &first, &err);
    options.name = "B";
    request.eject_models = false;
    is_int(load(b, &request, &options, &second, &err), 0, "B beside A");
    is_u64(dt2_model_statistics(second)->ejected_count, 0, "nothing was ejected");
    is_u64(loaded_count(), 2, "both are loaded");
    ok(all_bytes(a, first) && all_bytes(b, second), "both read back right");

    request.eject_models = true;
    options.name = "C";
    struct dt2_plan *plan;
    is_int(dt2_model_plan(context, a->blocks, &request, &plan, &err), 0, "the plan of a load that would eject");
    bool said = false;
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        said |= strstr(dt2_plan_warning(plan, i), "ejected first: A, B") != NULL;
    ok(said, "names whom");
    dt2_plan_free(plan);
    is_u64(loaded_count(), 2, "and ejects nobody");

    is_int(load(a, &request, &options, &third, &err), 0, "C ejects");
    const struct dt2_model_stats *stats = dt2_model_statistics(third);
    is_u64(stats->ejected_count, 2, "two models");
    is_str(stats->ejected[0], "A", "in the order in which they were loaded");
    is_str(stats->ejected[1], "B", "the second second");
    ok(!dt2_model_loaded(first) && !dt2_model_loaded(second), "their handles know");
    dt2_model_unref(first);
    dt2_model_unref(second);

    is_int(dt2_model_borrow(third, &err), 0, "C is borrowed");
    options.name = "D";
    is_int(load(b, &request, &options, &first, &err), 0, "D has room beside it");
    is_u64(dt2_model_statistics(first)->ejected_count, 0, "a borrowed model is not ejected");
    const struct dt2_limit tight = { request.compute_device, 1000 };
    request.budgets = &tight;
    request.budget_count = 1;
    is_int(load(b, &request, &options, &second, &err), DT2_ENOFIT, "without room, the load is refused");
    ok(strstr(err.text, "in use, so not ejected: C"), "naming who is in the way");
    ok(dt2_model_loaded(first), "and nobody was ejected for it");
    is_int(dt2_model_unload(third, DT2_UNLOAD_REFUSE, &err), DT2_EBUSY, "unload of a borrowed model is refused");
    dt2_model_return(third);
    is_int(dt2_model_unload(third, DT2_UNLOAD_REFUSE, &err), 0, "and done once it was returned");
    dt2_model_unref(third);
    dt2_model_unload(first, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(first);
    is_u64(loaded_count(), 0, "all are gone");
}

static int used_while_waited_for; /* of what a borrower does while somebody waits to unload: how it ended */

static void *return_later(void *data)
{
    struct dt2_native native = DT2_NATIVE_INIT;
    usleep(50000);
    used_while_waited_for = dt2_model_loaded(data) ? DT2_EBUSY : dt2_model_native(data, 0, &native, NULL);
    dt2_model_return(data);
    return NULL;
}

/* How often each end was told. */
struct ends {
    unsigned loading, verifying;
};

static int count_ends(void *data, const struct dt2_progress *progress)
{
    struct ends *ends = data;
    if (progress->done_bytes == progress->total_bytes)
        ++*(progress->verifying ? &ends->verifying : &ends->loading);
    usleep(1000);
    return 0;
}

/* The end of each phase is told once, however slowly the last byte's copy ends. */
static void test_ends(struct source *source)
{
    struct dt2_request request = spread();
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model;
    struct ends ends = { 0 };
    options.progress = count_ends;
    options.progress_data = &ends;
    options.verify = true;
    is_int(load(source, &request, &options, &model, NULL), 0, "a load that is watched");
    is_u64(ends.loading, 1, "tells its end once");
    is_u64(ends.verifying, 1, "and that of verifying");
    struct dt2_error err;
    is_int(dt2_model_unload(model, (enum dt2_unload_mode)7, &err), DT2_EUSAGE, "an unknown way to unload is refused");
    ok(strstr(err.text, "7"), "naming it: %s", err.text);
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    struct dt2_devices *devices = NULL;
    is_int(dt2_devices_list(context, 0x48, &devices, &err), DT2_EUSAGE, "unknown flags are refused");
    ok(strstr(err.text, "0x48"), "naming them: %s", err.text);
}

static void test_wait(struct source *source)
{
    struct dt2_request request = spread();
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    pthread_t thread;
    load(source, &request, NULL, &model, &err);
    dt2_model_borrow(model, NULL);
    pthread_create(&thread, NULL, return_later, model);
    is_int(dt2_model_unload(model, DT2_UNLOAD_WAIT, &err), 0, "unload waits for the last borrower");
    is_int(dt2_model_borrow(model, &err), DT2_EGONE, "what is unloaded cannot be borrowed");
    pthread_join(thread, NULL);
    is_int(used_while_waited_for, 0, "who has borrowed it finds its tensors until then");
    dt2_model_unref(model);
}

/* -- failures --------------------------------------------------------------------------------------------- */

struct saboteur {
    struct source *source;
    enum { CANCEL_AT_ONCE, CANCEL_AT_END, TRUNCATE, REPLACE, REWRITE, CANCEL_VERIFY } how;
    unsigned calls;
};

static int sabotage(void *data, const struct dt2_progress *progress)
{
    struct saboteur *saboteur = data;
    unsigned call = saboteur->calls++;
    switch (saboteur->how) {
    case CANCEL_AT_ONCE:
        return 1;
    case CANCEL_AT_END:
        return progress->done_bytes == progress->total_bytes;
    case CANCEL_VERIFY:
        return progress->verifying;
    case TRUNCATE:
        return call == 0 && truncate(saboteur->source->path, (off_t)saboteur->source->size / 2) != 0;
    case REPLACE: {
        const char *other = scratch_file("other.safetensors", saboteur->source->bytes, saboteur->source->size, 0);
        return call == 0 && rename(other, saboteur->source->path) != 0;
    }
    case REWRITE: {
        FILE *stream = fopen(saboteur->source->path, "r+e");
        fseek(stream, -1, SEEK_END);
        fputc('!', stream);
        return fclose(stream) != 0;
    }
    }
    return 0;
}

static void test_failures(void)
{
    static const struct {
        const char *what;
        int how, code;
        const char *text;
    } cases[] = {
        { "cancelled at the first report", CANCEL_AT_ONCE, DT2_ECANCELLED, "cancelled" },
        { "cancelled at the last report", CANCEL_AT_END, DT2_ECANCELLED, "cancelled" },
        { "cancelled while it is verified", CANCEL_VERIFY, DT2_ECANCELLED, "cancelled" },
        { "the file is truncated", TRUNCATE, DT2_EFAILED, "shorter" },
        { "the file is replaced", REPLACE, DT2_EFAILED, "replaced" },
        { "the file is written to", REWRITE, DT2_EFAILED, "written to" },
    };
    struct dt2_request request = spread();
    request.eject_models = false;
    struct dt2_model *bystander, *model;
    struct dt2_error err = { 0 };
    struct source other;
    make_source(&other, "bystander.safetensors");
    load(&other, &request, NULL, &bystander, &err);
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct source source;
        make_source(&source, "victim.safetensors");
        struct saboteur saboteur = { .source = &source, .how = cases[i].how };
        struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
        options.progress = sabotage;
        options.progress_data = &saboteur;
        options.verify = true;
        usleep(20000); /* so that a rewritten file has another time */
        is_int(load(&source, &request, &options, &model, &err), cases[i].code, "%s: the load fails", cases[i].what);
        if (!ok(strstr(err.text, cases[i].text), "%s: it says why", cases[i].what))
            diag("%s", err.text);
        ok(model == NULL && loaded_count() == 1, "%s: nothing is left of it", cases[i].what);
        free_source(&source);
    }
    ok(all_bytes(&other, bystander), "who was loaded before is still right");
    dt2_model_unload(bystander, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(bystander);
    free_source(&other);
}

/* -- the release callback --------------------------------------------------------------------------------- */

struct releaser {
    unsigned calls;
    uint64_t bytes;
    char device[64];
    uint64_t answer;
    struct dt2_limit *budget;
};

static uint64_t release(void *data, const char *device, uint64_t bytes)
{
    struct releaser *releaser = data;
    releaser->calls++;
    releaser->bytes = bytes;
    snprintf(releaser->device, sizeof releaser->device, "%s", device);
    if (releaser->answer)
        releaser->budget->bytes += bytes;
    return releaser->answer;
}

static void test_release(struct source *source)
{
    struct dt2_limit budget = { "cpu", 1000 };
    struct releaser releaser = { .budget = &budget };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    request.compute_device = "cpu";
    request.budgets = &budget;
    request.budget_count = 1;
    request.release = release;
    request.release_data = &releaser;
    is_int(load(source, &request, NULL, &model, &err), DT2_ENOFIT, "who frees nothing is not asked twice");
    is_u64(releaser.calls, 1, "but once");
    is_str(releaser.device, "cpu", "for the device that is short");
    releaser.answer = 1;
    is_int(load(source, &request, NULL, &model, &err), 0, "after something was freed it fits");
    ok(budget.bytes == 1000 + releaser.bytes, "by exactly the bytes asked for");
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
}

/* Gives a third of what is asked for each time, and says so. */
static uint64_t release_some(void *data, const char *device, uint64_t bytes)
{
    struct releaser *releaser = data;
    releaser->calls++;
    if (releaser->calls > 1 && bytes >= releaser->bytes)
        releaser->answer++; /* what must not be */
    releaser->bytes = bytes;
    snprintf(releaser->device, sizeof releaser->device, "%s", device);
    releaser->budget->bytes += (bytes + 2) / 3;
    return (bytes + 2) / 3;
}

/* Says that it freed something, and frees nothing. */
static uint64_t release_nothing(void *data, const char *device, uint64_t bytes)
{
    (void)device;
    (void)bytes;
    ++*(unsigned *)data;
    return 1;
}

static void test_release_again(struct source *source)
{
    struct dt2_limit budget = { "cpu", 1000 };
    struct releaser releaser = { .budget = &budget };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    unsigned calls = 0;
    request.compute_device = "cpu";
    request.budgets = &budget;
    request.budget_count = 1;
    request.release = release_some;
    request.release_data = &releaser;
    is_int(load(source, &request, NULL, &model, &err), 0, "who gives a little is asked until it fits");
    ok(releaser.calls > 3 && releaser.answer == 0, "for less each time");
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    budget.bytes = 1000;
    request.release = release_nothing;
    request.release_data = &calls;
    is_int(load(source, &request, NULL, &model, &err), DT2_ENOFIT, "who says that it did, and did not,");
    is_u64(calls, 1, "is not asked for ever");
}

/* -- what the program knows of free memory ------------------------------------------------------------------ */

/* A program that keeps memory which it would give back, and says so of the device "cpu" alone. */
struct keeper {
    uint64_t kept;   /* told beyond what is free */
    uint64_t said;   /* told outright, unless it is DT2_UNKNOWN */
    uint64_t wanted; /* by release */
    unsigned calls, releases;
};

static uint64_t available(void *data, const char *device, uint64_t free_bytes)
{
    struct keeper *keeper = data;
    keeper->calls++;
    if (strcmp(device, "cpu") != 0 || free_bytes == DT2_UNKNOWN)
        return DT2_UNKNOWN;
    return keeper->said != DT2_UNKNOWN ? keeper->said : free_bytes + keeper->kept;
}

static uint64_t keep(void *data, const char *device, uint64_t bytes)
{
    struct keeper *keeper = data;
    (void)device;
    keeper->releases++;
    keeper->wanted = bytes;
    return 0;
}

static void test_available(struct source *source)
{
    struct keeper keeper = { .said = 5000 };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_limit reserve = { "cpu", 0 };
    struct dt2_model *model;
    struct dt2_plan *plan = NULL;
    struct dt2_error err = { 0 };
    request.compute_device = "cpu";
    request.available = available;
    request.available_data = &keeper;
    request.release = keep;
    request.release_data = &keeper;
    request.reserves = &reserve;
    request.reserve_count = 1;
    is_int(load(source, &request, NULL, &model, &err), DT2_ENOFIT, "less than the kernel says is planned with");
    ok(strstr(err.text, "free 5000") != NULL && keeper.wanted > 0, "and told: %s", err.text);

    /* More than any machine has free is in the program's hands, it says; it gives none of it back. */
    keeper = (struct keeper){ .said = DT2_UNKNOWN, .kept = (uint64_t)1 << 50 };
    reserve.bytes = (uint64_t)1 << 45;
    is_int(dt2_model_plan(context, source->blocks, &request, &plan, &err), 0, "what it would give back is planned with");
    is_u64(keeper.releases, 0, "and not asked for by a plan");
    dt2_plan_free(plan);
    is_int(load(source, &request, NULL, &model, &err), DT2_ENOFIT, "but what is not given back cannot be loaded");
    ok(keeper.releases == 1 && keeper.wanted > 0, "it was asked for: %s", err.text);
    reserve.bytes = 0;
    is_int(load(source, &request, NULL, &model, &err), 0, "where the kernel has enough");
    is_u64(keeper.releases, 1, "nobody needs to give anything");
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
}

/* -- threads ---------------------------------------------------------------------------------------------- */

static _Atomic unsigned wrong;

static void *load_and_check(void *data)
{
    struct source *source = data;
    for (int i = 0; i < 5; i++) {
        struct dt2_request request = spread();
        struct dt2_model *model;
        request.eject_models = i % 2;
        if (load(source, &request, NULL, &model, NULL) < 0) {
            atomic_fetch_add(&wrong, 1);
            continue;
        }
        if (dt2_model_borrow(model, NULL) == 0) { /* else another thread's load ejected it: that is allowed */
            if (!all_bytes(source, model))
                atomic_fetch_add(&wrong, 1);
            dt2_model_return(model);
        }
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    return NULL;
}

static void test_threads(struct source *a, struct source *b)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, load_and_check, i % 2 ? a : b);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    is_u64(wrong, 0, "four threads that load, read and eject in one context");
    is_u64(loaded_count(), 0, "leave nothing behind");
}

static void test_context_end(struct source *source)
{
    struct dt2_request request = spread();
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    load(source, &request, NULL, &model, &err);
    dt2_context_destroy(context);
    ok(!dt2_model_loaded(model), "a model outlives its context as a handle");
    is_int(dt2_model_borrow(model, &err), DT2_EGONE, "without bytes");
    is_int(dt2_model_unload(model, DT2_UNLOAD_WAIT, &err), 0, "unloading it is no error");
    dt2_model_unref(model);
    struct dt2_context_options bad = { .struct_size = 0 };
    is_int(dt2_context_create(&bad, &context, &err), DT2_EUSAGE, "options without a size are refused");
    struct { /* a program that was built when backend_path was the last of them */
        size_t struct_size;
        void *rest[3];
        uint64_t not_ours;
    } old = { .struct_size = offsetof(struct dt2_context_options, cuda_runtime), .not_ours = UINT64_MAX };
    is_int(dt2_context_create((void *)&old, &context, &err), 0, "options of the first version are taken");
    dt2_context_destroy(context);
}

int main(void)
{
    setenv("POCL_DEVICES", "pthread basic", 0);
    seed_random(20261124);
    struct dt2_error err;
    if (dt2_context_create(NULL, &context, &err) < 0)
        layout_die("%s", err.text);
    has_opencl = two_opencl_devices(context);
    diag("over %s", has_opencl ? "opencl:0, opencl:1 and cpu" : "cpu alone: there are no two OpenCL devices");
    static struct source a, b;
    make_source(&a, "a.safetensors");
    make_source(&b, "b.safetensors");
    test_load(&a);
    test_eject(&a, &b);
    test_ends(&a);
    test_wait(&a);
    test_failures();
    test_release(&a);
    test_release_again(&a);
    test_available(&a);
    test_threads(&a, &b);
    test_context_end(&a);
    free_source(&a);
    free_source(&b);
    return done_testing();
}
