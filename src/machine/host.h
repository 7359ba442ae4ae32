/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host memory as a driver of the core's own: it serves the same contract as a module. Device 0 is "cpu", memory
 * without a node; device 1 + i is the i-th host NUMA node, bound strictly. Buffers are anonymous mappings that begin
 * on a huge page, ask for huge pages, and are first touched by whoever writes them: many threads, in parallel.
 */
#ifndef DT2_MACHINE_HOST_H
#define DT2_MACHINE_HOST_H

#include <distorch2/backend.h>

struct dt2_topology;

/* The driver's table. Its open() is not used: the core opens it with dt2_host_open(). */
const struct dt2_backend *dt2_host_backend(void);
/* `topology` may be NULL (one device, no binding) and must outlive the driver. Close with the backend's close(). */
int dt2_host_open(const struct dt2_backend_services *services, const struct dt2_topology *topology, void **driver,
                  struct dt2_backend_error *err);

#endif
