/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/measure.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include <string.h>

#define TOTAL_BYTES ((uint64_t)64 << 20) /* of one run: more than caches hold */
#define CHUNK_BYTES ((uint64_t)8 << 20)  /* of one copy: as loads make them */
#define SMALL_COPIES 64
#define SMALL_BYTES ((uint64_t)4096)
#define FRESH_RUNS 3
#define RUNS 4                           /* the first touches the memory; of the others the best counts */

struct rig {
    const struct dt2_opened *on;
    dt2_handle queue, buffer;
    uint64_t bytes; /* of the buffer: a multiple of `chunk` */
    uint64_t chunk;
    char *staging; /* as large: the host's caches would hold one chunk */
    bool pinned; /* it came from the driver */
    enum dt2_direction direction;
};

/* Staging, pinned or not; none is no failure. */
static void add_staging(struct rig *rig, bool pinned, struct dt2_backend_error *failure)
{
    const struct dt2_opened *on = rig->on;
    void *memory = NULL;
    if (pinned)
        rig->pinned = on->backend->host_alloc && on->backend->host_free &&
                      on->backend->host_alloc(on->driver, on->device, rig->bytes, &memory, failure) == 0;
    else
        memory = dt2_alloc(1, rig->bytes);
    rig->staging = memory;
    if (memory)
        memset(memory, 0x5A, rig->bytes);
}

static int set_up(struct rig *rig, bool pinned, struct dt2_backend_error *failure)
{
    const struct dt2_opened *on = rig->on;
    rig->chunk = dt2_min(CHUNK_BYTES, on->max_alloc_bytes);
    rig->bytes = dt2_min(TOTAL_BYTES, on->max_alloc_bytes) / rig->chunk * rig->chunk;
    int rc = on->backend->queue_create(on->driver, on->device, &rig->queue, failure);
    if (rc == 0)
        rc = on->backend->buffer_alloc(on->driver, on->device, rig->bytes, &rig->buffer, failure);
    if (rc < 0)
        return rc;
    add_staging(rig, pinned, failure);
    return 0;
}

static void tear_down(struct rig *rig)
{
    const struct dt2_opened *on = rig->on;
    if (rig->queue)
        on->backend->queue_destroy(on->driver, rig->queue, NULL);
    if (rig->buffer)
        on->backend->buffer_free(on->driver, rig->buffer, NULL);
    if (rig->pinned)
        on->backend->host_free(on->driver, on->device, rig->staging, NULL);
    else
        dt2_release(rig->staging);
}

static double seconds_since(uint64_t begin_ns)
{
    return (double)(dt2_now_ns() - begin_ns) / 1e9;
}

/* Copies TOTAL_BYTES, over the buffer again and again when it is smaller. */
static int run_once(const struct rig *rig, double *seconds, struct dt2_backend_error *failure)
{
    const struct dt2_opened *on = rig->on;
    uint64_t begin = dt2_now_ns();
    int rc = 0;
    for (uint64_t done = 0; rc == 0 && done < TOTAL_BYTES; done += rig->chunk) {
        uint64_t at = done % rig->bytes;
        rc = rig->direction == DT2_WRITE
                 ? on->backend->copy_h2d(on->driver, rig->queue, rig->buffer, at, rig->staging + at, rig->chunk, failure)
                 : on->backend->copy_d2h(on->driver, rig->queue, rig->buffer, at, rig->staging + at, rig->chunk, failure);
    }
    int waited = on->backend->queue_wait(on->driver, rig->queue, rc == 0 ? failure : NULL);
    *seconds = seconds_since(begin);
    return rc < 0 ? rc : waited;
}

/* Two digits: more would be noise. */
static double rate_of(const struct rig *rig, double seconds)
{
    double bytes = (double)((TOTAL_BYTES + rig->chunk - 1) / rig->chunk * rig->chunk);
    return (double)(long)(bytes / (seconds > 0 ? seconds : 1e-9) / 1e7 + 0.5) / 100;
}

int dt2_measure(const struct dt2_opened *opened, enum dt2_direction direction, bool pinned, double *gbps,
                struct dt2_error *err)
{
    struct rig rig = { .on = opened, .direction = direction };
    struct dt2_backend_error failure = { 0 };
    double best = 0;
    int rc = set_up(&rig, pinned, &failure);
    bool no_staging = rc == 0 && !rig.staging;
    for (int i = 0; rc == 0 && !no_staging && i < RUNS; i++) {
        double seconds;
        rc = run_once(&rig, &seconds, &failure);
        if (i == 1 || (i > 1 && seconds < best))
            best = seconds;
    }
    tear_down(&rig);
    if (no_staging && !pinned)
        return dt2_fail_nomem(err);
    if (no_staging) {
        *gbps = -1;
        return 0;
    }
    if (rc < 0)
        return dt2_fail_driver(err, opened->name, &failure);
    *gbps = rate_of(&rig, best);
    return 0;
}

/*
 * To memory that nobody has touched: the first run over each of a few buffers, of which the best counts. A virtual machine gives
 * back to its host what lies idle for a while, and has it again at a tenth of the rate.
 */
static double measure_fresh(const struct dt2_opened *opened)
{
    double best = -1;
    for (int i = 0; i < FRESH_RUNS; i++) {
        struct rig rig = { .on = opened, .direction = DT2_WRITE };
        double seconds;
        if (set_up(&rig, true, NULL) == 0 && !rig.staging)
            add_staging(&rig, false, NULL);
        if (rig.staging && run_once(&rig, &seconds, NULL) == 0 && rate_of(&rig, seconds) > best)
            best = rate_of(&rig, seconds);
        tear_down(&rig);
    }
    return best;
}

/* Through pinned memory, or ordinary memory where there is none. */
static int measure_best(const struct dt2_opened *opened, enum dt2_direction direction, double *gbps, struct dt2_error *err)
{
    int rc = dt2_measure(opened, direction, true, gbps, err);
    return rc == 0 && *gbps < 0 ? dt2_measure(opened, direction, false, gbps, err) : rc;
}

/* Small copies, one after the other, each waited for as one that another leg follows is. */
static int measure_delay(const struct dt2_opened *opened, double *us, struct dt2_error *err)
{
    struct rig rig = { .on = opened };
    struct dt2_backend_error failure = { 0 };
    int rc = set_up(&rig, false, &failure);
    uint64_t begin = dt2_now_ns();
    if (rc == 0 && !rig.staging)
        rc = DT2_BACKEND_NOMEM;
    for (int i = 0; rc == 0 && i < SMALL_COPIES; i++) {
        rc = opened->backend->copy_h2d(opened->driver, rig.queue, rig.buffer, 0, rig.staging, SMALL_BYTES, &failure);
        if (rc == 0)
            rc = opened->backend->queue_wait(opened->driver, rig.queue, &failure);
    }
    double took = seconds_since(begin);
    tear_down(&rig);
    if (rc < 0)
        return dt2_fail_driver(err, opened->name, &failure);
    *us = (double)(long)(took / SMALL_COPIES * 1e8 + 0.5) / 100;
    return 0;
}

/* Seconds of the best of several runs; below 0: a copy failed. */
static double best_of_peers(const struct rig *to, const struct rig *from)
{
    const struct dt2_opened *on = to->on;
    double best = -1;
    for (int i = 0; i < RUNS; i++) {
        uint64_t begin = dt2_now_ns();
        int rc = 0;
        for (uint64_t done = 0; rc == 0 && done < TOTAL_BYTES; done += to->chunk)
            rc = on->backend->copy_peer(on->driver, to->queue, to->buffer, done % to->bytes, from->buffer, done % from->bytes, to->chunk,
                                        NULL);
        if (on->backend->queue_wait(on->driver, to->queue, NULL) < 0 || rc < 0)
            return -1;
        double seconds = seconds_since(begin);
        best = i == 1 || (i > 1 && seconds < best) ? seconds : best;
    }
    return best;
}

double dt2_measure_peer(const struct dt2_opened *to, const struct dt2_opened *from)
{
    struct rig a = { .on = to }, b = { .on = from };
    double seconds = -1;
    if (to->backend->copy_peer && set_up(&a, false, NULL) == 0 && set_up(&b, false, NULL) == 0 && a.chunk == b.chunk)
        seconds = best_of_peers(&a, &b);
    tear_down(&a);
    tear_down(&b);
    if (seconds <= 0)
        return -1;
    return (double)(long)((double)TOTAL_BYTES / seconds / 1e7 + 0.5) / 100;
}

int dt2_measure_link(const struct dt2_opened *opened, struct dt2_link *link, struct dt2_error *err)
{
    link->fresh_gbps = measure_fresh(opened);
    int rc = measure_best(opened, DT2_WRITE, &link->measured_gbps, err);
    if (rc == 0)
        rc = measure_best(opened, DT2_READ, &link->read_gbps, err);
    return rc == 0 ? measure_delay(opened, &link->delay_us, err) : rc;
}
