/* SPDX-License-Identifier: BSD-3-Clause */
/* The face of libcuda.so.1: what a device is, the stack of contexts, pointers. The names are those of the symbols. */
#include "libcuda.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_bool initialized;

bool libcuda_is_initialized(void)
{
    return initialized;
}

CUresult cuInit(unsigned flags)
{
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };
    int demanded = sim_enter(&function);
    if (demanded || flags)
        return (CUresult)(demanded ? demanded : SIM_INVALID_VALUE);
    if (sim_device_count(SIM_CUDA) == 0)
        return CUDA_ERROR_NO_DEVICE;
    initialized = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

#define ERRORS(X)                                                                                                      \
    X(SIM_OK, CUDA_SUCCESS, "no error")                                                                                \
    X(SIM_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE, "invalid argument")                                                 \
    X(SIM_NOMEM, CUDA_ERROR_OUT_OF_MEMORY, "out of memory")                                                            \
    X(SIM_NOT_INITIALIZED, CUDA_ERROR_NOT_INITIALIZED, "initialization error")                                         \
    X(SIM_UNAVAILABLE, CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA-capable device(s) is/are busy or unavailable")             \
    X(SIM_NO_DEVICE, CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected")                                       \
    X(SIM_INVALID_DEVICE, CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal")                                         \
    X(SIM_INVALID_CONTEXT, CUDA_ERROR_INVALID_CONTEXT, "invalid device context")                                       \
    X(SIM_PEER_UNSUPPORTED, CUDA_ERROR_PEER_ACCESS_UNSUPPORTED,                                                        \
      "peer access is not supported between these two devices")                                                        \
    X(SIM_INVALID_HANDLE, CUDA_ERROR_INVALID_HANDLE, "invalid resource handle")                                        \
    X(SIM_NOT_READY, CUDA_ERROR_NOT_READY, "device not ready")                                                         \
    X(SIM_ILLEGAL_ADDRESS, CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered")                     \
    X(SIM_PEER_ENABLED, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is already enabled")                      \
    X(SIM_PEER_NOT_ENABLED, CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access has not been enabled")                    \
    X(SIM_CONTEXT_DESTROYED, CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed")                                  \
    X(SIM_HOST_REGISTERED, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,                                                  \
      "part or all of the requested memory range is already mapped")                                                   \
    X(SIM_HOST_NOT_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,                                                  \
      "pointer does not correspond to a registered memory region")                                                     \
    X(SIM_LAUNCH_FAILURE, CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure")                                      \
    X(SIM_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED, "operation not supported")                                          \
    X(SIM_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,                                                  \
      "operation not permitted when stream is capturing")                                                              \
    X(SIM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,                                                  \
      "operation failed due to a previous error during capture")                                                       \
    X(SIM_CAPTURE_UNMATCHED, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,                                                      \
      "capture was not initiated in this stream")                                                                      \
    X(SIM_CAPTURE_UNJOINED, CUDA_ERROR_STREAM_CAPTURE_UNJOINED,                                                        \
      "capturing stream has unjoined work")                                                                            \
    X(SIM_CAPTURE_ISOLATION, CUDA_ERROR_STREAM_CAPTURE_ISOLATION,                                                      \
      "dependency created on uncaptured work in another stream")                                                       \
    X(SIM_CAPTURE_IMPLICIT, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,                                                        \
      "operation would make the legacy stream depend on a capturing blocking stream")                                  \
    X(SIM_CAPTURED_EVENT, CUDA_ERROR_CAPTURED_EVENT,                                                                   \
      "operation not permitted on an event last recorded in a capturing stream")                                       \
    X(SIM_CAPTURE_WRONG_THREAD, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,                                                \
      "attempt to terminate a thread-local capture sequence from another thread")                                      \
    X(SIM_UNKNOWN, CUDA_ERROR_UNKNOWN, "unknown error")
#define SAME_NUMBER(status, vendor, text) _Static_assert((int)(vendor) == (int)(status), #vendor);
ERRORS(SAME_NUMBER)

static CUresult say(CUresult error, bool name, const char **said)
{
    static const struct {
        int code;
        const char *name, *text;
    } errors[] = {
#define ROW(status, vendor, text) { vendor, #vendor, text },
        ERRORS(ROW)
    };
    *said = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors && !*said; i++)
        if (errors[i].code == (int)error)
            *said = name ? errors[i].name : errors[i].text;
    return *said ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
    return say(error, true, name);
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    return say(error, false, text);
}

/* -- devices */

int libcuda_index_of(const struct sim_device *device)
{
    for (unsigned i = 0; i < sim_device_count(SIM_CUDA); i++)
        if (sim_device_at(SIM_CUDA, i) == device)
            return (int)i;
    return -1;
}

CUresult cuDeviceGetCount(int *count)
{
    ENTER;
    *count = (int)sim_device_count(SIM_CUDA);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *handle, int index)
{
    ENTER;
    if (!sim_device_at(SIM_CUDA, (unsigned)index))
        return CUDA_ERROR_INVALID_DEVICE;
    *handle = index;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    snprintf(name, (size_t)size, "%s", device->name);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    memcpy(uuid->bytes, device->uuid, sizeof device->uuid);
    return CUDA_SUCCESS;
}

/* Of a slice the old function tells the UUID of the whole card, so that slices cannot be told apart by it. */
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    memcpy(uuid->bytes, device->uuid, sizeof device->uuid);
    for (unsigned i = 0; device->mig && i < sizeof uuid->bytes; i++)
        uuid->bytes[i] = (char)(device->pci.domain + device->pci.bus * 7 + i * 31);
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    *bytes = device->memory_bytes;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *text, int size, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    if (size < 13)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(text, (size_t)size, "%04X:%02X:%02X.%X", device->pci.domain, device->pci.bus, device->pci.device,
             device->pci.function);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        *value = (int)device->pci.bus;
        break;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
        *value = (int)device->pci.device;
        break;
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
        *value = (int)device->pci.domain;
        break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
        *value = 1;
        break;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
        *value = device->integrated;
        break;
    default: /* all that a card of memory alone does not have */
        *value = 0;
    }
    return CUDA_SUCCESS;
}

/* -- contexts: the handle is the engine's own object */

int libcuda_here(struct sim_context **context)
{
    *context = sim_current(SIM_CUDA);
    return *context ? sim_here(SIM_CUDA, context) : SIM_INVALID_CONTEXT;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice handle, unsigned *flags, int *active)
{
    ENTER_DEVICE(device, handle);
    *flags = 0;
    *active = sim_context_active(sim_primary(SIM_CUDA, device));
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    int status = sim_context_retain(sim_primary(SIM_CUDA, device));
    if (status == SIM_OK)
        *context = (CUcontext)(void *)sim_primary(SIM_CUDA, device);
    return (CUresult)status;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice handle)
{
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };
    int demanded = sim_enter(&function);
    const struct sim_device *device = sim_device_at(SIM_CUDA, (unsigned)handle);
    int status = device ? sim_context_release(sim_primary(SIM_CUDA, device)) : SIM_INVALID_DEVICE;
    return (CUresult)(demanded ? demanded : status);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice handle)
{
    ENTER_DEVICE(device, handle);
    return (CUresult)sim_context_reset(sim_primary(SIM_CUDA, device));
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    ENTER;
    if (!sim_context_is(SIM_CUDA, context))
        return CUDA_ERROR_INVALID_CONTEXT;
    struct sim_context *pushed = (void *)context;
    if (!sim_context_active(pushed))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return (CUresult)sim_push_current(SIM_CUDA, pushed);
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };
    int demanded = sim_enter(&function);
    struct sim_context *popped;
    int status = sim_pop_current(SIM_CUDA, &popped);
    if (status == SIM_OK && context)
        *context = (CUcontext)(void *)popped;
    return (CUresult)(demanded ? demanded : status);
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    ENTER;
    *context = (CUcontext)(void *)sim_current(SIM_CUDA);
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    ENTER;
    if (context && !sim_context_is(SIM_CUDA, context))
        return CUDA_ERROR_INVALID_CONTEXT;
    sim_set_current(SIM_CUDA, (void *)context);
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *handle)
{
    ENTER;
    if (!sim_current(SIM_CUDA))
        return CUDA_ERROR_INVALID_CONTEXT;
    *handle = sim_get_device(SIM_CUDA);
    return CUDA_SUCCESS;
}

/* -- pointers */

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
    ENTER;
    struct sim_pointer pointer;
    sim_describe(SIM_CUDA, (const void *)(uintptr_t)address, &pointer);
    if (!pointer.device)
        return CUDA_ERROR_INVALID_VALUE;
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *(CUcontext *)data = (CUcontext)(void *)pointer.context;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)data = pointer.is_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        *(unsigned *)data = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)data = libcuda_index_of(pointer.device);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)data = (uintptr_t)pointer.base;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = pointer.bytes;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address)
{
    ENTER;
    struct sim_pointer pointer;
    sim_describe(SIM_CUDA, (const void *)(uintptr_t)address, &pointer);
    if (!pointer.is_device)
        return CUDA_ERROR_NOT_FOUND;
    if (base)
        *base = (uintptr_t)pointer.base;
    if (size)
        *size = pointer.bytes;
    return CUDA_SUCCESS;
}
