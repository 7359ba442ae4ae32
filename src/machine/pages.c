/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/pages.h"
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

char *dt2_map_huge(size_t length)
{
    char *mapping = mmap(NULL, length + DT2_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = (DT2_HUGE_PAGE - (uintptr_t)mapping % DT2_HUGE_PAGE) % DT2_HUGE_PAGE;
    if (before)
        munmap(mapping, before);
    munmap(mapping + before + length, DT2_HUGE_PAGE - before);
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
