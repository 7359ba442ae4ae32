/* SPDX-License-Identifier: BSD-3-Clause */
#include "sysfs.h"
#include <distorch2/backend.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

/* A file that holds one number. */
static bool read_number(const char *root, const char *pci, const char *name, uint64_t *number)
{
    char path[4096], end;
    int length = snprintf(path, sizeof path, "%s/bus/pci/devices/%s/%s", root, pci, name);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool good = fscanf(file, "%" SCNu64 "%c", number, &end) == 2 && end == '\n';
    fclose(file);
    return good;
}

/* The runtime may keep some of the memory to itself: a twentieth of it makes no other memory. */
static bool is_near(uint64_t a, uint64_t b)
{
    uint64_t apart = a > b ? a - b : b - a;
    return apart <= b / 20;
}

uint64_t dt2_sysfs_free_bytes(const char *root, const char *pci, uint64_t total_bytes)
{
    uint64_t total, used;
    if (!read_number(root, pci, "mem_info_vram_total", &total) ||
        !read_number(root, pci, "mem_info_vram_used", &used) || used > total || total == 0 ||
        !is_near(total, total_bytes))
        return DT2_UNKNOWN;
    return total - used;
}
