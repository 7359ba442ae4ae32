/* SPDX-License-Identifier: BSD-3-Clause */
/* What PCI links can do, by trees of files as the kernel shows them. */
#include "base/checked.h"
#include "machine/pcilink.h"
#include "support/scratch.h"
#include "support/tap.h"

#define BUS "/sys/devices/pci0000:00"
#define GPU "0000:04:00.0"

/* A device from the root port down: its folder under the one before it, and what it says. */
struct part {
    const char *address, *speed, *width;
};

static const struct tree {
    const char *what;
    struct part parts[4];
    double gbps; /* < 0: unknown */
    struct dt2_pcilink slowest; /* compared where it says something */
} trees[] = {
    { "a card of the fourth generation in a slot of the third",
      { { "0000:00:01.0", "8.0 GT/s PCIe", "16" }, { GPU, "16.0 GT/s PCIe", "16" } },
      15.754, { 3, 16 } },
    { "eight lanes are wired",
      { { "0000:00:01.0", "16.0 GT/s PCIe", "8" }, { GPU, "16.0 GT/s PCIe", "16" } },
      15.754, { 4, 8 } },
    { "speed of one end, width of the other",
      { { "0000:00:01.0", "32.0 GT/s PCIe", "4" }, { GPU, "8.0 GT/s PCIe", "16" } },
      3.938, { 3, 4 } },
    { "the first generation's encoding", { { "0000:00:01.0", "2.5 GT/s", "16" }, { GPU, "2.5 GT/s", "16" } }, 4, { 1, 16 } },
    { "the second's", { { "0000:00:01.0", "5.0 GT/s PCIe", "16" }, { GPU, "16.0 GT/s PCIe", "16" } }, 8, { 2, 16 } },
    { "the fifth's", { { "0000:00:01.0", "32.0 GT/s PCIe", "16" }, { GPU, "32.0 GT/s PCIe", "16" } }, 63.015, { 5, 16 } },
    { "behind a switch: its link upwards is the slower one",
      { { "0000:00:01.0", "8.0 GT/s PCIe", "16" },
        { "0000:01:00.0", "16.0 GT/s PCIe", "16" },
        { "0000:02:00.0", "16.0 GT/s PCIe", "16" },
        { GPU, "16.0 GT/s PCIe", "16" } },
      15.754, { 0, 0 } },
    { "behind a switch: there is no link between its ports",
      { { "0000:00:01.0", "8.0 GT/s PCIe", "16" },
        { "0000:01:00.0", "8.0 GT/s PCIe", "16" },
        { "0000:02:00.0", "16.0 GT/s PCIe", "8" },
        { GPU, "16.0 GT/s PCIe", "8" } },
      15.754, { 0, 0 } },
    { "a port that tells nothing", { { "0000:00:01.0", NULL, NULL }, { GPU, "16.0 GT/s PCIe", "16" } }, 31.508, { 0, 0 } },
    { "a port that does not know", { { "0000:00:01.0", "Unknown", "255" }, { GPU, "16.0 GT/s PCIe", "16" } }, 31.508, { 0, 0 } },
    { "a part of the processor", { { GPU, "Unknown", "0" } }, -1, { 0, 0 } },
    { "no file", { { GPU, NULL, NULL } }, -1, { 0, 0 } },
};

static void make(const struct tree *tree)
{
    char folder[512] = BUS, path[600];
    for (size_t i = 0; i < DT2_COUNT(tree->parts) && tree->parts[i].address; i++) {
        const struct part *part = &tree->parts[i];
        size_t used = strlen(folder);
        snprintf(folder + used, sizeof folder - used, "/%s", part->address);
        scratch_folder(folder);
        snprintf(path, sizeof path, "%s/max_link_speed", folder);
        if (part->speed)
            scratch_text(path, part->speed);
        snprintf(path, sizeof path, "%s/max_link_width", folder);
        if (part->width)
            scratch_text(path, part->width);
        snprintf(path, sizeof path, "%s/current_link_speed", folder);
        scratch_text(path, "2.5 GT/s PCIe\n"); /* it idles */
    }
    snprintf(path, sizeof path, "../../../..%s", folder);
    scratch_link("/sys/bus/pci/devices/" GPU, path);
}

int main(void)
{
    for (size_t i = 0; i < DT2_COUNT(trees); i++) {
        const char *root = scratch_begin();
        make(&trees[i]);
        struct dt2_pcilink link;
        double gbps = dt2_pcilink_gbps(root, GPU, &link), expected = trees[i].gbps;
        if (!ok(gbps > expected - 0.0006 && gbps < expected + 0.0006, "%s: %.3f GB/s", trees[i].what, expected))
            diag("got %.3f", gbps);
        const struct dt2_pcilink *slowest = &trees[i].slowest;
        if (slowest->lanes && !ok(link.generation == slowest->generation && link.lanes == slowest->lanes,
                                  "generation %u, %u lanes", slowest->generation, slowest->lanes))
            diag("got generation %u, %u lanes", link.generation, link.lanes);
    }
    const char *root = scratch_begin();
    ok(dt2_pcilink_gbps(root, GPU, NULL) < 0 && dt2_pcilink_gbps(root, NULL, NULL) < 0, "a device that is not there, or unknown");
    scratch_end();
    return done_testing();
}
