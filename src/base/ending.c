/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/ending.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRIVERS_MOST 8
#define WAIT_SECONDS 2 /* for turns, at the most: a device that hangs is not to hold up the end */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static char watched[DRIVERS_MOST][16];
static size_t watched_count;
static pid_t owner;
static atomic_bool ending;
static atomic_uint turns;

/* What a turn calls may take longer than we wait: then it is over before the next call that can be kept from being made. */
static void begin_ending(void)
{
    if (getpid() != owner) /* a child of fork() has none of the threads */
        return;
    atomic_store(&ending, true);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&lock);
    for (int late = 0; !late && atomic_load(&turns) > 0;)
        late = pthread_cond_timedwait(&turned, &lock, &until);
    pthread_mutex_unlock(&lock);
}

void dt2_ending_watch(const char *driver)
{
    pthread_mutex_lock(&lock);
    if (owner == 0)
        owner = getpid();
    size_t known = 0;
    while (known < watched_count && strcmp(watched[known], driver) != 0)
        known++;
    if (known == watched_count && known < DRIVERS_MOST && atexit(begin_ending) == 0)
        snprintf(watched[watched_count++], sizeof watched[0], "%s", driver);
    pthread_mutex_unlock(&lock);
}

bool dt2_ending(void)
{
    return atomic_load(&ending);
}

bool dt2_turn_begin(void)
{
    atomic_fetch_add(&turns, 1);
    if (!atomic_load(&ending))
        return true;
    dt2_turn_end();
    return false;
}

void dt2_turn_end(void)
{
    if (atomic_fetch_sub(&turns, 1) > 1 || !atomic_load(&ending))
        return;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&lock);
}
