/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every call failing once. A model K is loaded and borrowed, a model A is loaded, and then the load of B, which ejects
 * A, is broken: each allocation, read, mapping, thread and file in turn fails, and on a simulated machine
 * (tests/sim/run) each call of a driver. Whatever happens: nothing crashes, the error says what it was, nothing leaks,
 * K and a model that was not ejected are right, and the next load works. The same from a context's first moment on, and
 * for a session on K.
 *
 * usage: test-failing [COMPUTE-DEVICE ALLOCATIONS]
 * DT2_FAILING_FULL=1 in the environment: all calls, not a sample of them.
 */
#include "session.h"
#include "sim/sim.h"
#include "support/held.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "work.h"
#include "wrap.h"
#include <jansson.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { DRIVER = WRAP_KIND_COUNT, WORK, KIND_COUNT };

/* How a kind of failure is told: one of these is in the error's text. */
static const struct kind {
    const char *name;
    const char *culprits[4];
} kinds[KIND_COUNT] = {
    [WRAP_ALLOCATION] = { "allocation", { "memory" } },
    [WRAP_READ] = { "read", { ".safetensors: " } },
    [WRAP_MAP] = { "mapping", { "cpu" } },
    [WRAP_THREAD] = { "thread", { "thread" } },
    [WRAP_OPEN] = { "opened file", { ".safetensors: ", "no device" } }, /* the folder of modules */
    [DRIVER] = { "driver call", { "cuda:", "hip:", "opencl:" } },
    [WORK] = { "device command", { "cuda:", "hip:", "opencl:" } },
};

static struct work_file files[3]; /* K, A, B */
enum { K, A, B };
static struct work_places places = { "cpu", "cpu,*", false };
static bool simulated;
static bool full;
static long most = 120; /* failures of one kind in one phase, unless it is to be all of them */
static unsigned injected[KIND_COUNT];

/* -- what is held */

enum { SIM_KEY_COUNT = 22 };
static const char *const sim_keys[SIM_KEY_COUNT] = {
    "unfreed_bytes",  "unfreed_allocations", "unfreed_streams",   "unfreed_events",   "unfreed_pinned",
    "unfreed_nvml",   "still_registered",    "retained_contexts", "unfreed_cl_queue", "unfreed_cl_context",
    "unfreed_cl_mem", "unfreed_cl_event",    "abandoned",         "use_after_free",   "overwritten_source",
    "wrong_device",   "out_of_range",        "bad_handle",        "peer_access",
    "wrong_bytes",    "unordered",           "captured",
};

struct held {
    long allocations, mapped_bytes, descriptors, threads;
    uint64_t sim[SIM_KEY_COUNT];
};

static struct held held_now(void)
{
    struct held held = { wrap_allocations(), wrap_mapped_bytes(), entries_of("/proc/self/fd"),
                         entries_of("/proc/self/task"), { 0 } };
    for (int i = 0; simulated && i < SIM_KEY_COUNT; i++)
        held.sim[i] = sim_value(sim_keys[i]);
    return held;
}

/* Whether no more is held than before. A thread that was joined may take a moment to leave /proc. */
static bool nothing_more(const struct held *before, char *what, size_t size)
{
    struct held now = held_now();
    for (int i = 0; i < 100 && now.threads > before->threads; i++) {
        usleep(5000);
        now = held_now();
    }
    if (now.allocations != before->allocations)
        snprintf(what, size, "%+ld allocations", now.allocations - before->allocations);
    else if (now.mapped_bytes != before->mapped_bytes)
        snprintf(what, size, "%+ld mapped bytes", now.mapped_bytes - before->mapped_bytes);
    else if (now.descriptors != before->descriptors)
        snprintf(what, size, "%+ld file descriptors", now.descriptors - before->descriptors);
    else if (now.threads != before->threads)
        snprintf(what, size, "%+ld threads", now.threads - before->threads);
    else {
        for (int i = 0; i < SIM_KEY_COUNT; i++)
            if (now.sim[i] != before->sim[i]) {
                snprintf(what, size, "%s: %" PRIu64 ", and %" PRIu64 " before", sim_keys[i], now.sim[i],
                         before->sim[i]);
                return false;
            }
        return true;
    }
    return false;
}

/* -- one failure */

static void arm(int kind, long nth, int code)
{
    if (kind < WRAP_KIND_COUNT)
        wrap_arm((enum wrap_kind)kind, nth);
    else
        sim_fail(kind == DRIVER ? "*" : "execute", (uint64_t)nth, false, code);
}

/* Ends it; true when the call had come, and failed. */
static bool disarm(int kind)
{
    static uint64_t seen;
    if (kind < WRAP_KIND_COUNT)
        return wrap_disarm((enum wrap_kind)kind);
    sim_forgive();
    uint64_t before = seen;
    seen = sim_value("injected");
    return seen > before;
}

static long calls_of(int kind)
{
    if (kind < WRAP_KIND_COUNT)
        return wrap_calls((enum wrap_kind)kind);
    return (long)sim_calls(kind == DRIVER ? "*" : "execute");
}

static bool names_culprit(int kind, const struct dt2_error *err)
{
    for (int i = 0; i < 4 && kinds[kind].culprits[i]; i++)
        if (strstr(err->text, kinds[kind].culprits[i]))
            return true;
    return false;
}

/* One line of TAP for each phase and kind: what was tried, and the first thing that was wrong. */
struct tally {
    const char *phase;
    int kind;
    unsigned injected, refused; /* those that failed of it; the others did without */
    unsigned wrong;
    long calls; /* of the kind, in the last attempt */
};

__attribute__((format(printf, 3, 4))) static void wrong(struct tally *tally, long nth, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (tally->wrong++ < 5)
        diag("%s, %s %ld: %s", tally->phase, kinds[tally->kind].name, nth, text);
}

/* How a load ended that was to be broken. */
static void look_at(struct tally *tally, long nth, int rc, struct dt2_model *model, struct dt2_error *err)
{
    tally->refused += rc < 0;
    if (rc < 0 && !names_culprit(tally->kind, err))
        wrong(tally, nth, "code %d, and the error names no culprit: '%s'", rc, err->text);
    if (rc < 0 && model)
        wrong(tally, nth, "a model is given back with an error");
    if (rc == 0 && !work_is_right(&files[B], model, err))
        wrong(tally, nth, "B is loaded, and wrong: %s", err->text);
}

/* Codes in turn: without memory, a mistake, and one that nobody expects; none of them stays with the context. */
static int code_of(long nth)
{
    static const int codes[] = { SIM_NOMEM, SIM_INVALID_VALUE, SIM_NOT_SUPPORTED };
    return codes[nth % 3];
}

/* -- phase one: in a context that holds K, borrowed, and A, the load of B */

struct scene {
    struct dt2_context *context;
    struct dt2_model *k, *a;
};

static bool scene_make(struct scene *scene)
{
    struct dt2_error err = { 0 };
    *scene = (struct scene){ 0 };
    bool made = dt2_context_create(NULL, &scene->context, &err) == 0 &&
                work_load(scene->context, &files[K], &places, &scene->k, &err) == 0 &&
                dt2_model_borrow(scene->k, &err) == 0 &&
                work_load(scene->context, &files[A], &places, &scene->a, &err) == 0;
    if (!made)
        diag("%s", err.text);
    return made;
}

static void scene_clear(struct scene *scene)
{
    if (scene->k)
        dt2_model_return(scene->k);
    work_unload(scene->k);
    work_unload(scene->a);
    dt2_context_destroy(scene->context);
}

/* Breaks the load of B, and puts A back as it was; false when there was no nth call to fail. */
static bool break_eject(struct scene *scene, struct tally *tally, long nth)
{
    struct dt2_error err = { 0 };
    struct dt2_model *b;
    char what[256];
    struct held before = held_now();
    disarm(tally->kind);
    arm(tally->kind, nth, code_of(nth));
    long calls = calls_of(tally->kind);
    int rc = work_load(scene->context, &files[B], &places, &b, &err);
    tally->calls = calls_of(tally->kind) - calls;
    bool fired = disarm(tally->kind);
    tally->injected += fired;
    look_at(tally, nth, rc, b, &err);
    work_unload(b);
    if (!work_is_right(&files[K], scene->k, &err))
        wrong(tally, nth, "K is not right any more: %s", err.text);
    bool ejected = !dt2_model_loaded(scene->a);
    if (rc == 0 && !ejected)
        wrong(tally, nth, "B is loaded, and A was not ejected");
    if (!ejected && !work_is_right(&files[A], scene->a, &err))
        wrong(tally, nth, "A was not ejected, and is not right: %s", err.text);
    work_unload(scene->a);
    if (work_load(scene->context, &files[A], &places, &scene->a, &err) < 0)
        wrong(tally, nth, "the next load fails: %s", err.text);
    if (!nothing_more(&before, what, sizeof what))
        wrong(tally, nth, "held afterwards: %s", what);
    return fired;
}

static bool attempt_eject(void *data, struct tally *tally, long nth)
{
    return break_eject(data, tally, nth);
}

/* -- phase two: from a context's first moment to the end of its first load */

/* Whether a context that failed once must still be good for all: what it could not learn it looks for no more. */
static bool recovers(int kind)
{
    return kind != DRIVER && kind != WRAP_OPEN;
}

static bool attempt_first(void *data, struct tally *tally, long nth)
{
    (void)data;
    struct dt2_error err = { 0 };
    struct dt2_context *context = NULL;
    struct dt2_model *model = NULL;
    char what[256];
    struct held before = held_now();
    disarm(tally->kind);
    arm(tally->kind, nth, code_of(nth));
    long calls = calls_of(tally->kind);
    int rc = dt2_context_create(NULL, &context, &err);
    if (rc == 0)
        rc = work_load(context, &files[B], &places, &model, &err);
    tally->calls = calls_of(tally->kind) - calls;
    bool fired = disarm(tally->kind);
    tally->injected += fired;
    look_at(tally, nth, rc, model, &err);
    if (context && rc < 0 && recovers(tally->kind)) {
        if (work_load(context, &files[B], &places, &model, &err) < 0)
            wrong(tally, nth, "the next load in the context fails: %s", err.text);
        else if (!work_is_right(&files[B], model, &err))
            wrong(tally, nth, "the next load in the context is wrong: %s", err.text);
    }
    work_unload(model);
    dt2_context_destroy(context);
    if (!nothing_more(&before, what, sizeof what))
        wrong(tally, nth, "held afterwards: %s", what);
    return fired;
}

/* -- a session on K, from its opening to its end */

static bool attempt_session(void *data, struct tally *tally, long nth)
{
    struct scene *scene = data;
    struct dt2_error err = { 0 };
    char what[800];
    struct held before = held_now();
    disarm(tally->kind);
    arm(tally->kind, nth, code_of(nth));
    long calls = calls_of(tally->kind);
    int rc = session_use(scene->k, &files[K], &err, what, sizeof what);
    tally->calls = calls_of(tally->kind) - calls;
    bool fired = disarm(tally->kind);
    tally->injected += fired;
    tally->refused += rc < 0;
    if (rc < 0 && !names_culprit(tally->kind, &err))
        wrong(tally, nth, "code %d, and the error names no culprit: '%s'", rc, err.text);
    if (what[0])
        wrong(tally, nth, "%s", what);
    if (session_use(scene->k, &files[K], &err, what, sizeof what) < 0)
        wrong(tally, nth, "the next session fails: %s", err.text);
    if (!nothing_more(&before, what, sizeof what))
        wrong(tally, nth, "held afterwards: %s", what);
    return fired;
}

/* -- what a context tells: its devices and a plan as JSON, whole or not at all */

struct told {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    char *whole; /* the JSON of the plan when nothing fails */
};

static int tell(const struct told *told, char **text, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    const struct dt2_limit limits[] = { { "cpu", 1 << 20 }, { places.compute, 1 << 10 } };
    struct dt2_plan *plan = NULL;
    request.compute_device = places.compute;
    request.expert_mode_allocations = places.allocations;
    request.reserves = limits;
    request.reserve_count = strcmp(places.compute, "cpu") ? 2 : 1;
    int rc = dt2_model_plan(told->context, told->blocks, &request, &plan, err);
    if (rc == 0 && !(*text = dt2_plan_json(plan, told->file))) {
        rc = err->code = DT2_ENOMEM;
        snprintf(err->text, sizeof err->text, "no memory for the JSON");
    }
    dt2_plan_free(plan);
    return rc;
}

static bool attempt_tell(void *data, struct tally *tally, long nth)
{
    struct told *told = data;
    struct dt2_error err = { 0 };
    char *text = NULL, what[256];
    struct held before = held_now();
    arm(tally->kind, nth, 0);
    int rc = tell(told, &text, &err);
    tally->calls = calls_of(tally->kind);
    bool fired = disarm(tally->kind);
    tally->injected += fired;
    tally->refused += rc < 0;
    if (rc < 0 && !names_culprit(tally->kind, &err))
        wrong(tally, nth, "code %d, and the error names no culprit: '%s'", rc, err.text);
    /* What is told of devices may be less: that free memory is unknown, for one, which a warning says, or what the host is called. */
    size_t compared = told->whole ? (size_t)(strstr(told->whole, "\"devices\"") - told->whole) : 0;
    if (rc == 0 && strncmp(text, told->whole ? told->whole : "", compared) != 0)
        wrong(tally, nth, "the plan's JSON is another one: %s", text);
    if (told->whole)
        dt2_text_free(text);
    else
        told->whole = text;
    if (told->whole != text && !nothing_more(&before, what, sizeof what))
        wrong(tally, nth, "held afterwards: %s", what);
    return fired;
}

/* -- phase three: what stays. A process each, that loads K, A and B while codes come that make a context useless */

static const int lasting_codes[] = { SIM_ILLEGAL_ADDRESS, SIM_LAUNCH_FAILURE, SIM_UNKNOWN };

/* In the child. Models on the device that fails cannot be right any more; those in host memory are. */
static int live_on(struct tally *tally, long nth)
{
    const struct work_places home = { "cpu", "cpu,*", false };
    struct dt2_error err = { 0 };
    struct dt2_context *context;
    struct dt2_model *at_home, *model;
    if (dt2_context_create(NULL, &context, &err) < 0 || work_load(context, &files[K], &home, &at_home, &err) < 0 ||
        work_load(context, &files[A], &places, &model, &err) < 0)
        return 3;
    dt2_model_unref(model); /* the context still has it, to be ejected */
    arm(tally->kind, nth, lasting_codes[nth % 3]);
    long calls = calls_of(tally->kind);
    int rc = work_load(context, &files[B], &places, &model, &err);
    tally->calls = calls_of(tally->kind) - calls;
    sim_forgive();
    tally->injected = sim_value("injected") > 0;
    if (rc < 0)
        look_at(tally, nth, rc, model, &err);
    work_unload(model);
    if (!work_is_right(&files[K], at_home, &err))
        wrong(tally, nth, "K in host memory is not right any more: %s", err.text);
    dt2_model_unref(at_home);
    if (work_load(context, &files[A], &home, &model, &err) < 0)
        wrong(tally, nth, "the next load in host memory fails: %s", err.text);
    work_unload(model);
    dt2_context_destroy(context);
    return 0;
}

/* The last number under a key in the report of a process. */
static uint64_t reported(const char *path, const char *key)
{
    FILE *report = fopen(path, "r");
    char line[512];
    uint64_t value = UINT64_MAX;
    while (report && fgets(line, sizeof line, report))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == '=')
            value = strtoull(line + strlen(key) + 1, NULL, 10);
    if (report)
        fclose(report);
    return value;
}

static bool attempt_lasting(void *data, struct tally *tally, long nth)
{
    (void)data;
    char report[PATH_MAX];
    snprintf(report, sizeof report, "%s", scratch_file("report", "", 0, 0));
    struct tally *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = (struct tally){ .phase = tally->phase, .kind = tally->kind };
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("DISTORCH2_SIM_REPORT", report, 1);
        exit(live_on(shared, nth)); /* not _exit: the simulator reports then */
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status != 0)
        wrong(tally, nth, "the process ended with status %#x", (unsigned)status);
    if (reported(report, "violations") != 0)
        wrong(tally, nth, "the simulator reports %" PRIu64 " violations", reported(report, "violations"));
    bool fired = shared->injected;
    tally->injected += fired;
    tally->refused += shared->refused;
    tally->wrong += shared->wrong;
    tally->calls = shared->calls;
    munmap(shared, sizeof *shared);
    return fired;
}

/* -- the phases */

typedef bool attempt_fn(void *data, struct tally *tally, long nth);

/* Fails each call of a kind, or a sample of them; first none, to see how many there are. */
static void try_all(const char *phase, int kind, attempt_fn *attempt, void *data)
{
    struct tally tally = { .phase = phase, .kind = kind };
    attempt(data, &tally, LONG_MAX);
    if (!ok(tally.calls > 0 && !tally.wrong && !tally.refused, "%s makes %ld %ss", phase, tally.calls,
            kinds[kind].name))
        return;
    long step = full || tally.calls <= most ? 1 : (tally.calls + most - 1) / most;
    long nth = step > 1 ? 1 + (long)random_below((uint64_t)step) : 1;
    /* how many there are depends on how the threads take turns */
    for (long missed = 0; missed < 3 && tally.wrong < 20; nth += step)
        missed = attempt(data, &tally, nth) ? 0 : missed + step;
    ok(tally.wrong == 0 && tally.injected > 0, "%s: %u %ss failed, one at a time; %u times it was refused for that",
       phase, tally.injected, kinds[kind].name, tally.refused);
    injected[kind] += tally.injected;
}

/* Before anything else of the library has run, so that each child begins afresh. */
static void test_lasting(void)
{
    try_all("a load that ejects, and codes that stay", DRIVER, attempt_lasting, NULL);
    try_all("a load that ejects, and codes that stay", WORK, attempt_lasting, NULL);
}

static void test_eject(void)
{
    struct scene scene;
    struct held before = held_now();
    char what[256] = "";
    if (!ok(scene_make(&scene), "K and A are loaded"))
        return;
    struct tally warm = { .phase = "nothing fails" };
    break_eject(&scene, &warm, LONG_MAX); /* lists have grown then */
    for (int kind = 0; kind <= (simulated ? DRIVER : WRAP_OPEN); kind++)
        try_all("a load that ejects", kind, attempt_eject, &scene);
    scene_clear(&scene);
    ok(nothing_more(&before, what, sizeof what), "nothing is left of the context %s", what);
}

static void test_first(void)
{
    struct tally warm = { .phase = "nothing fails" };
    attempt_first(NULL, &warm, LONG_MAX); /* modules are opened then, and stay */
    for (int kind = 0; kind <= (simulated ? DRIVER : WRAP_OPEN); kind++)
        try_all("a context's first load", kind, attempt_first, NULL);
}

static void test_session(void)
{
    struct scene scene;
    if (!ok(scene_make(&scene), "K is loaded"))
        return;
    session_readers_make(scene.k);
    struct tally warm = { .phase = "nothing fails" };
    attempt_session(&scene, &warm, LONG_MAX);
    try_all("a session", WRAP_ALLOCATION, attempt_session, &scene);
    long usual = most;
    most /= 2; /* each is two sessions */
    if (simulated) { /* else nothing streams */
        try_all("a session", WRAP_THREAD, attempt_session, &scene);
        try_all("a session", DRIVER, attempt_session, &scene);
    }
    most = usual;
    session_readers_free();
    scene_clear(&scene);
}

static void test_tell(void)
{
    struct told told = { 0 };
    struct dt2_error err = { 0 };
    struct tally first = { .phase = "nothing fails" };
    if (dt2_context_create(NULL, &told.context, &err) < 0 || dt2_file_open(files[A].path, &told.file, &err) < 0 ||
        dt2_blocks_make(told.file, &told.blocks, &err) < 0) {
        ok(false, "a plan can be made: %s", err.text);
        return;
    }
    attempt_tell(&told, &first, LONG_MAX);
    ok(told.whole != NULL, "a plan tells what it is");
    try_all("a plan, and its JSON", WRAP_ALLOCATION, attempt_tell, &told);
    dt2_text_free(told.whole);
    dt2_blocks_free(told.blocks);
    dt2_file_free(told.file);
    dt2_context_destroy(told.context);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        places = (struct work_places){ argv[1], argv[2], false };
    simulated = getenv("DISTORCH2_SIM");
    setenv("XDG_CACHE_HOME", "/proc/nonexistent", 1); /* speeds that were kept by others are no part of a plan here */
    if (!simulated)
        setenv("DISTORCH2_BACKEND_PATH", "", 1);
    seed_random(20260107);
    json_set_alloc_funcs(wrap_spared_malloc, free); /* jansson 2.14 writes past its memory when it gets no more */
    for (int i = 0; i < 3; i++)
        work_file_make(&files[i], (const char *[]){ "K.safetensors", "A.safetensors", "B.safetensors" }[i]);
    full = getenv("DT2_FAILING_FULL");
    most = random_rounds((unsigned)most);
    if (simulated)
        test_lasting();
    test_tell();
    test_first();
    test_eject();
    test_session();
    unsigned sum = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum += injected[kind];
    diag("count: %u failures injected", sum);
    for (int i = 0; i < 3; i++)
        work_file_clear(&files[i]);
    return done_testing();
}
