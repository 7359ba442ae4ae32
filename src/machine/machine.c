/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/machine.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/ending.h"
#include "base/error.h"
#include "machine/discover.h"
#include "machine/host.h"
#include "machine/measure.h"
#include "machine/peers.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A device that is open, opened or closed just now, and how many opened it. */
struct opening {
    struct dt2_opened opened; /* first: what callers hold */
    char name[64];
    size_t users;
    bool kept; /* one of the users is the machine */
    bool busy; /* being opened or closed, by one thread and without the lock; others wait for `settled` */
    struct opening *next;
};

struct dt2_machine {
    const struct dt2_log *log;
    struct dt2_module_options *options; /* a copy of the caller's */
    struct dt2_native_context *contexts; /* of the caller's, with names of our own */
    size_t context_count, context_capacity;
    /* held while a part is made, and over `openings`; the parts are only read once they are there */
    pthread_mutex_t lock;
    uint64_t start_ns; /* that making the first list took, without what its drivers did; 0: there was none */
    pthread_cond_t settled; /* an opening is no longer busy, or gone */
    struct dt2_topology *topology;
    struct dt2_topology *with_io;  /* may be the same */
    struct dt2_services *services; /* of the host driver */
    struct dt2_driver host;
    struct dt2_modules modules;
    bool modules_found;
    bool collected; /* the views, of all drivers that are open */
    struct dt2_view *views;
    size_t view_count;
    struct opening *openings;
};

int dt2_machine_create(const struct dt2_log *log, const struct dt2_module_options *options,
                       struct dt2_machine **machine, struct dt2_error *err)
{
    struct dt2_machine *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    made->log = log;
    made->options = dt2_module_options_copy(options);
    if (!made->options) {
        dt2_release(made);
        return dt2_fail_nomem(err);
    }
    pthread_mutex_init(&made->lock, NULL); /* of the default kind: cannot fail */
    pthread_cond_init(&made->settled, NULL);
    *machine = made;
    return 0;
}

/* The caller's context for a device; NULL: the driver makes one. */
static void *context_for(const struct dt2_machine *machine, const char *name)
{
    for (size_t i = 0; i < machine->context_count; i++)
        if (strcmp(machine->contexts[i].device, name) == 0)
            return machine->contexts[i].context;
    return NULL;
}

int dt2_machine_give_context(struct dt2_machine *machine, const char *name, void *context, struct dt2_error *err)
{
    if (context_for(machine, name))
        return dt2_fail(err, DT2_EUSAGE, "%s is given two native contexts", name);
    char *copy = dt2_strdup(name);
    if (!copy || !DT2_GROW(machine->contexts, machine->context_count, machine->context_capacity)) {
        dt2_release(copy);
        return dt2_fail_nomem(err);
    }
    machine->contexts[machine->context_count++] = (struct dt2_native_context){ copy, context };
    return 0;
}

/* -- the parts, each made when it is first needed, under the lock */

static int need_topology(struct dt2_machine *machine, bool io, struct dt2_error *err)
{
    if (machine->with_io || (machine->topology && !io))
        return 0;
    struct dt2_topology *made;
    int rc = dt2_topology_load(io, &made, err);
    if (rc < 0)
        return rc;
    if (io)
        machine->with_io = made;
    if (!machine->topology)
        machine->topology = made;
    return 0;
}

static int need_host(struct dt2_machine *machine, struct dt2_error *err)
{
    struct dt2_backend_error failure = { 0 };
    void *self;
    int rc = 0;
    if (machine->host.self)
        return 0;
    if (!machine->services)
        rc = dt2_services_create(machine->log, &machine->services, err);
    if (rc < 0)
        return rc;
    if (dt2_host_open(dt2_services_table(machine->services), machine->topology, &self, &failure) < 0)
        return dt2_fail_driver(err, "cpu", &failure);
    machine->host = (struct dt2_driver){
        .name = "host",
        .backend = dt2_host_backend(),
        .self = self,
        .device_count = 1 + (uint32_t)machine->topology->node_count,
    };
    return 0;
}

static int collect_views(struct dt2_machine *machine, struct dt2_error *err)
{
    if (machine->collected)
        return 0;
    dt2_release(machine->views);
    machine->views = NULL;
    machine->view_count = 0;
    int rc = dt2_views_collect(&machine->modules, machine->log, &machine->views, &machine->view_count, err);
    if (rc < 0)
        return rc;
    machine->collected = true;
    dt2_views_identify(machine->views, machine->view_count);
    return 0;
}

/* Whether OpenCL shows a GPU that the maker's own driver may show too, under a name that goes first. */
static bool opencl_shows(const struct dt2_machine *machine, const char *vendor)
{
    for (size_t i = 0; i < machine->view_count; i++) {
        const struct dt2_view *view = &machine->views[i];
        if (strcmp(view->driver->name, "opencl") == 0 && strcmp(view->info.kind, "cpu") != 0 &&
            strcasestr(view->info.vendor, vendor))
            return true;
    }
    return false;
}

/*
 * What else must be open to know what a device is: where there is no CUDA, "cuda:0" is HIP's; and of a GPU that OpenCL shows
 * only its maker's driver tells under which name it is listed.
 */
static void widen(const struct dt2_machine *machine, struct dt2_wanted *wanted)
{
    if (dt2_wanted_has(wanted, "cuda") && !dt2_modules_have(&machine->modules, "cuda"))
        dt2_wanted_driver(wanted, "hip");
    if (opencl_shows(machine, "NVIDIA"))
        dt2_wanted_driver(wanted, "cuda");
    if (opencl_shows(machine, "Advanced Micro Devices") || opencl_shows(machine, "AMD"))
        dt2_wanted_driver(wanted, "hip");
}

static int need_drivers(struct dt2_machine *machine, const struct dt2_wanted *wanted, struct dt2_error *err)
{
    struct dt2_wanted now = *wanted;
    int rc = 0;
    if (!machine->modules_found)
        rc = dt2_modules_find(machine->options, machine->log, &machine->modules, err);
    if (rc < 0)
        return rc;
    machine->modules_found = true;
    for (bool more = true; rc == 0 && more;) {
        bool opened = false;
        const struct dt2_wanted before = now;
        rc = dt2_modules_need(&machine->modules, &now, &opened, err);
        machine->collected &= !opened;
        if (rc == 0)
            rc = collect_views(machine, err);
        if (rc == 0)
            widen(machine, &now);
        more = now.count != before.count || now.all != before.all;
    }
    return rc;
}

static struct dt2_parts parts_of(const struct dt2_machine *machine)
{
    return (struct dt2_parts){
        .topology = machine->with_io ? machine->with_io : machine->topology,
        .host = &machine->host,
        .modules = &machine->modules,
        .views = machine->views,
        .view_count = machine->view_count,
        .log = machine->log,
        .root = "",
    };
}

/* Makes what a list with `flags` needs. Under the lock, as is the reading of the parts: they may change with the next. */
static int need_parts(struct dt2_machine *machine, unsigned flags, const struct dt2_wanted *wanted, struct dt2_error *err)
{
    int rc = need_topology(machine, flags & DT2_DEVICES_UNUSABLE, err);
    if (rc == 0)
        rc = need_host(machine, err);
    if (rc == 0)
        rc = need_drivers(machine, wanted, err);
    if (rc == 0) {
        const struct dt2_parts parts = parts_of(machine);
        if (dt2_discover_needs_io(&parts, flags))
            rc = need_topology(machine, true, err);
    }
    return rc;
}

/* -- listing */

/*
 * What opening a device takes, and how fast its copies are; what cannot be measured is a warning. Opening is counted where nobody
 * has it open yet.
 */
static void measure(struct dt2_machine *machine, struct dt2_device *device, struct dt2_link *link)
{
    struct dt2_error failure;
    struct dt2_opened *opened;
    uint64_t begin = dt2_now_ns();
    int rc = dt2_machine_open(machine, device->name, &opened, &failure);
    if (rc == 0) {
        device->open_ms = (double)((dt2_now_ns() - begin) / 1000) / 1000;
        device->start_ms = (double)(dt2_modules_start_ns(&machine->modules, device->driver) / 1000) / 1000;
        rc = dt2_measure_link(opened, link, &failure);
        dt2_machine_close(machine, opened);
    }
    if (rc < 0)
        dt2_log_line(machine->log, DT2_LOG_WARNING, "cannot measure %s: %s", device->name, failure.text);
}

/* The way between each device and host memory; host memory itself has one when it was measured. */
static int add_links(struct dt2_machine *machine, const struct dt2_topology *topology, unsigned flags,
                     struct dt2_devices *devices, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < devices->count; i++) {
        struct dt2_device *device = &devices->devices[i];
        struct dt2_link link = dt2_link_to("cpu");
        struct dt2_locality where;
        dt2_discover_link(topology, "", device->pci, &where, &link);
        if (flags & DT2_DEVICES_MEASURE) {
            dt2_log_line(machine->log, DT2_LOG_INFO, "measuring %s, %zu of %zu", device->name, i + 1, devices->count + 1);
            measure(machine, device, &link);
        }
        if (!dt2_device_is_host(device) || link.measured_gbps >= 0)
            rc = dt2_devices_add_link(devices, i, &link, err);
    }
    return rc;
}

uint64_t dt2_machine_start_ns(struct dt2_machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    uint64_t start_ns = machine->start_ns;
    pthread_mutex_unlock(&machine->lock);
    return start_ns;
}

bool dt2_machine_is_here(struct dt2_machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    bool here = machine->topology && machine->topology->this_system;
    pthread_mutex_unlock(&machine->lock);
    return here;
}

int dt2_machine_list(struct dt2_machine *machine, unsigned flags, const struct dt2_wanted *wanted,
                     struct dt2_devices **devices, struct dt2_error *err)
{
    static const struct dt2_wanted everything = { .all = true };
    struct dt2_devices *made = NULL;
    pthread_mutex_lock(&machine->lock);
    uint64_t begin = dt2_now_ns();
    int rc = need_parts(machine, 0, wanted ? wanted : &everything, err); /* all that a load needs */
    if (machine->start_ns == 0)
        machine->start_ns = dt2_sub_floor(dt2_now_ns() - begin, machine->modules.start_ns);
    if (rc == 0)
        rc = need_parts(machine, flags, wanted ? wanted : &everything, err);
    const struct dt2_parts parts = parts_of(machine);
    if (rc == 0)
        rc = dt2_discover(&parts, flags, &made, err);
    pthread_mutex_unlock(&machine->lock);
    if (rc == 0)
        rc = add_links(machine, parts.topology, flags, made, err);
    if (rc == 0 && flags & DT2_DEVICES_MEASURE)
        rc = dt2_peers_measure(machine, machine->log, made, err);
    if (rc < 0) {
        dt2_devices_free(made);
        return rc;
    }
    *devices = made;
    return 0;
}

/* What is known of a driver that is not there, or lacks something, is said where a device of it is asked for. */
void dt2_machine_explain(struct dt2_machine *machine, const char *device, struct dt2_error *err)
{
    struct dt2_wanted wanted = { .all = false };
    dt2_wanted_device(&wanted, device);
    pthread_mutex_lock(&machine->lock);
    for (size_t i = 0; machine->modules_found && !wanted.all && i < wanted.count; i++)
        dt2_modules_explain(&machine->modules, wanted.names[i], err);
    pthread_mutex_unlock(&machine->lock);
}

/* -- opening */

/* The host driver's number of "cpu" or "cpu:N"; -1: none. */
static int host_index(const struct dt2_topology *topology, const char *name)
{
    const struct dt2_device device = { .name = name };
    if (strcmp(name, "cpu") == 0)
        return 0;
    size_t index = dt2_topology_node(topology, dt2_device_host_node(&device));
    return index < topology->node_count ? 1 + (int)index : -1;
}

static const struct dt2_view *view_named(const struct dt2_parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->view_count; i++) {
        char its[64];
        snprintf(its, sizeof its, "%s:%u", parts->views[i].driver->name, (unsigned)parts->views[i].index);
        if (strcmp(its, name) == 0)
            return &parts->views[i];
    }
    return NULL;
}

/* Fills everything but the name and the device's handle. */
static int resolve(const struct dt2_parts *parts, const char *name, struct dt2_opened *opened, struct dt2_error *err)
{
    const struct dt2_topology *topology = parts->topology;
    const struct dt2_view *view = view_named(parts, name);
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    struct dt2_backend_error failure = { 0 };
    int host = host_index(topology, name), node;
    uint32_t index;
    if (!view && host < 0)
        return dt2_fail(err, DT2_ENOENT, "no device '%s' to open", name);
    const struct dt2_driver *driver = view ? view->driver : parts->host;
    if (view) {
        info = view->info;
        index = view->index;
        node = dt2_topology_locality(topology, info.pci).numa_node;
    } else {
        index = (uint32_t)host;
        if (driver->backend->device_info(driver->self, index, &info, &failure) < 0)
            return dt2_fail_driver(err, name, &failure);
        node = host > 0 ? topology->nodes[host - 1].number : topology->node_count == 1 ? topology->nodes[0].number : -1;
    }
    *opened = (struct dt2_opened){
        .backend = driver->backend,
        .driver = driver->self,
        .index = index,
        .flags = info.flags,
        .alignment_bytes = info.alignment_bytes,
        .max_alloc_bytes = info.max_alloc_bytes,
        .numa_node = node,
        .topology = topology,
    };
    return 0;
}

/* The opening of a name, once nobody is at work on it; NULL when there is none. Under the lock. */
static struct opening *settled_opening(struct dt2_machine *machine, const char *name)
{
    for (struct opening *opening = machine->openings; opening;) {
        if (strcmp(opening->name, name) != 0) {
            opening = opening->next;
        } else if (opening->busy) {
            pthread_cond_wait(&machine->settled, &machine->lock);
            opening = machine->openings; /* the list may be another one now */
        } else {
            return opening;
        }
    }
    return NULL;
}

/* Takes an opening out of the list. Under the lock. */
static void remove_opening(struct dt2_machine *machine, struct opening *opening)
{
    struct opening **link = &machine->openings;
    while (*link != opening)
        link = &(*link)->next;
    *link = opening->next;
    dt2_release(opening);
}

/* Opens a device that nobody has open. Under the lock, but not while the driver is at it: devices open side by side. */
static int open_first(struct dt2_machine *machine, const struct dt2_parts *parts, const char *name,
                      struct opening **opening, struct dt2_error *err)
{
    struct opening *made = dt2_alloc(1, sizeof *made);
    struct dt2_backend_error failure = { 0 };
    if (!made)
        return dt2_fail_nomem(err);
    struct dt2_opened *opened = &made->opened;
    int rc = resolve(parts, name, opened, err);
    if (rc < 0) {
        dt2_release(made);
        return rc;
    }
    snprintf(made->name, sizeof made->name, "%s", name);
    opened->name = made->name;
    made->busy = true;
    made->next = machine->openings;
    machine->openings = made;
    pthread_mutex_unlock(&machine->lock);
    int status = opened->backend->device_open(opened->driver, opened->index, context_for(machine, name), &opened->device,
                                              &failure);
    pthread_mutex_lock(&machine->lock);
    made->busy = false;
    pthread_cond_broadcast(&machine->settled);
    if (status < 0) {
        remove_opening(machine, made);
        rc = dt2_fail_driver(err, name, &failure);
        return status == DT2_BACKEND_INVALID ? dt2_fail_as(err, DT2_EUSAGE) : rc; /* a context of the caller's */
    }
    dt2_ending_watch(opened->backend->name);
    *opening = made;
    return 0;
}

int dt2_machine_open(struct dt2_machine *machine, const char *name, struct dt2_opened **opened, struct dt2_error *err)
{
    struct dt2_wanted wanted = { .all = false };
    struct opening *opening = NULL;
    dt2_wanted_device(&wanted, name);
    pthread_mutex_lock(&machine->lock);
    int rc = need_parts(machine, 0, &wanted, err);
    if (rc == 0 && !(opening = settled_opening(machine, name))) {
        const struct dt2_parts parts = parts_of(machine);
        rc = open_first(machine, &parts, name, &opening, err);
    }
    if (rc == 0) {
        opening->users++;
        *opened = &opening->opened;
    }
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

/* Closes what the last user gave back. A device that refuses stays in the list, to be used again by the next open. */
static void close_last(struct dt2_machine *machine, struct opening *opening)
{
    struct dt2_opened *opened = &opening->opened;
    struct dt2_backend_error failure = { 0 };
    opening->busy = true;
    pthread_mutex_unlock(&machine->lock);
    int status = opened->backend->device_close(opened->driver, opened->device, &failure);
    if (status < 0)
        dt2_log_line(machine->log, DT2_LOG_WARNING, "%s: cannot be closed: %s", opening->name, failure.text);
    pthread_mutex_lock(&machine->lock);
    opening->busy = false;
    pthread_cond_broadcast(&machine->settled);
    if (status == 0)
        remove_opening(machine, opening);
}

void dt2_machine_close(struct dt2_machine *machine, struct dt2_opened *opened)
{
    if (!opened)
        return;
    pthread_mutex_lock(&machine->lock);
    struct opening *opening = machine->openings;
    while (opening && &opening->opened != opened)
        opening = opening->next;
    if (opening && opening->users > 0 && --opening->users == 0)
        close_last(machine, opening);
    pthread_mutex_unlock(&machine->lock);
}

bool dt2_opened_has_near(const struct dt2_opened *opened)
{
    return opened->numa_node >= 0 && dt2_topology_is_several(opened->topology);
}

void *dt2_opened_go_near(const struct dt2_opened *opened)
{
    const struct dt2_topology *topology = opened->topology;
    if (!dt2_opened_has_near(opened))
        return NULL;
    size_t index = dt2_topology_node(topology, opened->numa_node);
    return index < topology->node_count ? dt2_topology_go_near(topology, index) : NULL;
}

void dt2_opened_go_back(const struct dt2_opened *opened, void *before)
{
    dt2_topology_go_back(opened->topology, before);
}

void dt2_opened_place_near(const struct dt2_opened *opened, void *memory, uint64_t bytes)
{
    dt2_topology_prefer(opened->topology, opened->numa_node, memory, bytes);
}

int dt2_machine_look(struct dt2_machine *machine, const char *name, struct dt2_opened *opened, struct dt2_error *err)
{
    struct dt2_wanted wanted = { .all = false };
    dt2_wanted_device(&wanted, name);
    pthread_mutex_lock(&machine->lock);
    int rc = need_parts(machine, 0, &wanted, err);
    const struct dt2_parts parts = parts_of(machine);
    if (rc == 0)
        rc = resolve(&parts, name, opened, err);
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

void dt2_machine_keep(struct dt2_machine *machine, struct dt2_opened *opened)
{
    struct opening *opening = (struct opening *)opened;
    pthread_mutex_lock(&machine->lock);
    opening->users += !opening->kept;
    opening->kept = true;
    pthread_mutex_unlock(&machine->lock);
}

void dt2_machine_destroy(struct dt2_machine *machine)
{
    if (!machine)
        return;
    for (struct opening *opening = machine->openings, *next; opening; opening = next) {
        next = opening->next;
        opening->opened.backend->device_close(opening->opened.driver, opening->opened.device, NULL);
        dt2_release(opening);
    }
    dt2_release(machine->views);
    if (machine->modules_found)
        dt2_modules_close(&machine->modules);
    if (machine->host.self)
        machine->host.backend->close(machine->host.self);
    dt2_services_destroy(machine->services);
    if (machine->with_io != machine->topology)
        dt2_topology_free(machine->with_io);
    dt2_topology_free(machine->topology);
    pthread_cond_destroy(&machine->settled);
    pthread_mutex_destroy(&machine->lock);
    dt2_release(machine->options);
    for (size_t i = 0; i < machine->context_count; i++)
        dt2_release((void *)(uintptr_t)machine->contexts[i].device);
    dt2_release(machine->contexts);
    dt2_release(machine);
}
