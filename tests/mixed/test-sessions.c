/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on simulated machines. The readers are kernels of the simulator, which run late on the caller's stream and
 * compare what they find: a place in the window that is used again too early, or read too early, is a violation.
 */
#include "mixed/user.h"

/* -- what the simulator counts: after closing and while parked as before */

static const char *const given_back[] = { "unfreed_bytes",  "unfreed_allocations", "unfreed_streams",
                                          "unfreed_events", "unfreed_pinned",      "still_registered",
                                          "unfreed_cl_mem", "unfreed_cl_queue",    "unfreed_cl_event" };
struct counts {
    uint64_t counts[DT2_COUNT(given_back)];
};

static struct counts counts_now(void)
{
    struct counts now;
    for (size_t i = 0; i < DT2_COUNT(given_back); i++)
        now.counts[i] = simulator_says(given_back[i]);
    return now;
}

static void must_be_as_before(const struct counts *before, const char *when)
{
    struct counts now = counts_now();
    for (size_t i = 0; i < DT2_COUNT(given_back); i++)
        must(now.counts[i] == before->counts[i], "%s: %s was %" PRIu64 ", is %" PRIu64, when, given_back[i],
             before->counts[i], now.counts[i]);
}

/* A parked session still knows the caller's streams, and OpenCL's driver the last command of each. */
static struct counts with_streams(const struct counts *empty, const struct user *user)
{
    struct counts with = *empty;
    bool cl = user->runtime.cl_launch;
    for (size_t i = 0; i < DT2_COUNT(given_back); i++)
        if (strcmp(given_back[i], "still_registered") == 0)
            with.counts[i] = simulator_says(given_back[i]); /* what is pinned stays so */
    for (size_t i = 0; user->streams[0] && i < DT2_COUNT(given_back); i++) {
        if (strcmp(given_back[i], "unfreed_streams") == 0 || (cl && strcmp(given_back[i], "unfreed_cl_queue") == 0))
            with.counts[i] += 2;
        if (cl && (strcmp(given_back[i], "unfreed_events") == 0 || strcmp(given_back[i], "unfreed_cl_event") == 0))
            with.counts[i]++;
    }
    return with;
}

/* -- the lives */

/* Where models are: a compute device, and how much of the model lies on which. */
static const char *const places[][2] = {
    { "cuda:0", "cuda:0,15%;cuda:1,20%;hip:0,20%;opencl:0,20%;cpu,*" },
    { "hip:0", "hip:0,15%;cuda:1,20%;hip:1,20%;opencl:0,20%;cpu,*" },
    { "opencl:0", "opencl:0,15%;cuda:0,20%;hip:0,20%;opencl:1,20%;cpu,*" },
    { "cpu", "cpu,15%;cuda:0,20%;hip:0,30%;opencl:1,*" },
    { "opencl:0", "opencl:0,20%;opencl:1,40%;cpu,*" },
};

static const char *const liar_places[][2] = { { "cuda:0", "cuda:1,*" }, { "hip:0", "hip:1,*" } };
static const char *const slow_places[][2] = { { "cuda:0", "cuda:1,50%;cpu,*" }, { "hip:0", "hip:1,50%;cpu,*" } };

static void live_passes(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct counts before = counts_now();
    struct user user;
    unsigned sessions = 0;
    for (unsigned i = 0; i < STREAM_MODES * 2 * 3; i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        enum stream_mode mode = i % STREAM_MODES;
        struct runtime runtime;
        runtime_open(&runtime, model);
        if (!has_mode(&runtime, mode))
            continue;
        options.host_memory = i / STREAM_MODES % 2 ? DT2_HOST_PINNED : DT2_HOST_PAGEABLE;
        options.staging_bytes = 4 * (64 + random_below(100)) * KIB;
        if (i / STREAM_MODES / 2 > 0)
            options.window_bytes = user.info.largest_bytes * (i / STREAM_MODES / 2 == 1 ? 1 : 3);
        user_open(&user, model, mode, &options);
        pass(&user, 3);
        user_close(&user);
        must_be_as_before(&before, "after a session");
        sessions++;
    }
    diag("%u sessions of 3 passes over %s: %" PRIu64 " kernels, %" PRIu64 " copies between peers, %" PRIu64
         " from registered memory",
         sessions, place[0], simulator_says("kernels"), simulator_says("copies.peer"),
         simulator_says("copies.h2d.registered"));
    must((simulator_says("copies.peer") > 0) == (strcmp(place[0], "cuda:0") == 0 || strcmp(place[0], "hip:0") == 0),
         "peers");
    unload(model);
}

/* -- any order */

enum { HELD_MOST = 6 };
struct held {
    size_t blocks[HELD_MOST];
    size_t count;
};

/* Streamed blocks that are held, each once. */
static size_t streamed(const struct user *user, const struct held *held)
{
    size_t count = 0;
    for (size_t i = 0; i < held->count; i++) {
        bool again = false;
        for (size_t j = 0; j < i; j++)
            again |= held->blocks[j] == held->blocks[i];
        count += !again && dt2_session_streams(user->session, held->blocks[i]);
    }
    return count;
}

static bool is_held(const struct held *held, size_t block)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->blocks[i] == block)
            return true;
    return false;
}

/* Takes one more block. Refused it may be only where what is held leaves no room. False: refused. */
static bool take(struct user *user, struct held *held, size_t block, bool alone)
{
    struct dt2_error err;
    size_t others = streamed(user, held);
    int rc = dt2_session_acquire(user->session, block, random_below(12) ? 0 : DT2_ACQUIRE_HOST, &err);
    if (rc == 0) {
        held->blocks[held->count++] = block;
        read_block(user, block);
        return true;
    }
    bool beside = others == 1 && user->info.window_bytes >= 2 * user->info.largest_bytes;
    bool room = others == 0 || beside || is_held(held, block);
    must(rc == DT2_EFULL && !(alone && room), "%d with %zu held in %" PRIu64 " bytes: %s", rc, others,
         user->info.window_bytes, err.text);
    return false;
}

static void give(struct user *user, struct held *held)
{
    size_t i = random_below(held->count);
    if (random_below(4) == 0)
        read_block(user, held->blocks[i]);
    release(user, held->blocks[i]);
    held->blocks[i] = held->blocks[--held->count];
}

struct tally {
    unsigned acquired, refused;
};

/* So many acquires and releases of a user who is `alone` with the session or not. */
static struct tally wander(struct user *user, unsigned steps, bool alone)
{
    struct held held = { .count = 0 };
    struct tally tally = { 0 };
    size_t blocks = dt2_model_block_count(user->model), next = 0, most = 1 + random_below(HELD_MOST);
    for (unsigned i = 0; i < steps; i++) {
        if (held.count == most || (held.count && random_below(5) < 2)) {
            give(user, &held);
        } else {
            next = random_below(3) ? (next + 1) % blocks : random_below(blocks);
            bool taken = take(user, &held, next, alone);
            tally.acquired += taken;
            tally.refused += !taken;
            while (!taken && held.count) /* so that others who wait for room come to it */
                give(user, &held);
        }
        if (alone && random_below(40) == 0)
            change_stream(user);
        if (alone && random_below(60) == 0)
            dt2_session_next_pass(user->session);
    }
    while (held.count)
        give(user, &held);
    return tally;
}

enum { ORDERS = 10000, FEWER = 2000, SESSIONS = 25 };

static void live_orders(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct tally all = { 0 };
    unsigned steps = random_rounds(place == places[0] ? ORDERS : FEWER) / SESSIONS;
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        struct user user;
        enum stream_mode mode = random_below(STREAM_MODES);
        struct runtime runtime;
        runtime_open(&runtime, model);
        if (!has_mode(&runtime, mode))
            mode = NO_STREAM;
        options.host_memory = random_below(2) ? DT2_HOST_PINNED : DT2_HOST_PAGEABLE;
        options.staging_bytes = 1 + random_below(MIB);
        if (i > 0)
            options.window_bytes = info.largest_bytes + (i < 4 ? i - 1 : random_below(3 * info.largest_bytes));
        user_open(&user, model, mode, &options);
        info = user.info;
        struct tally tally = wander(&user, steps, true);
        all.acquired += tally.acquired;
        all.refused += tally.refused;
        user_close(&user);
    }
    diag("%u acquires and releases on %s in %u sessions: %u acquired, %u refused for want of room, %" PRIu64 " kernels",
         steps * SESSIONS, place[0], SESSIONS, all.acquired, all.refused, simulator_says("kernels"));
    unload(model);
}

/* -- threads */

struct worker {
    pthread_t thread;
    struct user *user;
    unsigned steps;
    struct tally tally;
};

static void *work(void *data)
{
    struct worker *worker = data;
    struct user user = *worker->user; /* its streams are shared, its turn is not */
    runtime_enter(&user.runtime);
    if (user.mode == NO_STREAM)
        user.streams[0] = runtime_stream(&user.runtime);
    worker->tally = wander(&user, worker->steps, false);
    if (user.mode == NO_STREAM)
        runtime_stream_free(&user.runtime, user.streams[0]);
    return NULL;
}

/* Several users of one session, or with one each. */
static void run_workers(struct user *users, unsigned sessions, unsigned count, unsigned steps)
{
    struct worker workers[8];
    struct tally all = { 0 };
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){ .user = &users[i % sessions], .steps = steps };
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            layout_die("no thread");
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        all.acquired += workers[i].tally.acquired;
        all.refused += workers[i].tally.refused;
    }
    diag("%u threads, %u sessions: %u acquired, %u refused", count, sessions, all.acquired, all.refused);
    must(all.acquired > count * steps / 8, "hardly anything was acquired");
}

static void live_threads(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct counts before = counts_now();
    for (int i = 0; i < 2; i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        struct user users[2], probe;
        user_open(&probe, model, NO_STREAM, &options);
        user_close(&probe);
        options.window_bytes = probe.info.largest_bytes * 4;
        for (int j = 0; j < 2; j++) /* two sessions on one model */
            user_open(&users[j], model, i ? OWN_STREAM : NO_STREAM, &options);
        run_workers(users, 1, 4, random_rounds(250));
        run_workers(users, 2, 4, random_rounds(250));
        for (int j = 0; j < 2; j++)
            user_close(&users[j]);
        must_be_as_before(&before, "after two sessions");
    }
    unload(model);
}

/* -- parking, and borrowed models */

static void live_park(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct counts empty = counts_now();
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_error err;
    struct user user;
    size_t streamed = 0;
    options.host_memory = DT2_HOST_PINNED;
    user_open(&user, model, strcmp(place[0], "cpu") ? OWN_STREAM : NO_STREAM, &options);
    while (!dt2_session_streams(user.session, streamed))
        streamed++;
    for (int i = 0; i < 4; i++) {
        pass(&user, (unsigned)i);
        must(dt2_session_acquire(user.session, streamed, 0, &err) == 0, "%s", err.text);
        must(dt2_session_park(user.session, &err) == DT2_EBUSY, "parked while a block is held");
        must(dt2_session_close(user.session, &err) == DT2_EBUSY, "closed while a block is held");
        read_block(&user, streamed);
        release(&user, streamed); /* the kernels may still be at it */
        must(dt2_session_park(user.session, &err) == 0 && dt2_session_park(user.session, &err) == 0, "%s", err.text);
        struct counts parked = with_streams(&empty, &user);
        must_be_as_before(&parked, "parked");
        dt2_session_info(user.session, &info, NULL);
        must(info.parked && info.window_bytes == 0 && info.staging_bytes == 0 &&
                 info.pinned_bytes == user.info.pinned_bytes, "parked");
        must(dt2_session_acquire(user.session, streamed, 0, &err) == DT2_EPARKED && strstr(err.text, "unpark"), "%s",
             err.text);
        if (i == 3)
            break; /* it is closed parked */
        for (int again = 0; again < 2; again++)
            must(dt2_session_unpark(user.session, &err) == 0, "%s", err.text);
        dt2_session_info(user.session, &info, NULL);
        must(!info.parked && info.window_bytes == user.info.window_bytes, "%" PRIu64, info.window_bytes);
    }
    user_close(&user);
    must_be_as_before(&empty, "closed");
    unload(model);
}

static bool session_closed;

static void *unload_waiting(void *model)
{
    struct dt2_error err;
    must(dt2_model_unload(model, DT2_UNLOAD_WAIT, &err) == 0, "%s", err.text);
    must(__atomic_load_n(&session_closed, __ATOMIC_ACQUIRE), "unloaded with an open session");
    return NULL;
}

/* The model of an open session is not ejected, and not unloaded before the session is closed. */
static void live_borrowed(const char *which)
{
    const char *const *place = places[atoi(which)];
    const struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_model *model = load(place[0], place[1], false), *other;
    struct dt2_error err;
    struct user user, second;
    pthread_t waiter;
    user_open(&user, model, OWN_STREAM, &options);
    must(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err) == DT2_EBUSY, "unloaded with an open session");
    other = load(place[0], place[1], true); /* two models on one device */
    must(dt2_model_loaded(model), "ejected with an open session");
    user_open(&second, other, OWN_STREAM, &options);
    for (int i = 0; i < 3; i++) {
        pass(&user, 1);
        pass(&second, 1);
    }
    user_close(&second);
    struct dt2_model *third = load(place[0], place[1], true); /* without a session it is */
    must(!dt2_model_loaded(other) && dt2_model_loaded(model), "what has no session is ejected, and only that");
    dt2_model_unref(other);
    unload(third);
    if (pthread_create(&waiter, NULL, unload_waiting, model))
        layout_die("no thread");
    pass(&user, 1);
    __atomic_store_n(&session_closed, true, __ATOMIC_RELEASE);
    user_close(&user);
    pthread_join(waiter, NULL);
    must(!dt2_model_loaded(model), "still loaded");
    must(dt2_session_open(model, &options, &user.session, &err) == DT2_EGONE, "opened on what is not loaded");
    dt2_model_unref(model);
}

/* -- pinning */

static void bind_failures(void (**fail)(const char *, uint64_t, bool, int), void (**forgive)(void))
{
    RUNTIME_BIND("libdt2sim.so", "sim_fail", *fail);
    RUNTIME_BIND("libdt2sim.so", "sim_forgive", *forgive);
}

/* Of memory, by whatever runtime. */
static uint64_t registrations(void)
{
    return simulator_says("calls.cudaHostRegister") + simulator_says("calls.cuMemHostRegister_v2") +
           simulator_says("calls.hipHostRegister");
}

static size_t largest(struct dt2_model *model)
{
    size_t found = 0;
    for (size_t i = 0; i < dt2_model_tensor_count(model); i++)
        if (dt2_model_tensor(model, i)->bytes > dt2_model_tensor(model, found)->bytes)
            found = i;
    return found;
}

/* Whether a child process has the memory: the kernel tells, by reading it for the child or not. */
static bool child_has(const void *memory)
{
    int status = -1, ends[2];
    if (pipe(ends))
        layout_die("no pipe");
    pid_t child = fork();
    if (child == 0)
        _exit(write(ends[1], memory, 1) == 1 ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        layout_die("no child");
    close(ends[0]);
    close(ends[1]);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A share on the host alone: parking registers nothing anew, and by default all is pinned while passes run. */
static void pin_host_alone(const char *compute)
{
    struct dt2_model *model = load(compute, "cpu,*", false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_error err;
    struct user user;
    options.host_memory = DT2_HOST_PINNED;
    user_open(&user, model, OWN_STREAM, &options);
    uint64_t before = registrations();
    pass(&user, 1);
    must(dt2_session_park(user.session, &err) == 0 && dt2_session_unpark(user.session, &err) == 0, "%s", err.text);
    pass(&user, 1);
    must(before > 0 && registrations() == before, "%" PRIu64 " and %" PRIu64, before, registrations());
    user_close(&user);

    options.host_memory = DT2_HOST_AUTO;
    user_open(&user, model, OWN_STREAM, &options);
    for (int i = 0; i < 500 && info.pinned_bytes < info.pass_bytes; i++) {
        usleep(10000);
        dt2_session_info(user.session, &info, NULL);
    }
    must(info.pinned_bytes >= info.pass_bytes, "%" PRIu64 " of %" PRIu64, info.pinned_bytes, info.pass_bytes);
    pass(&user, 1); /* what was fetched before may have gone another way */
    uint64_t staged = simulator_says("copies.h2d.pinned");
    pass(&user, 2);
    must(simulator_says("copies.h2d.pinned") == staged, "staged still");
    struct dt2_native native = DT2_NATIVE_INIT;
    must(dt2_model_native(model, largest(model), &native, &err) == 0, "%s", err.text);
    must(!child_has((char *)native.handle + 8192), "a child has pinned memory");
    user_close(&user);
    must(child_has((char *)native.handle + 8192), "a child has no memory that was pinned");
    must(simulator_says("still_registered") == 0, "%" PRIu64 " are pinned still", simulator_says("still_registered"));
    unload(model);
}

static void live_pinned(const char *which)
{
    const char *const *place = places[atoi(which)];
    bool hip = strncmp(place[0], "hip", 3) == 0;
    struct dt2_model *model = load(place[0], place[1], false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    void (*fail)(const char *, uint64_t, bool, int), (*forgive)(void);
    struct user user, second;
    enum { NOMEM = 2 };
    bind_failures(&fail, &forgive);
    options.host_memory = DT2_HOST_PINNED;

    user_open(&user, model, OWN_STREAM, &options); /* all of it */
    pass(&user, 1); /* copies between devices have been tried then, with pageable memory */
    uint64_t all = user.info.pinned_bytes, pageable = simulator_says("copies.h2d.pageable");
    pass(&user, 2);
    must(all > 0 && dt2_session_note_count(user.session) == 0, "%s", dt2_session_note(user.session, 0));
    must(simulator_says("copies.h2d.registered") > 0 && simulator_says("copies.h2d.pageable") == pageable,
         "the host's share is pinned");
    user_open(&second, model, OWN_STREAM, &options); /* what is pinned already is shared */
    pass(&second, 2);
    must(second.info.pinned_bytes == all && dt2_session_note_count(second.session) == 0, "%" PRIu64,
         second.info.pinned_bytes);
    must(simulator_says("copies.h2d.pageable") == pageable, "pinned twice");
    user_close(&user); /* and stays while one of them is there */
    pass(&second, 1);
    must(simulator_says("copies.h2d.pageable") == pageable && simulator_says("still_registered") > 0, "unpinned early");
    user_close(&second);
    must(simulator_says("still_registered") == 0, "%" PRIu64 " are pinned still", simulator_says("still_registered"));

    options.pinned_bytes = all / 2; /* within a budget */
    user_open(&user, model, OWN_STREAM, &options);
    uint64_t registered = simulator_says("copies.h2d.registered");
    pass(&user, 2);
    must(user.info.pinned_bytes > 0 && user.info.pinned_bytes <= all / 2, "%" PRIu64 " of %" PRIu64,
         user.info.pinned_bytes, all / 2);
    must(user.info.staging_bytes > 0 && simulator_says("copies.h2d.registered") > registered, "by both ways");
    user_close(&user);

    options.pinned_bytes = 0;
    fail(hip ? "hipHostRegister" : "cudaHostRegister", 1, true, NOMEM);
    user_open(&user, model, OWN_STREAM, &options);
    forgive();
    pass(&user, 2);
    const char *note = dt2_session_note(user.session, 0);
    must(user.info.pinned_bytes == 0 && note && strstr(note, place[0]), "%s", note ? note : "no note");
    diag("%s", note ? note : "no note");
    user_close(&user);
    unload(model);
}

/*
 * Pieces that go directly and pieces that go through staging in one unit, sent as the readers of what lay in its place come to
 * their ends: the pinned part of a share ends somewhere within a block.
 */
static void live_partly(const char *which)
{
    const char *const *place = places[atoi(which)];
    bool hip = strncmp(place[0], "hip", 3) == 0;
    struct dt2_model *model = load(place[0], "cpu,*", false);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    void (*fail)(const char *, uint64_t, bool, int), (*forgive)(void);
    enum { NOMEM = 2, TIMES = 40 };
    bind_failures(&fail, &forgive);
    options.host_memory = DT2_HOST_PINNED;
    for (unsigned i = 0; i < random_rounds(TIMES); i++) {
        struct user user;
        options.pinned_bytes = i % 8 == 7 ? 0 : 1 + random_below(dt2_model_statistics(model)->bytes);
        options.window_bytes = i ? user.info.largest_bytes + random_below(2 * user.info.largest_bytes) : 0;
        options.staging_bytes = (256 + random_below(512)) * KIB;
        if (options.pinned_bytes == 0)
            fail(hip ? "hipHostRegister" : "cudaHostRegister", 2, true, NOMEM);
        user_open(&user, model, i % 3 ? OWN_STREAM : DEFAULT_STREAM, &options);
        forgive();
        pass(&user, 2);
        user_close(&user);
    }
    unload(model);
}

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
    pin_host_alone(place[0]);
}

/* -- pinned memory that is refused */

static bool has_warning(struct dt2_model *model, const char *words)
{
    const struct dt2_plan *plan = dt2_model_applied_plan(model);
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        if (strstr(dt2_plan_warning(plan, i), words))
            return true;
    return false;
}

/* From some call on no pinned memory is to be had: loads and sessions do with less of it, or with none, and say so. */
static void live_refused(const char *which)
{
    const char *const *place = places[atoi(which)];
    bool hip = strncmp(place[0], "hip", 3) == 0;
    const char *alloc = hip ? "hipHostMalloc" : "cudaHostAlloc", *pin = hip ? "hipHostRegister" : "cudaHostRegister";
    const struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    void (*fail)(const char *, uint64_t, bool, int), (*forgive)(void);
    struct dt2_error err;
    struct user user;
    enum { NOMEM = 2 };
    struct dt2_model *model = load(place[0], place[1], false);
    bind_failures(&fail, &forgive);
    unload(model);
    for (unsigned first = 1; first <= 4; first++) { /* none, too few, and enough of them */
        fail(alloc, first, true, NOMEM);
        model = load(place[0], place[1], false);
        must(source_is(&source, model), "loaded wrongly");
        must(has_warning(model, "pinned memory for staging"), "nothing is said");
        forgive();
        fail(alloc, first, true, NOMEM);
        fail(pin, first, true, NOMEM);
        user_open(&user, model, OWN_STREAM, &options);
        forgive();
        must(dt2_session_note_count(user.session) > 0, "nothing is said");
        for (size_t i = 0; i < dt2_session_note_count(user.session); i++)
            diag("%s", dt2_session_note(user.session, i));
        pass(&user, 2);
        must(dt2_session_verify(user.session, source.file, NULL, NULL, NULL, &err) == 0, "%s", err.text);
        user_close(&user);
        unload(model);
    }
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
    const char *note = dt2_session_note(user.session, 0);
    must(dt2_session_note_count(user.session) == 1 && strstr(note, place[0]) && strstr(note, "through the host"), "%s",
         note ? note : "no note");
    must(simulator_says("copies.peer") == copies, "%" PRIu64 " copies between peers", simulator_says("copies.peer"));
    must(dt2_session_verify(user.session, source.file, NULL, NULL, NULL, &err) == 0, "%s", err.text);
    diag("%s", note ? note : "no note");
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

static const struct life {
    const char *name;
    void (*live)(const char *place);
    const char *places; /* indices */
    const char *what;
    const char *machine; /* NULL: "small" */
} lives[] = {
    { "passes", live_passes, "0123", "passes in execution order, with all kinds of streams, windows and host memory", NULL },
    { "orders", live_orders, "0123", "random acquires and releases", NULL },
    { "threads", live_threads, "02", "threads on one session, and two sessions on one model", NULL },
    { "park", live_park, "0123", "parking and closing give everything back", NULL },
    { "borrowed", live_borrowed, "012", "a model with an open session stays, beside another", NULL },
    { "reopened", live_reopened, "01", "150 sessions opened and closed with slow events", "slow-queries" },
    { "liars", live_liars, "01", "peers whose bytes do not arrive", "liars" },
    { "refused", live_refused, "01", "pinned memory that is refused", NULL },
    { "shaken", live_shaken, "4", "copies fail on the device, and later ones do not", NULL },
    { "captured", live_captured, "01", "streams that capture graphs", NULL },
    { "counted", live_counted, "01", "calls in a pass", NULL },
    { "ending", live_ending, "", "", NULL },
    { "partly", live_partly, "01", "memory that is pinned in part", NULL },
    { "pinned", live_pinned, "01", "host memory is pinned where it is, within a budget, or not", NULL },
};

/* Runs a life: its name and the index of its place; the seed is in the environment. */
static int live(const char *name, const char *place)
{
    struct dt2_error err;
    tap_random_state = strtoull(getenv("DT2_LIFE_SEED"), NULL, 0);
    source_make(&source, "model.safetensors", TENSORS_MOST, 200000);
    if (dt2_context_create(NULL, &context, &err))
        layout_die("%s", err.text);
    for (size_t i = 0; i < DT2_COUNT(lives); i++)
        if (strcmp(lives[i].name, name) == 0)
            lives[i].live(place);
    dt2_context_destroy(context);
    source_free(&source);
    return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[1], argv[2]);
    if (!can_simulate())
        return skip_all("not all of the CUDA, HIP and OpenCL drivers were built");
    seed_random(20260705);
    for (size_t i = 0; i < DT2_COUNT(lives); i++)
        for (const char *place = lives[i].places; *place; place++) {
            char seed[32], machine[64], index[2] = { *place, '\0' };
            snprintf(seed, sizeof seed, "%" PRIu64, random_u64());
            setenv("DT2_LIFE_SEED", seed, 1);
            setenv("DISTORCH2_SIM_SEED", seed, 1);
            snprintf(machine, sizeof machine, "machines/%s.sim", lives[i].machine ? lives[i].machine : "small");
            ok(on_machine(data_path(machine), lives[i].name, index) == 0, "%s on %s (seed %s)", lives[i].what,
               places[*place - '0'][0], seed);
        }
    for (const char *place = "0123"; *place; place++)
        test_ending((const char[]){ *place, '\0' });
    return done_testing();
}
