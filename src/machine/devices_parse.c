/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A snapshot read from JSON that we, or somebody's hands, wrote. Every type is checked, and what is wrong is named by
 * its path; what may be missing is filled in: a device without budgets is its own, a file without a list of budgets
 * has one for each device.
 */
#include "machine/devices.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/shown.h"
#include "machine/steps.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#define PATH_BYTES 96

/* Where in the document a value is looked for: an object, its path, and who hears of a failure. */
struct place {
    const json_t *object;
    char path[PATH_BYTES];
    struct dt2_error *err;
};

static const char *type_name(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return json_integer_value(value) < 0 ? "a negative number" : "a number";
    case JSON_REAL:
        return json_real_value(value) < 0 ? "a negative number" : "a number with a fraction";
    case JSON_NULL:
        return "null";
    default:
        return "a truth value";
    }
}

/* "devices[2].total_bytes: expected WHAT, found a string" */
static int unexpected(const struct place *at, const char *key, const char *what)
{
    return dt2_fail(at->err, DT2_EFAILED, "%s%s%s: expected %s, found %s", at->path, *at->path ? "." : "", key, what,
                    type_name(json_object_get(at->object, key)));
}

/* The value of a key; a null one counts as missing. */
static const json_t *look(const struct place *at, const char *key)
{
    const json_t *value = json_object_get(at->object, key);
    return json_is_null(value) ? NULL : value;
}

static int read_text(const struct place *at, const char *key, const char **text)
{
    const json_t *value = look(at, key);
    *text = NULL;
    if (value && !json_is_string(value))
        return unexpected(at, key, "a string or null");
    *text = json_string_value(value);
    return 0;
}

#define NAME_MOST 256 /* bytes */

/* A name stands for itself: what would have to be shown as something else, or cut, is none. */
static int check_name(const struct place *at, const char *key, const char *name)
{
    char shown[DT2_SHOWN];
    size_t length = strlen(name);
    if (length <= NAME_MOST && dt2_is_showable(name, length))
        return 0;
    return dt2_fail(at->err, DT2_EFAILED,
                    "%s.%s: expected a name of at most %d bytes without control characters, found '%s' of %zu", at->path, key,
                    NAME_MOST, dt2_shown(name, length, shown), length);
}

static int read_name(const struct place *at, const char *key, const char **text)
{
    const json_t *value = look(at, key);
    *text = json_string_value(value);
    if (!*text || json_string_length(value) == 0)
        return unexpected(at, key, "a name");
    return check_name(at, key, *text);
}

/* A whole number of at least `least`; `otherwise` where it is unknown. */
static int read_number(const struct place *at, const char *key, const char *what, uint64_t least, uint64_t most,
                       uint64_t otherwise, uint64_t *number)
{
    const json_t *value = look(at, key);
    *number = otherwise;
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return unexpected(at, key, what);
    uint64_t found = (uint64_t)json_integer_value(value);
    if (found < least || found > most)
        return dt2_fail(at->err, DT2_EFAILED, "%s.%s: expected %s, found %" JSON_INTEGER_FORMAT, at->path, key, what,
                        json_integer_value(value));
    *number = found;
    return 0;
}

static int read_bytes(const struct place *at, const char *key, uint64_t *bytes)
{
    return read_number(at, key, "a number of bytes or null", 0, INT64_MAX, DT2_UNKNOWN, bytes);
}

/* A number of 0 or more; -1 where it is unknown. */
static int read_real(const struct place *at, const char *key, const char *what, double *number)
{
    const json_t *value = look(at, key);
    *number = -1;
    if (!value)
        return 0;
    if (!json_is_number(value) || json_number_value(value) < 0)
        return unexpected(at, key, what);
    *number = json_number_value(value);
    return 0;
}

static int read_gbps(const struct place *at, const char *key, double *gbps)
{
    return read_real(at, key, "a speed in GB/s or null", gbps);
}

static int read_time(const struct place *at, const char *key, double *time)
{
    return read_real(at, key, "a time or null", time);
}

/* The list of a key; a missing one is NULL, which is an empty list to jansson. */
static int read_list(const struct place *at, const char *key, const json_t **list)
{
    *list = look(at, key);
    return *list && !json_is_array(*list) ? unexpected(at, key, "a list") : 0;
}

/* The object at `index` of a list, as a place. */
static int enter(const struct place *at, const char *key, const json_t *list, size_t index, struct place *inner)
{
    inner->object = json_array_get(list, index);
    inner->err = at->err;
    snprintf(inner->path, sizeof inner->path, "%.48s%s%.24s[%zu]", at->path, *at->path ? "." : "", key, index);
    if (!json_is_object(inner->object))
        return dt2_fail(at->err, DT2_EFAILED, "%s: expected an object, found %s", inner->path,
                        type_name(inner->object));
    return 0;
}

/* The name at `index` of a list of names. */
static int read_item(const struct place *at, const char *key, const json_t *list, size_t index, const char **name)
{
    const json_t *value = json_array_get(list, index);
    *name = json_string_value(value);
    if (!*name)
        return dt2_fail(at->err, DT2_EFAILED, "%s.%s[%zu]: expected a string, found %s", at->path, key, index,
                        type_name(value));
    return 0;
}

static const struct dt2_device *named(const struct dt2_devices *devices, const char *name)
{
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        if (strcmp(device->name, name) == 0)
            return device;
        for (size_t j = 0; j < device->alias_count; j++)
            if (strcmp(device->aliases[j], name) == 0)
                return device;
    }
    return NULL;
}

static int refuse_twice(const struct dt2_devices *devices, const struct place *at, const char *key, const char *name)
{
    const struct dt2_device *other = named(devices, name);
    if (!other)
        return 0;
    return dt2_fail(at->err, DT2_EFAILED, "%s.%s: '%s' names the device '%s' already", at->path, key, name,
                    other->name);
}

/* A name says most of what a device is: "cuda:0" is a GPU of the driver cuda. */
static int read_driver_and_kind(const struct place *at, struct dt2_device *device, char *driver, size_t size)
{
    static const char *const kinds[] = { "host", "cpu", "gpu", "accelerator" };
    if (read_text(at, "driver", &device->driver) < 0 || read_text(at, "kind", &device->kind) < 0)
        return DT2_EFAILED;
    bool host = dt2_device_is_host(device);
    if (!device->driver) {
        snprintf(driver, size, "%.*s", (int)strcspn(device->name, ":"), device->name);
        device->driver = host ? "host" : driver;
    }
    if (!device->kind)
        device->kind = host ? "host" : "gpu";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(device->kind, kinds[i]) == 0)
            return 0;
    return dt2_fail(at->err, DT2_EFAILED, "%s.kind: expected host, cpu, gpu or accelerator, found '%s'", at->path,
                    device->kind);
}

/* A number of something that is counted from 0; -1 where it is unknown. */
static int read_index(const struct place *at, const char *key, const char *what, int *index)
{
    uint64_t number;
    int rc = read_number(at, key, what, 0, INT32_MAX, DT2_UNKNOWN, &number);
    *index = number == DT2_UNKNOWN ? -1 : (int)number;
    return rc;
}

static int read_numbers(const struct place *at, struct dt2_device *device)
{
    if (read_index(at, "numa_node", "the number of a NUMA node or null", &device->numa_node) < 0 ||
        read_index(at, "package", "the number of a package or null", &device->package) < 0 ||
        read_bytes(at, "total_bytes", &device->total_bytes) < 0 ||
        read_bytes(at, "free_bytes", &device->free_bytes) < 0 ||
        read_number(at, "alignment_bytes", "a number of bytes of at least 1", 1, INT64_MAX, 1,
                    &device->alignment_bytes) < 0 ||
        read_bytes(at, "max_alloc_bytes", &device->max_alloc_bytes) < 0 ||
        read_number(at, "fixed_bytes", "a number of bytes or null", 0, INT64_MAX, 0, &device->fixed_bytes) < 0)
        return DT2_EFAILED;
    if (!dt2_is_power_of_two(device->alignment_bytes))
        return dt2_fail(at->err, DT2_EFAILED, "%s.alignment_bytes: expected a power of two, found %" PRIu64, at->path,
                        device->alignment_bytes);
    if (!json_object_get(at->object, "total_bytes")) /* a misspelt key must not become a device without limit */
        return unexpected(at, "total_bytes", "a number of bytes or null");
    return 0;
}

static int read_aliases(struct dt2_devices *devices, const struct place *at, size_t index)
{
    const json_t *list;
    const char *alias;
    if (read_list(at, "aliases", &list) < 0)
        return DT2_EFAILED;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (read_item(at, "aliases", list, i, &alias) < 0 || check_name(at, "aliases", alias) < 0 ||
            refuse_twice(devices, at, "aliases", alias) < 0)
            return DT2_EFAILED;
        int rc = dt2_devices_add_alias(devices, index, alias, at->err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The verdict on a pair of devices. */
static int read_peer(const struct place *at, const char **peer)
{
    static const char *const verdicts[] = { "ok", "broken", "none" };
    int rc = read_text(at, "peer", peer);
    if (rc < 0 || !*peer)
        return rc;
    for (size_t i = 0; i < DT2_COUNT(verdicts); i++)
        if (strcmp(*peer, verdicts[i]) == 0)
            return 0;
    return dt2_fail(at->err, DT2_EFAILED, "%s.peer: expected \"ok\", \"broken\", \"none\" or null, found \"%s\"",
                    at->path, *peer);
}

/* A number of a few digits; 0: unknown. */
static int read_count(const struct place *at, const char *key, unsigned *count)
{
    uint64_t number;
    int rc = read_number(at, key, "a small number or null", 0, 255, 0, &number);
    *count = rc < 0 ? 0 : (unsigned)number;
    return rc;
}

static int read_links(struct dt2_devices *devices, const struct place *at, size_t index)
{
    const json_t *list;
    int rc = read_list(at, "links", &list);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        struct dt2_link link;
        struct place inner;
        if (enter(at, "links", list, i, &inner) < 0 || read_name(&inner, "to", &link.to) < 0 ||
            read_gbps(&inner, "nominal_gbps", &link.nominal_gbps) < 0 ||
            read_gbps(&inner, "measured_gbps", &link.measured_gbps) < 0 || read_peer(&inner, &link.peer) < 0 ||
            read_count(&inner, "pcie_generation", &link.pcie_generation) < 0 ||
            read_count(&inner, "pcie_lanes", &link.pcie_lanes) < 0 ||
            read_gbps(&inner, "read_gbps", &link.read_gbps) < 0 || read_time(&inner, "delay_us", &link.delay_us) < 0 ||
            read_gbps(&inner, "fresh_gbps", &link.fresh_gbps) < 0 ||
            read_text(&inner, "shared", &link.shared) < 0)
            return DT2_EFAILED;
        rc = dt2_devices_add_link(devices, index, &link, at->err);
    }
    return rc;
}

static int read_device(struct dt2_devices *devices, const struct place *at)
{
    struct dt2_device device = { 0 };
    char driver[32];
    if (read_name(at, "name", &device.name) < 0 || refuse_twice(devices, at, "name", device.name) < 0 ||
        read_driver_and_kind(at, &device, driver, sizeof driver) < 0 || read_text(at, "vendor", &device.vendor) < 0 ||
        read_text(at, "model", &device.model) < 0 || read_text(at, "pci", &device.pci) < 0 ||
        read_text(at, "uuid", &device.uuid) < 0 || read_text(at, "runtime", &device.runtime) < 0 ||
        read_time(at, "open_ms", &device.open_ms) < 0 || read_time(at, "start_ms", &device.start_ms) < 0 ||
        read_numbers(at, &device) < 0)
        return DT2_EFAILED;
    size_t index = devices->count;
    int rc = dt2_devices_add(devices, &device, at->err);
    if (rc == 0)
        rc = read_aliases(devices, at, index);
    return rc == 0 ? read_links(devices, at, index) : rc;
}

static int read_devices(struct dt2_devices *devices, const struct place *root, const json_t **list)
{
    int rc = read_list(root, "devices", list);
    if (!*list)
        return unexpected(root, "devices", "a list of devices");
    if (rc == 0 && json_array_size(*list) == 0)
        return dt2_fail(root->err, DT2_EFAILED, "devices: expected at least one device, found an empty list");
    for (size_t i = 0; rc == 0 && i < json_array_size(*list); i++) {
        struct place at;
        rc = enter(root, "devices", *list, i, &at);
        if (rc == 0)
            rc = read_device(devices, &at);
    }
    return rc;
}

static int read_budgets(struct dt2_devices *devices, const struct place *root)
{
    const json_t *list;
    int rc = read_list(root, "budgets", &list);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        struct place at;
        const char *name;
        uint64_t total, available;
        if (enter(root, "budgets", list, i, &at) < 0 || read_name(&at, "name", &name) < 0 ||
            read_bytes(&at, "total_bytes", &total) < 0 || read_bytes(&at, "free_bytes", &available) < 0)
            return DT2_EFAILED;
        if (dt2_devices_budget_find(devices, name))
            return dt2_fail(root->err, DT2_EFAILED, "%s.name: the budget '%s' is listed already", at.path, name);
        rc = dt2_devices_add_budget(devices, name, total, available, root->err);
    }
    return rc;
}

/* Charges a device to a budget; one that is not listed may still follow from a device of its name. */
static int charge(struct dt2_devices *devices, const struct place *at, size_t index, const char *name, bool derive)
{
    int rc = 0;
    if (!dt2_devices_budget_find(devices, name)) {
        const struct dt2_device *owner = derive ? named(devices, name) : NULL;
        if (!owner)
            return dt2_fail(at->err, DT2_EFAILED, "%s.budgets: no budget '%s' is listed in \"budgets\"", at->path,
                            name);
        rc = dt2_devices_add_budget(devices, name, owner->total_bytes, owner->free_bytes, at->err);
    }
    return rc == 0 ? dt2_devices_charge(devices, index, name, at->err) : rc;
}

static int charge_listed(struct dt2_devices *devices, const struct place *at, size_t index, bool derive)
{
    const struct dt2_device *device = &devices->devices[index];
    const json_t *list;
    const char *name;
    int rc = read_list(at, "budgets", &list);
    if (rc == 0 && json_array_size(list) == 0)
        return charge(devices, at, index, device->name, true);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        if (read_item(at, "budgets", list, i, &name) < 0)
            return DT2_EFAILED;
        if (i == 0 && strcmp(name, device->name) != 0)
            return dt2_fail(at->err, DT2_EFAILED, "%s.budgets[0]: expected '%s', the device's own name, found '%s'",
                            at->path, device->name, name);
        for (size_t j = 0; j < device->budget_count; j++)
            if (strcmp(device->budgets[j], name) == 0)
                return dt2_fail(at->err, DT2_EFAILED, "%s.budgets[%zu]: '%s' is named already", at->path, i, name);
        rc = charge(devices, at, index, name, derive);
    }
    return rc;
}

static int read_unusable(struct dt2_devices *devices, const struct place *root)
{
    const json_t *list;
    int rc = read_list(root, "unusable", &list);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        struct dt2_unusable unusable;
        struct place at;
        if (enter(root, "unusable", list, i, &at) < 0 || read_text(&at, "pci", &unusable.pci) < 0 ||
            read_text(&at, "model", &unusable.model) < 0 || read_text(&at, "reason", &unusable.reason) < 0 ||
            read_text(&at, "help", &unusable.help) < 0)
            return DT2_EFAILED;
        rc = dt2_devices_add_unusable(devices, &unusable, root->err);
    }
    return rc;
}

static size_t host_nodes(const struct dt2_devices *devices)
{
    size_t count = 0;
    for (size_t i = 0; i < devices->count; i++)
        count += dt2_device_host_node(&devices->devices[i]) >= 0;
    return count;
}

static int check_distances(const struct dt2_devices *devices, const json_t *rows, struct dt2_error *err)
{
    size_t order = json_array_size(rows), nodes = host_nodes(devices);
    if (order != nodes && !(order == 1 && nodes == 0)) /* a machine of one node lists "cpu" alone */
        return dt2_fail(err, DT2_EFAILED, "numa_distances: expected a row for each of %zu devices cpu:N, found %zu",
                        nodes, order);
    for (size_t i = 0; i < order; i++) {
        const json_t *row = json_array_get(rows, i);
        if (!json_is_array(row) || json_array_size(row) != order)
            return dt2_fail(err, DT2_EFAILED, "numa_distances[%zu]: expected a list of %zu numbers", i, order);
        for (size_t j = 0; j < order; j++) {
            const json_t *value = json_array_get(row, j);
            if (!json_is_integer(value) || json_integer_value(value) < 0)
                return dt2_fail(err, DT2_EFAILED, "numa_distances[%zu][%zu]: expected a distance, found %s", i, j,
                                type_name(value));
        }
    }
    return 0;
}

static int read_distances(struct dt2_devices *devices, const struct place *root)
{
    const json_t *rows;
    int rc = read_list(root, "numa_distances", &rows);
    size_t order = json_array_size(rows);
    if (rc == 0 && order > 0)
        rc = check_distances(devices, rows, root->err);
    if (rc < 0 || order == 0)
        return rc;
    rc = dt2_devices_set_distances(devices, NULL, order, root->err);
    for (size_t i = 0; rc == 0 && i < order * order; i++)
        devices->distances[i] =
            (uint64_t)json_integer_value(json_array_get(json_array_get(rows, i / order), i % order));
    return rc;
}

static int read_speeds(struct dt2_devices *devices, const struct place *root)
{
    struct place at = { .object = look(root, "speeds"), .path = "speeds", .err = root->err };
    struct dt2_speeds speeds;
    uint64_t when;
    if (!at.object)
        return 0;
    if (!json_is_object(at.object))
        return unexpected(root, "speeds", "an object or null");
    if (read_gbps(&at, "memory_gbps", &speeds.memory_gbps) < 0 || read_gbps(&at, "fresh_gbps", &speeds.fresh_gbps) < 0 ||
        read_gbps(&at, "touched_gbps", &speeds.touched_gbps) < 0 || read_gbps(&at, "cold_gbps", &speeds.cold_gbps) < 0 ||
        read_gbps(&at, "start_ms", &speeds.start_ms) < 0 ||
        read_number(&at, "measured_at", "seconds since 1970 or null", 0, INT64_MAX, DT2_UNKNOWN, &when) < 0)
        return DT2_EFAILED;
    speeds.measured_at = when == DT2_UNKNOWN ? -1 : (int64_t)when;
    dt2_devices_set_speeds(devices, &speeds);
    return 0;
}

static int read_steps(struct dt2_devices *devices, const struct place *root)
{
    const json_t *list;
    int rc = read_list(root, "steps", &list);
    for (size_t i = 0; rc == 0 && i < json_array_size(list) && i < DT2_STEPS_MOST; i++) {
        struct dt2_step step;
        struct place at;
        uint64_t when;
        if (enter(root, "steps", list, i, &at) < 0 || read_name(&at, "device", &step.device) < 0 ||
            read_name(&at, "network", &step.network) < 0 || read_time(&at, "step_ms", &step.step_ms) < 0 ||
            read_number(&at, "learnt_at", "seconds since 1970 or null", 0, INT64_MAX, 0, &when) < 0)
            return DT2_EFAILED;
        step.learnt_at = (int64_t)when;
        rc = step.step_ms < 0 ? 0 : dt2_steps_put(devices, &step, at.err);
    }
    return rc;
}

static int read_snapshot(struct dt2_devices *devices, const struct place *root)
{
    const json_t *list;
    int rc = read_devices(devices, root, &list);
    if (rc == 0)
        rc = read_budgets(devices, root);
    for (size_t i = 0; rc == 0 && i < devices->count; i++) {
        struct place at;
        enter(root, "devices", list, i, &at);
        rc = charge_listed(devices, &at, i, !look(root, "budgets"));
    }
    if (rc == 0)
        rc = read_unusable(devices, root);
    if (rc == 0)
        rc = read_distances(devices, root);
    if (rc == 0)
        rc = read_speeds(devices, root);
    return rc == 0 ? read_steps(devices, root) : rc;
}

int dt2_devices_parse(const char *text, size_t length, struct dt2_devices **devices, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    json_error_t wrong;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &wrong);
    if (!document)
        return dt2_fail(err, DT2_EFAILED, "line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    struct place root = { .object = document, .err = err };
    struct dt2_devices *made = NULL;
    int rc;
    if (!json_is_object(document))
        rc = dt2_fail(err, DT2_EFAILED, "expected an object with \"devices\", found %s", type_name(document));
    else
        rc = dt2_devices_new(&made, err);
    if (rc == 0)
        rc = read_snapshot(made, &root);
    json_decref(document);
    if (rc < 0) {
        dt2_devices_free(made);
        return rc;
    }
    *devices = made;
    return 0;
}
