/* SPDX-License-Identifier: BSD-3-Clause */
/* What a machine with larger pages refuses, and tells: run by test-sim-pages.sh, with pages of 64 KiB. */
#include "support/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 65536, SMALL = 4096 };

#define REFUSED(call, what) ok((errno = 0, (call)) && errno == EINVAL, what)

int main(void)
{
    is_u64((uint64_t)sysconf(_SC_PAGESIZE), PAGE, "sysconf tells the size of a page");
    is_u64((uint64_t)getpagesize(), PAGE, "and so does getpagesize");

    char *memory = mmap(NULL, 3 * PAGE + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    is_u64((uintptr_t)memory % PAGE, 0, "a mapping begins on a page");
    memory[4 * PAGE - 1] = 1;
    is_int(memory[4 * PAGE - 1], 1, "and has all of its last one");
    REFUSED(munmap(memory + SMALL, SMALL) < 0, "what begins on no page is not unmapped");
    REFUSED(mprotect(memory + SMALL, SMALL, PROT_NONE) < 0, "not protected");
    REFUSED(madvise(memory + SMALL, SMALL, MADV_DONTNEED) < 0, "and no advice is taken on it");
    REFUSED(mmap(memory + SMALL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED,
            "nothing is mapped there");

    unsigned char there[4] = { 0 };
    REFUSED(mincore(memory + SMALL, SMALL, there) < 0, "nor looked for");
    is_int(mincore(memory, 4 * PAGE, there), 0, "four pages are looked for");
    ok(!(there[0] & 1) && !(there[2] & 1), "those that nobody touched are not there");
    memory[2 * PAGE] = 1;
    ok(mincore(memory, 4 * PAGE, there) == 0 && there[2] & 1 && !(there[1] & 1), "one that was touched is");
    is_int(munmap(memory, 3 * PAGE + 1), 0, "all are unmapped");
    ok(mincore(memory + 3 * PAGE, PAGE, there) < 0 && errno == ENOMEM, "the last one as a whole");

    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REFUSED(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, SMALL) == MAP_FAILED, "a file is mapped from a page on");
    close(fd);
    return done_testing();
}
