/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies: their ranges, their order, the events between them, and several at once. */
#include "subject.h"
#include <pthread.h>
#include <time.h>

void check_ranges(struct subject *s)
{
    enum { BYTES = 1000 };
    static const struct {
        uint64_t offset, bytes;
        bool inside;
    } cases[] = {
        { 0, 0, true },           { BYTES, 0, true },        { 0, BYTES, true },
        { BYTES - 1, 1, true },   { BYTES, 1, false },       { 0, BYTES + 1, false },
        { 1, BYTES, false },      { BYTES + 1, 0, false },   { UINT64_MAX, 0, false },
        { UINT64_MAX, 1, false }, { 1, UINT64_MAX, false },  { UINT64_MAX, UINT64_MAX, false },
        { 500, UINT64_MAX - 499, false },
    };
    static unsigned char image[2 * BYTES], back[2 * BYTES];
    dt2_handle buffer = new_buffer(s, BYTES), other = new_buffer(s, 2 * BYTES);
    if (!buffer || !other)
        return;
    fill_pattern(image, sizeof image, 1);
    ok(put(s, buffer, 0, image, BYTES) && put(s, other, 0, image, sizeof image), "%s: two buffers are filled", s->name);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t offset = cases[i].offset, bytes = cases[i].bytes;
        int expected = cases[i].inside ? DT2_BACKEND_OK : DT2_BACKEND_INVALID;
        const void *source = image + (cases[i].inside ? offset : 0);
        int h2d = CALL(s, copy_h2d, s->queue, buffer, offset, source, bytes);
        int d2h = CALL(s, copy_d2h, s->queue, buffer, offset, back, bytes);
        int d2d = CALL(s, copy_d2d, s->queue, buffer, offset, other, cases[i].inside ? offset : 0, bytes);
        int from = CALL(s, copy_d2d, s->queue, other, 0, buffer, offset, bytes);
        ok(h2d == expected && d2h == expected && d2d == expected && from == expected,
           "%s: %" PRIu64 " bytes from %" PRIu64 " are %s (%d %d %d %d)", s->name, bytes, offset,
           cases[i].inside ? "within" : "refused", h2d, d2h, d2d, from);
        ok(CALL(s, queue_wait, s->queue) == 0 && put(s, other, 0, image, sizeof image), "%s: the queue works on",
           s->name);
    }
    ok(get(s, buffer, 0, back, BYTES) && is_pattern(back, BYTES, 1), "%s: nothing was written elsewhere", s->name);
    refused(s, DT2_BACKEND_INVALID, CALL(s, copy_d2d, s->queue, buffer, 0, buffer, 1, 500), "ranges that overlap");
    good(s, CALL(s, copy_d2d, s->queue, buffer, 0, buffer, 500, 500), "ranges that touch are copied");
    ok(get(s, buffer, 0, back, BYTES) && memcmp(back, image + 500, 500) == 0 &&
           memcmp(back + 500, image + 500, 500) == 0,
       "%s: within one buffer", s->name);
    free_buffer(s, buffer);
    free_buffer(s, other);
}

/* -- random copies against a plain array */

struct mirror {
    dt2_handle buffer;
    uint64_t bytes;
    unsigned char *image; /* what the buffer must hold once all that is queued has run */
};

enum { POOL_BYTES = 1 << 20, STEPS = 300 };

/* One random copy between the pool and a buffer, or between two buffers. */
static bool random_step(struct subject *s, struct mirror mirrors[2], const unsigned char *pool, unsigned char *sink,
                        uint64_t random)
{
    struct mirror *to = &mirrors[random & 1], *from = &mirrors[random >> 1 & 1];
    uint64_t most = random & 4 ? to->bytes : 600; /* small ones, and any */
    uint64_t bytes = (random >> 8) % (most + 1);
    uint64_t at = (random >> 20) % (to->bytes - bytes + 1);
    switch (random >> 3 & 3) {
    case 0:
        return CALL(s, copy_d2h, s->queue, to->buffer, at, sink, bytes) == 0 && CALL(s, queue_wait, s->queue) == 0 &&
               memcmp(sink, to->image + at, bytes) == 0;
    case 1:
        if (to != from && bytes <= from->bytes) {
            uint64_t source = (random >> 30) % (from->bytes - bytes + 1);
            memcpy(to->image + at, from->image + source, bytes);
            return CALL(s, copy_d2d, s->queue, to->buffer, at, from->buffer, source, bytes) == 0;
        }
        return true;
    default: {
        uint64_t source = (random >> 35) % (POOL_BYTES - bytes + 1);
        memcpy(to->image + at, pool + source, bytes);
        return CALL(s, copy_h2d, s->queue, to->buffer, at, pool + source, bytes) == 0;
    }
    }
}

void check_random_copies(struct subject *s)
{
    struct mirror mirrors[2] = { { .bytes = 400009 }, { .bytes = 777777 } };
    unsigned char *pool = blank(POOL_BYTES), *sink = blank(POOL_BYTES);
    fill_pattern(pool, POOL_BYTES, 5);
    bool same = true;
    for (int i = 0; i < 2; i++) {
        mirrors[i].image = blank(mirrors[i].bytes);
        mirrors[i].buffer = new_buffer(s, mirrors[i].bytes);
        same &= put(s, mirrors[i].buffer, 0, mirrors[i].image, mirrors[i].bytes);
    }
    for (int i = 0; same && i < STEPS; i++)
        same = random_step(s, mirrors, pool, sink, random_u64());
    ok(same, "%s: %d random copies read what was written%s%s", s->name, STEPS, s->err.text[0] ? ": " : "", s->err.text);
    for (int i = 0; i < 2; i++) {
        ok(get(s, mirrors[i].buffer, 0, sink, mirrors[i].bytes) &&
               memcmp(sink, mirrors[i].image, mirrors[i].bytes) == 0,
           "%s: buffer %d holds what it should", s->name, i);
        free_buffer(s, mirrors[i].buffer);
        free(mirrors[i].image);
    }
    free(pool);
    free(sink);
}

/* Nothing is waited for until the end, so only the queue's order makes it come out right. */
void check_order(struct subject *s)
{
    enum { ROUNDS = 40, BYTES = 64 * 1024 + 3 };
    unsigned char *sources = blank((size_t)ROUNDS * BYTES), *back = blank((size_t)ROUNDS * BYTES);
    dt2_handle place = new_buffer(s, BYTES), all = new_buffer(s, (uint64_t)ROUNDS * BYTES);
    bool queued = place && all, right = true;
    for (size_t i = 0; queued && i < ROUNDS; i++) {
        fill_pattern(sources + i * BYTES, BYTES, i);
        queued = CALL(s, copy_h2d, s->queue, place, 0, sources + i * BYTES, BYTES) == 0 &&
                 CALL(s, copy_d2d, s->queue, all, i * BYTES, place, 0, BYTES) == 0 &&
                 CALL(s, copy_d2h, s->queue, all, i * BYTES, back + i * BYTES, BYTES) == 0;
    }
    good(s, CALL(s, queue_wait, s->queue), "the queue is waited for");
    for (size_t i = 0; i < ROUNDS; i++)
        right &= is_pattern(back + i * BYTES, BYTES, i);
    ok(queued && right, "%s: %d times over one place, in order", s->name, ROUNDS);
    free_buffer(s, place);
    free_buffer(s, all);
    free(sources);
    free(back);
}

/* -- events */

/* An event of a large copy, and what it says before, at and after its time. */
static void check_one_event(struct subject *s, dt2_handle buffer, const unsigned char *source, uint64_t bytes)
{
    dt2_handle early, event = 0, last = 0;
    bool done = true;
    unsigned char back[64] = { 0 };
    if (good(s, CALL(s, event_record, s->queue, &early), "an event before any work")) {
        good(s, CALL(s, event_wait, early), "is waited for");
        ok(CALL(s, event_query, early, &done) == 0 && done, "%s: and done", s->name);
        good(s, CALL(s, event_free, early), "and freed");
    }
    ok(CALL(s, copy_h2d, s->queue, buffer, 0, source, bytes) == 0, "%s: a large copy is queued", s->name);
    if (!good(s, CALL(s, event_record, s->queue, &event), "an event after it"))
        return;
    good(s, CALL(s, event_query, event, &done), "whether it is done");
    /* more work after the event; waiting for the event does not wait for it, but must not be disturbed by it */
    ok(CALL(s, copy_h2d, s->queue, buffer, 0, source, bytes) == 0 && CALL(s, event_record, s->queue, &last) == 0,
       "%s: more work after it", s->name);
    good(s, CALL(s, event_wait, event), "the event is waited for");
    ok(CALL(s, event_query, event, &done) == 0 && done, "%s: then it is done", s->name);
    good(s, CALL(s, event_wait, event), "waiting again is fine");
    good(s, CALL(s, event_free, last), "an event is freed before its time");
    ok(get(s, buffer, bytes - 64, back, 64) && memcmp(back, source + bytes - 64, 64) == 0,
       "%s: the copy before the event is there", s->name);
    good(s, CALL(s, event_free, event), "the event is freed");
}

/* Whoever asks instead of waiting is told "done" no sooner than the bytes are there. */
static void check_polling(struct subject *s, dt2_handle buffer, unsigned char *source, unsigned char *back,
                          uint64_t bytes)
{
    enum { ROUNDS = 4, PATIENCE_SECONDS = 60 };
    bool right = true, done = false;
    for (uint64_t i = 0; right && i < ROUNDS; i++) {
        dt2_handle event = 0;
        time_t start = time(NULL);
        fill_pattern(source, bytes, 40 + i);
        right = CALL(s, copy_h2d, s->queue, buffer, 0, source, bytes) == 0 &&
                CALL(s, copy_d2h, s->queue, buffer, 0, back, bytes) == 0 &&
                CALL(s, event_record, s->queue, &event) == 0;
        for (done = false; right && !done && time(NULL) - start < PATIENCE_SECONDS;)
            right = CALL(s, event_query, event, &done) == 0;
        right = right && done && memcmp(back, source, bytes) == 0;
        good(s, CALL(s, queue_wait, s->queue), "the queue is done");
        good(s, CALL(s, event_free, event), "the event is freed");
    }
    ok(right, "%s: an event that is asked is done when the bytes are there%s", s->name, done ? "" : ", but never was");
}

/* Makes a queue wait for an event, and asks for it meanwhile where the driver does both at one go. */
static bool follow(struct subject *s, dt2_handle queue, dt2_handle event)
{
    bool done = false;
    return HAS(s, queue_follow) ? CALL(s, queue_follow, queue, event, &done) == 0
                                : CALL(s, queue_wait_event, queue, event) == 0;
}

/* What has run is followed by nothing that waits, and is said to have. */
static void check_follow(struct subject *s, dt2_handle queue)
{
    dt2_handle event;
    bool done = false;
    if (!HAS(s, queue_follow))
        return;
    bool right = CALL(s, event_record, s->queue, &event) == 0 && CALL(s, event_wait, event) == 0 &&
                 CALL(s, queue_follow, queue, event, &done) == 0 && done;
    ok(right, "%s: an event that has come is followed, and said to have come", s->name);
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_follow, queue, queue, &done), "an event that is none");
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_follow, event, event, &done), "a queue that is none");
    good(s, CALL(s, event_free, event), "the event is freed");
}

/* One queue writes, another reads after the event of the first. */
static void check_across(struct subject *s, dt2_handle buffer, unsigned char *source, unsigned char *back,
                         uint64_t bytes)
{
    enum { ROUNDS = 6 };
    dt2_handle other, written = 0, taken = 0;
    bool right = true;
    if (!good(s, CALL(s, queue_create, s->device, &other), "a second queue"))
        return;
    for (uint64_t i = 0; right && i < ROUNDS; i++) {
        fill_pattern(source, bytes, 50 + i);
        right = CALL(s, copy_h2d, s->queue, buffer, 0, source, bytes) == 0 &&
                CALL(s, event_record, s->queue, &written) == 0 &&
                (i % 2 ? follow(s, other, written) : CALL(s, queue_wait_event, other, written) == 0) &&
                CALL(s, event_free, written) == 0 && /* the wait stands without the handle */
                CALL(s, copy_d2h, other, buffer, 0, back, bytes) == 0 && CALL(s, event_record, other, &taken) == 0 &&
                follow(s, s->queue, taken) && CALL(s, event_wait, taken) == 0 &&
                CALL(s, event_free, taken) == 0 && is_pattern(back, bytes, 50 + i);
    }
    ok(right, "%s: a queue waits for another one's event%s%s", s->name, s->err.text[0] ? ": " : "", s->err.text);
    good(s, CALL(s, queue_wait, s->queue), "the first queue is done");
    check_follow(s, other);
    good(s, CALL(s, queue_destroy, other), "the second queue is destroyed");
}

/* Destroying a queue waits for its work. */
static void check_destroy(struct subject *s, dt2_handle buffer, unsigned char *source, unsigned char *back,
                          uint64_t bytes)
{
    dt2_handle other, event;
    bool done = false;
    fill_pattern(source, bytes, 60);
    if (!good(s, CALL(s, queue_create, s->device, &other), "a queue to be destroyed"))
        return;
    bool queued = CALL(s, copy_h2d, other, buffer, 0, source, bytes) == 0 && CALL(s, event_record, other, &event) == 0;
    ok(queued, "%s: with work", s->name);
    good(s, CALL(s, queue_destroy, other), "and it is");
    ok(queued && CALL(s, event_query, event, &done) == 0 && done, "%s: its work is done", s->name);
    ok(get(s, buffer, 0, back, bytes) && is_pattern(back, bytes, 60), "%s: all of it", s->name);
    if (queued)
        good(s, CALL(s, event_free, event), "its event is freed");
}

void check_events(struct subject *s)
{
    const uint64_t bytes = 16 * MiB + 5;
    unsigned char *source = blank(bytes), *back = blank(bytes);
    dt2_handle buffer = new_buffer(s, bytes);
    if (buffer && source && back) {
        fill_pattern(source, bytes, 8);
        check_one_event(s, buffer, source, bytes);
        check_polling(s, buffer, source, back, bytes);
        check_across(s, buffer, source, back, bytes);
        check_destroy(s, buffer, source, back, bytes);
    }
    free_buffer(s, buffer);
    free(source);
    free(back);
}

/* -- two devices of one driver */

/* The verdict is one, of the pair, and stays; false where direct copies are none. */
static bool check_verdict(struct subject *s, dt2_handle their_device)
{
    enum dt2_peer_verdict verdicts[4];
    if (!HAS(s, peer_check))
        return true;
    for (int i = 0; i < 4; i++) {
        dt2_handle to = i % 2 ? s->device : their_device, from = i % 2 ? their_device : s->device;
        if (!good(s, CALL(s, peer_check, to, from, &verdicts[i]), "whether bytes arrive from another device"))
            return true;
    }
    ok(verdicts[0] <= DT2_PEER_BROKEN && verdicts[1] == verdicts[0] && verdicts[2] == verdicts[0] &&
           verdicts[3] == verdicts[0],
       "%s: the verdict on copies between devices is %d, each time", s->name, (int)verdicts[0]);
    refused(s, DT2_BACKEND_INVALID, CALL(s, peer_check, s->device, s->queue, verdicts), "a peer that is no device");
    return verdicts[0] != DT2_PEER_BROKEN;
}

static void check_between(struct subject *s, dt2_handle here, dt2_handle there, dt2_handle their_device,
                          dt2_handle their_queue)
{
    static unsigned char bytes[5000], back[5000];
    dt2_handle event;
    refused(s, DT2_BACKEND_INVALID, CALL(s, copy_d2d, s->queue, here, 0, there, 0, 100),
            "a copy on the device from another device");
    bool arrives = check_verdict(s, their_device);
    if (!HAS(s, copy_peer))
        return;
    if (!arrives) {
        refused(s, DT2_BACKEND_UNSUPPORTED, CALL(s, copy_peer, their_queue, there, 7, here, 3, 4000),
                "a copy that would not arrive");
        return;
    }
    fill_pattern(bytes, sizeof bytes, 70);
    ok(put(s, here, 0, bytes, sizeof bytes) && CALL(s, copy_peer, their_queue, there, 7, here, 3, 4000) == 0 &&
           CALL(s, event_record, their_queue, &event) == 0 && CALL(s, event_wait, event) == 0 &&
           CALL(s, event_free, event) == 0 && CALL(s, copy_d2h, their_queue, there, 7, back, 4000) == 0 &&
           CALL(s, queue_wait, their_queue) == 0 && memcmp(back, bytes + 3, 4000) == 0,
       "%s: bytes go to another device", s->name);
    refused(s, DT2_BACKEND_INVALID, CALL(s, copy_peer, their_queue, there, 1, here, 0, 5000), "too many for there");
    refused(s, DT2_BACKEND_INVALID, CALL(s, copy_peer, their_queue, there, 0, here, UINT64_MAX, 2),
            "too many for here");
    good(s, CALL(s, copy_peer, their_queue, there, 0, here, 0, 0), "no bytes");
}

void check_peers(struct subject *s)
{
    bool reachable;
    if (HAS(s, peer_query)) {
        for (uint32_t peer = 0; peer < s->device_count; peer++)
            good(s, CALL(s, peer_query, s->index, peer, &reachable), "whether it reaches device %u", peer);
        refused(s, DT2_BACKEND_INVALID, CALL(s, peer_query, s->index, s->device_count, &reachable),
                "a peer that is none");
    }
    if (s->device_count < 2) {
        skip(1, "the driver has one device");
        return;
    }
    dt2_handle device, queue, there, here = new_buffer(s, 5000);
    if (!good(s, CALL(s, device_open, (s->index + 1) % s->device_count, NULL, &device), "another device opens"))
        return;
    if (good(s, CALL(s, queue_create, device, &queue), "with a queue")) {
        if (good(s, CALL(s, buffer_alloc, device, 5000, &there), "and a buffer")) {
            check_between(s, here, there, device, queue);
            good(s, CALL(s, buffer_free, there), "its buffer is freed");
        }
        good(s, CALL(s, queue_destroy, queue), "its queue is destroyed");
    }
    good(s, CALL(s, device_close, device), "it closes");
    free_buffer(s, here);
}

/* -- threads */

struct worker {
    struct subject subject; /* a copy, with an error and a queue of its own */
    pthread_barrier_t *barrier;
    dt2_handle shared;
    uint64_t begin; /* of the part of the shared buffer that is this worker's */
    uint64_t number;
    bool right;
};

enum { PART_BYTES = 300001, ROUNDS = 60 };

/* Copies to and from a part of a buffer that two threads share. */
static void *copy_in_thread(void *data)
{
    struct worker *w = data;
    struct subject *s = &w->subject;
    unsigned char *source = blank(PART_BYTES), *back = blank(PART_BYTES);
    dt2_handle queue = 0;
    w->right = source && back && CALL(s, queue_create, s->device, &queue) == 0;
    s->queue = queue;
    pthread_barrier_wait(w->barrier);
    for (uint64_t i = 0; w->right && i < ROUNDS; i++) {
        uint64_t bytes = 1 + (i * 7919 + w->number) % PART_BYTES;
        fill_pattern(source, bytes, w->number * 1000 + i);
        w->right = put(s, w->shared, w->begin + PART_BYTES - bytes, source, bytes) &&
                   get(s, w->shared, w->begin + PART_BYTES - bytes, back, bytes) &&
                   is_pattern(back, bytes, w->number * 1000 + i);
    }
    w->right = w->right && CALL(s, queue_destroy, queue) == 0;
    free(source);
    free(back);
    return NULL;
}

/* Makes and frees objects of each kind meanwhile. */
static void *churn_in_thread(void *data)
{
    struct worker *w = data;
    struct subject *s = &w->subject;
    pthread_barrier_wait(w->barrier);
    w->right = true;
    for (uint64_t i = 0; w->right && i < 2 * ROUNDS; i++) {
        dt2_handle buffer, queue, event;
        w->right = CALL(s, buffer_alloc, s->device, 1 + i * 37, &buffer) == 0 &&
                   CALL(s, queue_create, s->device, &queue) == 0 && CALL(s, event_record, queue, &event) == 0 &&
                   CALL(s, event_wait, event) == 0 && CALL(s, event_free, event) == 0 &&
                   CALL(s, buffer_free, buffer) == 0 && CALL(s, queue_destroy, queue) == 0 &&
                   CALL(s, buffer_free, buffer) == DT2_BACKEND_INVALID;
    }
    return NULL;
}

void check_threads(struct subject *s)
{
    enum { WORKERS = 3 };
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    pthread_barrier_t barrier;
    dt2_handle shared = new_buffer(s, 2 * PART_BYTES);
    if (!shared)
        return;
    pthread_barrier_init(&barrier, NULL, WORKERS);
    for (uint64_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .subject = *s, .barrier = &barrier, .shared = shared, .begin = i * PART_BYTES,
                                      .number = i };
        pthread_create(&threads[i], NULL, i < 2 ? copy_in_thread : churn_in_thread, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        ok(workers[i].right, "%s: thread %d of three at once%s%s", s->name, i, workers[i].right ? "" : ": ",
           workers[i].right ? "" : workers[i].subject.err.text);
    }
    pthread_barrier_destroy(&barrier);
    free_buffer(s, shared);
}
