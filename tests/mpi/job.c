/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rank of a job that opens a model with the others. "%n" in PATH is the rank's node, as DISTORCH2_MPI_NODE names it. Rank by rank it says
 * what came of it; `measure` says what the job read, how long it took until all had loaded, and what memory each node has of it.
 *
 *     job open PATH             job usage PATH            job cancel PATH           job measure PATH mpi|alone share|none
 *
 * What it reads of files goes through functions of its own here, which the environment makes slow (SLOW_MB bytes a second), have fail on a
 * node (FAIL_ON) or end the process there (KILL_ON) after some MiB (AFTER_MB).
 */
#include "support/compared.h"
#include <distorch2-mpi.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static int rank, ranks;
static const char *node = "";
static _Atomic uint64_t read_bytes; /* of files that are no memory */

/* -- reading -------------------------------------------------------------------------------------------------------- */

static double setting(const char *name)
{
    const char *value = getenv(name);
    return value ? atof(value) : 0;
}

static int here(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, node) == 0 && (double)read_bytes >= setting("AFTER_MB") * 1e6;
}

static int in_memory(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) < 0 || system.f_type == 0x01021994; /* tmpfs */
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static ssize_t counted(int fd, ssize_t got)
{
    if (got <= 0 || in_memory(fd))
        return got;
    double slow = setting("SLOW_MB");
    read_bytes += (uint64_t)got;
    if (slow > 0) {
        double seconds = (double)got / slow / 1e6;
        const struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
        pthread_mutex_lock(&turn); /* a rank is slow, not each of its threads */
        nanosleep(&time, NULL);
        pthread_mutex_unlock(&turn);
    }
    return got;
}

static int fails(int fd)
{
    if (in_memory(fd))
        return 0;
    if (here("KILL_ON"))
        kill(getpid(), SIGKILL);
    return here("FAIL_ON");
}

__attribute__((visibility("default"))) ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
    static ssize_t (*next)(int, void *, size_t, off_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pread");
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return counted(fd, next(fd, to, bytes, at));
}

__attribute__((visibility("default"))) ssize_t preadv(int fd, const struct iovec *iov, int count, off_t at)
{
    static ssize_t (*next)(int, const struct iovec *, int, off_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "preadv");
    return counted(fd, next(fd, iov, count, at));
}

__attribute__((visibility("default"))) ssize_t pread64(int fd, void *to, size_t bytes, off_t at)
{
    return pread(fd, to, bytes, at);
}

__attribute__((visibility("default"))) ssize_t preadv64(int fd, const struct iovec *iov, int count, off_t at)
{
    return preadv(fd, iov, count, at);
}

/* -- opening -------------------------------------------------------------------------------------------------------- */

static int open_together(const char *path, struct dt2_file **file, struct dt2_error *err)
{
    struct dt2_mpi_options options = DT2_MPI_OPTIONS_INIT;
    options.node = *node ? node : NULL;
    return dt2_mpi_file_open(MPI_COMM_WORLD, path, &options, file, err);
}

static size_t differences(const struct dt2_file *a, const struct dt2_file *b)
{
    return (strcmp(dt2_file_fingerprint(a), dt2_file_fingerprint(b)) != 0) + compared_differences(a, b);
}

static void say(int rc, const char *text)
{
    for (int i = 0; i < ranks; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        if (i == rank)
            printf("rank %d: %d %s\n", rank, rc, text);
        fflush(stdout);
    }
}

/* What all opened is what each finds at the path; no descriptor more than the file's is left. */
static void test_open(const char *path)
{
    struct dt2_file *file = NULL, *own = NULL;
    struct dt2_error err;
    char text[64] = "";
    int before = dup(0), after;
    int rc = open_together(path, &file, &err);
    dt2_file_free(rc == 0 && dt2_file_open(path, &own, NULL) == 0 && differences(file, own) ? NULL : own);
    if (rc == 0) {
        snprintf(text, sizeof text, "%s, %s", own ? "same" : "other", dt2_file_unchanged(file, NULL) == 0 ? "unchanged" : "changed");
        dt2_file_free(file);
    }
    after = dup(0);
    say(rc, rc < 0 ? err.text : text);
    say(0, after - before <= 1 ? "closed" : "descriptors are left");
}

/* One rank has options that no version knows. */
static void test_usage(const char *path)
{
    struct dt2_mpi_options options = DT2_MPI_OPTIONS_INIT;
    struct dt2_file *file;
    struct dt2_error err;
    options.struct_size = rank == 1 ? 3 : sizeof options;
    int rc = dt2_mpi_file_open(MPI_COMM_WORLD, path, &options, &file, &err);
    say(rc, rc < 0 ? err.text : "opened");
}

/* What a rank was told of how far it is, and where it cancels: on the node of CANCEL_ON, once it has half of the bytes. */
struct told {
    uint64_t calls, done, total;
    int wrong;
};

static int hear(void *data, const struct dt2_progress *progress)
{
    struct told *told = data;
    const char *cancels = getenv("CANCEL_ON");
    told->wrong |= progress->done_bytes < told->done || progress->done_bytes > progress->total_bytes || progress->device_count != 0;
    told->calls++;
    told->done = progress->done_bytes;
    told->total = progress->total_bytes;
    return cancels && strcmp(cancels, node) == 0 && progress->done_bytes >= progress->total_bytes / 2;
}

static void test_progress(const char *path)
{
    struct dt2_mpi_options options = DT2_MPI_OPTIONS_INIT;
    struct told told = { 0 };
    struct dt2_file *file = NULL;
    struct dt2_error err;
    char text[sizeof err.text + 100];
    options.node = *node ? node : NULL;
    options.progress = hear;
    options.progress_data = &told;
    int rc = dt2_mpi_file_open(MPI_COMM_WORLD, path, &options, &file, &err);
    snprintf(text, sizeof text, "%s%s, read %lu of %lu%s", rc < 0 ? err.text : "", told.calls ? "told" : "not told", (unsigned long)read_bytes,
             (unsigned long)told.total, told.wrong || (rc == 0 && told.done != told.total) ? ", wrongly" : "");
    say(rc, text);
    dt2_file_free(file);
}

/* -- measuring ------------------------------------------------------------------------------------------------------ */

/* This process's part of what is shared. */
static uint64_t own_pss(void)
{
    char line[4096];
    uint64_t kib, sum = 0, from, to;
    int shared = 0;
    FILE *stream = fopen("/proc/self/smaps", "re");
    while (stream && fgets(line, sizeof line, stream)) {
        if (sscanf(line, "%lx-%lx", &from, &to) == 2)
            shared = strstr(line, "/memfd:distorch2-") != NULL;
        else if (shared && sscanf(line, "Pss: %lu kB", &kib) == 1)
            sum += kib;
    }
    if (stream)
        fclose(stream);
    return sum * 1024;
}

/* Reads a byte of every page of what is shared: only then it counts as the process's. */
static void touch_shared(void)
{
    char line[4096];
    uint64_t from, to;
    static volatile char byte;
    FILE *stream = fopen("/proc/self/maps", "re");
    while (stream && fgets(line, sizeof line, stream))
        if (strstr(line, "/memfd:distorch2-") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            for (; from < to; from += 4096)
                byte = *(const char *)(uintptr_t)from;
    if (stream)
        fclose(stream);
    (void)byte;
}

static void measure(const char *path, int together, int share)
{
    struct dt2_context *context;
    struct dt2_file *file = NULL;
    struct dt2_blocks *blocks = NULL;
    struct dt2_model *model = NULL;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    struct dt2_error err = { 0 };
    request.compute_device = "cpu";
    request.share = share ? DT2_SHARE_ONLY : DT2_SHARE_NONE;
    how.io = DT2_IO_BUFFERED;
    int rc = dt2_context_create(NULL, &context, &err);
    MPI_Barrier(MPI_COMM_WORLD);
    uint64_t sums[2], all[2];
    double start = MPI_Wtime();
    if (rc == 0)
        rc = together ? open_together(path, &file, &err) : dt2_file_open(path, &file, &err);
    if (rc == 0)
        rc = dt2_blocks_make(file, &blocks, &err);
    if (rc == 0)
        rc = dt2_model_load(context, file, blocks, &request, &how, &model, &err);
    MPI_Barrier(MPI_COMM_WORLD);
    double seconds = MPI_Wtime() - start;
    uint64_t bytes = file ? dt2_file_total_bytes(file) : 0;
    dt2_file_free(file);
    touch_shared();
    MPI_Barrier(MPI_COMM_WORLD);
    if (rc < 0)
        fprintf(stderr, "rank %d: %s\n", rank, err.text);
    sums[0] = read_bytes;
    sums[1] = own_pss();
    MPI_Reduce(sums, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("bytes %lu read %lu pss %lu seconds %.3f\n", bytes, all[0], all[1], seconds);
    MPI_Barrier(MPI_COMM_WORLD);
    dt2_model_unref(model);
    dt2_blocks_free(blocks);
    dt2_context_destroy(context);
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc < 3 || MPI_Init(&argc, &argv) != MPI_SUCCESS)
        return 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    node = getenv("DISTORCH2_MPI_NODE") ? getenv("DISTORCH2_MPI_NODE") : "";
    const char *mark = strstr(argv[2], "%n");
    snprintf(path, sizeof path, "%.*s%s%s", mark ? (int)(mark - argv[2]) : (int)strlen(argv[2]), argv[2], mark ? node : "",
             mark ? mark + 2 : "");
    if (strcmp(argv[1], "open") == 0)
        test_open(path);
    else if (strcmp(argv[1], "usage") == 0)
        test_usage(path);
    else if (strcmp(argv[1], "cancel") == 0)
        test_progress(path);
    else if (argc > 4)
        measure(path, strcmp(argv[3], "mpi") == 0, strcmp(argv[4], "share") == 0);
    MPI_Finalize();
    return 0;
}
