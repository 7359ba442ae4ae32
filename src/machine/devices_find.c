/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of devices: listed names, aliases, and what people and other programs call the same thing. */
#include "machine/devices.h"
#include "base/error.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NONE SIZE_MAX
#define NAME_MAX_BYTES 64 /* of "cuda:N" and the like, when it is spelt another way */

static const char *after(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

static size_t find_exact(const struct dt2_devices *devices, const char *name)
{
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        if (strcmp(device->name, name) == 0)
            return i;
        for (size_t j = 0; j < device->alias_count; j++)
            if (strcmp(device->aliases[j], name) == 0)
                return i;
    }
    return NONE;
}

static bool has_driver(const struct dt2_devices *devices, const char *driver)
{
    for (size_t i = 0; i < devices->count; i++)
        if (strcmp(devices->devices[i].driver, driver) == 0)
            return true;
    return false;
}

/* rocm:N is hip:N, numa:N is cpu:N, and cuda:N is hip:N where PyTorch would say so. */
static size_t find_other_spelling(const struct dt2_devices *devices, const char *name)
{
    char spelt[NAME_MAX_BYTES];
    const char *number;
    if (strlen(name) + 1 > sizeof spelt)
        return NONE;
    if ((number = after(name, "rocm:")))
        snprintf(spelt, sizeof spelt, "hip:%s", number);
    else if ((number = after(name, "numa:")))
        snprintf(spelt, sizeof spelt, "cpu:%s", number);
    else if ((number = after(name, "cuda:")) && has_driver(devices, "hip") && !has_driver(devices, "cuda"))
        snprintf(spelt, sizeof spelt, "hip:%s", number);
    else
        return NONE;
    return find_exact(devices, spelt);
}

/* NVIDIA writes "GPU-" before a UUID, OpenCL does not. */
static const char *bare_uuid(const char *uuid)
{
    return strncasecmp(uuid, "GPU-", 4) == 0 ? uuid + 4 : uuid;
}

/* "01:00.0", whose domain is 0000; or with a domain, of which others write eight digits. */
static bool is_pci_address(const char *text)
{
    unsigned parts[4];
    char rest;
    return sscanf(text, "%8x:%2x:%2x.%1x%c", &parts[0], &parts[1], &parts[2], &parts[3], &rest) == 4 ||
           sscanf(text, "%2x:%2x.%1x%c", &parts[0], &parts[1], &parts[2], &rest) == 3;
}

/* The address without the zeros that its domain begins with, or without a domain of zeros. */
static const char *bare_pci(const char *pci)
{
    const char *first = strchr(pci, ':');
    if (!first || !strchr(first + 1, ':'))
        return pci;
    pci += strspn(pci, "0");
    return pci >= first ? first + 1 : pci;
}

#define UUID_LEAST 4 /* digits of a UUID that say which is meant */

/* `uuid` may be the beginning of one, where `abbreviated`. */
static bool has_identity(const struct dt2_device *device, const char *pci, const char *uuid, bool abbreviated)
{
    if (pci)
        return device->pci && strcasecmp(bare_pci(device->pci), bare_pci(pci)) == 0;
    if (!device->uuid)
        return false;
    const char *own = bare_uuid(device->uuid), *wanted = bare_uuid(uuid);
    size_t length = strlen(wanted);
    return abbreviated ? length >= UUID_LEAST && strncasecmp(own, wanted, length) == 0 : strcasecmp(own, wanted) == 0;
}

/*
 * The device of "pci:...", "uuid:..." or what can be nothing else; partitions of a GPU share a PCI address, which then
 * names none of them.
 */
static int find_identity(const struct dt2_devices *devices, const char *name, bool abbreviated, size_t *index,
                         struct dt2_error *err)
{
    const char *pci = after(name, "pci:"), *uuid = after(name, "uuid:");
    bool bare = strncasecmp(name, "GPU-", 4) == 0 || strncasecmp(name, "MIG-", 4) == 0;
    pci = !pci && is_pci_address(name) ? name : pci;
    uuid = bare ? name : uuid;
    *index = NONE;
    if (!pci && !uuid)
        return 0;
    for (size_t i = 0; i < devices->count; i++) {
        if (!has_identity(&devices->devices[i], pci, uuid, abbreviated))
            continue;
        if (*index != NONE) {
            dt2_fail(err, DT2_ENOENT, "device '%s' is ambiguous: %s and %s have it", name,
                     devices->devices[*index].name, devices->devices[i].name);
            dt2_suggest(err, "name the device by its driver, such as %s", devices->devices[*index].name);
            return DT2_ENOENT;
        }
        *index = i;
    }
    return 0;
}

static int fail_unknown(const struct dt2_devices *devices, const char *name, struct dt2_error *err)
{
    struct dt2_text list = { 0 };
    struct dt2_nearest nearest = { .wanted = name };
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        dt2_text_addf(&list, "%s%s", i ? ", " : "", device->name);
        dt2_nearest_offer(&nearest, device->name);
        for (size_t j = 0; j < device->alias_count; j++) {
            dt2_text_addf(&list, "%s%s%s", j ? ", " : " (also ", device->aliases[j],
                          j + 1 == device->alias_count ? ")" : "");
            dt2_nearest_offer(&nearest, device->aliases[j]);
        }
    }
    dt2_fail(err, DT2_ENOENT, "no device '%s'; there are: %s", name, list.data && !list.failed ? list.data : "none");
    dt2_nearest_suggest(&nearest, err);
    dt2_text_clear(&list);
    return DT2_ENOENT;
}

int dt2_devices_find(const struct dt2_devices *devices, const char *name, size_t *index, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    size_t found = find_exact(devices, name);
    if (found == NONE)
        found = find_other_spelling(devices, name);
    for (int abbreviated = 0; abbreviated < 2 && found == NONE; abbreviated++)
        if (find_identity(devices, name, abbreviated, &found, err) < 0)
            return DT2_ENOENT;
    if (found == NONE)
        return fail_unknown(devices, name, err);
    *index = found;
    return 0;
}

/* The GPU of a driver with the lowest number: of those with memory of their own, or of those that lie in the host's. */
static size_t first_gpu(const struct dt2_devices *devices, const char *driver, bool shares_host)
{
    size_t best = NONE;
    unsigned long lowest = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        if (strcmp(device->driver, driver) != 0 || strcmp(device->kind, "gpu") != 0 ||
            dt2_device_shares_host(device) != shares_host)
            continue;
        const char *colon = strrchr(device->name, ':');
        unsigned long number = colon ? strtoul(colon + 1, NULL, 10) : 0;
        if (best == NONE || number < lowest) {
            best = i;
            lowest = number;
        }
    }
    return best;
}

size_t dt2_devices_default(const struct dt2_devices *devices)
{
    static const char *const drivers[] = { "cuda", "hip", "opencl" };
    DT2_KEEP_ERRNO;
    size_t found = NONE;
    for (size_t i = 0; i < 6 && found == NONE; i++)
        found = first_gpu(devices, drivers[i % 3], i >= 3);
    if (found == NONE)
        found = find_exact(devices, "cpu");
    return found == NONE ? 0 : found;
}
