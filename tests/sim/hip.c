/* SPDX-License-Identifier: BSD-3-Clause */
/* The face of libamdhip64.so.5: what runtime.c does not have, what a device is, pointers. */
#include "hip.h"
#include "face.h"
#include <stdio.h>
#include <string.h>

hipError_t hipInit(unsigned flags)
{
    ENTER;
    return leave(flags ? SIM_INVALID_VALUE : SIM_OK);
}

hipError_t hipDeviceGet(hipDevice_t *handle, int index)
{
    ENTER;
    if (!sim_device_at(SIM_HIP, (unsigned)index))
        return leave(SIM_INVALID_DEVICE);
    *handle = index;
    return leave(SIM_OK);
}

/* ENTER for a function of a device. */
#define ENTER_DEVICE(device, handle)                                                                                   \
    ENTER;                                                                                                             \
    const struct sim_device *device = sim_device_at(SIM_HIP, (unsigned)(handle));                                      \
    if (!device)                                                                                                       \
    return leave(SIM_INVALID_DEVICE)

hipError_t hipDeviceGetName(char *name, int size, hipDevice_t handle)
{
    ENTER_DEVICE(device, handle);
    snprintf(name, (size_t)size, "%s", device->name);
    return leave(SIM_OK);
}

hipError_t hipDeviceGetUuid(hipUUID *uuid, hipDevice_t handle)
{
    ENTER_DEVICE(device, handle);
    memcpy(uuid->bytes, device->uuid, sizeof uuid->bytes);
    return leave(SIM_OK);
}

hipError_t hipDeviceTotalMem(size_t *bytes, hipDevice_t handle)
{
    ENTER_DEVICE(device, handle);
    *bytes = device->memory_bytes;
    return leave(SIM_OK);
}

/* -- pointers */

static int index_of(const struct sim_device *device)
{
    for (unsigned i = 0; i < sim_device_count(SIM_HIP); i++)
        if (sim_device_at(SIM_HIP, i) == device)
            return (int)i;
    return -1;
}

hipError_t hipPointerGetAttribute(void *data, hipPointer_attribute attribute, hipDeviceptr_t address)
{
    ENTER;
    struct sim_pointer pointer;
    sim_describe(SIM_HIP, address, &pointer);
    if (!pointer.device)
        return leave(SIM_INVALID_VALUE);
    switch ((int)attribute) {
    case HIP_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)data = pointer.is_device ? MEMORY_TYPE_DEVICE : MEMORY_TYPE_HOST;
        return leave(SIM_OK);
    case HIP_POINTER_ATTRIBUTE_IS_MANAGED:
        *(bool *)data = false;
        return leave(SIM_OK);
    case HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)data = index_of(pointer.device);
        return leave(SIM_OK);
    case HIP_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(void **)data = pointer.base;
        return leave(SIM_OK);
    case HIP_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = pointer.bytes;
        return leave(SIM_OK);
    }
    return leave(SIM_NOT_SUPPORTED);
}

hipError_t hipMemGetAddressRange(hipDeviceptr_t *base, size_t *size, hipDeviceptr_t address)
{
    ENTER;
    struct sim_pointer pointer;
    sim_describe(SIM_HIP, address, &pointer);
    if (!pointer.is_device)
        return leave(SIM_INVALID_VALUE);
    if (base)
        *base = pointer.base;
    if (size)
        *size = pointer.bytes;
    return leave(SIM_OK);
}

/* The index of a stream's device; for the default stream that of the current one. */
int hipGetStreamDeviceId(hipStream_t stream)
{
    struct sim_context *context = NULL;
    if (!stream)
        return sim_get_device(SIM_HIP);
    if (sim_here(SIM_HIP, &context) || !(context = sim_stream_context(context, (uintptr_t)stream)))
        return -1;
    return index_of(sim_context_device(context));
}
