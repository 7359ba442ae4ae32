/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only hardware can show: every GPU in turn computes, with the model on the host, on each other device, and on all of
 * them; every byte is verified where it lies and where it arrives, over every kind of host memory, with and without a stream.
 *
 *     hardware MODEL.safetensors
 *
 * Skips where there is no GPU. The figures behind "#" are for people.
 */
#include "support/tap.h"
#include <distorch2.h>
#include <time.h>

#define DEVICES_MOST 64
#define TOLERANCE_BYTES ((uint64_t)96 << 20) /* of free memory: what runtimes keep for themselves */

static struct dt2_context *context;
static struct dt2_file *file;
static struct dt2_blocks *blocks;

/* How a session takes its bytes. */
static const struct way {
    const char *name;
    enum dt2_host_memory memory;
    bool stream; /* on the default stream, where the device has one */
} ways[] = {
    { "pageable", DT2_HOST_PAGEABLE, false },
    { "pageable, default stream", DT2_HOST_PAGEABLE, true },
    { "pinned", DT2_HOST_PINNED, false },
    { "pinned, default stream", DT2_HOST_PINNED, true },
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void say(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_WARNING)
        diag("%s", line);
}

static bool has_default_stream(const char *device)
{
    return strncmp(device, "cuda:", 5) == 0 || strncmp(device, "hip:", 4) == 0;
}

/* -- one session ------------------------------------------------------------------------------------------------- */

/* A pass in which nothing is computed: what the copies alone take. */
static int run_pass(struct dt2_session *session, double *seconds, struct dt2_error *err)
{
    size_t count = dt2_model_block_count(dt2_session_model(session)), last = 0;
    double begin = now();
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        last = dt2_session_streams(session, i) ? i : last;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!dt2_session_streams(session, i))
            continue;
        rc = dt2_session_acquire(session, i, i == last ? DT2_ACQUIRE_HOST : 0, err);
        if (rc == 0)
            rc = dt2_session_release(session, i, err);
    }
    dt2_session_next_pass(session);
    *seconds = now() - begin;
    return rc;
}

static int use_session(struct dt2_session *session, const char *what, struct dt2_error *err)
{
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    double first, second;
    int rc = dt2_session_verify(session, file, NULL, NULL, NULL, err);
    if (rc == 0)
        rc = run_pass(session, &first, err);
    if (rc == 0)
        rc = run_pass(session, &second, err);
    if (rc < 0)
        return rc;
    dt2_session_statistics(session, DT2_SESSION_LAST_PASS, &stats, NULL);
    if (stats.bytes)
        diag("%s: %.1f MB a pass in %.1f ms, %.2f GB/s (the pass before: %.1f ms)", what, (double)stats.bytes / 1e6,
             second * 1e3, (double)stats.bytes / second / 1e9, first * 1e3);
    rc = dt2_session_park(session, err);
    if (rc == 0)
        rc = dt2_session_unpark(session, err);
    return rc == 0 ? dt2_session_verify(session, file, NULL, NULL, NULL, err) : rc;
}

static void try_way(struct dt2_model *model, const char *compute, const char *allocations, const struct way *way)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session = NULL;
    struct dt2_error err = { 0 };
    char what[512];
    if (way->stream && !has_default_stream(compute))
        return;
    snprintf(what, sizeof what, "%s for %s, %s", allocations, compute, way->name);
    options.host_memory = way->memory;
    options.has_stream = way->stream;
    int rc = dt2_session_open(model, &options, &session, &err);
    if (rc == 0)
        rc = use_session(session, what, &err);
    for (size_t i = 0; session && i < dt2_session_warning_count(session); i++)
        diag("note: %s", dt2_session_warning(session, i));
    int closed = dt2_session_close(session, rc < 0 ? NULL : &err);
    if (!ok(rc == 0 && closed == 0, "%s: every byte arrives, also after parking", what))
        diag("%s", err.text);
}

/* -- one placement ----------------------------------------------------------------------------------------------- */

static void try_placement(const char *compute, const char *allocations)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    request.compute_device = compute;
    request.virtual_vram_bytes = 0;
    request.expert_mode_allocations = allocations;
    how.verify = true;
    int rc = dt2_model_load(context, file, blocks, &request, &how, &model, &err);
    if (rc == DT2_ENOFIT) {
        diag("%s for %s: %s", allocations, compute, err.text);
        skip(1, "does not fit");
        return;
    }
    if (!ok(rc == 0, "%s for %s: loaded, and every byte verified where it lies", allocations, compute)) {
        diag("%s", err.text);
        return;
    }
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    diag("%s for %s: %.1f MB in %.0f ms, %.2f GB/s", allocations, compute, (double)stats->bytes / 1e6,
         (double)stats->ns / 1e6, (double)stats->bytes / (double)stats->ns);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        try_way(model, compute, allocations, &ways[i]);
    ok(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err) == 0, "and given back");
    dt2_model_unref(model);
}

/* "A,20%;B,20%;...;cpu,*": all that is there, the device that computes among it. */
static void mixture(const struct dt2_device *const *gpus, size_t count, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s,%zu%%;", gpus[i]->name, 80 / count);
    if (length < size)
        snprintf(text + length, size - length, "cpu,*");
}

static void try_compute(const char *compute, const struct dt2_device *const *gpus, size_t count)
{
    char text[DEVICES_MOST * 24];
    try_placement(compute, "cpu,*");
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s,*", gpus[i]->name);
        try_placement(compute, text);
    }
    mixture(gpus, count, text, sizeof text);
    try_placement(compute, text);
}

/* -- the machine -------------------------------------------------------------------------------------------------- */

static struct dt2_devices *list(unsigned flags)
{
    struct dt2_devices *devices;
    struct dt2_error err;
    if (dt2_devices_list(context, flags, &devices, &err) == 0)
        return devices;
    printf("Bail out! %s\n", err.text);
    exit(1);
}

/* OpenCL on the processor counts where DISTORCH2_CHECK_CPU says so: then this can be tried without a GPU. */
static size_t find_gpus(const struct dt2_devices *devices, const struct dt2_device **gpus)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_devices_count(devices) && count < DEVICES_MOST; i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        bool is_gpu = strcmp(device->kind, "gpu") == 0;
        if (is_gpu || (getenv("DISTORCH2_CHECK_CPU") && strcmp(device->kind, "host") != 0))
            gpus[count++] = device;
    }
    return count;
}

static void compare_free(const struct dt2_device *const *gpus, size_t count)
{
    struct dt2_devices *devices = list(DT2_DEVICES_FREE);
    for (size_t i = 0; i < count; i++) {
        size_t index;
        if (strcmp(gpus[i]->kind, "gpu") != 0) /* its memory is the host's, which all programs take and give back */
            continue;
        if (gpus[i]->free_bytes == DT2_UNKNOWN || dt2_devices_find(devices, gpus[i]->name, &index, NULL) < 0)
            continue;
        uint64_t before = gpus[i]->free_bytes, after = dt2_devices_get(devices, index)->free_bytes;
        ok(after == DT2_UNKNOWN || after + TOLERANCE_BYTES >= before,
           "%s has %" PRIu64 " bytes free at the end, %" PRIu64 " at the beginning", gpus[i]->name, after, before);
    }
    dt2_devices_free(devices);
}

int main(int argc, char **argv)
{
    const struct dt2_device *gpus[DEVICES_MOST];
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_error err;
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return 2;
    }
    options.log = say;
    if (dt2_context_create(&options, &context, &err) < 0 || dt2_file_open(argv[1], &file, &err) < 0 ||
        dt2_blocks_make(file, &blocks, &err) < 0) {
        printf("Bail out! %s\n", err.text);
        return 1;
    }
    struct dt2_devices *devices = list(DT2_DEVICES_FREE);
    size_t count = find_gpus(devices, gpus);
    for (size_t i = 0; i < count; i++)
        try_compute(gpus[i]->name, gpus, count);
    if (count > 0) {
        try_compute("cpu", gpus, count);
        compare_free(gpus, count);
    }
    dt2_devices_free(devices);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    dt2_context_destroy(context);
    return count > 0 ? done_testing() : skip_all("no GPU that a driver can use");
}
