/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sharing host shares costs and saves: four processes that load one model at once, each its own copy, or one for all, or one
 * process alone; and what copying the file into shared memory takes at the least. In turns, medians of several rounds.
 *     bench-share MODEL [ROUNDS]
 */
#include <distorch2.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RANKS = 4, ROUNDS_MOST = 51, ATTACHES = 1000, AT_ONCE = 200 };

static const char *path;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void must(int rc, const struct dt2_error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench-share: %s\n", err->text);
    _exit(1);
}

/* -- one process ------------------------------------------------------------------------------------------------------ */

/* What one of them had, when it had loaded. */
struct part {
    double cpu, read_bytes, pss;
};

static double number_of(const char *file, const char *key)
{
    char line[256];
    double number = 0;
    FILE *stream = fopen(file, "r");
    while (stream && fgets(line, sizeof line, stream))
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtod(line + strlen(key), NULL);
    if (stream)
        fclose(stream);
    return number;
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) + (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static double cpu_so_far(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds_of(&usage);
}

struct opened {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

static struct opened open_all(void)
{
    struct opened opened;
    struct dt2_error err;
    must(dt2_context_create(NULL, &opened.context, &err), &err);
    must(dt2_file_open(path, &opened.file, &err), &err);
    must(dt2_blocks_make(opened.file, &opened.blocks, &err), &err);
    return opened;
}

static struct dt2_model *load(const struct opened *opened, bool share)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_error err;
    struct dt2_model *model;
    request.compute_device = "cpu";
    request.eject_models = false;
    request.share = share ? DT2_SHARE_ONLY : DT2_SHARE_NONE;
    must(dt2_model_load(opened->context, opened->file, opened->blocks, &request, NULL, &model, &err), &err);
    return model;
}

/* Reads a byte of each page. */
static unsigned touch(struct dt2_model *model)
{
    unsigned sum = 0;
    for (size_t i = 0; i < dt2_model_tensor_count(model); i++) {
        struct dt2_native native = DT2_NATIVE_INIT;
        if (dt2_model_native(model, i, &native, NULL) == 0 && native.handle)
            for (uint64_t at = 0; at < dt2_model_tensor(model, i)->bytes; at += 4096)
                sum += ((const volatile unsigned char *)native.handle)[at];
    }
    return sum;
}

/* Waits for the start, loads, says so, waits until all have, and tells what it took. */
static void rank(bool share, int start, int loaded, int touched, int measure, int tell)
{
    struct opened opened = open_all();
    char byte = 0;
    (void)!read(start, &byte, 1);
    struct part part = { .cpu = cpu_so_far(), .read_bytes = number_of("/proc/self/io", "rchar:") };
    struct dt2_model *model = load(&opened, share);
    part.cpu = cpu_so_far() - part.cpu;
    part.read_bytes = number_of("/proc/self/io", "rchar:") - part.read_bytes;
    (void)!write(loaded, &byte, 1);
    touch(model);
    (void)!write(touched, &byte, 1);
    (void)!read(measure, &byte, 1);
    part.pss = number_of("/proc/self/smaps_rollup", "Pss:") * 1024;
    (void)!write(tell, &part, sizeof part);
    (void)!read(start, &byte, 1);
    _exit(0);
}

/* -- one round -------------------------------------------------------------------------------------------------------- */

struct round {
    double seconds, cpu, read_bytes, pss;
};

static void wait_for(int loaded, int count)
{
    char byte;
    for (int i = 0; i < count; i++)
        if (read(loaded, &byte, 1) != 1)
            exit(1);
}

static struct round run(int ranks, bool share)
{
    int start[2], loaded[2], touched[2], measure[2], tell[2];
    struct round round = { 0 };
    struct part part;
    if (pipe(start) || pipe(loaded) || pipe(touched) || pipe(measure) || pipe(tell))
        exit(1);
    for (int i = 0; i < ranks; i++)
        if (fork() == 0) {
            close(start[1]);
            close(measure[1]);
            rank(share, start[0], loaded[1], touched[1], measure[0], tell[1]);
        }
    close(loaded[1]);
    close(touched[1]);
    usleep(200000); /* all have opened the file */
    double begin = now();
    char go[RANKS] = { 0 };
    (void)!write(start[1], go, (size_t)ranks);
    wait_for(loaded[0], ranks);
    round.seconds = now() - begin;
    wait_for(touched[0], ranks);
    close(measure[1]);
    for (int i = 0; i < ranks && read(tell[0], &part, sizeof part) == (ssize_t)sizeof part; i++) {
        round.cpu += part.cpu;
        round.read_bytes += part.read_bytes;
        round.pss += part.pss;
    }
    close(start[1]);
    while (wait(NULL) > 0)
        ;
    close(start[0]);
    close(loaded[0]);
    close(touched[0]);
    close(measure[0]);
    close(tell[0]);
    close(tell[1]);
    return round;
}

/* -- what memory that can be shared allows ---------------------------------------------------------------------------- */

enum { SLOT = 1 << 20 };

/* Copies every so many-th slot of the file. */
static void copy_part(int file, int memory, off_t bytes, int part, int parts)
{
    static char slot[SLOT];
    for (off_t at = (off_t)part * SLOT; at < bytes; at += (off_t)parts * SLOT) {
        ssize_t got = pread(file, slot, sizeof slot, at);
        if (got <= 0 || pwrite(memory, slot, (size_t)got, at) != got)
            _exit(1);
    }
}

/* The file in a memfd, and nothing else: so many processes copy a part each. */
static struct round bare(int parts)
{
    struct round round = { 0 };
    struct rusage before, after;
    struct stat st;
    int file = open(path, O_RDONLY | O_CLOEXEC), memory = memfd_create("bare", MFD_CLOEXEC), start[2];
    char byte;
    if (file < 0 || memory < 0 || fstat(file, &st) < 0 || ftruncate(memory, st.st_size) < 0 || pipe(start))
        exit(1);
    for (int i = 0; i < parts; i++)
        if (fork() == 0) {
            close(start[1]);
            (void)!read(start[0], &byte, 1);
            copy_part(file, memory, st.st_size, i, parts);
            _exit(0);
        }
    usleep(100000);
    getrusage(RUSAGE_CHILDREN, &before);
    double begin = now();
    close(start[1]);
    while (wait(NULL) > 0)
        ;
    round.seconds = now() - begin;
    getrusage(RUSAGE_CHILDREN, &after);
    round.cpu = seconds_of(&after) - seconds_of(&before);
    round.read_bytes = round.pss = (double)st.st_size;
    close(start[0]);
    close(memory);
    close(file);
    return round;
}

/* -- attaching -------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static void attach(void)
{
    static double seconds[ATTACHES];
    int failed = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct opened opened = open_all();
        load(&opened, true);
        for (int i = 0; i < ATTACHES; i++) {
            double begin = now();
            struct dt2_model *model = load(&opened, true);
            seconds[i] = now() - begin;
            dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
            dt2_model_unref(model);
        }
        printf("attach, call to return        %8.2f ms (median of %d in a row; slowest %.2f ms)\n", 1e3 * median(seconds, ATTACHES),
               ATTACHES, 1e3 * seconds[ATTACHES - 1]);
        fflush(stdout);
        double begin = now();
        for (int i = 0; i < AT_ONCE; i++)
            if (fork() == 0) {
                struct opened own = open_all();
                load(&own, true);
                _exit(0);
            }
        for (int status; wait(&status) > 0;)
            failed += status != 0;
        printf("%d processes at once         %8.2f s, %d failed\n", AT_ONCE, now() - begin, failed);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* -- the table -------------------------------------------------------------------------------------------------------- */

struct rows {
    double seconds[ROUNDS_MOST], cpu[ROUNDS_MOST], read_bytes[ROUNDS_MOST], pss[ROUNDS_MOST];
};

static void keep(struct rows *rows, int at, struct round round)
{
    rows->seconds[at] = round.seconds;
    rows->cpu[at] = round.cpu;
    rows->read_bytes[at] = round.read_bytes;
    rows->pss[at] = round.pss;
}

static struct round middle(struct rows *rows, int count)
{
    return (struct round){ median(rows->seconds, count), median(rows->cpu, count), median(rows->read_bytes, count),
                           median(rows->pss, count) };
}

static void print(const char *what, const struct round *round, double model)
{
    printf("%-28s  %8.2f s  %8.2f s  %6.2f x  %6.2f x\n", what, round->seconds, round->cpu, round->pss / model, round->read_bytes / model);
}

int main(int argc, char **argv)
{
    static struct rows apart, alone, shared, bare_one, bare_all;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    struct stat st;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST || stat(argv[1], &st) < 0) {
        fprintf(stderr, "usage: bench-share MODEL [ROUNDS]\n");
        return 2;
    }
    path = argv[1];
    run(1, false); /* into the page cache */
    for (int i = 0; i < rounds; i++) {
        keep(&apart, i, run(RANKS, false));
        keep(&alone, i, run(1, false));
        keep(&shared, i, run(RANKS, true));
        keep(&bare_one, i, bare(1));
        keep(&bare_all, i, bare(RANKS));
    }
    struct round a = middle(&apart, rounds), one = middle(&alone, rounds), s = middle(&shared, rounds);
    struct round b1 = middle(&bare_one, rounds), b4 = middle(&bare_all, rounds);
    double model = (double)st.st_size;
    printf("%-28s  %10s  %10s  %8s  %8s\n", "", "until all", "CPU of all", "PSS", "read()");
    print("four processes, a copy each", &a, model);
    print("one process alone", &one, model);
    print("four processes that share", &s, model);
    print("a bare memfd, one copies", &b1, model);
    print("a bare memfd, four copy", &b4, model);
    printf("shared / a copy each          time %.2f (bar 0.35), CPU %.2f (bar 0.35); shared / one alone: time %.2f (bar 1.15)\n",
           s.seconds / a.seconds, s.cpu / a.cpu, s.seconds / one.seconds);
    attach();
    return 0;
}
