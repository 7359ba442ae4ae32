/* SPDX-License-Identifier: BSD-3-Clause */
/* Fresh pages of this process. */
#ifndef DT2_MACHINE_PAGES_H
#define DT2_MACHINE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#define DT2_HUGE_PAGE ((size_t)2 << 20) /* where the kernel does not say */

/*
 * An anonymous mapping that begins on a huge page and asks for huge ones; NULL with errno. The kernel gives pages to whoever
 * touches them first. munmap() with the same length.
 */
char *dt2_map_huge(size_t length);
/* Has the kernel give the pages now, written to by nobody. Returns 0, or a positive errno: there is no memory. */
int dt2_pages_populate(char *memory, size_t bytes);
/* Bytes of a range that lie on another NUMA node than this one; 0 where the kernel does not tell. */
uint64_t dt2_pages_elsewhere(const char *memory, uint64_t bytes, int node);

#endif
