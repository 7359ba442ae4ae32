/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on host memory and two OpenCL devices: right bytes in any order, windows of every size, parking, threads.
 * Devices with memory of their own are for the simulated machines.
 */
#include "base/checked.h"
#include "stream/stream.h"
#include "unit/sessions.h"
#include <pthread.h>
#include <stdatomic.h>

/* Whether a tensor's bytes are those of the file, where the session has it: read by its driver. */
static bool tensor_is(const struct source *source, struct dt2_session *session, size_t tensor)
{
    const struct dt2_tensor *t = dt2_model_tensor(session->model, tensor);
    const struct dt2_opened *o = session->compute;
    size_t unit = session->units.of_tensor[tensor];
    const unsigned char *expected = source->bytes + t->offset;
    struct dt2_native native = DT2_NATIVE_INIT;
    if (t->bytes == 0)
        return true;
    if (dt2_session_native(session, tensor, &native, NULL) < 0)
        return false;
    if (o->flags & DT2_DEVICE_HOST_ADDRESSABLE)
        return memcmp(native.handle, expected, t->bytes) == 0;
    unsigned char *copy = layout_memory(t->bytes);
    bool same = false;
    if (unit == DT2_NOWHERE || !dt2_unit_streams(&session->units.units[unit])) {
        same = dt2_model_read(session->model, tensor, copy, t->bytes, NULL) == 0;
    } else {
        uint64_t place = session->units.units[unit].offset + session->units.offsets[tensor];
        uint64_t slab = session->places.slab_bytes;
        dt2_handle queue;
        if (o->backend->queue_create(o->driver, o->device, &queue, NULL) == 0) {
            same = o->backend->copy_d2h(o->driver, queue, session->prefetch.window.slabs[place / slab].buffer, place % slab,
                                        copy, t->bytes, NULL) == 0 &&
                   o->backend->queue_wait(o->driver, queue, NULL) == 0;
            o->backend->queue_destroy(o->driver, queue, NULL);
        }
    }
    same = same && memcmp(copy, expected, t->bytes) == 0;
    free(copy);
    return same;
}

static bool block_is(const struct source *source, struct dt2_session *session, size_t index)
{
    const struct dt2_block *block = dt2_model_block(session->model, index);
    bool same = true;
    for (size_t i = 0; i < block->tensor_count; i++)
        same &= tensor_is(source, session, block->tensors[i]);
    return same;
}

static bool run_pass(const struct source *source, struct dt2_session *session)
{
    bool same = true;
    for (size_t i = 0; i < dt2_model_block_count(session->model); i++) {
        same &= dt2_session_acquire(session, i, 0, NULL) == 0 && block_is(source, session, i);
        same &= dt2_session_release(session, i, NULL) == 0;
    }
    return same;
}

static const struct {
    const char *compute, *allocations;
    bool opencl, streams;
} cases[] = {
    { "cpu", "cpu,*", false, false },
    { "cpu", "cpu,30%;opencl:0,40%;opencl:1,*", true, true },
    { "cpu", "opencl:1,*", true, true },
    { "opencl:0", "opencl:0,30%;opencl:1,40%;cpu,*", true, true },
    { "opencl:0", "cpu,*", true, true },
    { "opencl:1", "opencl:0,*", true, true },
    { "opencl:0", "opencl:0,*", true, false },
};

static void test_passes(const struct source *source)
{
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        if (cases[i].opencl && !has_opencl)
            continue;
        struct dt2_model *model = load(source, cases[i].compute, cases[i].allocations);
        struct dt2_session *session = begin(model, 0);
        struct dt2_session_info info = DT2_SESSION_INFO_INIT;
        struct dt2_session_stats total = DT2_SESSION_STATS_INIT, last = DT2_SESSION_STATS_INIT;
        const char *what = cases[i].allocations;
        dt2_session_info(session, &info, NULL);
        uint64_t away = 0;
        for (size_t j = 0; j < dt2_model_block_count(model); j++)
            away += dt2_session_streams(session, j) ? dt2_model_block(model, j)->bytes : 0;
        ok((info.pass_bytes > 0) == cases[i].streams && info.pass_bytes == away,
           "%s for %s: %" PRIu64 " bytes stream", what, cases[i].compute, info.pass_bytes);
        is_u64(info.window_bytes, dt2_plan_window_bytes(dt2_model_applied_plan(model)), "through the window of the plan");
        ok(run_pass(source, session) && run_pass(source, session) && run_pass(source, session),
           "three passes read the file's bytes");
        dt2_session_statistics(session, DT2_SESSION_TOTAL, &total, NULL);
        dt2_session_statistics(session, DT2_SESSION_LAST_PASS, &last, NULL);
        is_u64(total.passes, cases[i].streams ? 2 : 0, "a pass ends when the next begins");
        is_u64(total.acquires, 3 * info.streamed_blocks, "every streamed block was acquired three times");
        is_u64(total.hits + total.stalls, total.acquires, "and was there, or was not");
        ok(total.window_bytes <= info.window_bytes, "the window never held more than it has");
        ok(total.bytes <= 3 * info.pass_bytes + 2 * info.window_bytes, "nothing was copied in vain");
        ok(last.acquires == info.streamed_blocks, "the last pass has its own counts");
        finish(session);
        unload(model);
    }
}

/* Holds up to four blocks at once and gives them back in any order. EFULL is right only while another one is held. */
static void run_random(const struct source *source, struct dt2_session *session, unsigned steps, bool alone)
{
    size_t held[4], count = 0, blocks = dt2_model_block_count(session->model);
    bool same = true, fair = true;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    dt2_session_info(session, &info, NULL);
    size_t least = info.window_bytes >= 2 * info.largest_bytes ? 2 : 1;
    for (unsigned step = 0; step < steps; step++) {
        if (count == 4 || (count && random_below(2))) {
            size_t i = random_below(count);
            same &= block_is(source, session, held[i]) && dt2_session_release(session, held[i], NULL) == 0;
            held[i] = held[--count];
        } else {
            size_t index = random_below(blocks), streamed = 0;
            for (size_t i = 0; i < count; i++)
                streamed += dt2_session_streams(session, held[i]);
            struct dt2_error err;
            int rc = dt2_session_acquire(session, index, 0, &err);
            if (rc == 0) {
                held[count++] = index;
                same &= block_is(source, session, index);
            } else {
                fair &= rc == DT2_EFULL && (!alone || streamed >= least);
                if (!fair)
                    diag("%s, with %zu held", err.text, streamed);
            }
        }
    }
    while (count)
        same &= dt2_session_release(session, held[--count], NULL) == 0;
    ok(same && fair, "%u random steps with a window of %" PRIu64 ", largest %" PRIu64, steps, info.window_bytes,
       info.largest_bytes);
}

static void test_orders(const struct source *source)
{
    const char *allocations = "cpu,30%;opencl:0,40%;opencl:1,*";
    for (unsigned turn = 0; has_opencl && turn < 2; turn++) {
        struct dt2_model *model = load(source, turn ? "opencl:0" : "cpu", allocations);
        struct dt2_session *session = begin(model, 0);
        struct dt2_session_info info = DT2_SESSION_INFO_INIT;
        dt2_session_info(session, &info, NULL);
        finish(session);
        const uint64_t windows[] = { info.largest_bytes, info.largest_bytes * 3 / 2, 0, 3 * info.largest_bytes,
                                     info.pass_bytes + 4096 * info.streamed_blocks };
        for (size_t i = 0; i < DT2_COUNT(windows); i++) {
            session = begin(model, windows[i]);
            run_random(source, session, 1000, true);
            ok(run_pass(source, session), "and a pass after it");
            finish(session);
        }
        unload(model);
    }
}

/* What fits the window altogether is streamed once; another order is learnt. */
static void test_holding_on(const struct source *source)
{
    struct dt2_model *model = load(source, "cpu", "opencl:0,*");
    struct dt2_session *session = begin(model, 0);
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    dt2_session_info(session, &info, NULL);
    finish(session);
    session = begin(model, info.pass_bytes + 4096 * info.streamed_blocks);
    bool same = run_pass(source, session);
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &stats, NULL);
    uint64_t once = stats.bytes;
    for (unsigned i = 0; i < 2; i++)
        same &= run_pass(source, session);
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &stats, NULL);
    ok(same && once == info.pass_bytes && stats.bytes == once, "a window for the whole model is filled once");
    finish(session);

    session = begin(model, 0);
    size_t blocks = dt2_model_block_count(model);
    for (unsigned pass = 0; pass < 4; pass++) {
        for (size_t i = blocks; i-- > 0;)
            same &= dt2_session_acquire(session, i, DT2_ACQUIRE_HOST, NULL) == 0 && block_is(source, session, i) &&
                    dt2_session_release(session, i, NULL) == 0;
        dt2_session_next_pass(session);
    }
    dt2_session_statistics(session, DT2_SESSION_LAST_PASS, &stats, NULL);
    ok(same && stats.bytes <= info.pass_bytes + info.window_bytes, "backwards, learnt: nothing is copied in vain");
    is_u64(stats.passes, 1, "the pass that the caller ended");
    finish(session);
    unload(model);
}

static void test_refusals(const struct source *source)
{
    struct dt2_model *model = load(source, "cpu", "cpu,20%;opencl:0,*");
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session = begin(model, 0), *other = NULL;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_error err;
    dt2_session_info(session, &info, NULL);
    size_t last = dt2_model_block_count(model) - 1, tensor = dt2_model_block(model, last)->tensors[0];
    while (!dt2_session_streams(session, last) || dt2_model_tensor(model, tensor)->bytes == 0)
        tensor = dt2_model_block(model, --last)->tensors[0];

    ok(dt2_session_model(session) == model, "a session knows its model");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), DT2_EBUSY, "unload with an open session is refused");
    is_int(dt2_session_acquire(session, SIZE_MAX, 0, &err), DT2_EUSAGE, "there is no such block");
    is_int(dt2_session_release(session, last, &err), DT2_EUSAGE, "what is not held cannot be released");
    is_int(dt2_session_native(session, tensor, &native, &err), DT2_EUSAGE, "and has no address");
    is_int(dt2_session_native(session, SIZE_MAX, &native, &err), DT2_EUSAGE, "there is no such tensor");
    is_int(dt2_session_acquire_tensor(session, tensor, 0, &err), 0, "a block by one of its tensors");
    is_int(dt2_session_native(session, tensor, &native, &err), 0, "has an address");
    is_str(native.device, "cpu", "where the network computes");
    is_int(dt2_session_close(session, &err), DT2_EBUSY, "a session with a held block is not closed");
    is_int(dt2_session_park(session, &err), DT2_EBUSY, "nor parked");
    is_int(dt2_session_release_tensor(session, tensor, &err), 0, "the block goes back");
    is_int(dt2_session_use_stream(session, NULL, &err), DT2_EUSAGE, "a session without a stream has none to change");

    is_int(dt2_session_park(session, &err), 0, "a session is parked");
    is_int(dt2_session_park(session, &err), 0, "twice is no error");
    dt2_session_info(session, &info, NULL);
    ok(info.parked && info.window_bytes == 0 && info.staging_bytes == 0, "it has no window then");
    is_int(dt2_session_acquire(session, last, 0, &err), DT2_EPARKED, "and streams nothing");
    is_int(dt2_session_unpark(session, &err), 0, "it is taken up again");
    ok(run_pass(source, session), "and runs");
    dt2_session_info(session, &info, NULL);

    options.window_bytes = info.largest_bytes - 1;
    is_int(dt2_session_open(model, &options, &other, &err), DT2_EUSAGE, "a window below the largest block is refused");
    ok(strstr(err.text, "cannot hold the largest block"), "in words");
    options.window_bytes = (uint64_t)1 << 60;
    is_int(dt2_session_open(model, &options, &other, &err), DT2_ENOFIT, "one above the budgets too");
    options.window_bytes = 0;
    options.host_memory = (enum dt2_host_memory)9;
    is_int(dt2_session_open(model, &options, &other, &err), DT2_EUSAGE, "an unknown host_memory is refused");
    ok(strstr(err.text, "host_memory 9"), "naming it: %s", err.text);
    options.host_memory = DT2_HOST_PAGEABLE;
    is_int(dt2_session_acquire(session, 0, 6, &err), DT2_EUSAGE, "so are unknown flags");
    ok(strstr(err.text, "0x6"), "naming them: %s", err.text);
    struct dt2_session_stats unknown = DT2_SESSION_STATS_INIT;
    is_int(dt2_session_statistics(session, (enum dt2_session_span)5, &unknown, &err), DT2_EUSAGE, "an unknown span");
    void *managed;
    is_int(dt2_tensor_dlpack(model, NULL, 0, (enum dt2_dlpack_kind)3, &managed, &err), DT2_EUSAGE, "an unknown kind");
    options.has_stream = true;
    is_int(dt2_session_open(model, &options, &other, &err), DT2_EUSAGE, "the processor has no stream");
    options.struct_size = 8;
    is_int(dt2_session_open(model, &options, &other, &err), DT2_EUSAGE, "options without a size are refused");
    ok(!other, "none of these made a session");
    finish(session);
    is_int(dt2_session_close(NULL, &err), 0, "closing nothing is no error");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), 0, "after it the model unloads");
    is_int(dt2_session_open(model, NULL, &other, &err), DT2_EGONE, "and has no sessions any more");
    dt2_model_unref(model);
}

/* -- threads ---------------------------------------------------------------------------------------------------- */

struct crowd {
    const struct source *source;
    struct dt2_session *session;
    atomic_uint wrong;
};

static void *acquire_and_check(void *data)
{
    struct crowd *crowd = data;
    unsigned state = (unsigned)(uintptr_t)pthread_self();
    for (unsigned i = 0; i < 300; i++) {
        size_t index = (size_t)rand_r(&state) % dt2_model_block_count(crowd->session->model);
        int rc = dt2_session_acquire(crowd->session, index, 0, NULL);
        if (rc == DT2_EFULL)
            continue; /* the others hold the window */
        if (rc < 0 || !block_is(crowd->source, crowd->session, index) ||
            dt2_session_release(crowd->session, index, NULL) < 0)
            crowd->wrong++;
    }
    return NULL;
}

static void test_threads(const struct source *source)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        struct dt2_model *model = load(source, turn ? "opencl:0" : "cpu", "opencl:1,*");
        struct crowd crowds[2] = { { source, begin(model, 0), 0 }, { source, begin(model, 0), 0 } };
        pthread_t threads[4];
        for (size_t i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, acquire_and_check, &crowds[i % 2]);
        for (size_t i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        is_u64(crowds[0].wrong + crowds[1].wrong, 0, "two threads on each of two sessions of one model");
        finish(crowds[0].session);
        finish(crowds[1].session);
        unload(model);
    }
}

/* -- verifying, and together -------------------------------------------------------------------------------------- */

static int count_calls(void *data, const struct dt2_progress *progress)
{
    unsigned *calls = data;
    ++*calls;
    return progress->verifying && progress->device_count == 1 ? 0 : 1;
}

static int cancel(void *data, const struct dt2_progress *progress)
{
    (void)data;
    return progress->done_bytes > 0;
}

/* A pass that compares what arrives: every route, then a share that is spoiled where it lies. */
static void test_verify(const struct source *source, const struct source *other)
{
    struct dt2_error err;
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        if (cases[i].opencl && !has_opencl)
            continue;
        struct dt2_model *model = load(source, cases[i].compute, cases[i].allocations);
        struct dt2_session *session = begin(model, 0);
        struct dt2_session_info info = DT2_SESSION_INFO_INIT;
        uint64_t verified = 7;
        unsigned calls = 0;
        dt2_session_info(session, &info, NULL);
        is_int(dt2_session_verify(session, source->file, count_calls, &calls, &verified, &err), 0,
               "%s for %s: what streams arrives", cases[i].allocations, cases[i].compute);
        is_u64(verified, info.pass_bytes, "all of it");
        ok(calls >= (cases[i].streams ? 2u : 1u), "and progress is told %u times", calls);
        is_int(dt2_session_verify(session, other->file, NULL, NULL, &verified, &err), DT2_EUSAGE, "another file is refused");
        ok(strstr(err.text, other->path) != NULL, "and named");
        finish(session);
        unload(model);
    }
    if (!has_opencl)
        return;
    struct dt2_model *model = load(source, "opencl:0", "cpu,*");
    struct dt2_session *session = begin(model, 0);
    struct dt2_native native = DT2_NATIVE_INIT;
    size_t index = find(model, "block3.weight");
    is_int(dt2_session_verify(session, source->file, cancel, NULL, NULL, &err), DT2_ECANCELLED, "it can be cancelled");
    is_int(dt2_session_verify(session, source->file, NULL, NULL, NULL, &err), 0, "and begun again");
    if (dt2_model_native(model, index, &native, &err) < 0)
        layout_die("%s", err.text);
    finish(session);
    ((unsigned char *)native.handle)[dt2_model_tensor(model, index)->bytes - 1] ^= 1;
    session = begin(model, 0);
    is_int(dt2_session_verify(session, source->file, NULL, NULL, NULL, &err), DT2_EFAILED, "one bit that differs is seen");
    ok(strstr(err.text, "block3.weight") && strstr(err.text, "cpu") && strstr(err.text, "opencl:0"),
       "and named with donor and compute device: %s", err.text);
    finish(session);
    unload(model);
}

/*
 * Small blocks stream with the one before them: fewer copies, the same bytes, nothing fetched twice, and each block is acquired
 * and released by itself.
 */
static void test_together(const struct source *source)
{
    struct dt2_model *model = load(source, "opencl:0", "opencl:1,*");
    struct dt2_session *session = begin(model, 0);
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_session_stats total = DT2_SESSION_STATS_INIT;
    struct dt2_error err;
    const struct dt2_units *units = &session->units;
    size_t blocks = dt2_model_block_count(model), pair = SIZE_MAX;
    dt2_session_info(session, &info, NULL);
    ok(units->count < units->blocks && info.streamed_blocks == units->blocks, "%zu blocks stream as %zu units", units->blocks,
       units->count);
    for (size_t i = 0; i + 1 < blocks && pair == SIZE_MAX; i++)
        if (dt2_session_streams(session, i) && dt2_session_streams(session, i + 1) &&
            units->lists[units->first[i]] == units->lists[units->first[i + 1]])
            pair = i;
    ok(info.window_bytes == dt2_plan_window_bytes(dt2_model_applied_plan(model)) && info.largest_bytes * 2 <= info.window_bytes,
       "in the window of the plan");
    ok(run_pass(source, session) && run_pass(source, session) && run_pass(source, session), "three passes read the file's bytes");
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &total, NULL);
    is_u64(total.passes, 2, "passes are told apart");
    ok(total.bytes <= 3 * info.pass_bytes + info.window_bytes, "nothing is fetched twice: %" PRIu64 " bytes of %" PRIu64,
       total.bytes, 3 * info.pass_bytes);
    if (pair != SIZE_MAX) {
        is_int(dt2_session_acquire(session, pair, 0, &err), 0, "the first of two is held");
        is_int(dt2_session_release(session, pair + 1, &err), DT2_EUSAGE, "the second is not");
        is_int(dt2_session_acquire(session, pair + 1, 0, &err), 0, "until it is");
        is_int(dt2_session_release(session, pair, &err), 0, "the first is let go");
        ok(block_is(source, session, pair + 1), "the second stays");
        is_int(dt2_session_park(session, &err), DT2_EBUSY, "and keeps the session");
        is_int(dt2_session_release(session, pair + 1, &err), 0, "until it goes too");
    }
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &total, NULL);
    uint64_t before = total.passes;
    for (int pass = 0; pass < 4; pass++) /* a block behind the first comes again before the pass ends, and so do all */
        for (size_t i = 0; i < 2 * blocks; i++)
            if (i != blocks) {
                dt2_session_acquire(session, i % blocks, 0, NULL);
                dt2_session_release(session, i % blocks, NULL);
            }
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &total, NULL);
    is_u64(total.passes - before, 4, "a pass ends where its first block comes again, whatever streams with it");
    bool right = true;
    for (int pass = 0; pass < 20; pass++) /* some are left out, some come twice */
        for (size_t i = 0; i < blocks; i++)
            for (uint64_t times = random_below(3); times > 0; times--) {
                right &= dt2_session_acquire(session, i, 0, NULL) == 0 && block_is(source, session, i);
                right &= dt2_session_release(session, i, NULL) == 0;
            }
    ok(right, "in any order, some left out, some twice");
    finish(session);
    unload(model);
}

int main(void)
{
    seed_random(20261124);
    open_context();
    struct source source, other;
    source_make(&source, "session.safetensors", 40, 200000);
    source_make(&other, "other.safetensors", 40, 200000);
    test_passes(&source);
    test_verify(&source, &other);
    if (has_opencl) {
        test_orders(&source);
        test_holding_on(&source);
        test_refusals(&source);
        test_threads(&source);
        test_together(&source);
    }
    source_free(&source);
    source_free(&other);
    dt2_context_destroy(context);
    return done_testing();
}
