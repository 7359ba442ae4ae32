/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benches of loads share: the limits of this machine, and what is made of interleaved rounds. */
#ifndef DT2_TESTS_BENCH_LIMIT_H
#define DT2_TESTS_BENCH_LIMIT_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MOST 99
#define PIECE ((size_t)8 << 20)
#define HUGE_PAGE ((size_t)2 << 20)

static unsigned rounds = 7;
static unsigned threads;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -- the limit: plain preads by as many threads into fresh huge pages -------------------------------------- */

struct limit {
    int fd;
    char *memory;
    size_t size;
    _Atomic size_t next;
};

static void *read_pieces(void *data)
{
    struct limit *limit = data;
    for (;;) {
        size_t at = atomic_fetch_add(&limit->next, PIECE);
        if (at >= limit->size)
            return NULL;
        size_t end = at + PIECE < limit->size ? at + PIECE : limit->size;
        while (at < end) {
            ssize_t n = pread(limit->fd, limit->memory + at, end - at, (off_t)at);
            if (n <= 0)
                die("pread", n ? strerror(errno) : "end of file");
            at += (size_t)n;
        }
    }
}

/* As many threads as there are, and waits for them. */
static void run_threads(void *(*work)(void *data), void *data)
{
    pthread_t workers[64];
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&workers[i], NULL, work, data) != 0)
            die("pthread_create", "failed");
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i], NULL);
}

/* Fresh huge pages for the whole file; munmap with the same size. */
static char *map_fresh(size_t size, char **map)
{
    *map = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*map == MAP_FAILED)
        die("mmap", strerror(errno));
    char *memory = *map + (HUGE_PAGE - (uintptr_t)*map % HUGE_PAGE) % HUGE_PAGE;
    madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

/*
 * Takes and frees as much memory as a load does. Virtual machines give idle memory back to their host, and getting it again is
 * slow: without this, whoever comes after a pause pays for it.
 */
static void back_memory(size_t size)
{
    char *map, *memory = map_fresh(size, &map);
    for (size_t at = 0; at < size; at += HUGE_PAGE)
        memory[at] = 1;
    munmap(map, size + HUGE_PAGE);
}

/* The whole file, in GB/s. */
static double measure_limit(const char *path)
{
    struct stat st;
    struct limit limit = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
    if (limit.fd < 0 || fstat(limit.fd, &st) < 0)
        die(path, strerror(errno));
    limit.size = (size_t)st.st_size;
    double begin = now();
    char *map;
    limit.memory = map_fresh(limit.size, &map);
    run_threads(read_pieces, &limit);
    double seconds = now() - begin;
    munmap(map, limit.size + HUGE_PAGE);
    close(limit.fd);
    return (double)limit.size * 1e-9 / seconds;
}

/* As many threads as this process may use processors, at most 16. */
static void count_threads(void)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    threads = (unsigned)CPU_COUNT(&set);
    threads = threads > 16 ? 16 : threads;
}

/* -- rounds ------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures)
{
    qsort(figures, rounds, sizeof *figures, ascending);
    return figures[rounds / 2];
}

#endif
