/* SPDX-License-Identifier: BSD-3-Clause */
/* A context with host memory and two OpenCL devices, and sessions on models in it. Problems end the program. */
#ifndef DT2_TESTS_SESSIONS_H
#define DT2_TESTS_SESSIONS_H

#include "mixed/source.h"
#include "support/opencl.h"

static struct dt2_context *context;
static bool has_opencl;

static inline struct dt2_model *load(const struct source *source, const char *compute, const char *allocations)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model;
    struct dt2_error err;
    request.compute_device = compute;
    request.virtual_vram_bytes = 0;
    request.expert_mode_allocations = allocations;
    request.eject_models = false;
    if (dt2_model_load(context, source->file, source->blocks, &request, NULL, &model, &err) < 0)
        layout_die("%s", err.text);
    return model;
}

static inline void unload(struct dt2_model *model)
{
    struct dt2_error err;
    if (dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err) < 0)
        layout_die("%s", err.text);
    dt2_model_unref(model);
}

/* Opens a session, and ends the program when that fails. */
static inline struct dt2_session *begin(struct dt2_model *model, uint64_t window_bytes)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session;
    struct dt2_error err;
    options.window_bytes = window_bytes;
    if (dt2_session_open(model, &options, &session, &err) < 0)
        layout_die("%s", err.text);
    return session;
}

static inline void finish(struct dt2_session *session)
{
    struct dt2_error err;
    if (dt2_session_close(session, &err) < 0)
        layout_die("%s", err.text);
}

static inline size_t find(struct dt2_model *model, const char *name)
{
    size_t index = 0;
    if (dt2_model_find(model, name, &index, NULL) < 0)
        layout_die("no tensor %s", name);
    return index;
}

static inline void open_context(void)
{
    struct dt2_error err;
    setenv("POCL_DEVICES", "pthread basic", 0);
    if (dt2_context_create(NULL, &context, &err) < 0)
        layout_die("%s", err.text);
    has_opencl = two_opencl_devices(context);
    diag("over %s", has_opencl ? "opencl:0, opencl:1 and cpu" : "cpu alone: there are no two OpenCL devices");
}

#endif
