/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/native.h"
#include "base/error.h"

/* Lists the devices of the driver that a name wants, and finds the device in them. */
static int find(struct dt2_machine *machine, const char *name, struct dt2_devices **devices, size_t *index,
                struct dt2_error *err)
{
    struct dt2_wanted wanted = { .all = false };
    dt2_wanted_device(&wanted, name);
    int rc = dt2_machine_list(machine, 0, &wanted, devices, err);
    if (rc < 0)
        return rc;
    rc = dt2_devices_find(*devices, name, index, err);
    if (rc < 0)
        dt2_devices_free(*devices);
    if (rc == DT2_ENOENT)
        dt2_machine_explain(machine, name, err);
    return rc;
}

/* -- contexts of the caller's */

/* The driver looks at a context when it opens the device in it. */
static int try_context(struct dt2_machine *machine, const char *name, struct dt2_error *err)
{
    struct dt2_opened *opened;
    int rc = dt2_machine_open(machine, name, &opened, err);
    if (rc == 0)
        dt2_machine_close(machine, opened);
    return rc;
}

static int give_one(struct dt2_machine *machine, const struct dt2_native_context *given, struct dt2_error *err)
{
    struct dt2_devices *devices;
    size_t index;
    if (!given->device || !given->context)
        return dt2_fail(err, DT2_EUSAGE, "it has no %s", given->device ? "context" : "device");
    int rc = find(machine, given->device, &devices, &index, err);
    if (rc < 0)
        return rc;
    const char *name = dt2_devices_get(devices, index)->name;
    rc = dt2_machine_give_context(machine, name, given->context, err);
    if (rc == 0)
        rc = try_context(machine, name, err);
    dt2_devices_free(devices);
    return rc;
}

int dt2_native_give(struct dt2_machine *machine, const struct dt2_native_context *contexts, size_t count,
                    struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = give_one(machine, &contexts[i], err);
        if (rc < 0)
            dt2_fail_prefix(err, rc, "native context %zu: ", i);
    }
    return rc;
}

/* -- what a device is */

static int ask(const struct dt2_opened *device, const char *name, struct dt2_native_device *native, struct dt2_error *err)
{
    struct dt2_backend_device_native told = { .struct_size = sizeof told, .ordinal = -1 };
    struct dt2_backend_error failure = { 0 };
    if (!DT2_BACKEND_HAS(device->backend, device_native))
        return dt2_fail(err, DT2_EFAILED, "the driver of %s, %s %s, does not tell what its devices are in their own runtime",
                        name, device->backend->name, device->backend->version);
    if (device->backend->device_native(device->driver, device->index, device->device, &told, &failure) < 0)
        return dt2_fail_driver(err, name, &failure);
    native->driver = device->backend->name;
    native->id = told.id;
    native->context = told.context;
    native->ordinal = (int)told.ordinal;
    return 0;
}

static int ask_open(struct dt2_machine *machine, const char *name, struct dt2_native_device *native, struct dt2_error *err)
{
    struct dt2_opened *opened;
    int rc = dt2_machine_open(machine, name, &opened, err);
    if (rc < 0)
        return rc;
    rc = ask(opened, name, native, err);
    if (rc == 0)
        dt2_machine_keep(machine, opened);
    dt2_machine_close(machine, opened);
    return rc;
}

int dt2_native_tell(struct dt2_machine *machine, const char *name, bool open, struct dt2_native_device *native,
                    struct dt2_error *err)
{
    struct dt2_devices *devices;
    struct dt2_opened seen;
    size_t index;
    int rc = find(machine, name, &devices, &index, err);
    if (rc < 0)
        return rc;
    const char *listed = dt2_devices_get(devices, index)->name;
    if (open) {
        rc = ask_open(machine, listed, native, err);
    } else {
        rc = dt2_machine_look(machine, listed, &seen, err);
        if (rc == 0)
            rc = ask(&seen, listed, native, err);
    }
    dt2_devices_free(devices);
    return rc;
}
