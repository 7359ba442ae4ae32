/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of PCI devices, where OpenCL tells half of it. */
#include "opencl.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define VENDOR_AMD 0x1002u

static bool is_amd(const char *folder, const char *entry)
{
    char path[PATH_MAX];
    unsigned vendor = 0;
    int length = snprintf(path, sizeof path, "%s/%s/vendor", folder, entry);
    FILE *file = length < (int)sizeof path ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool is = fscanf(file, "%x", &vendor) == 1 && vendor == VENDOR_AMD;
    fclose(file);
    return is;
}

bool dt2_cl_amd_domain(unsigned bus, unsigned device, unsigned function, unsigned *domain)
{
    char folder[PATH_MAX];
    const char *root = secure_getenv("DISTORCH2_SYSFS"); /* for tests: a /sys of their own */
    snprintf(folder, sizeof folder, "%s/bus/pci/devices", root ? root : "/sys");
    DIR *devices = opendir(folder);
    unsigned found = 0;
    *domain = 0;
    for (struct dirent *entry; devices && (entry = readdir(devices));) {
        unsigned its_domain, its_bus, its_device, its_function;
        if (sscanf(entry->d_name, "%x:%x:%x.%x", &its_domain, &its_bus, &its_device, &its_function) != 4 ||
            its_bus != bus || its_device != device || its_function != function || !is_amd(folder, entry->d_name))
            continue;
        *domain = its_domain;
        found++;
    }
    if (devices)
        closedir(devices);
    return found <= 1;
}
