/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/disk.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/cached.h"
#include "formats/format.h"
#include <distorch2/measure.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems on disks of this machine's, by their magic numbers: include/uapi/linux/magic.h and statfs(2). */
static const unsigned long local_systems[] = {
    0xEF53 /* ext2, 3, 4 */, 0x58465342 /* xfs */, 0x9123683E /* btrfs */, 0xF2F52010 /* f2fs */, 0x2FC12FC1 /* zfs */,
    0xCA451A4E /* bcachefs */, 0x4D44 /* vfat */, 0x2011BAB0 /* exfat */, 0x7366746E /* ntfs3 */,
    0x794C7630 /* overlayfs, most often on one of these */,
};

static bool is_local(int fd)
{
    struct statfs system;
    if (fstatfs(fd, &system) < 0)
        return false;
    for (size_t i = 0; i < DT2_COUNT(local_systems); i++)
        if ((unsigned long)system.f_type == local_systems[i])
            return true;
    return false;
}

/*
 * What the kernel asks of memory for direct reads as we make them; 0: they cannot be had. Before Linux 6.1 it says nothing, and what
 * suits every disk is taken.
 */
static uint64_t address_alignment(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && st.stx_mask & STATX_DIOALIGN) {
        bool fits = st.stx_dio_mem_align > 0 && DT2_DIRECT_ALIGNMENT % st.stx_dio_mem_align == 0 &&
                    st.stx_dio_offset_align > 0 && DT2_DIRECT_ALIGNMENT % st.stx_dio_offset_align == 0;
        return fits ? st.stx_dio_mem_align : 0;
    }
#else
    (void)fd;
#endif
    return DT2_DIRECT_ALIGNMENT;
}

/* The same file once more, past the page cache; by its descriptor, since its path may lead to another one by now. */
static int open_direct(int fd)
{
    char path[32];
    struct stat ours, opened;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT | O_NONBLOCK);
    if (direct >= 0 && (fstat(fd, &ours) < 0 || fstat(direct, &opened) < 0 || ours.st_dev != opened.st_dev ||
                        ours.st_ino != opened.st_ino)) {
        close(direct);
        direct = -1;
    }
    return direct;
}

void dt2_disk_open(const struct dt2_file *file, uint32_t index, bool direct, struct dt2_disk *disk)
{
    const struct dt2_source *source = &file->sources[index];
    *disk = (struct dt2_disk){ .fd = source->fd, .direct = -1, .local = is_local(source->fd), .size = source->size };
    if (direct)
        disk->address_alignment = address_alignment(source->fd);
    if (disk->address_alignment)
        disk->direct = open_direct(source->fd);
}

void dt2_disk_close(struct dt2_disk *disk)
{
    if (disk->direct >= 0)
        close(disk->direct);
    disk->direct = -1;
}

uint32_t dt2_file_source_count(const struct dt2_file *file)
{
    return (uint32_t)file->source_count;
}

bool dt2_disk_cached(const struct dt2_disk *disk, uint64_t offset, uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int64_t pages = dt2_cached_pages(disk->fd, offset, bytes);
    return pages < 0 || (uint64_t)pages * page >= bytes - bytes / 8;
}

void dt2_file_drop_cache(const struct dt2_file *file)
{
    DT2_KEEP_ERRNO;
    for (size_t i = 0; i < file->source_count; i++) {
        (void)fdatasync(file->sources[i].fd); /* what was just written stays otherwise */
        (void)posix_fadvise(file->sources[i].fd, 0, 0, POSIX_FADV_DONTNEED);
    }
}
