/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/peers.h"
#include "base/alloc.h"
#include "base/error.h"
#include "machine/measure.h"
#include <string.h>

/* The verdict on two open devices; NULL: unknown. */
static const char *judge(const struct dt2_log *log, const struct dt2_opened *to, const struct dt2_opened *from)
{
    static const char *const words[] = { [DT2_PEER_NONE] = "none", [DT2_PEER_OK] = "ok", [DT2_PEER_BROKEN] = "broken" };
    enum dt2_peer_verdict verdict;
    struct dt2_backend_error failure = { .text = "" };
    if (to->backend->peer_check(to->driver, to->device, from->device, &verdict, &failure) == 0)
        return words[verdict];
    dt2_log_line(log, DT2_LOG_WARNING, "cannot tell whether copies between %s and %s arrive: %s", to->name, from->name,
                 failure.text);
    return NULL;
}

/* The link of `to`, by which bytes come from `from`; how fast they do, by the driver's own way too, is told where they arrive. */
static int add(struct dt2_opened *const *opened, struct dt2_devices *devices, size_t to, size_t from, const char *peer,
               struct dt2_error *err)
{
    struct dt2_link link = dt2_link_to(devices->devices[from].name);
    link.peer = peer;
    if (!peer || strcmp(peer, "broken") != 0)
        link.measured_gbps = dt2_measure_peer(opened[to], opened[from]);
    return dt2_devices_add_link(devices, to, &link, err);
}

/* Every pair of those that are open: each has a link to the other. */
static int add_pairs(const struct dt2_log *log, struct dt2_opened *const *opened, struct dt2_devices *devices,
                     struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < devices->count; i++)
        for (size_t j = i + 1; rc == 0 && j < devices->count; j++) {
            if (!opened[i] || !opened[j] || opened[i]->driver != opened[j]->driver)
                continue;
            const char *peer = judge(log, opened[i], opened[j]);
            rc = add(opened, devices, i, j, peer, err);
            if (rc == 0)
                rc = add(opened, devices, j, i, peer, err);
        }
    return rc;
}

int dt2_peers_measure(struct dt2_machine *machine, const struct dt2_log *log, struct dt2_devices *devices,
                      struct dt2_error *err)
{
    DT2_AUTO struct dt2_opened **opened = dt2_alloc(devices->count, sizeof(struct dt2_opened *));
    if (!opened)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < devices->count; i++) {
        if (dt2_device_is_host(&devices->devices[i]) ||
            dt2_machine_open(machine, devices->devices[i].name, &opened[i], NULL) < 0)
            continue; /* why one does not open is told where its speed is measured */
        if (!DT2_BACKEND_HAS(opened[i]->backend, peer_check)) {
            dt2_machine_close(machine, opened[i]);
            opened[i] = NULL;
        }
    }
    int rc = add_pairs(log, opened, devices, err);
    for (size_t i = 0; i < devices->count; i++)
        dt2_machine_close(machine, opened[i]);
    return rc;
}
