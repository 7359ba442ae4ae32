/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stays behind: after a hundred loads that eject one another, after a card is lost at any point of a load, and
 * after memory ran out although the plan fitted. Each case is a life on a simulated machine.
 */
#include "mixed/simulated.h"
#include "mixed/source.h"
#include "support/held.h"
#include <malloc.h>
#include <time.h>

#define MIB (1ull << 20)

/* What watches memory keeps what was freed for a while. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define RSS_MARGIN UINT32_MAX
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RSS_MARGIN UINT32_MAX
#endif
#endif
#ifndef RSS_MARGIN
#define RSS_MARGIN (2 * MIB)
#endif

static struct dt2_context *context;
static struct source source;

static int load_on(const char *compute, const char *expert, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model = NULL;
    const struct dt2_limit reserve = { compute, 0 };
    request.compute_device = compute;
    request.expert_mode_allocations = expert;
    request.reserves = &reserve;
    request.reserve_count = 1;
    options.verify = true;
    int rc = dt2_model_load(context, source.file, source.blocks, &request, &options, &model, err);
    dt2_model_unref(model);
    return rc;
}

static void unload_all(void)
{
    struct dt2_model *models[8];
    size_t count = dt2_context_models(context, models, 8);
    for (size_t i = 0; i < count; i++) {
        dt2_model_unload(models[i], DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(models[i]);
    }
}

/* -- what a process holds */

struct holding {
    uint64_t rss_bytes, descriptors, threads;
    uint64_t allocations, pinned, registered, streams, events, contexts, cl_buffers, cl_queues, cl_events, cl_contexts;
};

static uint64_t resident_bytes(void)
{
    unsigned long long whole = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%llu %llu", &whole, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct holding holding_now(void)
{
    malloc_trim(0); /* what was freed, the C library may keep */
    return (struct holding){
        .rss_bytes = resident_bytes(),
        .descriptors = (uint64_t)entries_of("/proc/self/fd"),
        .threads = (uint64_t)entries_of("/proc/self/task"),
        .allocations = simulator_says("unfreed_allocations"),
        .pinned = simulator_says("unfreed_pinned"),
        .registered = simulator_says("still_registered"),
        .streams = simulator_says("unfreed_streams"),
        .events = simulator_says("unfreed_events"),
        .contexts = simulator_says("retained_contexts"),
        .cl_buffers = simulator_says("unfreed_cl_mem"),
        .cl_queues = simulator_says("unfreed_cl_queue"),
        .cl_events = simulator_says("unfreed_cl_event"),
        .cl_contexts = simulator_says("unfreed_cl_context"),
    };
}

static bool same_but_for_rss(const struct holding *a, const struct holding *b)
{
    struct holding one = *a, two = *b;
    one.rss_bytes = two.rss_bytes = 0;
    return memcmp(&one, &two, sizeof one) == 0;
}

/* The simulator's threads of streams that were destroyed end a little later. */
static struct holding settled(const struct holding *like)
{
    struct holding now = holding_now();
    for (int i = 0; i < 100 && !same_but_for_rss(&now, like); i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        now = holding_now();
    }
    return now;
}

static void show(const char *when, const struct holding *h)
{
    diag("%s: RSS %.1f MiB, %" PRIu64 " descriptors, %" PRIu64 " threads; simulator: %" PRIu64 " allocations, %" PRIu64
         " pinned, %" PRIu64 " registered, %" PRIu64 " streams, %" PRIu64 " events, %" PRIu64 " contexts, %" PRIu64
         "/%" PRIu64 "/%" PRIu64 "/%" PRIu64 " of OpenCL",
         when, (double)h->rss_bytes / MIB, h->descriptors, h->threads, h->allocations, h->pinned, h->registered,
         h->streams, h->events, h->contexts, h->cl_buffers, h->cl_queues, h->cl_events, h->cl_contexts);
}

/* -- the lives: 0 when all is as it should be */

static int live_cycles(const char *cycles)
{
    static const char expert[] = "cuda:0,25%;cuda:1,20%;hip:0,20%;opencl:0,10%;cpu,*";
    struct dt2_error err = { 0 };
    struct holding start = { 0 }, end;
    unsigned count = (unsigned)strtoul(cycles, NULL, 10);
    for (unsigned i = 0; i < count; i++) {
        if (load_on(i % 2 ? "cuda:1" : "cuda:0", expert, &err)) { /* ejects the one before */
            diag("load %u: %s", i, err.text);
            return 1;
        }
        struct dt2_model *model;
        if (dt2_context_models(context, &model, 1) != 1 || !source_is(&source, model))
            return 1;
        dt2_model_unref(model);
        if (i == 1) { /* what is made once is made */
            unload_all();
            start = holding_now();
            start = settled(&start);
        }
    }
    unload_all();
    end = settled(&start);
    show("after 2", &start);
    show("at the end", &end);
    bool small = end.rss_bytes < start.rss_bytes + RSS_MARGIN;
    return same_but_for_rss(&start, &end) && small && end.allocations == 0 && end.events == 0 ? 0 : 1;
}

/* Nothing of a load is left; contexts, and what the core keeps of devices, may be. */
static bool all_given_back(void)
{
    return simulator_says("unfreed_bytes") == 0 && simulator_says("unfreed_pinned") == 0 &&
           simulator_says("still_registered") == 0 && simulator_says("unfreed_events") == 0 &&
           simulator_says("unfreed_cl_mem") == 0 && dt2_context_models(context, NULL, 0) == 0;
}

static int live_lost(const char *unused)
{
    (void)unused;
    struct dt2_error err = { 0 };
    int rc = load_on("cuda:0", "cuda:0,30%;cuda:1,30%;hip:0,*", &err);
    diag("%d: %s", rc, rc ? err.text : "loaded before it was lost");
    bool named = rc == DT2_EFAILED && strstr(err.text, "cuda:1");
    if ((rc && !named) || (rc && !all_given_back()))
        return 1;
    unload_all();
    if (load_on("cuda:0", "cuda:0,50%;hip:0,*", &err)) {
        diag("the others: %s", err.text);
        return 1;
    }
    return 0;
}

static int live_shrinking(const char *device)
{
    struct dt2_error err = { 0 };
    char expert[32];
    snprintf(expert, sizeof expert, "%s,*", device);
    int rc = load_on(device, expert, &err);
    diag("%d: %s", rc, rc ? err.text : "loaded");
    if (rc != DT2_ENOFIT || dt2_exit_status(rc) != 3 || !strstr(err.text, device) || !all_given_back())
        return 1;
    if (!err.text[strcspn(err.text + strlen(device), "0123456789") + strlen(device)])
        return 1;
    return load_on("cpu", "cpu,*", &err);
}

static int live(const char *which, const char *argument)
{
    struct dt2_error err;
    source_make(&source, "model.safetensors", TENSORS_MOST, 400000);
    if (dt2_context_create(NULL, &context, &err))
        return 1;
    int failed = strcmp(which, "cycles") == 0 ? live_cycles(argument)
                 : strcmp(which, "lost") == 0 ? live_lost(argument)
                                              : live_shrinking(argument);
    dt2_context_destroy(context);
    source_free(&source);
    return failed;
}

/* -- the machines */

/* Where `pattern` begins a line of a machine, `line` comes instead of it. */
static const char *machine_with(const char *name, const char *pattern, const char *line)
{
    char text[256], from[64];
    snprintf(from, sizeof from, "machines/%s.sim", name);
    const char *path = scratch("machine.sim");
    FILE *in = fopen(data_path(from), "r"), *out = fopen(path, "w");
    while (in && out && fgets(text, sizeof text, in))
        fprintf(out, "%s%s", strncmp(text, pattern, strlen(pattern)) == 0 ? line : text,
                strncmp(text, pattern, strlen(pattern)) == 0 ? "\n" : "");
    if (!in || !out || fclose(out))
        exit(1);
    fclose(in);
    return path;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[1], argv[2]);
    if (!can_simulate())
        return skip_all("not all of the CUDA, HIP and OpenCL drivers were built");
    ok(on_machine(data_path("machines/small.sim"), "cycles", "100") == 0,
       "100 loads that eject one another: memory, descriptors, threads and the simulator's counts are where they were");
    static const unsigned points[] = { 1, 2, 3, 5, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 70, 100, 150 };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char line[32];
        snprintf(line, sizeof line, "lost = %u", points[i]);
        const char *machine = machine_with("lost", "lost =", line);
        ok(on_machine(machine, "lost", "") == 0, "a card lost at call %u of it", points[i]);
    }
    static const char *const shrinking[] = { "cuda:0", "hip:0" };
    for (size_t i = 0; i < 2; i++)
        ok(on_machine(machine_with("growing", "others_grow =", "others_grow = 1000MiB"), "shrinking", shrinking[i]) == 0,
           "memory of %s shrinks after the plan was made", shrinking[i]);
    return done_testing();
}
