/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/pages.h"
#include "base/alloc.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

#define USUAL ((size_t)2 << 20)

static atomic_size_t known;

size_t dt2_huge_page_below(const char *root)
{
    size_t bytes = 0;
    DT2_AUTO char *path = dt2_printf("%s/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", root);
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file || fscanf(file, "%zu", &bytes) != 1 || bytes < (size_t)sysconf(_SC_PAGESIZE) || bytes & (bytes - 1))
        bytes = USUAL;
    if (file)
        fclose(file);
    atomic_store(&known, bytes);
    return bytes;
}

size_t dt2_huge_page(void)
{
    size_t bytes = atomic_load(&known);
    return bytes ? bytes : dt2_huge_page_below("");
}

/* A small mapping begins on no huge page where these are very large: it has no use for one. */
static bool has_huge(size_t length)
{
    return length >= dt2_huge_page() || dt2_huge_page() <= USUAL;
}

size_t dt2_pages_piece(size_t length)
{
    return has_huge(length) ? dt2_huge_page() : USUAL;
}

char *dt2_map_huge(size_t length)
{
    size_t huge = dt2_huge_page(), room = has_huge(length) ? huge : 0;
    char *mapping = mmap(NULL, length + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = room ? (huge - (uintptr_t)mapping % huge) % huge : 0;
    if (before)
        munmap(mapping, before);
    if (room)
        munmap(mapping + before + length, room - before);
    madvise(mapping + before, length, MADV_HUGEPAGE); /* where the kernel has none, small pages do */
    return mapping + before;
}

int dt2_pages_populate(char *memory, size_t bytes)
{
    while (madvise(memory, bytes, MADV_POPULATE_WRITE) < 0) {
        if (errno == EINTR || errno == EAGAIN)
            continue;
        if (errno != EINVAL)
            return errno;
        /* An older kernel: it gives a page to whoever writes to it. */
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        for (size_t at = 0; at < bytes; at += page)
            ((volatile char *)memory)[at] = 0;
        return 0;
    }
    return 0;
}

/* A huge page is gathered of small ones, of which there is to be one. */
size_t dt2_pages_gather(char *memory, size_t bytes)
{
    size_t huge = dt2_huge_page(), page = (size_t)sysconf(_SC_PAGESIZE), before = (huge - (uintptr_t)memory % huge) % huge;
    size_t whole = bytes > before ? (bytes - before) / huge * huge : 0;
    for (size_t at = 0; at < whole; at += huge)
        if (madvise(memory + before + at, page, MADV_POPULATE_WRITE) < 0)
            return 0;
    while (whole && madvise(memory + before, whole, MADV_COLLAPSE) < 0)
        if (errno != EINTR)
            return 0;
    return whole;
}

void dt2_pages_small(char *memory, size_t bytes)
{
    madvise(memory, bytes, MADV_NOHUGEPAGE); /* advice: nothing depends on it */
}

/* Small pages take 0.3 ns a byte, huge ones 0.15, and those that are not ready 2.5; small ones that are shared take 1.1. */
bool dt2_pages_slow(uint64_t nanoseconds, size_t bytes, bool shared)
{
    return nanoseconds / (shared ? 4 : 1) > bytes;
}

uint64_t dt2_pages_elsewhere(const char *memory, uint64_t bytes, int node)
{
    enum { BATCH = 512 };
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = (uintptr_t)memory + bytes;
    uint64_t elsewhere = 0;
    for (uintptr_t at = (uintptr_t)memory / page * page; at < end;) {
        const void *pages[BATCH];
        int nodes[BATCH];
        unsigned long count = 0;
        for (; count < BATCH && at < end; at += page)
            pages[count++] = (const void *)at;
        if (syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0) < 0)
            return 0;
        for (unsigned long i = 0; i < count; i++)
            elsewhere += nodes[i] >= 0 && nodes[i] != node ? page : 0;
    }
    return elsewhere;
}
