/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A forked child, while other threads of the parent are inside the library: every function that takes a context, a model or a
 * session is refused there, or does nothing, and none waits for a lock that nobody will give back.
 */
#include "model/model.h"
#include "stream/stream.h"
#include "support/model.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/wait.h>

static struct {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_plan *plan;
    struct dt2_model *model;
    struct dt2_session *session;
    void *managed; /* a tensor of DLPack's */
} the;

static struct dt2_error err;

/* -- what the child tries */

static bool refused(int rc)
{
    return rc == DT2_EUSAGE && strstr(err.text, "forked child") && err.suggestion[0];
}

static bool try_devices(void)
{
    struct dt2_devices *devices;
    return refused(dt2_devices_list(the.context, 0, &devices, &err));
}

static bool try_device_native(void)
{
    struct dt2_native_device native = DT2_NATIVE_DEVICE_INIT;
    return refused(dt2_device_native(the.context, "cpu", true, &native, &err));
}

static bool try_plan(void)
{
    struct dt2_plan *plan;
    return refused(dt2_model_plan(the.context, the.blocks, NULL, &plan, &err));
}

static bool try_load(void)
{
    struct dt2_model *model;
    return refused(dt2_model_load(the.context, the.file, the.blocks, NULL, NULL, &model, &err));
}

static bool try_load_plan(void)
{
    struct dt2_model *model;
    return refused(dt2_model_load_plan(the.context, the.file, the.blocks, the.plan, NULL, &model, &err));
}

static bool try_models(void)
{
    struct dt2_model *models[2];
    return dt2_context_models(the.context, models, 2) == 0;
}

static bool try_borrow(void)
{
    return refused(dt2_model_borrow(the.model, &err));
}

static bool try_return(void)
{
    dt2_model_return(the.model);
    return true;
}

static bool try_unload(void)
{
    return refused(dt2_model_unload(the.model, DT2_UNLOAD_WAIT, &err));
}

static bool try_loaded(void)
{
    return !dt2_model_loaded(the.model);
}

static bool try_native(void)
{
    struct dt2_native native = DT2_NATIVE_INIT;
    return refused(dt2_model_native(the.model, 0, &native, &err));
}

static bool try_read(void)
{
    static char bytes[65536];
    return refused(dt2_model_read(the.model, 0, bytes, dt2_model_tensor(the.model, 0)->bytes, &err));
}

static bool try_buffer(void)
{
    struct dt2_buffer buffer = DT2_BUFFER_INIT;
    return dt2_model_buffer_count(the.model) == 0 && refused(dt2_model_buffer(the.model, 0, &buffer, &err));
}

static bool try_dlpack(void)
{
    struct dt2_dlpack_device device = DT2_DLPACK_DEVICE_INIT;
    void *managed;
    return refused(dt2_tensor_dlpack(the.model, NULL, 0, DT2_DLPACK_VERSIONED, &managed, &err)) &&
           refused(dt2_tensor_dlpack(the.model, the.session, 0, DT2_DLPACK_VERSIONED, &managed, &err)) &&
           refused(dt2_tensor_dlpack_device(the.model, the.session, 0, &device, &err));
}

static bool try_delete(void)
{
    struct { /* DLManagedTensorVersioned, to its deleter */
        uint32_t version[2];
        void *manager;
        void (*deleter)(void *);
    } *managed = the.managed;
    managed->deleter(managed);
    return true;
}

static bool try_open(void)
{
    struct dt2_session *session;
    return refused(dt2_session_open(the.model, NULL, &session, &err));
}

static bool try_close(void)
{
    return refused(dt2_session_close(the.session, &err));
}

static bool try_acquire(void)
{
    return refused(dt2_session_acquire(the.session, 0, 0, &err)) && refused(dt2_session_acquire_tensor(the.session, 0, 0, &err));
}

static bool try_release(void)
{
    return refused(dt2_session_release(the.session, 0, &err)) && refused(dt2_session_release_tensor(the.session, 0, &err));
}

static bool try_session_native(void)
{
    struct dt2_native native = DT2_NATIVE_INIT;
    return refused(dt2_session_native(the.session, 0, &native, &err));
}

static bool try_use_stream(void)
{
    return refused(dt2_session_use_stream(the.session, NULL, &err));
}

static bool try_next_pass(void)
{
    dt2_session_next_pass(the.session);
    return true;
}

static bool try_statistics(void)
{
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    return refused(dt2_session_statistics(the.session, DT2_SESSION_TOTAL, &stats, &err));
}

static bool try_info(void)
{
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    return refused(dt2_session_info(the.session, &info, &err));
}

static bool try_warnings(void)
{
    return dt2_session_warning_count(the.session) == 0 && !dt2_session_warning(the.session, 0);
}

static bool try_verify(void)
{
    return refused(dt2_session_verify(the.session, the.file, NULL, NULL, NULL, &err));
}

static bool try_park(void)
{
    return refused(dt2_session_park(the.session, &err)) && refused(dt2_session_unpark(the.session, &err));
}

static bool try_end(void)
{
    dt2_model_unref(the.model);
    dt2_context_destroy(the.context);
    return true;
}

static const struct {
    const char *what;
    bool (*right)(void);
} tries[] = {
    { "dt2_devices_list", try_devices },
    { "dt2_device_native", try_device_native },
    { "dt2_model_plan", try_plan },
    { "dt2_model_load", try_load },
    { "dt2_model_load_plan", try_load_plan },
    { "dt2_context_models", try_models },
    { "dt2_model_borrow", try_borrow },
    { "dt2_model_return", try_return },
    { "dt2_model_unload", try_unload },
    { "dt2_model_loaded", try_loaded },
    { "dt2_model_native", try_native },
    { "dt2_model_read", try_read },
    { "dt2_model_buffer and its count", try_buffer },
    { "dt2_tensor_dlpack and its device", try_dlpack },
    { "the deleter of a DLPack structure", try_delete },
    { "dt2_session_open", try_open },
    { "dt2_session_close", try_close },
    { "dt2_session_acquire, of a tensor too", try_acquire },
    { "dt2_session_release, of a tensor too", try_release },
    { "dt2_session_native", try_session_native },
    { "dt2_session_use_stream", try_use_stream },
    { "dt2_session_next_pass", try_next_pass },
    { "dt2_session_statistics", try_statistics },
    { "dt2_session_info", try_info },
    { "dt2_session_warning and its count", try_warnings },
    { "dt2_session_verify", try_verify },
    { "dt2_session_park and unpark", try_park },
    { "dt2_model_unref and dt2_context_destroy", try_end },
};

/* -- the parent */

static void begin(void)
{
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    options.backend_path = "";
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    const char *path = scratch("fork.safetensors");
    sparse_model("tiny", path);
    if (dt2_file_open(path, &the.file, &err) < 0 || dt2_blocks_make(the.file, &the.blocks, &err) < 0 ||
        dt2_context_create(&options, &the.context, &err) < 0 ||
        dt2_model_plan(the.context, the.blocks, &request, &the.plan, &err) < 0 ||
        dt2_model_load(the.context, the.file, the.blocks, &request, NULL, &the.model, &err) < 0 ||
        dt2_session_open(the.model, NULL, &the.session, &err) < 0 ||
        dt2_tensor_dlpack(the.model, NULL, 0, DT2_DLPACK_VERSIONED, &the.managed, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* How a child ends that tries one of them, while all locks are held as other threads may hold them. */
static int status_in_child(size_t index)
{
    int status = -1;
    pthread_mutex_t *const locks[] = { &the.context->admission, &the.context->lock, &the.model->lock, &the.session->lock };
    for (size_t i = 0; i < 4; i++)
        pthread_mutex_lock(locks[i]);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(tries[index].right() ? 0 : 1);
    }
    for (size_t i = 4; i-- > 0;)
        pthread_mutex_unlock(locks[i]);
    waitpid(child, &status, 0);
    return status;
}

int main(void)
{
    begin();
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        is_int(status_in_child(i), 0, "%s in a forked child", tries[i].what);
    ok(dt2_model_loaded(the.model) && try_delete(), "the parent goes on");
    is_int(dt2_session_close(the.session, &err), 0, "and ends what is its own");
    is_int(dt2_model_unload(the.model, DT2_UNLOAD_REFUSE, &err), 0, "with no borrow left");
    dt2_model_unref(the.model);
    dt2_plan_free(the.plan);
    dt2_blocks_free(the.blocks);
    dt2_file_free(the.file);
    dt2_context_destroy(the.context);
    return done_testing();
}
