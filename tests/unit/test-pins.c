/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned shares of a model: counted for each driver, shared by all who take them, given back by the last one, and kept from
 * children as long as anybody's are pinned. The drivers are made here, and are what the machine opens.
 */
#include "base/error.h"
#include "load/pins.h"
#include "support/tap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE DT2_PIN_PIECE
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define SLAB_BYTES (2 * PIECE + 100) /* that ends within a page */

static void die(const char *why)
{
    printf("Bail out! %s\n", why);
    exit(99);
}

/* -- drivers, and a machine that has their devices */

struct driver {
    size_t registered; /* now */
    size_t calls;
    size_t fails_at; /* this call; 0: none does */
    size_t opened;
};
static struct driver drivers[2];

static int fake_register(void *driver, dt2_handle device, void *memory, uint64_t bytes, struct dt2_backend_error *err)
{
    struct driver *d = driver;
    (void)device, (void)memory, (void)bytes;
    if (++d->calls == d->fails_at) {
        *err = (struct dt2_backend_error){ .status = DT2_BACKEND_NOMEM, .text = "no more may be pinned" };
        return DT2_BACKEND_NOMEM;
    }
    d->registered++;
    return 0;
}

static int fake_unregister(void *driver, dt2_handle device, void *memory, struct dt2_backend_error *err)
{
    struct driver *d = driver;
    (void)device, (void)memory, (void)err;
    d->registered--;
    return 0;
}

static const struct dt2_backend backend = { .struct_size = sizeof backend,
                                            .name = "fake",
                                            .host_register = fake_register,
                                            .host_unregister = fake_unregister };
static struct dt2_opened devices[2] = { { .name = "a:0", .backend = &backend, .driver = &drivers[0] },
                                        { .name = "b:0", .backend = &backend, .driver = &drivers[1] } };

int dt2_machine_open(struct dt2_machine *machine, const char *name, struct dt2_opened **opened, struct dt2_error *err)
{
    (void)machine, (void)err;
    *opened = &devices[strcmp(name, "a:0") ? 1 : 0];
    ((struct driver *)(*opened)->driver)->opened++;
    return 0;
}

void dt2_machine_close(struct dt2_machine *machine, struct dt2_opened *opened)
{
    struct driver *d = opened->driver;
    (void)machine;
    if (d->registered)
        ok(false, "%s closes with memory pinned", opened->name);
    d->opened--;
}

/* -- a store in host memory */

static struct dt2_slab slab;
static struct dt2_store store = { .slabs = &slab, .slab_count = 1 };
static struct dt2_pins pins;
static _Atomic uint64_t all;

static void begin(bool adopted)
{
    void *memory = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("no memory");
    memset(drivers, 0, sizeof drivers);
    slab = (struct dt2_slab){ .bytes = SLAB_BYTES, .address = memory, .adopted = adopted };
    dt2_pins_init(&pins, NULL, &all);
}

static void end(const char *what)
{
    is_int(drivers[0].registered + drivers[1].registered, 0, "%s: nothing is pinned at the end", what);
    is_int(drivers[0].opened + drivers[1].opened, 0, "%s: no device is open", what);
    is_int(all, 0, "%s: nothing is counted", what);
    dt2_pins_destroy(&pins);
    munmap(slab.address, SLAB_BYTES);
}

static struct dt2_pinning *take(size_t device)
{
    struct dt2_pinning *pinning;
    struct dt2_error err;
    if (dt2_pinning_take(&pins, &store, &devices[device], &pinning, &err))
        die(err.text);
    return pinning;
}

static uint64_t add(struct dt2_pinning *pinning, uint64_t most)
{
    struct dt2_error err;
    uint64_t added;
    return dt2_pinning_add(pinning, 0, most, &added, &err) ? UINT64_MAX : added;
}

/* Whether a child process has a byte: the kernel tells, which reads it for the child or does not. */
static bool child_reads(const char *byte)
{
    int status = -1, ends[2];
    if (pipe(ends))
        die("no pipe");
    pid_t child = fork();
    if (child == 0)
        _exit(syscall(SYS_write, ends[1], byte, 1) == 1 ? 0 : 1); /* past sanitizers, which look first */
    if (child < 0 || waitpid(child, &status, 0) < 0)
        die("no child");
    close(ends[0]);
    close(ends[1]);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool child_has(uint64_t at)
{
    return child_reads((char *)slab.address + at);
}

/* Whether what is to be kept from children is: the thread sanitizer passes the advice over. */
static bool advice_counts(void)
{
#ifdef __SANITIZE_THREAD__
    return false;
#endif
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || (*page = 1, madvise(page, PAGE, MADV_DONTFORK) < 0))
        die("no page");
    bool counts = !child_reads(page);
    munmap(page, PAGE);
    return counts;
}

/* A check of what children have not. */
static void kept(bool good, const char *what)
{
    if (advice_counts())
        ok(good, "%s", what);
    else
        skip(1, "advice about children does not count here");
}

/* -- tests */

static void test_shared(void)
{
    begin(false);
    struct dt2_pinning *one = take(0), *two = take(0);
    ok(one == two, "those of one driver share");
    ok(add(one, UINT64_MAX) == PIECE && add(two, UINT64_MAX) == PIECE && add(one, UINT64_MAX) == 100, "piece by piece");
    ok(add(two, UINT64_MAX) == 0 && drivers[0].calls == 3, "and nothing twice");
    ok(dt2_pinning_bytes(two, 0) == SLAB_BYTES && all == SLAB_BYTES, "all is pinned, and counted");
    dt2_pinning_drop(&pins, one);
    ok(drivers[0].registered == 3 && dt2_pinning_bytes(two, 0) == SLAB_BYTES, "it stays while somebody uses it");
    dt2_pinning_drop(&pins, two);
    dt2_pinning_drop(&pins, NULL);
    end("shared");
}

static void test_refused(void)
{
    begin(false);
    drivers[0].fails_at = 2;
    struct dt2_pinning *pinning = take(0);
    ok(add(pinning, UINT64_MAX) == PIECE && add(pinning, UINT64_MAX) == UINT64_MAX, "the second piece is refused");
    ok(dt2_pinning_bytes(pinning, 0) == PIECE && all == PIECE, "the first is pinned still");
    kept(!child_has(PIECE - 1) && child_has(PIECE), "a child has what was refused");
    ok(add(pinning, UINT64_MAX) == PIECE, "another try goes on from there");
    dt2_pinning_drop(&pins, pinning);
    end("refused");
}

static void test_budget(void)
{
    begin(false);
    struct dt2_pinning *pinning = take(0);
    ok(add(pinning, PAGE - 1) == 0 && drivers[0].calls == 0, "less than a page is nothing");
    ok(add(pinning, 3 * PAGE + 5) == 3 * PAGE, "whole pages");
    ok(add(pinning, UINT64_MAX) == 0, "nothing behind a piece that was cut");
    dt2_pinning_drop(&pins, pinning);
    end("budget");
}

static void test_children(void)
{
    begin(false);
    struct dt2_pinning *one = take(0), *two = take(1);
    ok(one != two, "each driver has its own");
    ok(child_has(0), "a child has what is not pinned");
    while (add(one, UINT64_MAX) > 0)
        ;
    kept(!child_has(0) && !child_has(SLAB_BYTES - 1), "not what is, up to the last byte");
    ok(add(two, UINT64_MAX) == PIECE && all == SLAB_BYTES + PIECE, "another driver pins a part");
    dt2_pinning_drop(&pins, one);
    kept(!child_has(PIECE - 1) && child_has(PIECE), "what it does not need is let in again");
    dt2_pinning_drop(&pins, two);
    ok(child_has(0), "and the rest in the end");
    end("children");
}

static void test_callers(void)
{
    begin(true);
    struct dt2_pinning *pinning = take(0);
    ok(add(pinning, UINT64_MAX) == PIECE && child_has(0), "children keep memory of the caller's");
    dt2_pinning_drop(&pins, pinning);
    end("the caller's");
}

int main(void)
{
    test_shared();
    test_refused();
    test_budget();
    test_children();
    test_callers();
    return done_testing();
}
