/* SPDX-License-Identifier: BSD-3-Clause */
/* The snapshot of devices from the inside: plain arrays, all of whose memory belongs to the snapshot. */
#ifndef DT2_MACHINE_DEVICES_H
#define DT2_MACHINE_DEVICES_H

#include <distorch2/device.h>

/* A pass of a network on a device: steps.h. */
struct dt2_step {
    const char *device;
    const char *network; /* as src/plan/network.h names it */
    double step_ms;
    int64_t learnt_at; /* seconds since 1970 */
};

struct dt2_devices {
    struct dt2_device *devices;
    size_t count;
    size_t capacity;
    struct dt2_budget *budgets;
    size_t budget_count;
    size_t budget_capacity;
    struct dt2_unusable *unusable;
    size_t unusable_count;
    size_t unusable_capacity;
    uint64_t *distances; /* order x order, NULL when unknown */
    size_t order;
    struct dt2_speeds speeds;
    bool has_speeds;
    struct dt2_step *steps;
    size_t step_count;
    size_t step_capacity;
    struct dt2_pool *pool; /* the text and the small arrays that the structs above point to */
};

/*
 * Building a snapshot, by discovery and by the JSON parser alike. All return 0 or DT2_ENOMEM and copy what they are
 * given. dt2_devices_add() takes everything but aliases, budgets and links, which follow by their own functions.
 */
int dt2_devices_new(struct dt2_devices **devices, struct dt2_error *err);
int dt2_devices_add(struct dt2_devices *devices, const struct dt2_device *device, struct dt2_error *err);
int dt2_devices_add_alias(struct dt2_devices *devices, size_t index, const char *alias, struct dt2_error *err);
int dt2_devices_charge(struct dt2_devices *devices, size_t index, const char *budget, struct dt2_error *err);
int dt2_devices_add_link(struct dt2_devices *devices, size_t index, const struct dt2_link *link, struct dt2_error *err);
int dt2_devices_add_budget(struct dt2_devices *devices, const char *name, uint64_t total_bytes, uint64_t free_bytes,
                           struct dt2_error *err);
int dt2_devices_add_unusable(struct dt2_devices *devices, const struct dt2_unusable *unusable, struct dt2_error *err);
/* `matrix` NULL: zeros, to be filled in. */
int dt2_devices_set_distances(struct dt2_devices *devices, const uint64_t *matrix, size_t order, struct dt2_error *err);

void dt2_devices_set_speeds(struct dt2_devices *devices, const struct dt2_speeds *speeds);

/* A link of which nothing is known but where it goes. */
struct dt2_link dt2_link_to(const char *device);
/* The link of a device to another, "cpu": to host memory; NULL: none is listed. */
const struct dt2_link *dt2_device_link(const struct dt2_device *device, const char *to);

/* The budget of a name, NULL when there is none. */
struct dt2_budget *dt2_devices_budget_find(const struct dt2_devices *devices, const char *name);
/* Whether `device` is host memory: "cpu" or one of its nodes. */
bool dt2_device_is_host(const struct dt2_device *device);
/* Whether a device that is not the host's memory lies in it, as an integrated GPU does. */
bool dt2_device_shares_host(const struct dt2_device *device);
/* The kernel's node number of a "cpu:N" device; -1 for any other ("cpu" too). */
int dt2_device_host_node(const struct dt2_device *device);

#endif
