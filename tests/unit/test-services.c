/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "machine/modules.h"
#include "support/tap.h"
#include <pthread.h>

#define THREADS 4

static char logged[2048];
static int logged_level;

static void keep_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    logged_level = level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void test_handles(const struct dt2_backend_services *s, struct dt2_services *services)
{
    int a, b;
    dt2_handle one = s->handle_new(s->core, DT2_HANDLE_BUFFER, &a);
    dt2_handle two = s->handle_new(s->core, DT2_HANDLE_QUEUE, &b);
    ok(one && two && one != two, "two handles, neither 0");
    ok(s->handle_get(s->core, DT2_HANDLE_BUFFER, one) == &a, "a handle gives its object");
    ok(s->handle_get(s->core, DT2_HANDLE_BUFFER, one) == &a, "as often as asked");
    ok(!s->handle_get(s->core, DT2_HANDLE_QUEUE, one), "not under another kind");
    ok(!s->handle_take(s->core, DT2_HANDLE_EVENT, two), "and is not taken under another kind");
    is_u64(dt2_services_live(services), 2, "two live");

    ok(s->handle_take(s->core, DT2_HANDLE_BUFFER, one) == &a, "taken");
    ok(!s->handle_take(s->core, DT2_HANDLE_BUFFER, one), "only once");
    ok(!s->handle_get(s->core, DT2_HANDLE_BUFFER, one), "then it gives nothing");
    dt2_handle three = s->handle_new(s->core, DT2_HANDLE_BUFFER, &b);
    ok(three != one && !s->handle_get(s->core, DT2_HANDLE_BUFFER, one), "also not what came after it");
    s->handle_take(s->core, DT2_HANDLE_BUFFER, three);
    s->handle_take(s->core, DT2_HANDLE_QUEUE, two);
    is_u64(dt2_services_live(services), 0, "none lives");

    static const dt2_handle none[] = { 0, 1, UINT32_MAX, UINT64_MAX, (dt2_handle)DT2_HANDLE_BUFFER << 32 };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ok(!s->handle_get(s->core, DT2_HANDLE_BUFFER, none[i]), "%#" PRIx64 " is no handle", none[i]);
    is_u64(s->handle_new(s->core, DT2_HANDLE_BUFFER, NULL), 0, "nothing has no handle");
}

/* Random news and takes against a plain array: what lives is found, what was taken never again. */
static void test_handles_at_random(const struct dt2_backend_services *s, struct dt2_services *services)
{
    enum { MANY = 3000, STEPS = 60000 };
    static char objects[MANY];
    static dt2_handle live[MANY], taken[STEPS];
    size_t taken_count = 0, live_count = 0;
    bool found = true, stale = false, unique = true;
    seed_random(20261125);
    for (size_t i = 0; i < STEPS; i++) {
        size_t at = random_below(MANY);
        enum dt2_handle_kind kind = (enum dt2_handle_kind)(DT2_HANDLE_DEVICE + at % 4);
        if (!live[at]) {
            live[at] = s->handle_new(s->core, kind, &objects[at]);
            live_count++;
        } else {
            found &= s->handle_take(s->core, kind, live[at]) == &objects[at];
            taken[taken_count++] = live[at];
            live[at] = 0;
            live_count--;
        }
        dt2_handle old = taken_count ? taken[random_below(taken_count)] : 0;
        for (int k = DT2_HANDLE_DEVICE; k <= DT2_HANDLE_EVENT; k++)
            stale |= s->handle_get(s->core, (enum dt2_handle_kind)k, old) != NULL;
    }
    is_u64(dt2_services_live(services), live_count, "as many live as should");
    for (size_t at = 0; at < MANY; at++) {
        enum dt2_handle_kind kind = (enum dt2_handle_kind)(DT2_HANDLE_DEVICE + at % 4);
        found &= !live[at] || s->handle_get(s->core, kind, live[at]) == &objects[at];
        for (size_t other = 0; live[at] && other < at; other++)
            unique &= live[other] != live[at];
        if (live[at])
            s->handle_take(s->core, kind, live[at]);
    }
    ok(found, "each live handle gives its object");
    ok(!stale, "none that was taken gives one");
    ok(unique, "no two are the same");
}

struct race {
    const struct dt2_backend_services *services;
    pthread_barrier_t barrier;
    dt2_handle handle;
    unsigned won;
};

static void *take_all(void *data)
{
    struct race *race = data;
    for (int i = 0; i < 2000; i++) {
        if (pthread_barrier_wait(&race->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            race->handle = race->services->handle_new(race->services->core, DT2_HANDLE_EVENT, race);
        pthread_barrier_wait(&race->barrier);
        if (race->services->handle_take(race->services->core, DT2_HANDLE_EVENT, race->handle))
            __atomic_add_fetch(&race->won, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_threads(const struct dt2_backend_services *s, struct dt2_services *services)
{
    struct race race = { .services = s };
    pthread_t threads[THREADS];
    pthread_barrier_init(&race.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_all, &race);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.barrier);
    is_u64(race.won, 2000, "of four threads that free one handle, one gets the object");
    is_u64(dt2_services_live(services), 0, "and none lives");
}

static void test_words(const struct dt2_backend_services *s)
{
    struct dt2_backend_error err;
    memset(&err, 'x', sizeof err);
    errno = 4242;
    is_int(s->fail(s->core, &err, DT2_BACKEND_NOMEM, -5, "CL_OUT_OF_RESOURCES", "%d bytes", 12), DT2_BACKEND_NOMEM,
           "fail returns the status");
    is_int(err.status, DT2_BACKEND_NOMEM, "and keeps it");
    is_int(err.vendor_code, -5, "with the vendor's code");
    is_str(err.vendor_name, "CL_OUT_OF_RESOURCES", "its name");
    is_str(err.text, "12 bytes", "and words");
    struct dt2_error library;
    is_int(dt2_fail_driver(&library, "opencl:0", &err), DT2_ENOFIT, "no room on the device is: does not fit");
    is_str(library.text, "opencl:0: 12 bytes (CL_OUT_OF_RESOURCES, -5)", "with the device before it");
    is_int(s->fail(s->core, &err, DT2_BACKEND_INVALID, 0, NULL, "no buffer"), DT2_BACKEND_INVALID, "without a vendor");
    is_int(dt2_fail_driver(&library, "cpu", &err), DT2_EFAILED, "any other failure is one");
    is_str(library.text, "cpu: no buffer", "without a code");
    is_int(s->fail(s->core, NULL, DT2_BACKEND_BUSY, 0, NULL, "x"), DT2_BACKEND_BUSY, "no error struct is fine");

    char longest[2 * sizeof err.text];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + sizeof err.text - 2, "\xC3\xA4", 2);
    longest[sizeof longest - 1] = '\0';
    s->fail(s->core, &err, DT2_BACKEND_FAILED, 0, longest, "%s", longest);
    is_u64(strlen(err.text), sizeof err.text - 2, "text is cut before a character that does not fit");
    is_u64(strlen(err.vendor_name), sizeof err.vendor_name - 1, "a name is cut");

    s->log(s->core, 1, "%s is %d\nand more", "x", 7);
    is_str(logged, "x is 7", "a log is one line");
    is_int(logged_level, DT2_LOG_WARNING, "with its level");
    s->log(s->core, 99, "what");
    is_int(logged_level, DT2_LOG_DEBUG, "a level that is none is debug");

    unsigned char *memory = s->alloc(s->core, 100);
    bool zero = memory != NULL;
    for (int i = 0; zero && i < 100; i++)
        zero = memory[i] == 0;
    ok(zero, "memory is zeroed");
    s->release(s->core, memory);
    s->release(s->core, NULL);
    is_int(errno, 4242, "errno stays");
}

static void test_options(const struct dt2_backend_services *s, struct dt2_services *services)
{
    const struct dt2_module_options options = { .cuda_runtime = "/a/libcudart.so.12", .hip_runtime = "" };
    ok(!s->option(s->core, "cuda_runtime"), "nothing was said of a driver");
    dt2_services_tell(services, NULL);
    dt2_services_tell(services, &options);
    const char *runtime = s->option(s->core, "cuda_runtime"), *none = s->option(s->core, "hip_runtime");
    ok(runtime && strcmp(runtime, options.cuda_runtime) == 0, "what was said is told");
    ok(none && !*none, "also that there is to be none");
    ok(!s->option(s->core, "path") && !s->option(s->core, ""), "and nothing else");
}

int main(void)
{
    struct dt2_log log = { keep_line, NULL };
    struct dt2_services *services;
    struct dt2_error err;
    is_int(dt2_services_create(&log, &services, &err), DT2_OK, "services are made");
    const struct dt2_backend_services *table = dt2_services_table(services);
    is_u64(table->struct_size, sizeof *table, "the table tells its size");
    is_u64(table->abi, DT2_BACKEND_ABI, "and its version");
    test_handles(table, services);
    test_handles_at_random(table, services);
    test_threads(table, services);
    test_words(table);
    test_options(table, services);
    dt2_services_destroy(services);
    dt2_services_destroy(NULL);

    is_int(dt2_services_create(NULL, &services, &err), DT2_OK, "a log is not needed");
    table = dt2_services_table(services);
    table->log(table->core, 0, "into nothing");
    dt2_services_destroy(services);
    return done_testing();
}
