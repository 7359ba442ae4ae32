/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of a model's files is in the page cache. Linux 6.5 counts pages by cachestat(2); before that mincore(2) tells of
 * a mapping. Neither reads anything.
 */
#include "formats/cached.h"
#include "base/checked.h"
#include "formats/format.h"
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAMPLES 64
#define SAMPLE_PAGES 64
#define SMALLER 16 /* an emulator of 64 KiB pages has its kernel tell of each of 4 KiB */

/* include/uapi/linux/mman.h has these since Linux 6.5; the number is the same on all architectures. */
#define CACHESTAT 451
struct range {
    uint64_t offset, bytes; /* 0 bytes: to the end */
};
struct counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted; /* pages */
};

/* -1: the kernel does not count. */
static int64_t count_pages(int fd, uint64_t offset, uint64_t bytes)
{
    struct range range = { offset, bytes };
    struct counts counts = { 0 };
    if (syscall(CACHESTAT, fd, &range, &counts, 0) < 0)
        return -1;
    return (int64_t)counts.cached;
}

/* The same by a mapping of the range. */
static int64_t map_and_count(int fd, uint64_t offset, uint64_t bytes)
{
    unsigned char present[SAMPLE_PAGES * SMALLER];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = offset - offset % page, length = offset + bytes - begin;
    int64_t found = 0;
    char *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)begin);
    if (map == MAP_FAILED)
        return -1;
    for (uint64_t at = 0; at < length && found >= 0; at += SAMPLE_PAGES * page) {
        uint64_t size = dt2_min(length - at, SAMPLE_PAGES * page);
        if (mincore(map + at, size, present) < 0)
            found = -1;
        for (uint64_t i = 0; found >= 0 && i < (size + page - 1) / page; i++)
            found += present[i] & 1;
    }
    munmap(map, length);
    return found;
}

int64_t dt2_cached_pages(int fd, uint64_t offset, uint64_t bytes)
{
    int64_t pages = count_pages(fd, offset, bytes);
    return pages >= 0 || bytes == 0 ? pages : map_and_count(fd, offset, bytes);
}

/* Of a whole file; of a large one in a sample, since counting goes through all pages: 17 ms for 2.5 GB. -1: nobody tells. */
static int64_t sample_pages(const struct dt2_source *source, uint64_t page)
{
    uint64_t pages = (source->size + page - 1) / page, asked = 0, found = 0;
    uint64_t samples = pages > SAMPLES * SAMPLE_PAGES ? SAMPLES : 1, count = samples == 1 ? pages : SAMPLE_PAGES;
    for (uint64_t i = 0; i < samples; i++) {
        uint64_t begin = pages * i / samples * page, bytes = dt2_min(count * page, source->size - begin);
        int64_t there = dt2_cached_pages(source->fd, begin, bytes);
        if (there < 0)
            return -1;
        asked += count;
        found += (uint64_t)there;
    }
    return (int64_t)((double)found / (double)asked * (double)pages);
}

double dt2_file_cached(const struct dt2_file *file)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    double cached = 0, all = 0;
    for (size_t i = 0; i < file->source_count; i++) {
        const struct dt2_source *source = &file->sources[i];
        if (source->size == 0)
            continue;
        int64_t pages = sample_pages(source, page);
        if (pages < 0)
            return -1;
        cached += dt2_min((uint64_t)pages * page, source->size);
        all += (double)source->size;
    }
    return all > 0 ? cached / all : 1;
}
