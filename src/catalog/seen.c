/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog/seen.h"
#include "base/alloc.h"
#include "base/checked.h"
#include <linux/magic.h>
#include <stdint.h>
#include <sys/vfs.h>

/* The slot of a folder, or the free one where it belongs. `capacity` is a power of two, and some slot is free. */
static struct dt2_seen_folder *find(const struct dt2_seen *seen, dev_t device, ino_t inode)
{
    uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 32) * 0x9E3779B97F4A7C15u;
    for (size_t at = (size_t)(hash >> 32) & (seen->capacity - 1);; at = (at + 1) & (seen->capacity - 1)) {
        struct dt2_seen_folder *slot = &seen->slots[at];
        if (!slot->taken || (slot->device == device && slot->inode == inode))
            return slot;
    }
}

static bool grow(struct dt2_seen *seen)
{
    struct dt2_seen larger = { .capacity = seen->capacity ? seen->capacity * 2 : 64, .count = seen->count };
    larger.slots = dt2_alloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < seen->capacity; i++)
        if (seen->slots[i].taken)
            *find(&larger, seen->slots[i].device, seen->slots[i].inode) = seen->slots[i];
    dt2_release(seen->slots);
    *seen = larger;
    return true;
}

bool dt2_seen_add(struct dt2_seen *seen, dev_t device, ino_t inode, bool *known)
{
    if (seen->count * 2 >= seen->capacity && !grow(seen))
        return false;
    struct dt2_seen_folder *slot = find(seen, device, inode);
    *known = slot->taken;
    seen->count += !slot->taken;
    *slot = (struct dt2_seen_folder){ device, inode, true };
    return true;
}

void dt2_seen_clear(struct dt2_seen *seen)
{
    dt2_release(seen->slots);
    *seen = (struct dt2_seen){ 0 };
}

bool dt2_is_kernels(const char *path)
{
    static const long kinds[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
                                  TRACEFS_MAGIC,    SECURITYFS_MAGIC, DEVPTS_SUPER_MAGIC, BPF_FS_MAGIC };
    struct statfs about;
    if (statfs(path, &about) < 0)
        return false;
    for (size_t i = 0; i < DT2_COUNT(kinds); i++)
        if ((long)about.f_type == kinds[i])
            return true;
    return false;
}
