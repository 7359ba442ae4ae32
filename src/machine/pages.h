/* SPDX-License-Identifier: BSD-3-Clause */
/* Fresh pages of this process. */
#ifndef DT2_MACHINE_PAGES_H
#define DT2_MACHINE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel calls a huge page: 2 MiB where pages have 4 KiB, 512 MiB where they have 64; 2 MiB where it does not say. It is asked
 * once. The second asks anew, of a system below that folder, and is what the first says from then on: for tests.
 */
size_t dt2_huge_page(void);
size_t dt2_huge_page_below(const char *root);
/* What the kernel gives at a time of a mapping of so many bytes, as the following makes it: a huge page, or 2 MiB of small ones. */
size_t dt2_pages_piece(size_t length);
/*
 * An anonymous mapping that begins on a huge page and asks for huge ones; NULL with errno. The kernel gives pages to whoever
 * touches them first. munmap() with the same length.
 */
char *dt2_map_huge(size_t length);
/* Has the kernel give the pages now, written to by nobody. Returns 0, or a positive errno: there is no memory. */
int dt2_pages_populate(char *memory, size_t bytes);
/*
 * Has the kernel give huge pages of memory that is mapped shared, where it gives these none by itself: to each huge page of the range
 * that is whole. Advice: what it does not give (before Linux 6.1, where it is forbidden, where memory is in pieces) is left as it was.
 * Nobody may write there meanwhile. Returns how many bytes are huge now.
 */
size_t dt2_pages_gather(char *memory, size_t bytes);
/*
 * Has the kernel give small pages where it gives any from now on. Huge ones take half as long where they lie ready; where it has to
 * make room for them first, or the host of a virtual machine has, up to ten times as long.
 */
void dt2_pages_small(char *memory, size_t bytes);
/* Whether a thread that worked so long to populate so much, `shared` or of the process's own, had to wait for huge pages. */
bool dt2_pages_slow(uint64_t nanoseconds, size_t bytes, bool shared);
/* Bytes of a range that lie on another NUMA node than this one; 0 where the kernel does not tell. */
uint64_t dt2_pages_elsewhere(const char *memory, uint64_t bytes, int node);

#endif
