/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host memory as a driver of the core's own: it serves the same contract as a module. Device 0 is "cpu", memory
 * without a node, which follows the caller's own memory policy; device 1 + i is the i-th host NUMA node, bound strictly.
 * Buffers are anonymous mappings that begin on a huge page and ask for huge pages.
 */
#ifndef DT2_MACHINE_HOST_H
#define DT2_MACHINE_HOST_H

#include <distorch2/backend.h>

struct dt2_topology;

#define DT2_HOST_ALIGNMENT ((uint64_t)64)

/* The driver's table. Its open() is not used: the core opens it with dt2_host_open(). */
const struct dt2_backend *dt2_host_backend(void);
/* `topology` may be NULL (one device, no binding) and must outlive the driver. Close with the backend's close(). */
int dt2_host_open(const struct dt2_backend_services *services, const struct dt2_topology *topology, void **driver,
                  struct dt2_backend_error *err);

/*
 * A buffer that is only mapped so far, for who then has each piece of it populated before it is written to: in parallel, and while
 * other pieces are filled already. The driver's buffer_alloc() does both.
 */
int dt2_host_buffer_map_only(void *driver, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                             struct dt2_backend_error *err);
/*
 * Has the kernel give a piece of such a buffer, whole pages, near the device's node, and binds it there strictly: a node that is
 * full is an error, and nobody is killed for it. `gather`: it is mapped shared, and is to have huge pages where it can. NOMEM: there is
 * no memory; the buffer is to be freed.
 */
int dt2_host_populate(void *driver, dt2_handle device, char *memory, uint64_t bytes, bool gather, struct dt2_backend_error *err);
/*
 * How many bytes of a populated range the kernel has put on other nodes than the device's, where it does not let memory be bound;
 * 0 where it does, and where it does not tell.
 */
uint64_t dt2_host_elsewhere(void *driver, dt2_handle device, const char *memory, uint64_t bytes);
/* What a device has free now; with 0, all of the host's memory within the cgroup's limit. DT2_UNKNOWN. */
uint64_t dt2_host_room(void *driver, dt2_handle device);

#endif
