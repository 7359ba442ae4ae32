/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/choice.h"

#define TRIAL ((uint64_t)128 << 20) /* bytes of each kind: more than twice what is under way at once */
#define ENOUGH (TRIAL / 4)          /* that arrived while the other kind rested */
#define WORTH (4 * TRIAL)           /* cold bytes that make a trial worth it */
#define CLEARLY 0.95                /* of the time that the cache takes */

void dt2_choice_init(struct dt2_choice *choice, uint64_t cold_bytes)
{
    *choice = (struct dt2_choice){ .tries = cold_bytes >= WORTH, .ready = true };
    pthread_mutex_init(&choice->lock, NULL);
}

void dt2_choice_clear(struct dt2_choice *choice)
{
    if (choice->ready)
        pthread_mutex_destroy(&choice->lock);
    *choice = (struct dt2_choice){ 0 };
}

static double time_of(const struct dt2_trial *trial)
{
    return (double)trial->ns / (double)trial->bytes;
}

/* Decides, once enough has arrived both ways. */
static void decide(struct dt2_choice *choice)
{
    const struct dt2_trial *buffered = &choice->trials[false], *direct = &choice->trials[true];
    if (buffered->bytes < ENOUGH || direct->bytes < ENOUGH)
        return;
    choice->direct = time_of(direct) < CLEARLY * time_of(buffered);
    choice->tries = false;
}

/* Direct reads come first: what the kernel reads ahead of the others would be read twice by them. */
bool dt2_choice_begin(struct dt2_choice *choice, uint64_t bytes)
{
    pthread_mutex_lock(&choice->lock);
    bool direct = choice->tries ? choice->trials[true].begun < TRIAL : choice->direct;
    choice->trials[direct].begun += bytes;
    choice->trials[direct].under_way++;
    if (choice->since_direct != direct)
        choice->since_ns = 0; /* the other kind rests no longer */
    pthread_mutex_unlock(&choice->lock);
    return direct;
}

void dt2_choice_end(struct dt2_choice *choice, bool direct, uint64_t bytes, uint64_t now_ns)
{
    pthread_mutex_lock(&choice->lock);
    struct dt2_trial *trial = &choice->trials[direct];
    bool alone = choice->trials[!direct].under_way == 0;
    trial->under_way--;
    if (alone && choice->since_ns && now_ns > choice->since_ns) {
        trial->bytes += bytes;
        trial->ns += now_ns - choice->since_ns;
    }
    choice->since_ns = alone ? now_ns : 0;
    choice->since_direct = direct;
    if (choice->tries)
        decide(choice);
    pthread_mutex_unlock(&choice->lock);
}
