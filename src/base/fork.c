/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fork.h"
#include "base/error.h"
#include <pthread.h>
#include <stdatomic.h>

static _Atomic unsigned generation, forks;

static void in_child(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void in_parent(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch(void)
{
    pthread_atfork(NULL, in_parent, in_child); /* without memory for it a fork goes unnoticed */
}

unsigned dt2_fork_generation(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

unsigned dt2_fork_count(void)
{
    dt2_fork_generation();
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

int dt2_fork_check(unsigned made, const char *what, struct dt2_error *err)
{
    if (made == atomic_load_explicit(&generation, memory_order_relaxed))
        return 0;
    dt2_fail(err, DT2_EUSAGE, "this %s belongs to the parent process: it cannot be used in a forked child", what);
    dt2_suggest(err, "make a context after the fork, or start processes by exec");
    return DT2_EUSAGE;
}
