/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program of the ABI's first number: program MODEL. It begins every struct as such a program would, and looks
 * at what a library that knows more does with it; then as a program would that is newer than the library. Prints TAP.
 */
#include <distorch2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 8192 /* more than a struct of any version has */
#define BLANK 0xAA

static int count, bad;

static void ok(bool good, const char *struct_name, const char *what)
{
    bad += !good;
    printf("%s %d - %s: %s\n", good ? "ok" : "not ok", ++count, struct_name, what);
}

static struct {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_devices *devices;
    struct dt2_model *model;
    struct dt2_session *session;
    struct dt2_catalog *catalog;
} the;

static const char machine[] = "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":1000000000}]}";

/* -- each function that takes a struct which begins with its size; what it makes is freed at once */

static int with_context_options(void *options)
{
    struct dt2_context *made;
    int rc = dt2_context_create(options, &made, NULL);
    if (rc == 0)
        dt2_context_destroy(made);
    return rc;
}

static int with_catalog_options(void *options)
{
    struct dt2_catalog *made;
    int rc = dt2_catalog_open(options, NULL, NULL, &made, NULL);
    if (rc == 0)
        dt2_catalog_free(made);
    return rc;
}

static int with_request(void *request)
{
    struct dt2_plan *made;
    const struct dt2_block *blocks = dt2_blocks_array(the.blocks);
    int rc = dt2_plan_make(the.devices, blocks, dt2_blocks_count(the.blocks), request, &made, NULL);
    if (rc == 0)
        dt2_plan_free(made);
    return rc;
}

static int with_load_options(void *options)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *made;
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    int rc = dt2_model_load(the.context, the.file, the.blocks, &request, options, &made, NULL);
    if (rc == 0) {
        dt2_model_unload(made, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(made);
    }
    return rc;
}

static int with_session_options(void *options)
{
    struct dt2_session *made;
    int rc = dt2_session_open(the.model, options, &made, NULL);
    if (rc == 0)
        dt2_session_close(made, NULL);
    return rc;
}

static int with_storing(void *how)
{
    struct dt2_file *made;
    int rc = dt2_file_stored(the.file, how, &made, NULL);
    if (rc == 0)
        dt2_file_free(made);
    return rc;
}

static int fill_native(void *out)
{
    return dt2_model_native(the.model, 0, out, NULL);
}

static int fill_buffer(void *out)
{
    return dt2_model_buffer(the.model, 0, out, NULL);
}

static int fill_session_native(void *out)
{
    int rc = dt2_session_acquire_tensor(the.session, 0, 0, NULL);
    if (rc == 0) {
        rc = dt2_session_native(the.session, 0, out, NULL);
        dt2_session_release_tensor(the.session, 0, NULL);
    }
    return rc;
}

static int fill_stats(void *out)
{
    return dt2_session_statistics(the.session, DT2_SESSION_TOTAL, out, NULL);
}

static int fill_info(void *out)
{
    return dt2_session_info(the.session, out, NULL);
}

static int fill_dlpack(void *out)
{
    return dt2_tensor_dlpack_device(the.model, NULL, 0, out, NULL);
}

static int fill_device(void *out)
{
    return dt2_device_native(the.context, "cpu", false, out, NULL);
}

static int fill_changes(void *out)
{
    return dt2_catalog_refresh(the.catalog, out, NULL);
}

/* -- what each of them must do */

static void set_size(unsigned char *memory, size_t size)
{
    memcpy(memory, &size, sizeof size);
}

static void check_options(const char *name, const void *init, size_t size, int (*call)(void *))
{
    unsigned char memory[ROOM] = { 0 };
    memcpy(memory, init, size);
    ok(call(memory) == 0, name, "as this program has it");
    set_size(memory, ROOM);
    ok(call(memory) == 0, name, "as a newer one has it, which asks for nothing new");
    memory[ROOM - 1] = 1;
    ok(call(memory) == DT2_EUSAGE, name, "as a newer one has it, which asks for what is not known");
    set_size(memory, sizeof(size_t));
    ok(call(memory) == DT2_EUSAGE, name, "less than ever was");
    set_size(memory, 0);
    ok(call(memory) == DT2_EUSAGE, name, "not set at all");
}

/* `used` is where the last member ends: what padding behind it holds is not said. */
static void check_result(const char *name, size_t size, size_t used, int (*call)(void *))
{
    unsigned char memory[ROOM], large[ROOM];
    size_t beyond = size, after;
    memset(memory, BLANK, sizeof memory);
    memset(large, BLANK, sizeof large);
    set_size(memory, size);
    set_size(large, ROOM - 8);
    ok(call(memory) == 0, name, "as this program has room for");
    memcpy(&after, memory, sizeof after);
    ok(after == size, name, "its size stays what it was");
    while (beyond < ROOM && memory[beyond] == BLANK)
        beyond++;
    ok(beyond == ROOM, name, "nothing is written beyond it");
    ok(call(large) == 0 && memcmp(memory + sizeof(size_t), large + sizeof(size_t), used - sizeof(size_t)) == 0, name,
       "a newer one gets the same");
    ok(large[ROOM - 9] == 0 && large[ROOM - 8] == BLANK, name, "and 0 in what is not known");
    set_size(memory, sizeof(size_t));
    ok(call(memory) == DT2_EUSAGE, name, "less than ever was");
}

#define OPTIONS(type, init, call)                                                                                      \
    do {                                                                                                               \
        const struct type options = init;                                                                              \
        check_options(#type, &options, sizeof options, call);                                                          \
    } while (0)
#define RESULT(type, last, call)                                                                                       \
    check_result(#type, sizeof(struct type), offsetof(struct type, last) + sizeof(((struct type *)0)->last), call)

/* -- arrays, callbacks, and what belongs to the library, by this program's sizes of them */

static int count_progress(void *data, const struct dt2_progress *progress)
{
    const struct dt2_progress_device *device = progress->devices[progress->device_count - 1];
    *(uint64_t *)data = device->done_bytes;
    return strcmp(device->device, "cpu") != 0;
}

static void check_arrays(void)
{
    const size_t tensors[] = { 1, 0 };
    const struct dt2_block list[] = { { .name = "one", .tensors = &tensors[0], .tensor_count = 1 },
                                      { .name = "two", .tensors = &tensors[1], .tensor_count = 1 } };
    const struct dt2_limit reserves[] = { { "cpu", 0 }, { "cpu", 0 } };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_blocks *blocks = NULL;
    struct dt2_model *model = NULL;
    uint64_t seen = 0;
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    request.reserves = reserves;
    request.reserve_count = 1;
    options.progress = count_progress;
    options.progress_data = &seen;
    ok(dt2_blocks_from(the.file, list, 2, &blocks, NULL) == 0 && dt2_blocks_count(blocks) == 2, "dt2_block",
       "an array of two");
    ok(blocks && strcmp(dt2_blocks_array(blocks)[1].name, "two") == 0, "dt2_block", "and one that is the library's");
    int rc = dt2_model_load(the.context, the.file, blocks, &request, &options, &model, NULL);
    const uint64_t bytes = dt2_file_tensor(the.file, 0)->bytes + dt2_file_tensor(the.file, 1)->bytes;
    ok(rc == 0 && seen == bytes, "dt2_progress", "counts to the end");
    ok(rc == 0 && dt2_model_statistics(model)->devices[0]->bytes == bytes, "dt2_model_stats", "has what was loaded");
    ok(rc == 0 && dt2_plan_share(dt2_model_applied_plan(model), 0)->block_count == 2, "dt2_share", "has both blocks");
    ok(strcmp(dt2_devices_get(the.devices, 0)->name, "cpu") == 0, "dt2_device", "is the one that was parsed");
    ok(dt2_devices_budget(the.devices, 0)->total_bytes == 1000000000, "dt2_budget", "has its bytes");
    if (model)
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    dt2_blocks_free(blocks);
}

static int begin(const char *path, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    request.eject_models = false;
    int rc = dt2_context_create(NULL, &the.context, err);
    if (rc == 0)
        rc = dt2_file_open(path, &the.file, err);
    if (rc == 0)
        rc = dt2_blocks_make(the.file, &the.blocks, err);
    if (rc == 0)
        rc = dt2_devices_parse(machine, strlen(machine), &the.devices, err);
    if (rc == 0)
        rc = dt2_model_load(the.context, the.file, the.blocks, &request, NULL, &the.model, err);
    if (rc == 0)
        rc = dt2_session_open(the.model, NULL, &the.session, err);
    if (rc == 0)
        rc = dt2_catalog_open(NULL, NULL, NULL, &the.catalog, err);
    return rc;
}

static void end(void)
{
    dt2_catalog_free(the.catalog);
    if (the.session)
        dt2_session_close(the.session, NULL);
    dt2_model_unref(the.model);
    dt2_devices_free(the.devices);
    dt2_blocks_free(the.blocks);
    dt2_file_free(the.file);
    dt2_context_destroy(the.context);
}

int main(int argc, char **argv)
{
    struct dt2_error err;
    if (argc != 2 || begin(argv[1], &err) < 0) {
        fprintf(stderr, "%s\n", argc == 2 ? err.text : "usage: program MODEL");
        return 2;
    }
    OPTIONS(dt2_context_options, DT2_CONTEXT_OPTIONS_INIT, with_context_options);
    OPTIONS(dt2_catalog_options, DT2_CATALOG_OPTIONS_INIT, with_catalog_options);
    OPTIONS(dt2_request, DT2_REQUEST_INIT, with_request);
    OPTIONS(dt2_load_options, DT2_LOAD_OPTIONS_INIT, with_load_options);
    OPTIONS(dt2_session_options, DT2_SESSION_OPTIONS_INIT, with_session_options);
    OPTIONS(dt2_storing, DT2_STORING_INIT, with_storing);
    RESULT(dt2_native, offset, fill_native);
    RESULT(dt2_native, offset, fill_session_native);
    RESULT(dt2_buffer, bytes, fill_buffer);
    RESULT(dt2_session_stats, window_bytes, fill_stats);
    RESULT(dt2_session_info, parked, fill_info);
    RESULT(dt2_dlpack_device, id, fill_dlpack);
    RESULT(dt2_native_device, ordinal, fill_device);
    RESULT(dt2_catalog_changes, removed, fill_changes);
    check_arrays();
    end();
    printf("1..%d\n", count);
    return bad ? 1 : 0;
}
