/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel tells of AMD's cards: files that a program reads without touching a device. */
#include "engine.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folders on the way to a file; those that are there are left alone. */
static void make_folders(const char *path)
{
    char folder[1024];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        mkdir(folder, 0777);
    }
}

/* In one piece and of one length, so that nobody reads half of a number. */
static void write_number(const struct sim_pci *pci, const char *name, uint64_t number)
{
    char path[1024], text[32];
    snprintf(path, sizeof path, "%s/bus/pci/devices/%04x:%02x:%02x.%x/%s", sim.sysfs, pci->domain, pci->bus,
             pci->device, pci->function, name);
    int length = snprintf(text, sizeof text, "%020llu\n", (unsigned long long)number);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        make_folders(path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    }
    if (fd < 0 || write(fd, text, (size_t)length) != length)
        fprintf(stderr, "simulator: %s cannot be written\n", path);
    if (fd >= 0)
        close(fd);
}

void sim_sysfs_write(const struct sim_device *device, uint64_t used_bytes)
{
    uint64_t total = device->carveout_bytes < device->memory_bytes ? device->carveout_bytes : device->memory_bytes;
    write_number(&device->pci, "mem_info_vram_total", total);
    write_number(&device->pci, "mem_info_vram_used", used_bytes < total ? used_bytes : total);
}
