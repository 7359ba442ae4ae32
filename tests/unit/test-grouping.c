/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of the caller's own making, blocks that are cut, and models that are loaded of them. */
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <pthread.h>
#include <sys/wait.h>

#define TENSORS 8

static struct dt2_context *context;
static struct dt2_file *file;
static struct dt2_blocks *all;

static void open_file(void)
{
    static char names[TENSORS][24];
    struct layout layout = { 0 };
    for (size_t i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "layer.%zu.%s", i / 2, i % 2 ? "weight" : "bias");
        layout_add(&layout, names[i], "U8", i % 2 ? "3000" : "100");
    }
    size_t size;
    struct dt2_error err;
    char *header = layout_header(&layout, &size);
    header = realloc(header, size + layout.bytes);
    for (size_t i = size; i < size + layout.bytes; i++)
        header[i] = (char)random_u64();
    const char *path = scratch_file("model.safetensors", header, size + layout.bytes, 0);
    if (dt2_file_open(path, &file, &err) < 0 || dt2_blocks_make(file, &all, &err) < 0)
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);
}

static bool same_bytes(struct dt2_model *model, size_t tensor)
{
    unsigned char there[3000], here[3000];
    uint64_t bytes = dt2_model_tensor(model, tensor)->bytes;
    return dt2_model_read(model, tensor, there, bytes, NULL) == 0 &&
           dt2_file_read(file, tensor, here, bytes, NULL) == 0 && memcmp(there, here, bytes) == 0;
}

/* Three of four layers, backwards, in two blocks; the model has no more. */
static void test_own(void)
{
    static const size_t late[] = { 7, 6, 5, 4 }, early[] = { 1, 0 };
    const struct dt2_block list[] = { { .name = "late", .tensors = late, .tensor_count = 4 },
                                      { .name = "early", .tensors = early, .tensor_count = 2 } };
    struct dt2_blocks *blocks;
    struct dt2_error err = { 0 };
    struct dt2_model *model = NULL;
    struct dt2_plan *plan;
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_session *session = NULL;
    char byte[100];
    is_int(dt2_blocks_from(file, list, 2, &blocks, &err), 0, "blocks of our own");
    is_u64(dt2_blocks_count(blocks), 2, "are two");
    is_u64(dt2_blocks_array(blocks)[0].bytes, 6200, "whose bytes the file knows");
    is_str(dt2_blocks_array(blocks)[1].tensor_names[0], "layer.0.weight", "and whose names");
    request.compute_device = "cpu";
    request.resident = true;
    is_int(dt2_model_plan(context, blocks, &request, &plan, &err), 0, "they are planned");
    is_int(dt2_model_load_plan(context, file, blocks, plan, NULL, &model, &err), 0, "and loaded by that plan");
    if (!model)
        exit(done_testing());
    ok(same_bytes(model, 7) && same_bytes(model, 4) && same_bytes(model, 0), "what is listed is there");
    ok(!dt2_model_device(model, 2), "what is not has no device");
    is_u64(dt2_model_tensor_block(model, 2), SIZE_MAX, "nor a block");
    is_int(dt2_model_read(model, 2, byte, 100, &err), DT2_EUSAGE, "it cannot be read");
    ok(strstr(err.text, "layer.1.bias") && strstr(err.text, "in no block"), "in words: %s", err.text);
    is_int(dt2_model_native(model, 2, &native, &err), DT2_EUSAGE, "and has no address");
    is_u64(dt2_model_statistics(model)->bytes, 9300, "only the bytes of blocks were loaded");
    is_int(dt2_session_open(model, NULL, &session, &err), DT2_EUSAGE, "without a window there is no session");
    ok(strstr(err.text, "resident"), "in words: %s", err.text);
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    request.resident = false;
    is_int(dt2_model_load(context, file, blocks, &request, NULL, &model, &err), 0, "with one");
    is_int(dt2_session_open(model, NULL, &session, &err), 0, "there is");
    is_int(dt2_session_acquire_tensor(session, 2, 0, &err), DT2_EUSAGE, "but not of what is in no block");
    is_int(dt2_session_acquire(session, 1, 0, &err), 0, "blocks are numbered as we listed them");
    is_int(dt2_session_native(session, 0, &native, &err), 0, "and have their addresses");
    dt2_session_release(session, 1, NULL);
    dt2_session_close(session, NULL);
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    dt2_plan_free(plan);
    dt2_blocks_free(blocks);
}

static void test_refused(void)
{
    static const size_t twice[] = { 1, 1 }, wrong[] = { 99 };
    static const struct {
        struct dt2_block block;
        const char *text;
    } cases[] = {
        { { .name = "b", .tensors = twice, .tensor_count = 2 }, "layer.0.weight is in a block already" },
        { { .name = "b", .tensors = wrong, .tensor_count = 1 }, "there is no index 99" },
        { { .name = "b" }, "block b has no tensors" },
        { { .tensors = wrong, .tensor_count = 1 }, "has no name" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dt2_blocks *blocks = NULL;
        struct dt2_error err = { 0 };
        is_int(dt2_blocks_from(file, &cases[i].block, 1, &blocks, &err), DT2_EUSAGE, "refused: %s", cases[i].text);
        ok(strstr(err.text, cases[i].text) && !blocks, "in words: %s", err.text);
    }
}

/* Weights of two layers go elsewhere than what else is in their blocks. */
static void test_cut(void)
{
    static const char place[] = "layer.[=cpu;layer.1.weight=cpu;layer.3=cpu;*.weight=cpu";
    struct dt2_blocks *cut;
    struct dt2_error err = { 0 };
    char names[256] = "";
    is_int(dt2_blocks_cut(all, file, place, &cut, &err), 0, "blocks are cut");
    for (size_t i = 0; i < dt2_blocks_count(cut); i++) {
        strcat(names, dt2_blocks_array(cut)[i].name);
        strcat(names, " ");
    }
    is_str(names, "layer.0.weight layer.0 layer.1.weight layer.1 layer.2.weight layer.2 layer.3 ",
           "where their tensors go different ways");
    dt2_blocks_free(cut);
    is_int(dt2_blocks_cut(all, file, "=cpu", &cut, &err), DT2_EUSAGE, "a bad string is refused");
}

/* Loaded into memory of ours, borrowed from the first moment on, with alignment and room behind each tensor. */
static void test_memory(void)
{
    static unsigned char room[2][100000];
    const struct dt2_memory memory[] = { { "cpu", room[0] + 3, 6000 }, { "cpu", room[1] + 1, sizeof room[1] - 1 } };
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_buffer buffer = DT2_BUFFER_INIT;
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    request.compute_device = "cpu";
    request.alignment_bytes = 1024;
    request.padding_bytes = 70;
    options.memory = memory;
    options.memory_count = 2;
    options.borrow = options.verify = true;
    is_int(dt2_model_load(context, file, all, &request, &options, &model, &err), 0, "a load into memory of ours%s", err.text);
    if (!model)
        return;
    bool inside = true, right = true;
    const unsigned char *end = NULL;
    for (size_t i = 0; i < TENSORS; i++) {
        right &= same_bytes(model, i);
        dt2_model_native(model, i, &native, NULL);
        const unsigned char *at = native.handle;
        uint64_t bytes = dt2_model_tensor(model, i)->bytes;
        bool first = at >= room[0] + 3 && at + bytes + 70 <= room[0] + 6003;
        inside &= (uintptr_t)at % 1024 == 0 && (first || (at > room[1] && at + bytes + 70 <= room[1] + sizeof room[1])) &&
                  (!end || at >= end + 70 || at < end);
        end = at + bytes;
    }
    ok(right, "every tensor is there");
    ok(inside, "where we gave room, aligned, with nothing in the bytes behind");
    is_u64(dt2_model_buffer_count(model), 2, "its buffers are listed");
    is_int(dt2_model_buffer(model, 1, &buffer, &err), 0, "the second");
    ok(buffer.handle == room[1] + 1 && buffer.bytes == sizeof room[1] - 1, "is ours");
    is_str(buffer.device, "cpu", "on its device");
    is_int(dt2_model_buffer(model, 2, &buffer, &err), DT2_EUSAGE, "there is no third");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), DT2_EBUSY, "it came borrowed");
    dt2_model_return(model);
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), 0, "and goes when that is returned");
    is_u64(dt2_model_buffer_count(model), 0, "with its buffers");
    dt2_model_unref(model);
    options.memory_count = 1;
    is_int(dt2_model_load(context, file, all, &request, &options, &model, &err), DT2_ENOFIT, "too little memory");
    ok(strstr(err.text, "memory that was given"), "is refused in words: %s", err.text);
    const struct dt2_memory nowhere = { "cuda:7", room[0], 1 };
    options.memory = &nowhere;
    is_int(dt2_model_load(context, file, all, &request, &options, &model, &err), DT2_ENOENT, "and so is a device that is not there");
    options.memory_count = 0;
    is_int(dt2_model_load(context, file, all, &request, &options, &model, &err), 0, "in memory of the library's");
    dt2_model_native(model, 3, &native, NULL);
    is_u64((uintptr_t)native.handle % 1024, 0, "the alignment holds too");
    ok(same_bytes(model, 3), "as do the bytes");
    dt2_model_return(model);
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    request.alignment_bytes = 3;
    is_int(dt2_model_load(context, file, all, &request, NULL, &model, &err), DT2_EUSAGE, "an alignment of 3 is refused");
}

static char warned[512];

static void log_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level == DT2_LOG_WARNING)
        snprintf(warned, sizeof warned, "%s", line);
}

static void *close_later(void *session)
{
    usleep(1300000);
    dt2_session_close(session, NULL);
    return NULL;
}

/* A child of ours is refused in words; a context that ends under an open session says so, and waits. */
static void test_fork_and_end(void)
{
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_context *ours;
    struct dt2_model *model;
    struct dt2_session *session;
    struct dt2_error err = { 0 };
    pthread_t thread;
    int status = -1;
    options.backend_path = "";
    options.log = log_line;
    request.compute_device = "cpu";
    dt2_context_create(&options, &ours, NULL);
    is_int(dt2_model_load(ours, file, all, &request, NULL, &model, &err), 0, "a model");
    is_int(dt2_session_open(model, NULL, &session, &err), 0, "a session");
    pid_t child = fork();
    if (child == 0) {
        struct dt2_devices *devices;
        struct dt2_model *other;
        bool refused = dt2_model_borrow(model, &err) == DT2_EUSAGE && strstr(err.text, "forked child") &&
                       dt2_session_acquire(session, 0, 0, NULL) == DT2_EUSAGE &&
                       dt2_session_close(session, NULL) == DT2_EUSAGE &&
                       dt2_devices_list(ours, 0, &devices, NULL) == DT2_EUSAGE &&
                       dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL) == DT2_EUSAGE &&
                       dt2_model_load(ours, file, all, &request, NULL, &other, NULL) == DT2_EUSAGE;
        dt2_context_destroy(ours);
        _exit(!refused);
    }
    waitpid(child, &status, 0);
    is_int(status, 0, "a forked child cannot use them, nor end them");
    pthread_create(&thread, NULL, close_later, session);
    dt2_context_destroy(ours);
    pthread_join(thread, NULL);
    ok(strstr(warned, "model.safetensors") && strstr(warned, "1 are sessions"), "an end that waits is told: %s", warned);
    is_int(dt2_model_borrow(model, &err), DT2_EGONE, "after it the model is gone");
    is_str(dt2_code_name(err.code), "DT2_EGONE", "by the name of the code");
    is_str(dt2_code_name(-99), "unknown", "other codes have none");
    dt2_model_unref(model);
}

int main(void)
{
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    seed_random(1);
    options.backend_path = "";
    if (dt2_context_create(&options, &context, NULL) < 0)
        return 1;
    open_file();
    test_own();
    test_refused();
    test_cut();
    test_memory();
    test_fork_and_end();
    dt2_blocks_free(all);
    dt2_file_free(file);
    dt2_context_destroy(context);
    return done_testing();
}
