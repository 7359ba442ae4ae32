/* SPDX-License-Identifier: BSD-3-Clause */
/* What the PCI links of a device can do, which is more than they do while it idles. */
#ifndef DT2_MACHINE_PCILINK_H
#define DT2_MACHINE_PCILINK_H

/*
 * GB/s of the slowest link between a device and the processor, each as fast as both of its ends can be; < 0 when the
 * kernel tells nothing. `root` goes before /sys; `pci` may be NULL.
 */
double dt2_pcilink_gbps(const char *root, const char *pci);

#endif
