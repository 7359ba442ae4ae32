/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks that leave the compute device while passes run, and come back: at any point, by who runs the pass and by others, with
 * donors that have room and such that have none. The readers are kernels that run late, and compare.
 */
#include "mixed/lives.h"
#include "model/model.h"
#include <stdatomic.h>

/* -- what is told of memory */

/* The host's free memory is everybody's. */
static bool is_told(const char *device)
{
    return strcmp(device, "cpu") != 0;
}

struct memory {
    const char *device;
    uint64_t held, left;
};

static struct memory look(const struct dt2_model *model, const char *device)
{
    return (struct memory){ device, dt2_model_held(model, device), is_told(device) ? left_of(device) : 0 };
}

/* What is held less must be there for others, to the byte. */
static void must_agree(const struct memory *before, const struct memory *now, const char *when)
{
    must(!is_told(now->device) || before->held + before->left == now->held + now->left,
         "%s: %" PRIu64 " held and %" PRIu64 " left, before %" PRIu64 " and %" PRIu64, when, now->held, now->left, before->held,
         before->left);
}

/* -- at random points of passes */

struct history {
    unsigned evicted, restored, busy, full;
    uint64_t freed;
};

static void tell(const struct history *history, const char *who)
{
    diag("%s: %u times evicted (%" PRIu64 " bytes), %u times restored, %u times in use, %u times without room", who,
         history->evicted, history->freed, history->restored, history->busy, history->full);
}

static void move_something(struct dt2_model *model, const char *device, bool alone, struct history *history)
{
    struct dt2_error err;
    uint64_t freed = 0, most = 1 + random_below(1000000), held = dt2_model_held(model, device);
    if (random_below(3)) {
        int rc = dt2_model_evict(model, random_below(2) ? device : NULL, most, &freed, &err);
        must(rc == 0, "evict: %s", err.text);
        must(!alone || held - freed == dt2_model_held(model, device), "%" PRIu64 " freed", freed);
        history->evicted += freed > 0;
        history->freed += freed;
        return;
    }
    int rc = dt2_model_restore(model, &freed, &err);
    must(rc == 0 || rc == DT2_EBUSY || rc == DT2_ENOFIT, "restore: %s", err.text);
    history->restored += rc == 0;
    history->busy += rc == DT2_EBUSY;
    history->full += rc == DT2_ENOFIT;
}

/* DT2_TEST_POINTS says another number: make check-evict has more. */
enum { POINTS = 1000, FEWER = 200, HELD_MOST = 3 };

static unsigned points_at(const char *const *place)
{
    const char *text = getenv("DT2_TEST_POINTS");
    return text ? (unsigned)strtoul(text, NULL, 10) : random_rounds(place == places[0] ? POINTS : FEWER);
}

struct held {
    size_t blocks[HELD_MOST];
    size_t count;
};

/* Takes the next block and reads it, or gives one back. */
static void step(struct user *user, struct held *held, size_t *next)
{
    struct dt2_error err;
    size_t blocks = dt2_model_block_count(user->model), i = random_below(HELD_MOST);
    if (i < held->count) {
        release(user, held->blocks[i]);
        held->blocks[i] = held->blocks[--held->count];
        return;
    }
    int rc = dt2_session_acquire(user->session, *next, random_below(9) ? 0 : DT2_ACQUIRE_HOST, &err);
    if (rc == DT2_EFULL && held->count) { /* the window may be one that was made for less */
        release(user, held->blocks[--held->count]);
        return;
    }
    must(rc == 0, "block %zu with %zu held: %s", *next, held->count, err.text);
    if (rc < 0)
        return;
    read_block(user, *next);
    held->blocks[held->count++] = *next;
    *next = (*next + 1) % blocks;
}

static void wander(struct user *user, unsigned points, struct history *history)
{
    struct held held = { .count = 0 };
    size_t next = 0;
    for (unsigned i = 0; i < points; i++) {
        for (unsigned steps = random_below(12); steps > 0; steps--)
            step(user, &held, &next);
        if (history)
            move_something(user->model, user->info.compute_device, true, history);
        if (history && random_below(20) == 0)
            change_stream(user);
    }
    while (held.count)
        release(user, held.blocks[--held.count]);
}

/* The window may have been larger for a while than it was when the session opened. */
static void close_user(struct user *user)
{
    user->info.window_bytes = UINT64_MAX;
    user_close(user);
}

static enum stream_mode mode_for(struct dt2_model *model, unsigned i)
{
    struct runtime runtime;
    runtime_open(&runtime, model);
    return has_mode(&runtime, i % STREAM_MODES) ? i % STREAM_MODES : NO_STREAM;
}

static void live_points(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct memory loaded = look(model, place[0]);
    struct history history = { 0 };
    struct dt2_error err;
    unsigned points = points_at(place) / (2 * STREAM_MODES);
    for (unsigned i = 0; i < 2 * STREAM_MODES; i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        struct user user;
        options.host_memory = i < STREAM_MODES ? DT2_HOST_PINNED : DT2_HOST_AUTO;
        options.staging_bytes = 4 * (64 + random_below(100)) * KIB;
        user_open(&user, model, mode_for(model, i), &options);
        struct memory open = look(model, place[0]);
        must_agree(&loaded, &open, "a session");
        wander(&user, points, &history);
        struct memory now = look(model, place[0]);
        must_agree(&loaded, &now, "after points");
        must(dt2_model_restore(model, NULL, &err) == 0, "at the end: %s", err.text);
        now = look(model, place[0]);
        must(now.held == open.held, "%" PRIu64 " are held, %" PRIu64 " were", now.held, open.held);
        pass(&user, 2);
        close_user(&user);
    }
    tell(&history, place[0]);
    must(history.evicted > points / 8 && history.restored > points / 8, "hardly anything moved");
    must(source_is(&source, model), "the model is whole");
    unload(model);
}

/* -- by others */

struct other {
    struct dt2_model *model;
    const char *device;
    struct history history;
    atomic_bool stop;
};

static void *move_on(void *data)
{
    struct other *other = data;
    while (!atomic_load(&other->stop))
        move_something(other->model, other->device, false, &other->history);
    return NULL;
}

struct walker {
    pthread_t thread;
    struct user *user;
    unsigned points;
};

static void *walk(void *data)
{
    struct walker *walker = data;
    runtime_enter(&walker->user->runtime);
    wander(walker->user, walker->points, NULL);
    return NULL;
}

static void live_threads(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct memory loaded = look(model, place[0]);
    struct other other = { .model = model, .device = place[0] };
    struct user users[2];
    struct walker walkers[2];
    struct dt2_error err;
    pthread_t thread;
    for (unsigned i = 0; i < 2; i++) {
        struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
        user_open(&users[i], model, mode_for(model, i), &options);
        walkers[i] = (struct walker){ .user = &users[i], .points = random_rounds(200) };
        if (pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]))
            layout_die("no thread");
    }
    if (pthread_create(&thread, NULL, move_on, &other))
        layout_die("no thread");
    for (unsigned i = 0; i < 2; i++)
        pthread_join(walkers[i].thread, NULL);
    atomic_store(&other.stop, true);
    pthread_join(thread, NULL);
    tell(&other.history, place[0]);
    must(other.history.evicted > 0 && other.history.restored > 0, "nothing moved");
    must(dt2_model_restore(model, NULL, &err) == 0, "%s", err.text);
    struct memory now = look(model, place[0]);
    must_agree(&loaded, &now, "after threads");
    for (unsigned i = 0; i < 2; i++)
        close_user(&users[i]);
    unload(model);
}

/* -- what leaves, and where it goes */

/* The number of tensors that lie on a device. */
static size_t on_device(const struct dt2_model *model, const char *device)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_model_tensor_count(model); i++) {
        const char *its = dt2_model_tensor(model, i)->bytes ? dt2_model_device(model, i) : NULL;
        count += its && strcmp(its, device) == 0;
    }
    return count;
}

/* All of it leaves, is whole, and comes back; with no session, with one, and with one that is parked. */
static void live_all_of_it(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct memory loaded = look(model, place[0]);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    size_t there = on_device(model, place[0]);
    struct user user;
    struct dt2_session *late;
    struct dt2_error err;
    uint64_t freed;
    user_open(&user, model, NO_STREAM, &options);
    must(dt2_session_close(user.session, &err) == 0, "%s", err.text);
    must(dt2_model_evict(model, NULL, UINT64_MAX, &freed, &err) == 0, "%s", err.text);
    must(freed == loaded.held && dt2_model_held(model, place[0]) == 0 && on_device(model, place[0]) == 0, "%" PRIu64, freed);
    must(source_is(&source, model), "it is whole where it lies");
    diag("%s: %zu tensors left, %zu lie with the host and %zu in the file alone", place[0], there, on_device(model, "cpu"),
         on_device(model, "file"));
    must(dt2_session_open(model, &options, &late, &err) == 0, "%s", err.text);
    user.session = late; /* that opened while it was away */
    pass(&user, 2);
    must(dt2_model_restore(model, NULL, &err) == 0, "%s", err.text);
    pass(&user, 2);
    must(dt2_session_park(user.session, &err) == 0, "%s", err.text);
    must(dt2_model_held(model, place[0]) == loaded.held, "parked");
    must(dt2_model_evict(model, NULL, UINT64_MAX, &freed, &err) == 0 && freed == loaded.held, "%" PRIu64, freed);
    must(dt2_session_unpark(user.session, &err) == 0, "%s", err.text);
    pass(&user, 2);
    close_user(&user);
    must(dt2_model_restore(model, &freed, &err) == 0 && freed == loaded.held, "%s", err.text);
    must(on_device(model, place[0]) == there, "all is back");
    must(dt2_model_evict(model, NULL, UINT64_MAX, NULL, &err) == 0, "%s", err.text);
    unload(model); /* while it is away */
}

/* -- donors without room */

static int no_room(void *driver, dt2_handle device, uint64_t bytes, dt2_handle *buffer, struct dt2_backend_error *err)
{
    (void)driver, (void)device, (void)bytes, (void)buffer;
    snprintf(err->text, sizeof err->text, "there is no room");
    return DT2_BACKEND_NOMEM;
}

/* The devices of a model as it knows them, in whose place are others that refuse all memory. */
struct full {
    struct dt2_opened *real[8], full[8];
    struct dt2_backend refusing[8];
};

static struct dt2_store *store_at(struct dt2_model *model, size_t at)
{
    return dt2_storage_at(&model->storage, at);
}

static void fill_donors(struct dt2_model *model, struct full *full)
{
    struct dt2_error err;
    if (!model->storage.refuge.opened &&
        dt2_machine_open(model->storage.machine, "cpu", &model->storage.refuge.opened, &err) < 0)
        layout_die("%s", err.text);
    for (size_t i = 0; i <= dt2_storage_refuge(&model->storage); i++) {
        struct dt2_opened *real = full->real[i] = store_at(model, i)->opened;
        if (!real)
            continue;
        full->refusing[i] = *real->backend;
        full->refusing[i].buffer_alloc = no_room;
        full->refusing[i].buffer_wrap = NULL;
        full->full[i] = *real;
        full->full[i].backend = &full->refusing[i];
        if (strcmp(real->name, dt2_plan_compute_device(model->plan)) != 0)
            store_at(model, i)->opened = &full->full[i];
    }
}

static void empty_donors(struct dt2_model *model, const struct full *full)
{
    for (size_t i = 0; i <= dt2_storage_refuge(&model->storage); i++)
        store_at(model, i)->opened = full->real[i];
}

/* What no donor takes is read from the file at each pass. */
static void live_full(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct memory loaded = look(model, place[0]);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    size_t there = on_device(model, place[0]);
    struct user user;
    struct full full;
    struct dt2_error err;
    for (unsigned i = 0; i < STREAM_MODES; i++) {
        uint64_t freed;
        user_open(&user, model, mode_for(model, i), &options);
        uint64_t all = dt2_model_held(model, NULL);
        fill_donors(model, &full);
        must(dt2_model_evict(model, NULL, UINT64_MAX, &freed, &err) == 0, "%s", err.text);
        empty_donors(model, &full);
        must(on_device(model, "file") == there, "%zu of %zu tensors", on_device(model, "file"), there);
        must(freed > 0 && dt2_model_held(model, NULL) == all - freed, "%" PRIu64, freed);
        must(source_is(&source, model), "it is whole in the file");
        pass(&user, 3);
        must(dt2_model_restore(model, NULL, &err) == 0, "%s", err.text);
        must(dt2_model_held(model, NULL) == all && on_device(model, place[0]) == there, "%s", place[0]);
        pass(&user, 2);
        close_user(&user);
    }
    struct memory now = look(model, place[0]);
    must_agree(&loaded, &now, "after all");
    must(source_is(&source, model), "it is whole");
    unload(model);
}

/* What its plan was allowed outright is not exceeded by what leaves later: all of it is taken, but for `more` on one donor. */
static struct dt2_model *load_allowed(const char *const *place, uint64_t more, const char **donor)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_limit budgets[8];
    struct dt2_model *model;
    struct dt2_plan *plan;
    struct dt2_error err;
    request.compute_device = place[0];
    request.expert_mode_allocations = place[1];
    request.budgets = budgets;
    if (dt2_model_plan(context, source.blocks, &request, &plan, &err))
        layout_die("%s", err.text);
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        budgets[request.budget_count++] = (struct dt2_limit){ share->device, share->cost_bytes };
        budgets[i].bytes += i == 1 ? more : 0;
    }
    if (dt2_model_load(context, source.file, source.blocks, &request, NULL, &model, &err))
        layout_die("%s", err.text);
    *donor = dt2_plan_share(model->plan, 1)->device;
    dt2_plan_free(plan);
    return model;
}

static void live_limits(const char *which)
{
    const char *const *place = places[atoi(which)];
    const char *donor;
    struct dt2_error err;
    uint64_t freed;
    struct dt2_model *model = load_allowed(place, 0, &donor);
    size_t there = on_device(model, place[0]);
    must(dt2_model_evict(model, NULL, UINT64_MAX, &freed, &err) == 0 && freed > 0, "%s", err.text);
    must(on_device(model, "file") == there, "no donor had any left: %zu of %zu tensors", on_device(model, "file"), there);
    must(dt2_model_restore(model, NULL, &err) == 0 && on_device(model, place[0]) == there, "%s", err.text);
    unload(model);
    model = load_allowed(place, UINT64_MAX / 2, &donor);
    size_t its = on_device(model, donor);
    must(dt2_model_evict(model, NULL, UINT64_MAX, &freed, &err) == 0 && freed > 0, "%s", err.text);
    must(on_device(model, donor) == its + there, "%s had: %zu tensors, %zu before", donor, on_device(model, donor), its);
    unload(model);
}

/* What others borrow stays where it is; so does what is exported. */
static void live_refusals(const char *which)
{
    const char *const *place = places[atoi(which)];
    struct dt2_model *model = load(place[0], place[1], false);
    struct memory loaded = look(model, place[0]);
    struct dt2_error err;
    uint64_t freed = 1;
    must(dt2_model_evict(model, "cuda:7", 1, &freed, &err) == DT2_EUSAGE && freed == 0, "%s", err.text);
    must(dt2_model_borrow(model, &err) == 0, "%s", err.text);
    must(dt2_model_evict(model, NULL, 1, &freed, &err) == DT2_EBUSY && freed == 0, "%s", err.text);
    dt2_model_return(model);
    must(dt2_model_evict(model, NULL, 0, &freed, &err) == 0 && freed == 0, "nothing was asked for");
    must(dt2_model_restore(model, &freed, &err) == 0 && freed == 0, "nothing is away");
    must(dt2_model_held(model, NULL) > loaded.held && dt2_model_held(model, "cuda:7") == 0, "%" PRIu64, dt2_model_held(model, NULL));
    must(dt2_model_ref(model) == model, "kept");
    unload(model);
    must(dt2_model_evict(model, NULL, 1, &freed, &err) == DT2_EGONE && dt2_model_held(model, NULL) == 0, "%s", err.text);
    must(dt2_model_restore(model, NULL, &err) == DT2_EGONE, "%s", err.text);
    dt2_model_unref(model);
}

static const struct life lives[] = {
    { "points", live_points, "01234", "evicting and restoring at random points of passes", NULL },
    { "threads", live_threads, "0124", "by another thread, with two sessions", NULL },
    { "all", live_all_of_it, "01234", "all that is resident, without a session, with one, and parked", NULL },
    { "full", live_full, "01234", "with donors that have no room", NULL },
    { "limits", live_limits, "024", "within what the plan was allowed", NULL },
    { "refusals", live_refusals, "02", "what is refused", NULL },
};

int main(int argc, char **argv)
{
    return lives_main(lives, DT2_COUNT(lives), NULL, argc, argv);
}
