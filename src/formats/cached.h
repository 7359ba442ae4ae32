/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DT2_FORMATS_CACHED_H
#define DT2_FORMATS_CACHED_H

#include <stdint.h>

/* Pages of a range of an open file that are in the page cache; -1: nobody tells. 0 bytes: to the end. */
int64_t dt2_cached_pages(int fd, uint64_t offset, uint64_t bytes);

#endif
