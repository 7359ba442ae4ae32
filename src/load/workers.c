/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/workers.h"
#include "base/alloc.h"
#include "base/ending.h"
#include "base/error.h"
#include "base/thread.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define TICK_NS 100000000 /* a tenth of a second */

struct run {
    const struct dt2_workers *workers;
    _Atomic size_t *next; /* item of each lane */
    _Atomic unsigned hired; /* gives each worker its number */
    atomic_bool stop;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned working;
    int code;
    struct dt2_error error;
};

unsigned dt2_workers_count(const struct dt2_workers *workers)
{
    unsigned busy = 0;
    for (size_t i = 0; i < workers->lanes; i++)
        busy += workers->items[i] > 0;
    unsigned most = workers->threads > busy ? workers->threads : busy;
    size_t items = 0;
    for (size_t i = 0; i < workers->lanes && items < most; i++)
        items += workers->items[i];
    return items < most ? (unsigned)items : most;
}

static void fail(struct run *run, const struct dt2_error *error)
{
    pthread_mutex_lock(&run->lock);
    if (run->code == 0) {
        run->code = error->code;
        run->error = *error;
    }
    pthread_mutex_unlock(&run->lock);
    atomic_store(&run->stop, true);
}

/* Does an item, which is a turn. */
static int work_on(const struct dt2_workers *workers, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    if (!dt2_turn_begin())
        return dt2_fail(err, DT2_ECANCELLED, "the program is ending");
    int rc = workers->work(workers->data, worker, lane, item, err);
    dt2_turn_end();
    return rc;
}

/* The next item, from the worker's own lane or else from the first one after it that has any. */
static bool next_item(struct run *run, size_t *lane, size_t *item)
{
    const struct dt2_workers *workers = run->workers;
    for (size_t tried = 0; tried < workers->lanes; tried++) {
        if (atomic_load(&run->next[*lane]) < workers->items[*lane]) {
            *item = atomic_fetch_add(&run->next[*lane], 1);
            if (*item < workers->items[*lane])
                return true;
        }
        *lane = (*lane + 1) % workers->lanes;
    }
    return false;
}

/* The lane where a worker begins: workers are dealt out over the lanes that have items. */
static size_t first_lane(const struct dt2_workers *workers, unsigned worker)
{
    size_t busy = 0;
    for (size_t i = 0; i < workers->lanes; i++)
        busy += workers->items[i] > 0;
    size_t wanted = worker % busy;
    for (size_t i = 0; i < workers->lanes; i++)
        if (workers->items[i] > 0 && wanted-- == 0)
            return i;
    return 0;
}

static int finish(struct run *run, unsigned worker, struct dt2_error *err)
{
    const struct dt2_workers *workers = run->workers;
    bool turn = dt2_turn_begin();
    int rc = workers->finish(workers->data, worker, turn && !atomic_load(&run->stop), err);
    if (turn)
        dt2_turn_end();
    return rc;
}

static void work_off(struct run *run)
{
    const struct dt2_workers *workers = run->workers;
    unsigned worker = atomic_fetch_add(&run->hired, 1);
    size_t lane = first_lane(workers, worker), item;
    struct dt2_error error;
    while (!atomic_load(&run->stop) && next_item(run, &lane, &item))
        if (work_on(workers, worker, lane, item, &error) < 0)
            fail(run, &error);
    if (workers->finish && finish(run, worker, &error) < 0)
        fail(run, &error);
}

static void *worker_main(void *data)
{
    struct run *run = data;
    work_off(run);
    pthread_mutex_lock(&run->lock);
    run->working--;
    pthread_cond_signal(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

static void tick(struct run *run)
{
    struct dt2_error error;
    if (run->workers->tick && !atomic_load(&run->stop) && run->workers->tick(run->workers->data) != 0) {
        dt2_fail(&error, DT2_ECANCELLED, "cancelled");
        fail(run, &error);
    }
}

/* Starts up to `wanted` workers; returns how many there are. */
static unsigned hire(struct run *run, pthread_t *threads, unsigned wanted)
{
    unsigned count = 0;
    while (count < wanted) {
        pthread_mutex_lock(&run->lock);
        run->working++;
        pthread_mutex_unlock(&run->lock);
        if (dt2_thread_start(&threads[count], worker_main, run) != 0) {
            pthread_mutex_lock(&run->lock);
            run->working--;
            pthread_mutex_unlock(&run->lock);
            break;
        }
        count++;
    }
    return count;
}

static void wait_ticking(struct run *run)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&run->lock);
    while (run->working > 0) {
        until.tv_nsec += TICK_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        int timed_out = 0;
        while (run->working > 0 && !timed_out)
            timed_out = pthread_cond_timedwait(&run->changed, &run->lock, &until);
        pthread_mutex_unlock(&run->lock);
        tick(run);
        pthread_mutex_lock(&run->lock);
    }
    pthread_mutex_unlock(&run->lock);
}

int dt2_workers_run(const struct dt2_workers *workers, struct dt2_error *err)
{
    unsigned size = dt2_workers_count(workers);
    if (size == 0)
        return 0;
    struct run run = { .workers = workers, .next = dt2_alloc(workers->lanes, sizeof *run.next) };
    DT2_AUTO pthread_t *threads = dt2_alloc(size, sizeof *threads);
    if (!run.next || !threads) {
        dt2_release((void *)(uintptr_t)run.next);
        return dt2_fail_nomem(err);
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&run.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&run.lock, NULL);

    unsigned hired = hire(&run, threads, size);
    if (hired == 0)
        work_off(&run);
    wait_ticking(&run);
    for (unsigned i = 0; i < hired; i++)
        pthread_join(threads[i], NULL);
    if (run.code < 0 && err)
        *err = run.error;
    pthread_cond_destroy(&run.changed);
    pthread_mutex_destroy(&run.lock);
    dt2_release((void *)(uintptr_t)run.next);
    return run.code;
}
