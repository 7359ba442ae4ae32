/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/gather.h"
#include "base/checked.h"
#include "base/thread.h"
#include <string.h>

#define PART_BYTES ((uint64_t)512 << 10) /* that one of them copies before it looks for more */
#define ALONE_BYTES (2 * PART_BYTES)     /* not worth waking anybody */

/* Takes part in the copy at hand until nothing of it is left. The lock is held. */
static void take_part(struct dt2_gatherers *gatherers)
{
    gatherers->at_work++;
    while (gatherers->next < gatherers->bytes) {
        uint64_t at = gatherers->next, bytes = dt2_min(PART_BYTES, gatherers->bytes - at);
        gatherers->next += bytes;
        pthread_mutex_unlock(&gatherers->lock);
        memcpy(gatherers->to + at, gatherers->from + at, bytes);
        pthread_mutex_lock(&gatherers->lock);
    }
    if (--gatherers->at_work == 0)
        pthread_cond_signal(&gatherers->done);
}

static void *run(void *data)
{
    struct dt2_gatherers *gatherers = data;
    pthread_mutex_lock(&gatherers->lock);
    while (!gatherers->stop) {
        if (gatherers->next < gatherers->bytes)
            take_part(gatherers);
        else
            pthread_cond_wait(&gatherers->work, &gatherers->lock);
    }
    pthread_mutex_unlock(&gatherers->lock);
    return NULL;
}

void dt2_gatherers_start(struct dt2_gatherers *gatherers)
{
    size_t processors = dt2_thread_processors();
    *gatherers = (struct dt2_gatherers){ .ready = true };
    pthread_mutex_init(&gatherers->lock, NULL);
    pthread_cond_init(&gatherers->work, NULL);
    pthread_cond_init(&gatherers->done, NULL);
    while (gatherers->count + 1 < DT2_GATHERERS_MOST && gatherers->count + 1 < processors &&
           dt2_thread_start(&gatherers->threads[gatherers->count], run, gatherers) == 0)
        gatherers->count++;
}

void dt2_gatherers_stop(struct dt2_gatherers *gatherers)
{
    if (!gatherers->ready)
        return;
    pthread_mutex_lock(&gatherers->lock);
    gatherers->stop = true;
    pthread_cond_broadcast(&gatherers->work);
    pthread_mutex_unlock(&gatherers->lock);
    for (size_t i = 0; i < gatherers->count; i++)
        pthread_join(gatherers->threads[i], NULL);
    pthread_cond_destroy(&gatherers->work);
    pthread_cond_destroy(&gatherers->done);
    pthread_mutex_destroy(&gatherers->lock);
    *gatherers = (struct dt2_gatherers){ 0 };
}

void dt2_gather(struct dt2_gatherers *gatherers, void *to, const void *from, uint64_t bytes)
{
    if (gatherers->count == 0 || bytes < ALONE_BYTES) {
        memcpy(to, from, bytes);
        return;
    }
    pthread_mutex_lock(&gatherers->lock);
    gatherers->to = to;
    gatherers->from = from;
    gatherers->bytes = bytes;
    gatherers->next = 0;
    pthread_cond_broadcast(&gatherers->work);
    take_part(gatherers);
    while (gatherers->at_work > 0)
        pthread_cond_wait(&gatherers->done, &gatherers->lock);
    gatherers->bytes = gatherers->next = 0;
    pthread_mutex_unlock(&gatherers->lock);
}
