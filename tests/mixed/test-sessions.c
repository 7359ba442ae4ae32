/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions as they are used: any order, any stream, several threads, parking; and all is given back. */
#include "mixed/lives.h"

/* -- what the simulator counts: after closing and while parked as before */

/* Not events of CUDA and HIP, which the driver keeps for use again until the device is closed. */
static const char *const given_back[] = { "unfreed_bytes",    "unfreed_allocations", "unfreed_streams", "unfreed_pinned",
                                          "still_registered", "unfreed_cl_mem",      "unfreed_cl_queue",
                                          "unfreed_cl_event" };
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
        if (cl && strcmp(given_back[i], "unfreed_cl_event") == 0)
            with.counts[i]++;
    }
    return with;
}

/* -- passes */

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
    bool measured = strcmp(place[0], "opencl:0") != 0; /* there nobody tells what is free: what is ours is counted */
    uint64_t left = left_of(place[0]);
    user_open(&user, model, strcmp(place[0], "cpu") ? OWN_STREAM : NO_STREAM, &options);
    must(measured || left_of(place[0]) + user.info.window_bytes == left, "an open session takes its window of the budget");
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
        must(measured || left_of(place[0]) == left, "a parked session takes nothing of the budget");
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

/* -- all of them */

static const struct life lives[] = {
    { "passes", live_passes, "0123", "passes in execution order, with all kinds of streams, windows and host memory", NULL },
    { "orders", live_orders, "0123", "random acquires and releases", NULL },
    { "threads", live_threads, "02", "threads on one session, and two sessions on one model", NULL },
    { "park", live_park, "0123", "parking and closing give everything back", NULL },
    { "borrowed", live_borrowed, "012", "a model with an open session stays, beside another", NULL },
};

int main(int argc, char **argv)
{
    return lives_main(lives, DT2_COUNT(lives), NULL, argc, argv);
}
