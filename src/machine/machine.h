/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine: its topology, its drivers, and the devices that come of both. One for each context. */
#ifndef DT2_MACHINE_MACHINE_H
#define DT2_MACHINE_MACHINE_H

#include "base/log.h"
#include "machine/devices.h"
#include "machine/modules.h"

struct dt2_machine; /* thread-safe; reads topology and drivers when first needed */

/* The options are copied (NULL: the defaults). The log must outlive the machine. */
int dt2_machine_create(const struct dt2_log *log, const struct dt2_module_options *options,
                       struct dt2_machine **machine, struct dt2_error *err);
/* A context of the caller's for a device that is not open yet, by its listed name, which is copied. Errors: one twice. */
int dt2_machine_give_context(struct dt2_machine *machine, const char *name, void *context, struct dt2_error *err);
void dt2_machine_destroy(struct dt2_machine *machine);

/*
 * The devices now; `flags` are enum dt2_devices_flag. Opens the drivers that are wanted (NULL: all) where they are not open
 * yet, and lists the devices of all that are. Knows nothing of loaded models.
 */
int dt2_machine_list(struct dt2_machine *machine, unsigned flags, const struct dt2_wanted *wanted,
                     struct dt2_devices **devices, struct dt2_error *err);
/* After DT2_ENOENT for a device: suggests why its driver is not there, where that is known. */
void dt2_machine_explain(struct dt2_machine *machine, const char *device, struct dt2_error *err);

/* A device that is open, shared by all who opened it: the last close closes it. */
struct dt2_opened {
    const char *name; /* the device's listed name, not an alias */
    const struct dt2_backend *backend;
    void *driver;
    uint32_t index; /* by which the driver counts it */
    dt2_handle device;
    unsigned flags; /* enum dt2_device_flag */
    uint64_t alignment_bytes;
    uint64_t max_alloc_bytes; /* DT2_UNKNOWN: no limit */
    int numa_node;            /* nearest to the device, or where it lies; -1: unknown */
    const struct dt2_topology *topology; /* the machine's */
};

/*
 * Opens a device by its listed name. Several threads open several devices at the same time; a second open of one device
 * waits for the first. Errors: DT2_ENOENT; what the driver says.
 */
int dt2_machine_open(struct dt2_machine *machine, const char *name, struct dt2_opened **opened, struct dt2_error *err);
void dt2_machine_close(struct dt2_machine *machine, struct dt2_opened *opened); /* NULL is fine */

/* Wishes that fresh host memory, whole pages, lies on the device's NUMA node; the kernel does as it can. */
void dt2_opened_place_near(const struct dt2_opened *opened, void *memory, uint64_t bytes);
/* Whether that means anything: the device is near one node of several. */
bool dt2_opened_has_near(const struct dt2_opened *opened);
/* Has the calling thread run near the device; as dt2_topology_go_near(). NULL: it stays where it is. */
void *dt2_opened_go_near(const struct dt2_opened *opened);
void dt2_opened_go_back(const struct dt2_opened *opened, void *before);

/* What of a device does not need it to be open; `opened` has no handle. Errors: DT2_ENOENT; what the driver says. */
int dt2_machine_look(struct dt2_machine *machine, const char *name, struct dt2_opened *opened, struct dt2_error *err);
/* The device stays open until the machine goes. */
void dt2_machine_keep(struct dt2_machine *machine, struct dt2_opened *opened);

/* Whether it is this one, and not a recorded or synthetic one; after a list. */
bool dt2_machine_is_here(struct dt2_machine *machine);
/* What the first list of devices took, without starting drivers, and without what was measured; 0: there was none. */
uint64_t dt2_machine_start_ns(struct dt2_machine *machine);

#endif
