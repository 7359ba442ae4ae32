/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/pcilink.h"
#include "base/alloc.h"
#include "base/text.h"
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT 4096
#define WIDTH_MAX 32 /* lanes; the kernel says 255 where it does not know */

/* What one end of a link can do; 0: unknown. */
struct end {
    double gigatransfers; /* a second and lane */
    double lanes;
};

/* The number that a file of a device's begins with ("16.0 GT/s PCIe"); 0 when it begins with none. */
static double number_in(const char *folder, const char *file)
{
    DT2_AUTO char *path = dt2_printf("%s/%s", folder, file);
    char *text = NULL;
    size_t length;
    if (!path || dt2_read_file(path, FILE_LIMIT, &text, &length, NULL) < 0)
        return 0;
    unsigned whole = 0, tenths = 0; /* by hand: a locale may write numbers in another way */
    if (sscanf(text, "%4u.%1u", &whole, &tenths) < 1)
        whole = 0;
    dt2_release(text);
    return whole + tenths / 10.0;
}

static struct end read_end(const char *folder)
{
    struct end end = { number_in(folder, "max_link_speed"), number_in(folder, "max_link_width") };
    if (end.lanes > WIDTH_MAX)
        end.lanes = 0;
    return end;
}

/* The lower of two, of which 0 is unknown. */
static double lower(double a, double b)
{
    return a <= 0 || (b > 0 && b < a) ? b : a;
}

/* GB/s by the encoding of the link's generation, 8b/10b up to the second, as hwloc counts; 0: unknown. */
static double gbps_of(struct end a, struct end b)
{
    double rate = lower(a.gigatransfers, b.gigatransfers);
    return rate * (rate <= 5 ? 8.0 / 10 : 128.0 / 130) * lower(a.lanes, b.lanes) / 8;
}

/* Each generation but the third doubles the rate of the one before; the third's is 8 GT/s. */
static struct dt2_pcilink link_of(struct end a, struct end b)
{
    double rate = lower(a.gigatransfers, b.gigatransfers);
    struct dt2_pcilink link = { 0, (unsigned)lower(a.lanes, b.lanes) };
    for (double next = 2.5; rate >= next && link.generation < 7; next = next == 5 ? 8 : 2 * next)
        link.generation++;
    return link;
}

/* Goes from a PCI device's folder to that of the bridge above it; false when there is none. */
static bool climb(char *folder)
{
    unsigned domain, bus, device, function;
    char *slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = '\0';
    slash = strrchr(folder, '/');
    return slash && sscanf(slash + 1, "%x:%x:%x.%x", &domain, &bus, &device, &function) == 4;
}

double dt2_pcilink_gbps(const char *root, const char *pci, struct dt2_pcilink *slowest)
{
    char folder[PATH_MAX];
    DT2_AUTO char *path = pci ? dt2_printf("%s/sys/bus/pci/devices/%s", root, pci) : NULL;
    double least = 0;
    struct dt2_pcilink found = { 0, 0 };
    bool more = path && realpath(path, folder);
    /* A link has an end below and an end above it. Between the two ports of a switch there is none. */
    for (; more; more = more && climb(folder)) {
        struct end below = read_end(folder), above = { 0 };
        more = climb(folder);
        if (more)
            above = read_end(folder);
        double gbps = gbps_of(below, above);
        if (gbps > 0 && (least <= 0 || gbps < least)) {
            least = gbps;
            found = link_of(below, above);
        }
    }
    if (slowest)
        *slowest = found;
    return least > 0 ? (double)(long)(least * 1000 + 0.5) / 1000 : -1;
}
