/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes that load at once under one limit of memory: who does not fit is refused, and nobody is killed. */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RANKS = 4, MIB = 1 << 20, MODEL_MIB = 96, LIMIT_MIB = 256, TENSORS = 24 };
enum { LOADED = 0, REFUSED = 10, OTHERWISE = 11 };

static char group[512];
static bool shares;

static bool put(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* A control group with a limit, of the first hierarchy that allows one. */
static bool make_group(void)
{
    static const struct {
        const char *where, *limit;
    } kinds[] = { { "/sys/fs/cgroup/memory", "memory.limit_in_bytes" }, { "/sys/fs/cgroup", "memory.max" } };
    char limit[32];
    snprintf(limit, sizeof limit, "%lld", (long long)LIMIT_MIB * MIB);
    for (size_t i = 0; i < DT2_COUNT(kinds); i++) {
        snprintf(group, sizeof group, "%s/distorch2-ranks-%d", kinds[i].where, (int)getpid());
        if (mkdir(group, 0755) < 0)
            continue;
        if (put(kinds[i].limit, limit))
            return true;
        rmdir(group);
    }
    return false;
}

static const char *make_model(void)
{
    char header[8192];
    size_t length = 0;
    uint64_t each = (uint64_t)MODEL_MIB * MIB / TENSORS;
    for (int i = 0; i < TENSORS; i++)
        length += (size_t)snprintf(header + length, sizeof header - length,
                                   "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[%ju],\"data_offsets\":[%ju,%ju]}", i ? "," : "{", i,
                                   (uintmax_t)each, (uintmax_t)(each * (uint64_t)i), (uintmax_t)(each * (uint64_t)(i + 1)));
    length += (size_t)snprintf(header + length, sizeof header - length, "}");
    return scratch_safetensors("model.safetensors", header, length, (uint64_t)MODEL_MIB * MIB);
}

/* One process: joins the group, waits for the start, loads, says how that went, and keeps the model until all have said so. */
static int rank(const char *path, int start, int said, int end)
{
    struct dt2_context *context;
    struct dt2_model *model;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_error err = { 0 };
    struct dt2_request request = DT2_REQUEST_INIT;
    char byte, self[32];
    snprintf(self, sizeof self, "%d", (int)getpid());
    if (!put("cgroup.procs", self) || dt2_context_create(NULL, &context, &err) || dt2_file_open(path, &file, &err) ||
        dt2_blocks_make(file, &blocks, &err))
        return OTHERWISE;
    request.compute_device = "cpu";
    request.share = shares ? DT2_SHARE_ONLY : DT2_SHARE_NONE;
    (void)!read(start, &byte, 1);
    int rc = dt2_model_load(context, file, blocks, &request, NULL, &model, &err);
    byte = rc == 0 ? LOADED : rc == DT2_ENOFIT ? REFUSED : OTHERWISE;
    (void)!write(said, &byte, 1);
    char told = byte;
    (void)!read(end, &byte, 1);
    return told;
}

static void test_ranks(const char *path)
{
    int start[2], said[2], end[2], status, loaded = 0, refused = 0, killed = 0;
    pid_t pids[RANKS];
    if (pipe(start) || pipe(said) || pipe(end))
        exit(1);
    for (int i = 0; i < RANKS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(start[1]);
            close(end[1]);
            _exit(rank(path, start[0], said[1], end[0]));
        }
    }
    close(said[1]);
    close(start[1]); /* now */
    char byte;
    for (int i = 0; i < RANKS && read(said[0], &byte, 1) == 1; i++)
        ;
    close(end[1]);
    for (int i = 0; i < RANKS; i++) {
        waitpid(pids[i], &status, 0);
        killed += WIFSIGNALED(status);
        loaded += WIFEXITED(status) && WEXITSTATUS(status) == LOADED;
        refused += WIFEXITED(status) && WEXITSTATUS(status) == REFUSED;
    }
    diag("%d ranks of %d MiB under %d MiB: %d loaded, %d refused, %d killed", RANKS, MODEL_MIB, LIMIT_MIB, loaded, refused, killed);
    is_int(killed, 0, "nobody is killed");
    is_int(loaded + refused, RANKS, "all know where they are");
    if (shares)
        is_int(loaded, RANKS, "all of those that share are loaded");
    else
        ok(loaded >= 1 && loaded * MODEL_MIB < LIMIT_MIB, "as many as there is room for are loaded, the others refused");
}

int main(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return skip_all("a sanitizer takes memory of its own");
#endif
    const char *folder = scratch("runtime");
    if (mkdir(folder, 0700) < 0 || setenv("XDG_RUNTIME_DIR", folder, 1) < 0)
        return 1;
    if (!make_group())
        return skip_all("no control group with a limit of memory can be made here");
    const char *path = make_model();
    for (int i = 0; i < 6; i++) {
        shares = i >= 3;
        test_ranks(path);
    }
    rmdir(group);
    return done_testing();
}
