/* SPDX-License-Identifier: BSD-3-Clause */
#include "wrap.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* NAME(TYPE, PARAMETERS): the real one, and ours. */
#define WRAPPED(type, name, ...)                                                                                       \
    type __real_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__)
WRAPPED(void *, malloc, size_t size);
WRAPPED(void *, calloc, size_t count, size_t size);
WRAPPED(void *, realloc, void *memory, size_t size);
WRAPPED(void, free, void *memory);
WRAPPED(void *, mmap, void *address, size_t length, int protection, int flags, int fd, off_t offset);
WRAPPED(int, munmap, void *address, size_t length);
WRAPPED(ssize_t, preadv, int fd, const struct iovec *iov, int count, off_t offset);
WRAPPED(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data);
WRAPPED(int, open, const char *path, int flags, ...);
WRAPPED(FILE *, fopen, const char *path, const char *mode);
WRAPPED(DIR *, opendir, const char *path);

static struct {
    atomic_long calls, failing;
    atomic_bool fired;
} kinds[WRAP_KIND_COUNT];
static atomic_long allocations, mapped_bytes;

void wrap_arm(enum wrap_kind kind, long nth)
{
    atomic_store(&kinds[kind].fired, false);
    atomic_store(&kinds[kind].calls, 0);
    atomic_store(&kinds[kind].failing, nth);
}

bool wrap_disarm(enum wrap_kind kind)
{
    atomic_store(&kinds[kind].failing, 0);
    return atomic_load(&kinds[kind].fired);
}

long wrap_calls(enum wrap_kind kind)
{
    return atomic_load(&kinds[kind].calls);
}

long wrap_allocations(void)
{
    return atomic_load(&allocations);
}

long wrap_mapped_bytes(void)
{
    return atomic_load(&mapped_bytes);
}

/* Whether this call is the one; errno says why then. */
static bool refused(enum wrap_kind kind, int why)
{
    if (atomic_fetch_add(&kinds[kind].calls, 1) + 1 != atomic_load(&kinds[kind].failing))
        return false;
    atomic_store(&kinds[kind].fired, true);
    errno = why;
    return true;
}

void *__wrap_malloc(size_t size)
{
    void *memory = refused(WRAP_ALLOCATION, ENOMEM) ? NULL : __real_malloc(size);
    allocations += memory != NULL;
    return memory;
}

void *wrap_spared_malloc(size_t size)
{
    void *memory = __real_malloc(size);
    allocations += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = refused(WRAP_ALLOCATION, ENOMEM) ? NULL : __real_calloc(count, size);
    allocations += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
    bool first = !memory;
    void *grown = refused(WRAP_ALLOCATION, ENOMEM) ? NULL : __real_realloc(memory, size);
    allocations += grown && first;
    return grown;
}

void __wrap_free(void *memory)
{
    allocations -= memory != NULL;
    __real_free(memory);
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (refused(WRAP_MAP, ENOMEM))
        return MAP_FAILED;
    void *mapping = __real_mmap(address, length, protection, flags, fd, offset);
    mapped_bytes += mapping != MAP_FAILED ? (long)length : 0;
    return mapping;
}

int __wrap_munmap(void *address, size_t length)
{
    int status = __real_munmap(address, length);
    mapped_bytes -= status == 0 ? (long)length : 0;
    return status;
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    return refused(WRAP_READ, EIO) ? -1 : __real_preadv(fd, iov, count, offset);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data)
{
    return refused(WRAP_THREAD, EAGAIN) ? EAGAIN : __real_pthread_create(thread, attributes, start, data);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return refused(WRAP_OPEN, EMFILE) ? -1 : __real_open(path, flags, mode);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return refused(WRAP_OPEN, EMFILE) ? NULL : __real_fopen(path, mode);
}

DIR *__wrap_opendir(const char *path)
{
    return refused(WRAP_OPEN, EMFILE) ? NULL : __real_opendir(path);
}
