/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes that load a model whose host shares are one for all, answer how that went, and do what they are told. */
#ifndef DT2_TESTS_SHARER_H
#define DT2_TESTS_SHARER_H

#include "support/scratch.h"
#include <dirent.h>
#include <distorch2.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MODEL_MIB
#define MODEL_MIB 48
#endif
enum { MIB = 1 << 20, TENSORS = 24 };
#define TENSOR ((uint64_t)MODEL_MIB * MIB / TENSORS)
#define BYTES ((int64_t)MODEL_MIB * MIB)

static char runtime[4096];

/* -- models ---------------------------------------------------------------------------------------------------------- */

static unsigned char pattern(uint64_t at, unsigned seed)
{
    return (unsigned char)(at * 31 + (at >> 11) + seed);
}

__attribute__((unused)) static const char *make_model(const char *name, const char *dtype, unsigned seed)
{
    char header[8192];
    size_t length = 0;
    uint64_t element = strcmp(dtype, "F32") == 0 ? 4 : 1;
    for (int i = 0; i < TENSORS; i++)
        length += (size_t)snprintf(header + length, sizeof header - length,
                                   "%s\"b%d.w\":{\"dtype\":\"%s\",\"shape\":[%ju],\"data_offsets\":[%ju,%ju]}", i ? "," : "{", i, dtype,
                                   (uintmax_t)(TENSOR / element), (uintmax_t)(TENSOR * (uint64_t)i), (uintmax_t)(TENSOR * (uint64_t)(i + 1)));
    length += (size_t)snprintf(header + length, sizeof header - length, "}");
    static char paths[16][PATH_MAX]; /* of the last ones */
    static size_t count;
    char *path = paths[count++ % 16];
    snprintf(path, PATH_MAX, "%s", scratch_safetensors(name, header, length, (uint64_t)BYTES));
    FILE *stream = fopen(path, "r+");
    scratch_need(stream && fseek(stream, (long)length + 8, SEEK_SET) == 0, name);
    for (uint64_t i = 0; i < (uint64_t)BYTES; i++)
        putc(element == 4 && i % 4 == 3 ? 0x3f : pattern(i, seed), stream);
    fclose(stream);
    return path;
}

/* -- a process that loads ------------------------------------------------------------------------------------------- */

enum fault { NOTHING, KILLED, STOPPED, CUT, REPLACED, CANCELS };

struct task {
    const char *path;
    enum dt2_share_mode share;
    const char *where; /* an allocation */
    const char *dtype;
    bool verify, threads;
    enum fault fault; /* when so much is filled */
    int percent;
    bool hidden; /* nobody may look into the process */
};

struct result {
    int rc;
    int64_t shared, filled, users, read_bytes;
    int good; /* every byte is that of the file */
    char text[2048];
};

struct process {
    pid_t pid;
    int say, hear;
};

/* Bytes that this process has in segments. */
static int64_t segment_bytes(pid_t pid)
{
    char folder[64], path[400], link[200];
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    int64_t bytes = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        ssize_t length = readlink(path, link, sizeof link - 1);
        if (length > 0 && strncmp(link, "/memfd:distorch2-", 17) == 0 && stat(path, &st) == 0 && st.st_blocks * 512 > bytes)
            bytes = st.st_blocks * 512;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static _Thread_local const struct task *faulty; /* of the load that this thread makes */

static void fail_now(const struct task *task)
{
    struct stat st;
    if (task->fault == KILLED || task->fault == STOPPED)
        kill(getpid(), task->fault == KILLED ? SIGKILL : SIGSTOP);
    if (task->fault == CUT && stat(task->path, &st) == 0)
        (void)!truncate(task->path, st.st_size - BYTES / 50);
    if (task->fault == REPLACED)
        rename(scratch("other.safetensors"), task->path);
}

static void *fail_when_filled(void *data)
{
    const struct task *task = data;
    while (segment_bytes(getpid()) * 100 < BYTES * task->percent)
        ;
    fail_now(task);
    return NULL;
}

/* Before the first byte, when all else is done. */
static int fail_at_first(void *data, const struct dt2_progress *progress)
{
    int *calls = data;
    if (!progress->waiting && ++*calls == 1)
        fail_now(faulty);
    return 0;
}

static int64_t read_so_far(void)
{
    long long bytes = 0;
    FILE *stream = fopen("/proc/self/io", "r");
    if (!stream || fscanf(stream, "rchar: %lld", &bytes) != 1)
        bytes = 0;
    if (stream)
        fclose(stream);
    return bytes;
}

/* Whether a model has the bytes of a file. */
__attribute__((unused)) static int compare(struct dt2_model *model, const struct dt2_file *file)
{
    char *a = malloc(TENSOR), *b = malloc(TENSOR);
    int good = 1;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        uint64_t bytes = dt2_file_tensor(file, i)->bytes;
        good &= dt2_model_read(model, i, a, bytes, NULL) == 0 && dt2_file_read(file, i, b, bytes, NULL) == 0 &&
                memcmp(a, b, bytes) == 0;
    }
    free(a);
    free(b);
    return good;
}

static int cancel_after(void *data, const struct dt2_progress *progress)
{
    int *calls = data;
    return progress->waiting && ++*calls > 3;
}

struct loaded {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_model *model;
};

static struct dt2_file *open_file(const struct task *task, struct dt2_error *err)
{
    struct dt2_file *file = NULL, *stored = NULL;
    struct dt2_storing how = DT2_STORING_INIT;
    how.dtype = task->dtype;
    if (dt2_file_open(task->path, &file, err) || dt2_file_stored(file, &how, &stored, err))
        return NULL;
    dt2_file_free(file);
    return stored;
}

static void let_go(struct loaded *loaded)
{
    dt2_model_unref(loaded->model);
    dt2_file_free(loaded->file);
    dt2_context_destroy(loaded->context);
}

static struct result load_anew(const struct task *task, struct loaded *loaded)
{
    static int calls;
    struct result result = { .rc = -1 };
    struct dt2_error err = { 0 };
    struct dt2_blocks *blocks = NULL;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    pthread_t thread;
    request.compute_device = "cpu";
    request.share = task->share;
    request.expert_mode_allocations = task->where;
    options.verify = task->verify;
    if (task->fault == CANCELS)
        options.progress = cancel_after;
    options.progress_data = &calls;
    if (task->fault != NOTHING) /* slowly, so that it fails in time */
        options.threads = 1, options.queue_depth = 1;
    if (!loaded->context && dt2_context_create(NULL, &loaded->context, &err))
        return result;
    loaded->file = open_file(task, &err);
    if (!loaded->file || dt2_blocks_make(loaded->file, &blocks, &err))
        return result;
    faulty = task;
    if (task->fault != NOTHING && task->fault != CANCELS && task->percent == 0)
        options.progress = fail_at_first;
    if (task->fault != NOTHING && task->fault != CANCELS && task->percent > 0)
        pthread_create(&thread, NULL, fail_when_filled, (void *)(uintptr_t)task);
    int64_t before = read_so_far();
    result.rc = dt2_model_load(loaded->context, loaded->file, blocks, &request, &options, &loaded->model, &err);
    result.read_bytes = read_so_far() - before;
    dt2_blocks_free(blocks);
    snprintf(result.text, sizeof result.text, "%s", err.text);
    if (result.rc)
        return result;
    const struct dt2_model_stats *stats = dt2_model_statistics(loaded->model);
    const struct dt2_plan *plan = dt2_model_applied_plan(loaded->model);
    result.shared = (int64_t)stats->shared_bytes;
    result.filled = (int64_t)stats->filled_bytes;
    result.users = (int64_t)stats->share_users;
    result.good = compare(loaded->model, loaded->file);
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        if (strstr(dt2_plan_warning(plan, i), "shared") || strstr(dt2_plan_warning(plan, i), "stay"))
            snprintf(result.text, sizeof result.text, "%s", dt2_plan_warning(plan, i));
    return result;
}

/* Loads, perhaps beside what is loaded, which is kept where that fails. */
static struct result load(const struct task *task, struct loaded *loaded)
{
    struct loaded now = { loaded->context, NULL, NULL };
    struct result result = load_anew(task, &now);
    struct loaded *gone = result.rc == 0 ? loaded : &now;
    dt2_model_unref(gone->model);
    dt2_file_free(gone->file);
    loaded->context = now.context;
    if (result.rc == 0)
        *loaded = now;
    return result;
}

/* Loads; then 'c' compares again, 'l' loads once more, 'o' loads another model, 'w' writes to a weight, 'u' unloads, and 'q' ends it. */
static void live(const struct task *task, int hear, int say)
{
    struct loaded loaded = { NULL, NULL, NULL };
    struct result result = load(task, &loaded);
    struct dt2_native native = DT2_NATIVE_INIT;
    char order;
    if (task->hidden)
        prctl(PR_SET_DUMPABLE, 0);
    (void)!write(say, &result, sizeof result);
    while (read(hear, &order, 1) == 1 && order != 'q') {
        if (order == 'c')
            result.good = compare(loaded.model, loaded.file);
        if (order == 'l')
            result = load(task, &loaded);
        if (order == 'o') {
            struct task other = *task;
            other.path = scratch("eject.safetensors");
            result = load(&other, &loaded);
        }
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
        if (order == 'w' && dt2_model_native(loaded.model, 0, &native, NULL) == 0)
            *(volatile char *)native.handle = 'w';
        if (order == 'u')
            result.rc = dt2_model_unload(loaded.model, DT2_UNLOAD_REFUSE, NULL);
        (void)!write(say, &result, sizeof result);
    }
    let_go(&loaded);
    _exit(0);
}

__attribute__((unused)) static struct process start(const struct task *task)
{
    int hear[2], say[2];
    scratch_need(pipe(hear) == 0 && pipe(say) == 0, "pipe");
    fflush(stdout);
    struct process process = { fork(), say[1], hear[0] };
    if (process.pid == 0) {
        close(say[1]);
        close(hear[0]);
        live(task, say[0], hear[1]);
    }
    close(say[0]);
    close(hear[1]);
    return process;
}

/* What a process answers; rc -100: it was killed. */
__attribute__((unused)) static struct result answer(struct process process)
{
    struct result result = { .rc = -100 };
    (void)!read(process.hear, &result, sizeof result);
    return result;
}

__attribute__((unused)) static struct result ask(struct process process, char order)
{
    (void)!write(process.say, &order, 1);
    return answer(process);
}

__attribute__((unused)) static int end(struct process process)
{
    int status;
    (void)!write(process.say, "q", 1); /* others have this end of the pipe, too */
    close(process.say);
    close(process.hear);
    waitpid(process.pid, &status, 0);
    return status;
}

__attribute__((unused)) static void shoot(struct process process)
{
    kill(process.pid, SIGKILL);
    end(process);
}

__attribute__((unused)) static bool has_ended(pid_t pid)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

__attribute__((unused)) static int rooms(void)
{
    char path[4200];
    int count = 0;
    snprintf(path, sizeof path, "%s/distorch2", runtime);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += strncmp(entry->d_name, "segment-", 8) == 0;
    if (dir)
        closedir(dir);
    return count;
}

#endif
