/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

int dt2_gpu_peer_query(void *self, uint32_t index, uint32_t peer, bool *reachable, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
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

/* -- direct access */

static int switch_on_from(const struct dt2_gpu_device *from, uint32_t to, struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = from->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    bool can = false;
    int status = dt2_gpu_peer_query(driver, from->index, to, &can, err);
    if (status == DT2_BACKEND_OK && can)
        status = dt2_gpu_enter(from, &scope, err);
    if (status != DT2_BACKEND_OK || !can)
        return status;
    GPU(Error_t) code = driver->runtime.DeviceEnablePeerAccess((int)to, 0);
    if (code == GPU(ErrorPeerAccessAlreadyEnabled))
        dt2_gpu_forget(); /* by the program, and as good */
    else if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "device %u gets no access to the memory of device %u", from->index, to);
    return DT2_BACKEND_OK;
}

int dt2_gpu_peer_switch_on(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other,
                           struct dt2_backend_error *err)
{
    int status = switch_on_from(one, other->index, err);
    return status == DT2_BACKEND_OK ? switch_on_from(other, one->index, err) : status;
}

/* -- verdicts: of a pair, whichever of the two fetches */

static struct dt2_gpu_pair *pair_of(const struct dt2_gpu_driver *driver, uint32_t one, uint32_t other)
{
    return &driver->pairs[(size_t)(one < other ? one : other) * driver->count + (one < other ? other : one)];
}

void dt2_gpu_peers_forget(struct dt2_gpu_driver *driver, uint32_t index)
{
    pthread_mutex_lock(&driver->lock);
    for (uint32_t i = 0; i < driver->count; i++)
        pair_of(driver, index, i)->switched_on = false;
    pthread_mutex_unlock(&driver->lock);
}

static struct dt2_gpu_pair look_up(struct dt2_gpu_driver *driver, uint32_t one, uint32_t other)
{
    pthread_mutex_lock(&driver->lock);
    struct dt2_gpu_pair pair = *pair_of(driver, one, other);
    pthread_mutex_unlock(&driver->lock);
    return pair;
}

static bool is_settled(const struct dt2_gpu_pair *pair)
{
    return pair->judged && (pair->switched_on || pair->verdict != DT2_PEER_OK);
}

static void warn(const struct dt2_gpu_driver *driver, uint32_t one, uint32_t other)
{
    struct dt2_backend_device_info a = { .struct_size = sizeof a }, b = { .struct_size = sizeof b };
    (void)dt2_gpu_identify(driver, one, &a, NULL);
    (void)dt2_gpu_identify(driver, other, &b, NULL);
    DT2_GPU_LOG(driver, DT2_GPU_WARNING,
                GPU_DRIVER_NAME ":%u (%s, PCI %s) and " GPU_DRIVER_NAME ":%u (%s, PCI %s): direct copies between them "
                "are reported as done and do not arrive, so bytes go through the host. An IOMMU or PCIe ACS on the way "
                "does this: switch ACS off, or the IOMMU to pass-through (kernel option iommu=pt)",
                one, a.model, a.pci, other, b.model, b.pci);
}

/* Looks for the verdict on a pair, once; or only switches on again what ended with a context. */
static int judge(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other, struct dt2_gpu_pair *pair,
                 struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = one->driver;
    bool reaches = false, reached = false, arrives = true;
    int status = dt2_gpu_peer_query(driver, one->index, other->index, &reaches, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_peer_query(driver, other->index, one->index, &reached, err);
    if (status == DT2_BACKEND_OK && (reaches || reached))
        status = pair->judged ? dt2_gpu_peer_switch_on(one, other, err)
                              : dt2_gpu_peer_trial(one, other, &arrives, err);
    if (status != DT2_BACKEND_OK)
        return status;
    pair->verdict = !reaches && !reached ? DT2_PEER_NONE : arrives ? DT2_PEER_OK : DT2_PEER_BROKEN;
    pair->switched_on = true;
    if (!arrives)
        warn(driver, one->index, other->index);
    pair->judged = true;
    return DT2_BACKEND_OK;
}

static int verdict_on(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other,
                      enum dt2_peer_verdict *verdict, struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = one->driver;
    struct dt2_gpu_pair pair = { true, DT2_PEER_OK, true }; /* a device and itself */
    int status = DT2_BACKEND_OK;
    if (one->index != other->index)
        pair = look_up(driver, one->index, other->index);
    if (!is_settled(&pair)) {
        pthread_mutex_lock(&driver->peer_lock);
        pair = look_up(driver, one->index, other->index); /* somebody may have been before us */
        if (!is_settled(&pair) && (status = judge(one, other, &pair, err)) == DT2_BACKEND_OK) {
            pthread_mutex_lock(&driver->lock);
            *pair_of(driver, one->index, other->index) = pair;
            pthread_mutex_unlock(&driver->lock);
        }
        pthread_mutex_unlock(&driver->peer_lock);
    }
    if (status == DT2_BACKEND_OK)
        *verdict = pair.verdict;
    return status;
}

int dt2_gpu_peer_check(void *self, dt2_handle destination, dt2_handle source, enum dt2_peer_verdict *verdict,
                       struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_device *to = dt2_gpu_hold(self, destination, err);
    struct dt2_gpu_device *from = to ? dt2_gpu_hold(self, source, err) : NULL;
    int status = from ? verdict_on(to, from, verdict, err) : DT2_BACKEND_INVALID;
    if (from)
        dt2_gpu_drop(from);
    if (to)
        dt2_gpu_drop(to);
    return status;
}

/* -- copies */

static int copy(const struct dt2_gpu_queue *queue, const struct dt2_gpu_device *source, void *to, const void *from,
                uint64_t bytes, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.MemcpyPeerAsync(to, (int)queue->device->index, from, (int)source->index, bytes,
                                                        queue->stream);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot queue a copy of %llu bytes from device %u",
                                               (unsigned long long)bytes, source->index);
}

int dt2_gpu_copy_peer(void *self, dt2_handle queue_handle, dt2_handle destination_handle, uint64_t destination_offset,
                      dt2_handle source_handle, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_queue *queue;
    struct dt2_gpu_buffer *destination, *source;
    enum dt2_peer_verdict verdict;
    int status = dt2_gpu_check_copy(driver, queue_handle, destination_handle, destination_offset, bytes, &queue,
                                    &destination, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_range(driver, source_handle, source_offset, bytes, &source, err);
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    status = verdict_on(queue->device, source->device, &verdict, err);
    if (status == DT2_BACKEND_OK && verdict == DT2_PEER_BROKEN)
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_UNSUPPORTED,
                              "direct copies from device %u are reported as done and do not arrive",
                              source->device->index);
    return status == DT2_BACKEND_OK ? copy(queue, source->device, destination->address + destination_offset,
                                           source->address + source_offset, bytes, err)
                                    : status;
}
