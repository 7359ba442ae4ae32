/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/cost.h"
#include "base/checked.h"
#include <string.h>

/* -- what is assumed where nothing was measured ------------------------------------------------------------------ */

#define LINK_GBPS 12.0    /* PCIe 3.0 x16 in practice: the least that a card of today gets in a desktop */
#define LINK_REACHED 0.82 /* of the nominal rate: what headers and acknowledgements leave */
#define MEMORY_GBPS 8.0   /* copies in host memory, by the two to four threads that help */
#define FRESH_GBPS 6.0    /* from the page cache into memory that nobody has touched */
#define TOUCHED_GBPS 8.0  /* ... that is in use */
#define SLOT_BYTES 2097152.0 /* of staging, of most loads: one copy brings so many */
#define COLD_GBPS 2.0     /* a solid-state disk */
#define COPY_US 12.0      /* a copy on a queue, with the event behind it */
#define OPEN_GPU_MS 250.0 /* a context of CUDA or HIP */
#define OPEN_MS 20.0      /* one of OpenCL */

/*
 * A network at work reads each weight once a step, and computes with it once for each place of the picture: some thousand
 * operations a byte at the sizes that ControlNets are used with. At forty tera-operations a second that is 40 GB of weights a
 * second, and 0.25 where processors do it.
 */
#define GPU_WEIGHTS_GBPS 40.0
#define CPU_WEIGHTS_GBPS 0.25

#define LOCAL_DISTANCE 10.0 /* by convention, from a node to itself */

/* The first that is known; else `assumed`, and *guess says so. */
static double known(double measured, double nominal, double assumed, bool *guess)
{
    if (measured > 0)
        return measured;
    if (nominal > 0)
        return nominal * LINK_REACHED;
    *guess = true;
    return assumed;
}

/* -- memories ---------------------------------------------------------------------------------------------------- */

/* Whether it is the host's memory, or a device's that lies in it. */
static bool in_host(const struct dt2_device *device)
{
    return dt2_device_is_host(device) || dt2_device_shares_host(device);
}

/* The node on which a memory lies, or to which a device is near; -1: none, or no one. */
static int node_of(const struct dt2_device *device)
{
    int node = dt2_device_host_node(device);
    return node >= 0 ? node : device->numa_node;
}

/* How much slower a memory is from elsewhere than from its own node: by the distances, of which the local one is 10. `a` NULL: near. */
static double remoteness(const struct dt2_devices *devices, const struct dt2_device *a, const struct dt2_device *b)
{
    int from = a ? node_of(a) : -1, to = node_of(b);
    size_t row = SIZE_MAX, column = SIZE_MAX, n = 0;
    if (from < 0 || to < 0 || from == to)
        return 1;
    for (size_t i = 0; i < devices->count; i++) {
        int node = dt2_device_host_node(&devices->devices[i]);
        if (node < 0)
            continue;
        row = node == from ? n : row;
        column = node == to ? n : column;
        n++;
    }
    if (!devices->distances || devices->order != n || row == SIZE_MAX || column == SIZE_MAX)
        return 1;
    double distance = (double)devices->distances[row * n + column];
    return distance > LOCAL_DISTANCE ? distance / LOCAL_DISTANCE : 1;
}

static double memory_gbps(const struct dt2_devices *devices, const struct dt2_device *a, const struct dt2_device *b, bool *guess)
{
    const struct dt2_speeds *speeds = dt2_devices_speeds(devices);
    return known(speeds ? speeds->memory_gbps : -1, -1, MEMORY_GBPS, guess) / remoteness(devices, a, b);
}

/* -- legs -------------------------------------------------------------------------------------------------------- */

static struct dt2_leg leg_of(double gbps, double delay_us)
{
    return (struct dt2_leg){ 1 / gbps, 1000 * (delay_us >= 0 ? delay_us : COPY_US) };
}

/* Between host memory, that of `near` where it is one node's, and a device; far memory may be slower than the link. */
static struct dt2_leg link_leg(const struct dt2_devices *devices, const struct dt2_device *device, bool to_device,
                               const struct dt2_device *near, bool *guess)
{
    const struct dt2_link *link = dt2_device_link(device, "cpu");
    double measured = !link ? -1 : to_device || link->read_gbps <= 0 ? link->measured_gbps : link->read_gbps;
    double gbps = in_host(device) && measured <= 0 ? memory_gbps(devices, near, device, guess)
                                                   : known(measured, link ? link->nominal_gbps : -1, LINK_GBPS, guess);
    if (remoteness(devices, near, device) > 1) {
        bool unused = false;
        double far = memory_gbps(devices, near, device, &unused);
        gbps = gbps < far ? gbps : far;
    }
    return leg_of(gbps, link ? link->delay_us : -1);
}

/* Straight from one device to another of its driver: as fast as the slower of their links, unless it was measured itself. */
static struct dt2_leg peer_leg(const struct dt2_devices *devices, const struct dt2_device *from, const struct dt2_device *to,
                               bool *guess)
{
    const struct dt2_link *link = dt2_device_link(to, from->name);
    struct dt2_leg out = link_leg(devices, from, false, NULL, guess), in = link_leg(devices, to, true, NULL, guess);
    if (link && (link->measured_gbps > 0 || link->nominal_gbps > 0))
        return leg_of(known(link->measured_gbps, link->nominal_gbps, LINK_GBPS, guess), link->delay_us);
    out.byte_ns = out.byte_ns > in.byte_ns ? out.byte_ns : in.byte_ns;
    return out;
}

/* Whether host memory can be pinned where it lies: OpenCL has no call for it. */
static bool pins(const struct dt2_device *device)
{
    return strcmp(device->driver, "opencl") != 0;
}

static bool peers_broken(const struct dt2_device *from, const struct dt2_device *to)
{
    const struct dt2_link *link = dt2_device_link(from, to->name);
    return link && link->peer && strcmp(link->peer, "broken") == 0;
}

static struct dt2_way way_of(struct dt2_leg first, const struct dt2_leg *second)
{
    struct dt2_way way = { .legs = { first }, .leg_count = second ? 2 : 1 };
    if (second)
        way.legs[1] = *second;
    return way;
}

/* The same choice as src/stream/route.c makes with the drivers' answers. */
struct dt2_way dt2_cost_way(const struct dt2_devices *devices, size_t from, size_t compute)
{
    const struct dt2_device *donor = &devices->devices[from], *to = &devices->devices[compute];
    bool guess = false, host = dt2_device_is_host(donor);
    struct dt2_leg in = link_leg(devices, to, true, host ? donor : NULL, &guess);
    struct dt2_way way;
    if (dt2_device_is_host(to) && host) {
        way = way_of(leg_of(memory_gbps(devices, donor, to, &guess), 0), NULL);
    } else if (dt2_device_is_host(to)) {
        way = way_of(link_leg(devices, donor, false, to, &guess), NULL);
    } else if (host && (in_host(to) || pins(to))) {
        way = way_of(in, NULL);
    } else if (host) {
        way = way_of(leg_of(memory_gbps(devices, donor, to, &guess), 0), &in);
        way.by_host = true;
    } else if (strcmp(donor->driver, to->driver) == 0 && !peers_broken(donor, to) &&
               (strcmp(to->driver, "opencl") != 0 || (in_host(donor) && in_host(to)))) {
        way = way_of(in_host(donor) && in_host(to) ? in : peer_leg(devices, donor, to, &guess), NULL);
    } else {
        way = way_of(link_leg(devices, donor, false, NULL, &guess), &in);
    }
    way.assumed = guess;
    return way;
}

double dt2_way_gbps(const struct dt2_way *way)
{
    double slowest = way->legs[0].byte_ns;
    for (unsigned i = 1; i < way->leg_count; i++)
        slowest = way->legs[i].byte_ns > slowest ? way->legs[i].byte_ns : slowest;
    return 1 / slowest;
}

/* -- loads ------------------------------------------------------------------------------------------------------- */

/* Slot by slot, to memory that was just taken, which may be slower than what was there. */
static double staged_gbps(const struct dt2_devices *devices, const struct dt2_device *device, const struct dt2_link *link, bool *guess)
{
    const struct dt2_leg leg = link_leg(devices, device, true, NULL, guess);
    double byte_ns = link && link->fresh_gbps > 0 && 1 / link->fresh_gbps > leg.byte_ns ? 1 / link->fresh_gbps : leg.byte_ns;
    return 1 / (byte_ns + (link && link->delay_us >= 0 ? leg.copy_ns / SLOT_BYTES : 0));
}

struct dt2_filling dt2_cost_filling(const struct dt2_devices *devices, size_t to)
{
    const struct dt2_device *device = &devices->devices[to];
    const struct dt2_link *link = dt2_device_link(device, "cpu");
    const struct dt2_speeds *speeds = dt2_devices_speeds(devices);
    struct dt2_filling filling = { .shared = link ? link->shared : NULL };
    bool host = in_host(device); /* the file is read there in place, or copied once */
    double fresh = known(speeds ? speeds->fresh_gbps : -1, -1, FRESH_GBPS, &filling.assumed);
    double touched = known(speeds ? speeds->touched_gbps : -1, -1, TOUCHED_GBPS, &filling.assumed);
    filling.cold_gbps = known(speeds ? speeds->cold_gbps : -1, -1, COLD_GBPS, &filling.assumed);
    filling.warm_gbps = host ? fresh : touched;
    filling.own_gbps = host ? fresh : staged_gbps(devices, device, link, &filling.assumed);
    if (device->open_ms >= 0)
        filling.open_ns = 1e6 * device->open_ms;
    else
        filling.open_ns = dt2_device_is_host(device) ? 0 : 1e6 * (pins(device) ? OPEN_GPU_MS : OPEN_MS);
    return filling;
}

double dt2_cost_compute_ns(const struct dt2_devices *devices, size_t compute, uint64_t bytes)
{
    const char *kind = devices->devices[compute].kind;
    bool slow = strcmp(kind, "host") == 0 || strcmp(kind, "cpu") == 0;
    return (double)bytes / (slow ? CPU_WEIGHTS_GBPS : GPU_WEIGHTS_GBPS);
}
