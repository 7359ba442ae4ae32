/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions and pinned memory: shared, within a budget, in part, refused. */
#include "mixed/lives.h"

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
    must(all > 0 && dt2_session_warning_count(user.session) == 0, "%s", dt2_session_warning(user.session, 0));
    must(simulator_says("copies.h2d.registered") > 0 && simulator_says("copies.h2d.pageable") == pageable,
         "the host's share is pinned");
    user_open(&second, model, OWN_STREAM, &options); /* what is pinned already is shared */
    pass(&second, 2);
    must(second.info.pinned_bytes == all && dt2_session_warning_count(second.session) == 0, "%" PRIu64,
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
    const char *warning = dt2_session_warning(user.session, 0);
    must(user.info.pinned_bytes == 0 && warning && strstr(warning, place[0]), "%s", warning ? warning : "no warning");
    diag("%s", warning ? warning : "no warning");
    user_close(&user);
    unload(model);
    pin_host_alone(place[0]);
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
        must(dt2_session_warning_count(user.session) > 0, "nothing is said");
        for (size_t i = 0; i < dt2_session_warning_count(user.session); i++)
            diag("%s", dt2_session_warning(user.session, i));
        pass(&user, 2);
        must(dt2_session_verify(user.session, source.file, NULL, NULL, NULL, &err) == 0, "%s", err.text);
        user_close(&user);
        unload(model);
    }
}

/* -- all of them */

static const struct life lives[] = {
    { "pinned", live_pinned, "01", "host memory is pinned where it is, within a budget, or not", NULL },
    { "partly", live_partly, "01", "memory that is pinned in part", NULL },
    { "refused", live_refused, "01", "pinned memory that is refused", NULL },
};

int main(int argc, char **argv)
{
    return lives_main(lives, DT2_COUNT(lives), NULL, argc, argv);
}
