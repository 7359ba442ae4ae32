/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver conformance suite: every entry of the contract, on every device of every driver that is found.
 *
 *     conformance [DRIVER | DRIVER:INDEX]...
 *
 * Without arguments: the core's own host driver, and all modules in DISTORCH2_BACKEND_PATH.
 */
#include "machine/host.h"
#include "machine/topology.h"
#include "subject.h"

/* -- one device */

static const char *const entry_names[ENTRY_MAX] = {
#define NAMED(entry) [offsetof(struct dt2_backend, entry) / sizeof(void *)] = #entry
    NAMED(device_count),  NAMED(device_info),   NAMED(device_free_bytes), NAMED(device_open),
    NAMED(device_close),  NAMED(buffer_alloc),  NAMED(buffer_wrap),       NAMED(buffer_adopt),
    NAMED(buffer_free),   NAMED(buffer_native), NAMED(buffer_map),        NAMED(buffer_unmap),
    NAMED(host_alloc),    NAMED(host_free),     NAMED(host_register),     NAMED(host_unregister),
    NAMED(queue_create),  NAMED(queue_adopt),   NAMED(queue_destroy),     NAMED(queue_wait),
    NAMED(copy_h2d),      NAMED(copy_d2h),      NAMED(copy_d2d),          NAMED(copy_peer),
    NAMED(peer_query),    NAMED(event_record),  NAMED(event_query),       NAMED(event_wait),
    NAMED(queue_wait_event), NAMED(event_free), NAMED(peer_check),
    NAMED(describe),      NAMED(queue_follow),  NAMED(device_native),    NAMED(unusable),
#undef NAMED
};

/* Whether all entries that the driver has were called; gives how many. */
static unsigned check_coverage(const struct subject *s)
{
    unsigned count = 0;
    char absent[512] = "", missed[512] = "";
    for (size_t i = 0; i < ENTRY_MAX; i++) {
        if (!entry_names[i])
            continue;
        void (*function)(void);
        memcpy(&function, (const char *)s->backend + i * sizeof function, sizeof function);
        char *list = !function ? absent : !called[i] ? missed : NULL;
        count += list == NULL;
        if (list)
            snprintf(list + strlen(list), sizeof absent - strlen(list), " %s", entry_names[i]);
    }
    ok(!missed[0], "%s: every entry that it has was called%s", s->name, missed);
    ok(!disturbed_errno, "%s: errno came back from each%s%s", s->name, disturbed_errno ? ", but not from " : "",
       disturbed_errno ? disturbed_errno : "");
    diag("%s: %u entries called; not there:%s", s->name, count, absent[0] ? absent : " none");
    return count;
}

static unsigned check_device(struct subject *s)
{
    static void (*const checks[])(struct subject *) = {
        check_busy,     check_wrong_handles, check_device_native, check_sizes,  check_native,
        check_adopt,    check_map,           check_wrap,          check_staging, check_registration,
        check_ranges,   check_random_copies, check_order,         check_events, check_peers,
        check_threads,
    };
    for (size_t i = 0; i < ENTRY_MAX; i++)
        called[i] = false;
    disturbed_errno = NULL;
    size_t live = dt2_services_live(s->services);
    check_identity(s);
    diag("%s: %s, %s (%s)", s->name, s->info.model, s->info.vendor, s->info.platform);
    check_open(s);
    if (good(s, CALL(s, device_open, s->index, NULL, &s->device), "the device opens") &&
        good(s, CALL(s, queue_create, s->device, &s->queue), "a queue is made")) {
        size_t before = dt2_services_live(s->services);
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
            checks[i](s);
            if (dt2_services_live(s->services) != before) {
                ok(false, "%s: check %zu leaves handles behind", s->name, i);
                before = dt2_services_live(s->services);
            }
        }
        good(s, CALL(s, queue_destroy, s->queue), "the queue is destroyed");
        good(s, CALL(s, device_close, s->device), "the device closes");
    }
    is_u64(dt2_services_live(s->services), live, "%s: no handle is left", s->name);
    return check_coverage(s);
}

/* -- all of them */

static bool wanted(const char *driver, uint32_t index, char **arguments)
{
    char device[64];
    snprintf(device, sizeof device, "%s:%u", driver, index);
    bool any = !*arguments;
    for (; *arguments; arguments++)
        any |= strcmp(*arguments, driver) == 0 || strcmp(*arguments, device) == 0;
    return any;
}

struct total {
    unsigned devices, entries;
};

static void check_driver(struct subject *s, char **arguments, struct total *total)
{
    uint32_t count = 0;
    ok(s->backend->struct_size >= sizeof *s->backend && s->backend->abi == DT2_BACKEND_ABI && s->backend->version,
       "%s: the table is in order", s->backend->name);
    if (!good(s, CALL(s, device_count, &count), "devices are counted"))
        return;
    s->device_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!wanted(s->backend->name, i, arguments))
            continue;
        struct subject device = *s;
        device.index = i;
        snprintf(device.name, sizeof device.name, "%s:%u", s->backend->name, i);
        total->entries += check_device(&device);
        total->devices++;
    }
}

static void print_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_INFO)
        diag("log: %s", line);
}

static void check_host(const struct dt2_log *log, char **arguments, struct total *total)
{
    struct subject s = { .backend = dt2_host_backend(), .name = "host" };
    struct dt2_topology *topology = NULL;
    struct dt2_error err;
    if (!ok(dt2_services_create(log, &s.services, &err) == 0, "services for the host driver"))
        return;
    ok(dt2_topology_load(false, &topology, &err) == 0, "the topology, so that each node is a device");
    if (good(&s, dt2_host_open(dt2_services_table(s.services), topology, &s.driver, &s.err), "the driver opens")) {
        check_driver(&s, arguments, total);
        s.backend->close(s.driver);
    }
    dt2_topology_free(topology);
    dt2_services_destroy(s.services);
}

static void check_modules(const struct dt2_log *log, char **arguments, struct total *total)
{
    struct dt2_modules modules;
    struct dt2_error err;
    if (!ok(dt2_modules_open(NULL, log, &modules, &err) == 0, "modules are looked for"))
        return;
    for (size_t i = 0; i < modules.missing_count; i++)
        diag("no driver %s: %s", modules.missing[i].name, modules.missing[i].reason);
    for (size_t i = 0; i < modules.count; i++) {
        const struct dt2_driver *driver = &modules.drivers[i];
        struct subject s = { .backend = driver->backend, .driver = driver->self, .services = modules.services };
        snprintf(s.name, sizeof s.name, "%s", driver->name);
        check_driver(&s, arguments, total);
    }
    is_u64(dt2_services_live(modules.services), 0, "no driver leaves a handle behind");
    dt2_modules_close(&modules);
}

int main(int argc, char **argv)
{
    struct dt2_log log = { print_line, NULL };
    struct total total = { 0, 0 };
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-') {
            fprintf(stderr, "usage: %s [DRIVER | DRIVER:INDEX]...\n", argv[0]);
            return 2;
        }
    setenv("POCL_DEVICES", "pthread basic", 0); /* two devices from one CPU, where the driver is PoCL */
    seed_random(20261126);
    bool host = argc < 2;
    for (int i = 1; i < argc; i++)
        host |= strncmp(argv[i], "host", 4) == 0;
    if (host)
        check_host(&log, argv + 1, &total);
    check_modules(&log, argv + 1, &total);
    diag("%u entries on %u devices", total.entries, total.devices);
    diag("count: %u entries of the contract called, over all devices", total.entries);
    ok(total.devices > 0, "at least one device was checked");
    return done_testing();
}
