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

uint64_t dt2_sysfs_free_bytes(const char *root, const char *pci)
{
    uint64_t total, used;
    if (!read_number(root, pci, "mem_info_vram_total", &total) ||
        !read_number(root, pci, "mem_info_vram_used", &used) || used > total)
        return DT2_UNKNOWN;
    return total - used;
}
