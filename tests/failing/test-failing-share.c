/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every system call of src/share, every read of the model's file, and every allocation of a load, failing once, while a model is loaded that another load of the
 * process has already, and while it is the first: the linker leads the library's own calls here. Whatever happens: nothing crashes,
 * who has the model keeps its bytes, a load that succeeds has the file's, nothing is left, and the next load shares.
 */
#define MODEL_MIB 6 /* hundreds of loads, of a few huge pages */
#include "support/held.h"
#include "support/sharer.h"
#include "support/tap.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* -- calls that fail ------------------------------------------------------------------------------------------------- */

enum call { OPENAT, OPEN, FLOCK, FCNTL, MEMFD, FTRUNCATE, FSTAT, FSTATAT, PWRITE, PREAD, MMAP, MPROTECT, READLINK, FALLOCATE, FCHMOD,
            MKDIRAT, UNLINKAT, CALLOC, PREADV, CALL_COUNT };
static const struct {
    const char *name;
    int why;
} calls[CALL_COUNT] = {
    [OPENAT] = { "openat", EMFILE },     [OPEN] = { "open", EMFILE },           [FLOCK] = { "flock", ENOLCK },
    [FCNTL] = { "fcntl", EINVAL },       [MEMFD] = { "memfd_create", ENOSYS },  [FTRUNCATE] = { "ftruncate", ENOSPC },
    [FSTAT] = { "fstat", EIO },          [FSTATAT] = { "fstatat", EIO },        [PWRITE] = { "pwrite", ENOSPC },
    [PREAD] = { "pread", EIO },          [MMAP] = { "mmap", ENOMEM },           [MPROTECT] = { "mprotect", ENOMEM },
    [READLINK] = { "readlink", EACCES }, [FALLOCATE] = { "fallocate", ENOSPC }, [FCHMOD] = { "fchmod", EPERM },
    [MKDIRAT] = { "mkdirat", EACCES },   [UNLINKAT] = { "unlinkat", EACCES },   [CALLOC] = { "calloc", ENOMEM },
    [PREADV] = { "preadv", EIO }, /* of the model's file */
};
static atomic_long failing;
static atomic_long seen;
static enum call armed = CALL_COUNT;

static bool refused(enum call call)
{
    if (call != armed || atomic_fetch_add(&seen, 1) + 1 != atomic_load(&failing))
        return false;
    errno = calls[call].why;
    return true;
}

#define WRAPPED(type, bad, call, name, arguments, ...)                                                                 \
    type __real_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__)                                                                                    \
    {                                                                                                                  \
        return refused(call) ? (bad) : __real_##name arguments;                                                        \
    }
WRAPPED(int, -1, FLOCK, flock, (fd, operation), int fd, int operation)
WRAPPED(int, -1, MEMFD, memfd_create, (name, flags), const char *name, unsigned flags)
WRAPPED(int, -1, FTRUNCATE, ftruncate, (fd, size), int fd, off_t size)
WRAPPED(int, -1, FSTAT, fstat, (fd, st), int fd, struct stat *st)
WRAPPED(int, -1, FSTATAT, fstatat, (fd, name, st, flags), int fd, const char *name, struct stat *st, int flags)
WRAPPED(ssize_t, -1, PWRITE, pwrite, (fd, bytes, size, at), int fd, const void *bytes, size_t size, off_t at)
WRAPPED(ssize_t, -1, PREAD, pread, (fd, bytes, size, at), int fd, void *bytes, size_t size, off_t at)
WRAPPED(void *, MAP_FAILED, MMAP, mmap, (address, size, protection, flags, fd, at), void *address, size_t size, int protection,
        int flags, int fd, off_t at)
WRAPPED(int, -1, MPROTECT, mprotect, (address, size, protection), void *address, size_t size, int protection)
WRAPPED(ssize_t, -1, READLINK, readlink, (name, out, size), const char *name, char *out, size_t size)
WRAPPED(ssize_t, -1, READLINK, __readlink_chk, (name, out, size, room), const char *name, char *out, size_t size, size_t room)
WRAPPED(int, -1, FALLOCATE, fallocate, (fd, mode, at, size), int fd, int mode, off_t at, off_t size)
WRAPPED(int, -1, FCHMOD, fchmod, (fd, mode), int fd, mode_t mode)
WRAPPED(int, -1, MKDIRAT, mkdirat, (fd, name, mode), int fd, const char *name, mode_t mode)
WRAPPED(int, -1, UNLINKAT, unlinkat, (fd, name, flags), int fd, const char *name, int flags)
WRAPPED(ssize_t, -1, PREADV, preadv, (fd, iov, count, at), int fd, const struct iovec *iov, int count, off_t at)
WRAPPED(void *, NULL, CALLOC, calloc, (count, size), size_t count, size_t size)

int __real_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return refused(OPENAT) ? -1 : __real_openat(fd, name, flags, mode);
}

int __real_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return refused(OPEN) ? -1 : __real_open(name, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    return refused(FCNTL) ? -1 : __real_fcntl(fd, command, argument);
}

/* -- what is left ------------------------------------------------------------------------------------------------------ */

/* -- one failure ------------------------------------------------------------------------------------------------------- */

static const char *model;

static int load_shared(struct dt2_context *context, struct dt2_file *file, const struct dt2_blocks *blocks, struct dt2_model **loaded,
                       struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    request.share = DT2_SHARE_NODE;
    request.eject_models = false;
    return dt2_model_load(context, file, blocks, &request, NULL, loaded, err);
}

struct scene {
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_model *held; /* NULL: the load is the first */
    const char *what;       /* in words */
};

/* Whether the nth call came; *wrong counts what was not as it should be. */
static bool attempt(const struct scene *scene, enum call call, long nth, int *wrong, int *failed)
{
    struct dt2_error err = { 0 };
    struct dt2_model *loaded = NULL;
    int maps_before = maps_of("memfd:distorch2"), rooms_before = rooms();
    long before = entries_of("/proc/self/fd");
    atomic_store(&seen, 0);
    atomic_store(&failing, nth);
    armed = call;
    int rc = load_shared(scene->context, scene->file, scene->blocks, &loaded, &err);
    bool fired = atomic_load(&seen) >= nth;
    armed = CALL_COUNT;
    bool good = rc < 0 ? err.text[0] != '\0' : compare(loaded, scene->file);
    armed = call;
    if (rc == 0)
        dt2_model_unload(loaded, DT2_UNLOAD_WAIT, NULL);
    fired |= atomic_load(&seen) >= nth;
    armed = CALL_COUNT;
    dt2_model_unref(loaded);
    *failed += rc < 0;
    good = good && (!scene->held || compare(scene->held, scene->file));
    int rc_next = load_shared(scene->context, scene->file, scene->blocks, &loaded, &err);
    const struct dt2_model_stats *stats = rc_next == 0 ? dt2_model_statistics(loaded) : NULL;
    bool next = stats && stats->shared_bytes == stats->bytes && compare(loaded, scene->file);
    if (rc_next == 0) {
        dt2_model_unload(loaded, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(loaded);
    }
    int descriptors_left = (int)(entries_of("/proc/self/fd") - before), maps_left = maps_of("memfd:distorch2") - maps_before, rooms_left = rooms() - rooms_before;
    bool left = descriptors_left || maps_left || rooms_left;
    if (!good || !next || left)
        diag("%s %ld: rc %d %s%s%s; left: %d descriptors, %d maps, %d rooms", calls[call].name, nth, rc, err.text, good ? "" : "; wrong",
             next ? "" : "; the next is not shared", descriptors_left, maps_left, rooms_left);
    *wrong += !good || !next || left;
    return fired;
}

static void test_call(const struct scene *scene, enum call call)
{
    int wrong = 0, failed = 0;
    long nth = 1;
    while (attempt(scene, call, nth, &wrong, &failed) && nth < 400)
        nth++;
    ok(wrong == 0, "%s, %s: %ld failures, of which %d end the load", scene->what, calls[call].name, nth - 1, failed);
}

int main(void)
{
    struct dt2_error err = { 0 };
    struct scene scene = { 0 };
    snprintf(runtime, sizeof runtime, "%s/run", scratch_begin());
    if (mkdir(runtime, 0700) < 0 || setenv("XDG_RUNTIME_DIR", runtime, 1) < 0)
        return 1;
    model = make_model("model.safetensors", "U8", 1);
    if (dt2_context_create(NULL, &scene.context, &err) || dt2_file_open(model, &scene.file, &err) ||
        dt2_blocks_make(scene.file, &scene.blocks, &err))
        return 1;
    for (int without = 0; without < 2; without++) { /* huge pages: what is filled is read in place, or written */
        prctl(PR_SET_THP_DISABLE, without, 0, 0, 0);
        scene.what = without ? "the first, without huge pages" : "the first";
        for (enum call call = 0; call < CALL_COUNT; call++)
            test_call(&scene, call);
    }
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    scene.what = "attaching";
    if (load_shared(scene.context, scene.file, scene.blocks, &scene.held, &err))
        return 1;
    for (enum call call = 0; call < CALL_COUNT; call++)
        test_call(&scene, call);
    dt2_model_unref(scene.held);
    dt2_context_destroy(scene.context);
    dt2_blocks_free(scene.blocks);
    dt2_file_free(scene.file);
    is_int(rooms(), 0, "nothing is left");
    return done_testing();
}
