/* SPDX-License-Identifier: BSD-3-Clause */
/* What the PCI links of a device can do, which is more than they do while it idles. */
#ifndef DT2_MACHINE_PCILINK_H
#define DT2_MACHINE_PCILINK_H

/* A link's generation, 1 is 2.5 GT/s, and lanes; 0: unknown. */
struct dt2_pcilink {
    unsigned generation, lanes;
};

/*
 * GB/s of the slowest link between a device and the processor, each as fast as both of its ends can be; < 0 when the
 * kernel tells nothing. `root` goes before /sys; `pci` may be NULL. *slowest, which may be NULL, is what that link is.
 */
double dt2_pcilink_gbps(const char *root, const char *pci, struct dt2_pcilink *slowest);

#endif
