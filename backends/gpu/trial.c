/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether bytes arrive that one device fetches from another. Behind an IOMMU or PCIe ACS a runtime may say that two
 * devices reach each other, while what is copied is dropped or zeroed and every call succeeds (pytorch#84803,
 * llama.cpp#21910, vllm#51513). So a pattern goes each way, and each device tells the host what it holds then.
 */
#include "gpu.h"

#define TRIAL_BYTES ((size_t)1 << 20)
#define WORDS (TRIAL_BYTES / sizeof(uint64_t))

/* A device in a trial, with memory and a stream for it. */
struct side {
    const struct dt2_gpu_device *device;
    void *memory;
    GPU(Stream_t) stream;
};

/* -- the pattern: no two words are the same, nor those of two numbers */

static uint64_t word(uint64_t i, uint64_t number)
{
    return (i + 1 + (number << 32)) * 0x9E3779B97F4A7C15u;
}

static void fill(uint64_t *words, uint64_t number)
{
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = word(i, number);
}

static bool holds(const uint64_t *words, uint64_t number)
{
    uint64_t i = 0;
    while (i < WORDS && words[i] == word(i, number))
        i++;
    return i == WORDS;
}

/* -- a device's part */

static int fail(const struct side *side, GPU(Error_t) code, struct dt2_backend_error *err)
{
    return dt2_gpu_fail(side->device->driver, err, code, "cannot try direct copies between devices on device %u",
                        side->device->index);
}

static int open_side(struct side *side, struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &side->device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(side->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = runtime->Malloc(&side->memory, TRIAL_BYTES);
    if (code == GPU(Success))
        code = runtime->StreamCreateWithFlags(&side->stream, GPU(StreamNonBlocking));
    return code == GPU(Success) ? DT2_BACKEND_OK : fail(side, code, err);
}

static void close_side(const struct side *side)
{
    const struct dt2_gpu_driver *driver = side->device->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    if (dt2_gpu_enter_to_free(side->device, &scope, NULL) != DT2_BACKEND_OK)
        return;
    if (side->stream && driver->runtime.StreamSynchronize(side->stream) != GPU(Success))
        dt2_gpu_forget();
    if (side->stream && driver->runtime.StreamDestroy(side->stream) != GPU(Success))
        dt2_gpu_forget();
    if (side->memory && driver->runtime.Free(side->memory) != GPU(Success))
        dt2_gpu_forget();
}

/* All bytes to a side, or from it to `host`; or, from another side when there is one. Waited for. */
static int copy(const struct side *to, const struct side *from, void *host, struct dt2_backend_error *err)
{
    const struct side *side = to ? to : from;
    const struct dt2_gpu_runtime *runtime = &side->device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    GPU(Error_t) code;
    int status = dt2_gpu_enter(side->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (to && from)
        code = runtime->MemcpyPeerAsync(to->memory, (int)to->device->index, from->memory, (int)from->device->index,
                                        TRIAL_BYTES, to->stream);
    else if (to)
        code = runtime->MemcpyAsync(to->memory, host, TRIAL_BYTES, GPU(MemcpyHostToDevice), to->stream);
    else
        code = runtime->MemcpyAsync(host, from->memory, TRIAL_BYTES, GPU(MemcpyDeviceToHost), from->stream);
    if (code == GPU(Success))
        code = runtime->StreamSynchronize(side->stream);
    return code == GPU(Success) ? DT2_BACKEND_OK : fail(side, code, err);
}

/* -- both */

/* The target holds other bytes before, so that one that was left alone is seen; the source must be as it was. */
static int send(const struct side *from, const struct side *to, uint64_t number, uint64_t *host, bool *arrives,
                struct dt2_backend_error *err)
{
    fill(host, number);
    int status = copy(from, NULL, host, err);
    fill(host, number + 1);
    if (status == DT2_BACKEND_OK)
        status = copy(to, NULL, host, err);
    if (status == DT2_BACKEND_OK)
        status = copy(to, from, NULL, err);
    for (int i = 0; status == DT2_BACKEND_OK && i < 2; i++) {
        status = copy(NULL, i ? from : to, host, err);
        *arrives = *arrives && status == DT2_BACKEND_OK && holds(host, number);
    }
    return status;
}

int dt2_gpu_peer_trial(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other, bool *arrives,
                       struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = one->driver;
    struct side a = { .device = one }, b = { .device = other };
    uint64_t *host = dt2_gpu_alloc(driver, TRIAL_BYTES);
    bool right = true;
    if (!host)
        return dt2_gpu_fail_bookkeeping(driver, err);
    int status = open_side(&a, err);
    if (status == DT2_BACKEND_OK)
        status = open_side(&b, err);
    if (status == DT2_BACKEND_OK) /* not before there is memory: without a verdict all is as it was */
        status = dt2_gpu_peer_switch_on(one, other, err);
    if (status == DT2_BACKEND_OK)
        status = send(&a, &b, 1, host, &right, err);
    if (status == DT2_BACKEND_OK)
        status = send(&b, &a, 3, host, &right, err);
    close_side(&a);
    close_side(&b);
    dt2_gpu_release(driver, host);
    if (status == DT2_BACKEND_OK)
        *arrives = right;
    return status;
}
