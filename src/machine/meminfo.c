/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/meminfo.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (1 << 20)

/* The bytes of a line "KEY:  123 kB", which may begin with "Node 0 "; false when there is no such line. */
static bool kilobytes_of(const char *text, const char *key, uint64_t *bytes)
{
    size_t length = strlen(key);
    for (const char *at = text; (at = strstr(at, key)); at += length) {
        bool word = (at == text || at[-1] == '\n' || at[-1] == ' ') && at[length] == ':';
        if (!word)
            continue;
        char *end;
        uint64_t kilobytes = strtoull(at + length + 1, &end, 10);
        return end != at + length + 1 && !dt2_mul_overflows(kilobytes, 1024, bytes);
    }
    return false;
}

static char *read_whole(const char *path)
{
    char *text = NULL;
    size_t length;
    return path && dt2_read_file(path, FILE_LIMIT, &text, &length, NULL) == 0 ? text : NULL;
}

struct dt2_memory dt2_meminfo_host(const char *root)
{
    struct dt2_memory memory = { DT2_UNKNOWN, DT2_UNKNOWN };
    DT2_AUTO char *path = dt2_printf("%s/proc/meminfo", root);
    DT2_AUTO char *text = read_whole(path);
    if (!text)
        return memory;
    uint64_t bytes;
    if (kilobytes_of(text, "MemTotal", &bytes))
        memory.total_bytes = bytes;
    if (kilobytes_of(text, "MemAvailable", &bytes))
        memory.free_bytes = dt2_min(bytes, memory.total_bytes);
    return memory;
}

struct dt2_memory dt2_meminfo_node(const char *root, int number)
{
    static const char *const keys[] = { "MemFree", "Active(file)", "Inactive(file)", "SReclaimable" };
    struct dt2_memory memory = { DT2_UNKNOWN, DT2_UNKNOWN };
    DT2_AUTO char *path = dt2_printf("%s/sys/devices/system/node/node%d/meminfo", root, number);
    DT2_AUTO char *text = read_whole(path);
    if (!text)
        return memory;
    uint64_t bytes, sum = 0;
    if (kilobytes_of(text, "MemTotal", &bytes))
        memory.total_bytes = bytes;
    if (!kilobytes_of(text, "MemFree", &bytes))
        return memory;
    for (size_t i = 0; i < DT2_COUNT(keys); i++)
        if (kilobytes_of(text, keys[i], &bytes))
            sum += bytes;
    memory.free_bytes = dt2_min(sum, memory.total_bytes);
    return memory;
}
