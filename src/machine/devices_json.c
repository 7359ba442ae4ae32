/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot as JSON, written. Unknown is null, never 0 and never left out. */
#include "machine/devices.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include <jansson.h>

static json_t *text_json(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* JSON's integers are signed here: what no memory can have is as good as unknown. */
static json_t *bytes_json(uint64_t bytes)
{
    return bytes > INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *gbps_json(double gbps)
{
    return gbps < 0 ? json_null() : json_real(gbps);
}

/*
 * json_object_set_new() and json_array_append_new() take NULL, and fail for it: a value that found no memory makes the
 * whole document fail, with nothing leaked.
 */
static bool set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static json_t *names_json(const char *const *names, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, json_string(names[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* An array of `count` values, each made by `make` from an array's element. */
static json_t *array_json(size_t count, json_t *(*make)(const void *items, size_t index), const void *items)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, make(items, i)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *finished(json_t *object, bool complete)
{
    if (complete)
        return object;
    json_decref(object);
    return NULL;
}

/* 0 is unknown. */
static json_t *count_json(unsigned count)
{
    return count ? json_integer(count) : json_null();
}

static json_t *number_json(int number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *link_json(const void *items, size_t index)
{
    const struct dt2_link *link = ((const struct dt2_link *const *)items)[index];
    json_t *o = json_object();
    return finished(o, set(o, "to", text_json(link->to)) && set(o, "nominal_gbps", gbps_json(link->nominal_gbps)) &&
                           set(o, "measured_gbps", gbps_json(link->measured_gbps)) &&
                           set(o, "peer", text_json(link->peer)) &&
                           set(o, "pcie_generation", count_json(link->pcie_generation)) &&
                           set(o, "pcie_lanes", count_json(link->pcie_lanes)) &&
                           set(o, "read_gbps", gbps_json(link->read_gbps)) &&
                           set(o, "delay_us", gbps_json(link->delay_us)) &&
                           set(o, "fresh_gbps", gbps_json(link->fresh_gbps)) && set(o, "shared", text_json(link->shared)));
}

static json_t *device_json(const void *items, size_t index)
{
    const struct dt2_device *d = (const struct dt2_device *)items + index;
    json_t *o = json_object();
    return finished(
        o, set(o, "name", text_json(d->name)) && set(o, "aliases", names_json(d->aliases, d->alias_count)) &&
               set(o, "driver", text_json(d->driver)) && set(o, "kind", text_json(d->kind)) &&
               set(o, "vendor", text_json(d->vendor)) && set(o, "model", text_json(d->model)) &&
               set(o, "pci", text_json(d->pci)) && set(o, "uuid", text_json(d->uuid)) &&
               set(o, "numa_node", number_json(d->numa_node)) && set(o, "package", number_json(d->package)) &&
               set(o, "total_bytes", bytes_json(d->total_bytes)) && set(o, "free_bytes", bytes_json(d->free_bytes)) &&
               set(o, "alignment_bytes", bytes_json(d->alignment_bytes)) &&
               set(o, "max_alloc_bytes", bytes_json(d->max_alloc_bytes)) &&
               set(o, "fixed_bytes", bytes_json(d->fixed_bytes)) &&
               set(o, "budgets", names_json(d->budgets, d->budget_count)) &&
               set(o, "links", array_json(d->link_count, link_json, d->links)) && set(o, "runtime", text_json(d->runtime)) &&
               set(o, "open_ms", gbps_json(d->open_ms)) && set(o, "start_ms", gbps_json(d->start_ms)));
}

static json_t *budget_json(const void *items, size_t index)
{
    const struct dt2_budget *b = (const struct dt2_budget *)items + index;
    json_t *o = json_object();
    return finished(o, set(o, "name", text_json(b->name)) && set(o, "total_bytes", bytes_json(b->total_bytes)) &&
                           set(o, "free_bytes", bytes_json(b->free_bytes)));
}

static json_t *unusable_json(const void *items, size_t index)
{
    const struct dt2_unusable *u = (const struct dt2_unusable *)items + index;
    json_t *o = json_object();
    return finished(o, set(o, "pci", text_json(u->pci)) && set(o, "model", text_json(u->model)) &&
                           set(o, "reason", text_json(u->reason)) && set(o, "help", text_json(u->help)));
}

static json_t *distance_json(const void *items, size_t index)
{
    return bytes_json(((const uint64_t *)items)[index]);
}

static json_t *row_json(const void *items, size_t index)
{
    const struct dt2_devices *devices = items;
    return array_json(devices->order, distance_json, devices->distances + index * devices->order);
}

static json_t *speeds_json(const struct dt2_speeds *speeds)
{
    if (!speeds)
        return json_null();
    json_t *o = json_object();
    return finished(o, set(o, "memory_gbps", gbps_json(speeds->memory_gbps)) &&
                           set(o, "fresh_gbps", gbps_json(speeds->fresh_gbps)) &&
                           set(o, "touched_gbps", gbps_json(speeds->touched_gbps)) &&
                           set(o, "cold_gbps", gbps_json(speeds->cold_gbps)) &&
                           set(o, "start_ms", gbps_json(speeds->start_ms)) &&
                           set(o, "measured_at", speeds->measured_at < 0 ? json_null() : json_integer(speeds->measured_at)));
}

static json_t *step_json(const void *items, size_t index)
{
    const struct dt2_step *step = (const struct dt2_step *)items + index;
    json_t *o = json_object();
    return finished(o, set(o, "device", text_json(step->device)) && set(o, "network", text_json(step->network)) &&
                           set(o, "step_ms", gbps_json(step->step_ms)) && set(o, "learnt_at", json_integer(step->learnt_at)));
}

static json_t *snapshot_json(const struct dt2_devices *devices)
{
    json_t *o = json_object();
    return finished(o, set(o, "distorch2", json_string(dt2_version())) &&
                           set(o, "devices", array_json(devices->count, device_json, devices->devices)) &&
                           set(o, "budgets", array_json(devices->budget_count, budget_json, devices->budgets)) &&
                           set(o, "unusable", array_json(devices->unusable_count, unusable_json, devices->unusable)) &&
                           set(o, "numa_distances",
                               devices->distances ? array_json(devices->order, row_json, devices) : json_null()) &&
                           set(o, "speeds", speeds_json(dt2_devices_speeds(devices))) &&
                           set(o, "steps", array_json(devices->step_count, step_json, devices->steps)));
}

static int add_to_text(const char *bytes, size_t length, void *text)
{
    dt2_text_add(text, bytes, length);
    return 0;
}

char *dt2_devices_json(const struct dt2_devices *devices)
{
    DT2_KEEP_ERRNO;
    json_t *document = snapshot_json(devices);
    if (!document)
        return NULL;
    struct dt2_text text = { 0 };
    /* Fifteen digits give back what was written with as many, and print 13.22 as 13.22. */
    int rc = json_dump_callback(document, add_to_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(document);
    dt2_text_add(&text, "\n", 1);
    if (rc < 0) {
        dt2_text_clear(&text);
        return NULL;
    }
    return dt2_text_take(&text);
}
