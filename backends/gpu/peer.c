/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

int dt2_gpu_peer_query(void *self, uint32_t index, uint32_t peer, bool *reachable, struct dt2_backend_error *err)
{
    DT2_GPU_KEEP_ERRNO;
    const struct dt2_gpu_driver *driver = self;
    int can = index == peer;
    int status = dt2_gpu_check_index(driver, index, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_index(driver, peer, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = index == peer ? GPU(Success)
                                      : driver->runtime.DeviceCanAccessPeer(&can, (int)index, (int)peer);
    if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "cannot tell whether device %u reaches device %u", index, peer);
    *reachable = can != 0;
    return DT2_BACKEND_OK;
}

/*
 * Asks once for direct access from a device, whose scope this is, to another: without it the runtime takes the bytes
 * through host memory, so that no is an answer as well, and no failure.
 */
static void switch_on(const struct dt2_gpu_device *from, uint32_t to)
{
    struct dt2_gpu_driver *driver = from->driver;
    unsigned char *access = &driver->access[(size_t)from->index * driver->count + to];
    bool can = false;
    pthread_mutex_lock(&driver->lock);
    bool first = *access == DT2_GPU_ACCESS_UNTRIED;
    if (first)
        *access = DT2_GPU_ACCESS_LEFT;
    pthread_mutex_unlock(&driver->lock);
    if (!first || dt2_gpu_peer_query(driver, from->index, to, &can, NULL) != DT2_BACKEND_OK || !can)
        return;
    if (driver->runtime.DeviceEnablePeerAccess((int)to, 0) != GPU(Success)) {
        dt2_gpu_forget(driver);
        return;
    }
    pthread_mutex_lock(&driver->lock);
    *access = DT2_GPU_ACCESS_OURS;
    pthread_mutex_unlock(&driver->lock);
}

/* Forgets what was asked from one device to another; true when it was switched on, and is to be switched off. */
static bool take_access(struct dt2_gpu_driver *driver, uint32_t from, uint32_t to)
{
    unsigned char *access = &driver->access[(size_t)from * driver->count + to];
    pthread_mutex_lock(&driver->lock);
    bool ours = *access == DT2_GPU_ACCESS_OURS;
    *access = DT2_GPU_ACCESS_UNTRIED;
    pthread_mutex_unlock(&driver->lock);
    return ours;
}

static void switch_off(const struct dt2_gpu_device *from, uint32_t to)
{
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    if (dt2_gpu_enter_to_free(from, &scope, NULL) == DT2_BACKEND_OK &&
        from->driver->runtime.DeviceDisablePeerAccess((int)to) != GPU(Success))
        dt2_gpu_forget(from->driver);
}

void dt2_gpu_peers_forget(struct dt2_gpu_device *device)
{
    struct dt2_gpu_driver *driver = device->driver;
    for (uint32_t i = 0; i < driver->count; i++) {
        if (take_access(driver, device->index, i))
            switch_off(device, i);
        struct dt2_gpu_device other = { .driver = driver, .index = i }; /* is open: its context is there to be taken */
        if (take_access(driver, i, device->index) &&
            dt2_gpu_context_take(driver, i, &other.context, NULL) == DT2_BACKEND_OK) {
            switch_off(&other, device->index);
            dt2_gpu_context_drop(driver, i);
        }
    }
}

int dt2_gpu_copy_peer(void *self, dt2_handle queue_handle, dt2_handle destination_handle, uint64_t destination_offset,
                      dt2_handle source_handle, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_KEEP_ERRNO;
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_queue *queue;
    struct dt2_gpu_buffer *destination, *source;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_check_copy(driver, queue_handle, destination_handle, destination_offset, bytes, &queue,
                                    &destination, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_range(driver, source_handle, source_offset, bytes, &source, err);
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    uint32_t to = queue->device->index, from = source->device->index;
    status = dt2_gpu_enter(queue->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (to != from)
        switch_on(queue->device, from);
    GPU(Error_t) code = driver->runtime.MemcpyPeerAsync(destination->address + destination_offset, (int)to,
                                                        source->address + source_offset, (int)from, bytes,
                                                        queue->stream);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot queue a copy of %llu bytes from device %u",
                                               (unsigned long long)bytes, from);
}
