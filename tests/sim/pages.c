/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel with larger pages, for a process into which this is preloaded: DISTORCH2_SIM_PAGE bytes each. Who asks for their size is
 * told that; what is mapped begins on such a page and consists of whole ones; what has to begin on one and does not is refused,
 * as that kernel refuses it; and counts of pages are of those. What the C library maps for itself is as it was.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CACHESTAT 451
#define HUGE_FILE "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

static long (*real_syscall)(long, ...);
static long (*real_sysconf)(int);
static FILE *(*real_fopen)(const char *, const char *);
static uintptr_t page, smaller; /* bytes: of the pages that are simulated, and of those that are there */

static void begin(void)
{
    if (page)
        return;
    *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
    *(void **)&real_sysconf = dlsym(RTLD_NEXT, "sysconf");
    *(void **)&real_fopen = dlsym(RTLD_NEXT, "fopen");
    const char *text = getenv("DISTORCH2_SIM_PAGE");
    smaller = (uintptr_t)real_sysconf(_SC_PAGESIZE);
    uintptr_t bytes = text ? strtoul(text, NULL, 10) : 0;
    if (bytes < smaller || bytes > 1 << 20 || bytes & (bytes - 1)) {
        fprintf(stderr, "simulator: DISTORCH2_SIM_PAGE is '%s'; expected a power of two from %zu to 1048576\n", text ? text : "",
                (size_t)smaller);
        _exit(99);
    }
    page = bytes;
}

static size_t whole(size_t bytes)
{
    return bytes > SIZE_MAX - page ? bytes : (bytes + page - 1) / page * page;
}

static bool misplaced(const void *memory)
{
    begin();
    bool wrong = (uintptr_t)memory % page != 0;
    if (wrong)
        errno = EINVAL;
    return wrong;
}

/* -- what tells of pages */

long sysconf(int name)
{
    begin();
    switch (name) {
    case _SC_PAGESIZE: return (long)page;
    case _SC_PHYS_PAGES:
    case _SC_AVPHYS_PAGES: return real_sysconf(name) / (long)(page / smaller);
    default: return real_sysconf(name);
    }
}

int getpagesize(void)
{
    return (int)sysconf(_SC_PAGESIZE);
}

/* A table of pages is one page of addresses of eight bytes, and a huge page is what it spans: 512 MiB of 64 KiB each. */
FILE *fopen(const char *path, const char *mode)
{
    static char text[32];
    begin();
    if (strcmp(path, HUGE_FILE) != 0)
        return real_fopen(path, mode);
    int length = snprintf(text, sizeof text, "%zu\n", (size_t)(page / 8 * page));
    return fmemopen(text, (size_t)length, "r");
}

/* Of what goes this way, only cachestat(2) counts pages: five numbers of them. */
long syscall(long number, ...)
{
    va_list list;
    long a[6];
    begin();
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    long status = real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    for (int i = 0; number == CACHESTAT && status == 0 && i < 5; i++)
        ((uint64_t *)a[2])[i] /= page / smaller;
    return status;
}

/* -- what works on pages */

void *mmap(void *wish, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    const bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    if (misplaced((void *)offset) || (fixed && misplaced(wish)))
        return MAP_FAILED;
    size_t length = whole(bytes), room = length + page;
    if (fixed || bytes == 0 || room < length)
        return (void *)real_syscall(SYS_mmap, wish, length, protection, flags, fd, offset);
    char *area = (char *)real_syscall(SYS_mmap, NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
    if (area == MAP_FAILED)
        return MAP_FAILED;
    size_t before = (page - (uintptr_t)area % page) % page;
    void *mapping = (void *)real_syscall(SYS_mmap, area + before, length, protection, flags | MAP_FIXED, fd, offset);
    int failure = errno;
    if (mapping == MAP_FAILED)
        (void)real_syscall(SYS_munmap, area + before, length);
    if (before)
        (void)real_syscall(SYS_munmap, area, before);
    if (before < page)
        (void)real_syscall(SYS_munmap, area + before + length, page - before);
    errno = failure;
    return mapping;
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

int munmap(void *memory, size_t bytes)
{
    return misplaced(memory) ? -1 : (int)real_syscall(SYS_munmap, memory, whole(bytes));
}

int mprotect(void *memory, size_t bytes, int protection)
{
    return misplaced(memory) ? -1 : (int)real_syscall(SYS_mprotect, memory, whole(bytes), protection);
}

int madvise(void *memory, size_t bytes, int advice)
{
    return misplaced(memory) ? -1 : (int)real_syscall(SYS_madvise, memory, whole(bytes), advice);
}

/* One is there where its first smaller one is. */
int mincore(void *memory, size_t bytes, unsigned char *there)
{
    if (misplaced(memory))
        return -1;
    for (size_t i = 0; i < whole(bytes) / page; i++)
        if (real_syscall(SYS_mincore, (char *)memory + i * page, smaller, &there[i]) < 0)
            return -1;
    return 0;
}
