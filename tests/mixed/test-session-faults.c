/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions where something is wrong around them: slow events, peers that lie, copies that fail, graphs, the end; and what a pass costs. */
#include "mixed/lives.h"

static const char *const slow_places[][2] = { { "cuda:0", "cuda:1,50%;cpu,*" }, { "hip:0", "hip:1,50%;cpu,*" } };
static const char *const liar_places[][2] = { { "cuda:0", "cuda:1,*" }, { "hip:0", "hip:1,*" } };

/* -- closing while a query takes long */

/*
 * Closing and parking while the session's thread asks for an event, which takes long: what is said meanwhile must not be lost.
 * Who waits for ever is ended by the alarm.
 */
static void live_reopened(const char *which)
{
    enum { TIMES = 150, SECONDS = 120 };
    const char *const *place = slow_places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    alarm(SECONDS);
    for (unsigned i = 0; i < random_rounds(TIMES); i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        struct dt2_session *session;
        struct dt2_error err;
        if (dt2_session_open(model, &options, &session, &err))
            layout_die("%s", err.text);
        usleep((useconds_t)random_below(8000));
        if (i % 2) {
            must(dt2_session_park(session, &err) == 0, "%s", err.text);
            must(dt2_session_unpark(session, &err) == 0, "%s", err.text);
        }
        must(dt2_session_close(session, &err) == 0, "%s", err.text);
    }
    alarm(0);
    unload(model);
}

/* -- peers that lie */

/* Their bytes go through the host, the session says so once, and nothing wrong is ever read. */
static void live_liars(const char *which)
{
    const char *const *place = liar_places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_error err;
    struct user user;
    user_open(&user, model, OWN_STREAM, &options);
    uint64_t copies = simulator_says("copies.peer"); /* of the trial */
    pass(&user, 2);
    must(dt2_session_park(user.session, &err) == 0 && dt2_session_unpark(user.session, &err) == 0, "%s", err.text);
    pass(&user, 1);
    const char *warning = dt2_session_warning(user.session, 0);
    must(dt2_session_warning_count(user.session) == 1 && strstr(warning, place[0]) && strstr(warning, "through the host"), "%s",
         warning ? warning : "no warning");
    must(simulator_says("copies.peer") == copies, "%" PRIu64 " copies between peers", simulator_says("copies.peer"));
    must(dt2_session_verify(user.session, source.file, NULL, NULL, NULL, &err) == 0, "%s", err.text);
    diag("%s", warning ? warning : "no warning");
    user_close(&user);
    unload(model);
}

/* -- copies that fail on the device */

/* A pass in which all may fail, and nothing is read. Returns how many blocks did. */
static unsigned shaken_pass(struct user *user, unsigned flags)
{
    unsigned failed = 0;
    struct dt2_error err;
    for (size_t block = 0; block < dt2_model_block_count(user->model); block++) {
        int rc = dt2_session_acquire(user->session, block, flags, &err);
        if (rc == 0)
            rc = dt2_session_release(user->session, block, &err);
        must(rc == 0 || (rc == DT2_EFAILED && err.text[0]), "%d: %s", rc, err.text);
        failed += rc < 0;
    }
    return failed;
}

/* OpenCL's errors stay with their event: a session goes on after them, with the right bytes. */
static void live_shaken(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    const struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    void (*fail)(const char *, uint64_t, bool, int), (*forgive)(void);
    enum { OUT_OF_RESOURCES = -5 };
    unsigned failed = 0;
    bind_failures(&fail, &forgive);
    for (unsigned n = 1; n < 60; n += 3) {
        struct user user;
        user_open(&user, model, n % 2 ? OWN_STREAM : NO_STREAM, &options);
        fail("execute", n, false, OUT_OF_RESOURCES);
        failed += shaken_pass(&user, 0);
        failed += shaken_pass(&user, 0);
        forgive();
        unsigned passes = 1; /* failures of before may still be told */
        while (passes < 10 && shaken_pass(&user, DT2_ACQUIRE_HOST))
            passes++;
        must(passes < 10, "copies fail still");
        pass(&user, 2);
        user_close(&user);
    }
    must(failed > 0, "no copy failed");
    diag("%u acquires failed", failed);
    unload(model);
}

/* -- streams that capture a graph */

struct capture {
    int (*begin)(void *, int);
    int (*end)(void *, void **);
};

static void capture_begin(const struct capture *capture, void *stream)
{
    enum { GLOBAL = 0 };
    runtime_must(capture->begin(stream, GLOBAL), "beginning a capture");
}

/* A capture that somebody disturbed would fail here. */
static void capture_end(const struct capture *capture, void *stream)
{
    void *graph = NULL;
    runtime_must(capture->end(stream, &graph), "a capture");
}

/* What is refused while the stream captures has changed nothing, and what is let go then is let go afterwards. */
static void live_captured(const char *which)
{
    const char *const *place = places[atoi(which)];
    bool hip = strncmp(place[0], "hip", 3) == 0;
    struct dt2_model *model = load(place[0], place[1], false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    const char *library = hip ? "libamdhip64.so.5" : "libcudart.so.13";
    struct capture capture;
    struct user user;
    struct dt2_error err;
    struct {
        char tensor[48];
        void *manager;
        void (*deleter)(void *self);
    } *managed; /* DLPack's, without a version */
    void *made;
    size_t block = 0;
    user_open(&user, model, TWO_STREAMS, &options);
    RUNTIME_BIND(library, hip ? "hipStreamBeginCapture" : "cudaStreamBeginCapture", capture.begin);
    RUNTIME_BIND(library, hip ? "hipStreamEndCapture" : "cudaStreamEndCapture", capture.end);
    while (!dt2_session_streams(user.session, block))
        block++;
    size_t tensor = dt2_model_block(model, block)->tensors[0];
    for (int i = 0; i < 3; i++) {
        void *stream = stream_of(&user);
        capture_begin(&capture, stream);
        must(dt2_session_acquire(user.session, block, 0, &err) == DT2_EBUSY && strstr(err.text, "captures"), "%s", err.text);
        must(dt2_session_use_stream(user.session, user.streams[(user.turn + 1) % 2], &err) == DT2_EBUSY, "%s", err.text);
        capture_end(&capture, stream);
        must(dt2_session_release(user.session, block, &err) == DT2_EUSAGE, "nothing is held");
        must(dt2_session_acquire(user.session, block, 0, &err) == 0, "%s", err.text);
        must(dt2_tensor_dlpack(model, user.session, tensor, DT2_DLPACK_UNVERSIONED, &made, &err) == 0, "%s", err.text);
        managed = made;
        read_block(&user, block);
        capture_begin(&capture, stream);
        must(dt2_session_release(user.session, block, &err) == 0, "the tensor is still held: %s", err.text);
        must(dt2_session_acquire(user.session, block, 0, &err) == DT2_EBUSY, "%s", err.text);
        managed->deleter(managed); /* nobody can be told that this is no time for it */
        capture_end(&capture, stream);
        must(dt2_session_acquire(user.session, block, 0, &err) == 0, "%s", err.text);
        read_block(&user, block);
        capture_begin(&capture, stream);
        must(dt2_session_release(user.session, block, &err) == DT2_EBUSY && strstr(err.text, "captures"), "%s", err.text);
        must(dt2_session_release_tensors(user.session, &tensor, 1, &err) == DT2_EBUSY, "%s", err.text);
        must(dt2_session_acquire_dlpack(user.session, &tensor, 1, 0, DT2_DLPACK_UNVERSIONED, &made, &err) == DT2_EBUSY, "%s", err.text);
        must(dt2_session_park(user.session, &err) == DT2_EBUSY, "%s", err.text);
        capture_end(&capture, stream);
        must(dt2_session_release(user.session, block, &err) == 0, "%s", err.text);
        must(dt2_session_release(user.session, block, &err) == DT2_EUSAGE, "nothing is held any more");
        change_stream(&user);
        pass(&user, 1);
    }
    user_close(&user);
    unload(model);
}

/* -- what a pass costs */

/* Calls of the runtime in a pass are so many for a block, whatever lay in its place before. */
static void live_counted(const char *which)
{
    static const char *const calls[] = { "MemcpyAsync", "EventRecord", "EventQuery", "StreamWaitEvent" };
    static const uint64_t most[] = { 2, 2, 2, 2 }; /* for a block; copies: where pinned pieces end within some */
    const char *const *place = places[atoi(which)];
    const char *driver = strncmp(place[0], "hip", 3) == 0 ? "hip" : "cuda";
    struct dt2_model *model = load(place[0], "cpu,*", false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct user user;
    uint64_t before[DT2_COUNT(calls)];
    char key[64];
    options.host_memory = DT2_HOST_PINNED;
    user_open(&user, model, OWN_STREAM, &options);
    for (int i = 0; i < 3; i++) {
        for (size_t j = 0; j < DT2_COUNT(calls); j++) {
            snprintf(key, sizeof key, "calls.%s%s", driver, calls[j]);
            before[j] = simulator_says(key);
        }
        for (size_t block = 0; block < dt2_model_block_count(model); block++) {
            must(dt2_session_acquire(user.session, block, 0, NULL) == 0, "block %zu", block);
            read_block(&user, block);
            release(&user, block);
        }
        runtime_wait(&user.runtime, stream_of(&user));
        for (size_t j = 0; i > 0 && j < DT2_COUNT(calls); j++) {
            snprintf(key, sizeof key, "calls.%s%s", driver, calls[j]);
            uint64_t made = simulator_says(key) - before[j];
            must(made <= most[j] * user.info.streamed_blocks, "%" PRIu64 " of %s for %zu blocks", made, key,
                 user.info.streamed_blocks);
            diag("%" PRIu64 " of %s for %zu blocks", made, key, user.info.streamed_blocks);
        }
    }
    user_close(&user);
    unload(model);
}

/* -- the end of a program that has a session open */

/* Ends the process: main() returns while copies run, blocks are held and kernels read them. */
static void live_ending(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    const struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct user first, second;
    struct dt2_error err;
    runtime_open(&first.runtime, model);
    enum stream_mode mode = has_mode(&first.runtime, OWN_STREAM) && random_below(2) ? OWN_STREAM : NO_STREAM;
    user_open(&first, model, mode, &options);
    if (random_below(2)) {
        must(dt2_session_acquire(first.session, 1, 0, &err) == 0, "%s", err.text);
        read_block(&first, 1);
    }
    user_open(&second, model, NO_STREAM, &options);
    usleep((useconds_t)random_below(5000));
    exit(wrong ? 1 : 0);
}

/* The last number that a report has under a key. */
static uint64_t reported(const char *report, const char *key)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *file = fopen(report, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == '=')
            value = strtoull(line + strlen(key) + 1, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

/* A program that ends so has left things behind, which is all that the simulator may find wrong. */
static void test_ending(const char *place)
{
    enum { TIMES = 3, LEFT_BEHIND = 98 };
    char report[PATH_MAX];
    snprintf(report, sizeof report, "%s", scratch("report"));
    setenv("DISTORCH2_SIM_REPORT", report, 1);
    for (int i = 0; i < TIMES; i++) {
        char seed[32];
        snprintf(seed, sizeof seed, "%" PRIu64, random_u64());
        setenv("DT2_LIFE_SEED", seed, 1);
        setenv("DISTORCH2_SIM_SEED", seed, 1);
        unlink(report);
        int status = on_machine(data_path("machines/late.sim"), "ending", place);
        uint64_t after = reported(report, "after_end");
        ok(status == LEFT_BEHIND && after == 0,
           "a program that computes on %s ends with a session open: status %d, %" PRIu64 " calls afterwards (seed %s)",
           places[*place - '0'][0], status, after, seed);
    }
    unsetenv("DISTORCH2_SIM_REPORT");
}

/* -- all of them */

static const struct life lives[] = {
    { "reopened", live_reopened, "01", "150 sessions opened and closed with slow events", "slow-queries" },
    { "liars", live_liars, "01", "peers whose bytes do not arrive", "liars" },
    { "shaken", live_shaken, "4", "copies fail on the device, and later ones do not", NULL },
    { "captured", live_captured, "01", "streams that capture graphs", NULL },
    { "counted", live_counted, "01", "calls in a pass", NULL },
    { "ending", live_ending, "", "", NULL },
};

static void test_endings(void)
{
    for (const char *place = "0123"; *place; place++)
        test_ending((const char[]){ *place, '\0' });
}

int main(int argc, char **argv)
{
    return lives_main(lives, DT2_COUNT(lives), test_endings, argc, argv);
}
