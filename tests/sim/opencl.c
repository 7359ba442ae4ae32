/* SPDX-License-Identifier: BSD-3-Clause */
/* What the loader asks an OpenCL driver for; platforms and devices. */
#include "opencl.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The loader finds these two by name. */
#pragma GCC visibility push(default)
CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name);
CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *out, cl_uint *count);
#pragma GCC visibility pop

/* -- platforms: the devices that name the same one */

static struct _cl_platform_id platforms[SIM_DEVICES_MAX];
static struct _cl_device_id devices[SIM_DEVICES_MAX];
static unsigned platform_count, device_count;

static cl_platform_id platform_of(const struct sim_device *device)
{
    for (unsigned i = 0; i < platform_count; i++)
        if (strcmp(platforms[i].first->platform, device->platform) == 0)
            return &platforms[i];
    platforms[platform_count] = (struct _cl_platform_id){ &sim_cl_dispatch, device };
    return &platforms[platform_count++];
}

static void list(void)
{
    for (device_count = 0; device_count < sim_device_count(SIM_OPENCL); device_count++) {
        const struct sim_device *device = sim_device_at(SIM_OPENCL, device_count);
        devices[device_count] = (struct _cl_device_id){ &sim_cl_dispatch, device, platform_of(device) };
    }
}

cl_int sim_cl_answer(const void *value, size_t size, size_t room, void *out, size_t *given)
{
    if (given)
        *given = size;
    if (!out)
        return CL_SUCCESS;
    if (room < size)
        return CL_INVALID_VALUE;
    memcpy(out, value, size);
    return CL_SUCCESS;
}
#define ANSWER(value) sim_cl_answer(&(value), sizeof(value), room, out, given)
#define ANSWER_TEXT(text) sim_cl_answer((text), strlen(text) + 1, room, out, given)

cl_int sim_cl_code(int status)
{
    switch (status) {
    case SIM_OK:
        return CL_SUCCESS;
    case SIM_NOMEM:
        return CL_MEM_OBJECT_ALLOCATION_FAILURE;
    case SIM_INVALID_VALUE:
    case SIM_PEER_NOT_ENABLED:
        return CL_INVALID_VALUE;
    case SIM_LAUNCH_FAILURE: /* how a device is lost, unless the machine file has another code */
        return CL_DEVICE_NOT_AVAILABLE;
    }
    return status < 0 ? status : CL_OUT_OF_RESOURCES;
}

static cl_int sim_clGetPlatformIDs(cl_uint room, cl_platform_id *out, cl_uint *count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list);
    ENTER(clGetPlatformIDs);
    if ((room == 0 && out) || (!out && !count))
        return CL_INVALID_VALUE;
    if (count)
        *count = platform_count;
    for (cl_uint i = 0; out && i < room && i < platform_count; i++)
        out[i] = &platforms[i];
    return platform_count ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND_KHR;
}

static cl_int sim_clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *out,
                                    size_t *given)
{
    ENTER(clGetPlatformInfo);
    switch (what) {
    case CL_PLATFORM_NAME:
        return ANSWER_TEXT(platform->first->platform);
    case CL_PLATFORM_VENDOR:
        return ANSWER_TEXT(platform->first->vendor);
    case CL_PLATFORM_VERSION:
        return ANSWER_TEXT("OpenCL 3.0 simulated");
    case CL_PLATFORM_PROFILE:
        return ANSWER_TEXT("FULL_PROFILE");
    case CL_PLATFORM_EXTENSIONS:
        return ANSWER_TEXT("cl_khr_icd");
    case CL_PLATFORM_ICD_SUFFIX_KHR:
        return ANSWER_TEXT("SIM");
    }
    return CL_INVALID_VALUE;
}

/* -- devices */

static cl_int sim_clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *out,
                                 cl_uint *count)
{
    ENTER(clGetDeviceIDs);
    cl_uint found = 0;
    for (unsigned i = 0; i < device_count; i++) {
        if (devices[i].platform != platform || !(type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT)))
            continue;
        if (out && found < room)
            out[found] = &devices[i];
        found++;
    }
    if (count)
        *count = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

/* Queries of extensions that not every header knows. */
enum {
    NV_PCI_BUS_ID = 0x4008,
    NV_PCI_SLOT_ID = 0x4009,
    NV_PCI_DOMAIN_ID = 0x400A,
    AMD_TOPOLOGY = 0x4037,
    AMD_BOARD_NAME = 0x4038,
    AMD_GLOBAL_FREE_MEMORY = 0x4039,
    KHR_DEVICE_UUID = 0x106A,
    KHR_PCI_BUS_INFO = 0x410F,
};

/* By which extensions a device tells what it is. */
static const char *const identity_extensions[] = { "cl_khr_pci_bus_info", "cl_nv_device_attribute_query",
                                                   "cl_amd_device_attribute_query", "cl_khr_fp64" };

static cl_int identity(const struct sim_device *device, cl_device_info what, size_t room, void *out, size_t *given)
{
    const struct sim_pci *pci = &device->pci;
    bool khr = device->has_pci && device->identity == SIM_IDENTITY_KHR;
    bool nv = device->has_pci && device->identity == SIM_IDENTITY_NV, amd = device->identity == SIM_IDENTITY_AMD;
    cl_uint all[4] = { pci->domain, pci->bus, pci->device, pci->function }, slot = pci->device << 3 | pci->function;
    if (what == KHR_DEVICE_UUID && device->has_uuid)
        return sim_cl_answer(device->uuid, sizeof device->uuid, room, out, given);
    if (what == KHR_PCI_BUS_INFO && khr)
        return ANSWER(all);
    if (what == NV_PCI_BUS_ID && nv)
        return ANSWER(all[1]);
    if (what == NV_PCI_SLOT_ID && nv)
        return ANSWER(slot);
    if (what == NV_PCI_DOMAIN_ID && nv)
        return ANSWER(all[0]);
    if (what == AMD_BOARD_NAME && amd)
        return ANSWER_TEXT(device->name);
    if (what == AMD_TOPOLOGY && amd && device->has_pci) {
        unsigned char topology[24] = { 1 }; /* PCIe, little-endian */
        topology[21] = (unsigned char)pci->bus;
        topology[22] = (unsigned char)pci->device;
        topology[23] = (unsigned char)pci->function;
        return ANSWER(topology);
    }
    if (what == AMD_GLOBAL_FREE_MEMORY && amd) {
        uint64_t free_bytes;
        sim_free_bytes(device, &free_bytes);
        size_t kib[2] = { free_bytes / 1024, free_bytes / 1024 };
        return ANSWER(kib);
    }
    return CL_INVALID_VALUE;
}

static cl_int sim_clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t room, void *out, size_t *given)
{
    ENTER(clGetDeviceInfo);
    const struct sim_device *device = id->device;
    cl_device_type type = CL_DEVICE_TYPE_GPU;
    cl_ulong total = device->memory_bytes, largest = device->max_alloc_bytes;
    cl_uint align = device->base_align_bits, units = 16;
    cl_bool yes = CL_TRUE, unified = device->integrated;
    char text[128];
    switch (what) {
    case CL_DEVICE_TYPE:
        return ANSWER(type);
    case CL_DEVICE_NAME: /* AMD's tells the chip, and the card's name by another query */
        return ANSWER_TEXT(device->identity == SIM_IDENTITY_AMD ? "gfx1030" : device->name);
    case CL_DEVICE_VENDOR:
        return ANSWER_TEXT(device->vendor);
    case CL_DEVICE_VERSION:
        return ANSWER_TEXT("OpenCL 3.0 simulated");
    case CL_DRIVER_VERSION:
        return ANSWER_TEXT("1");
    case CL_DEVICE_PROFILE:
        return ANSWER_TEXT("FULL_PROFILE");
    case CL_DEVICE_EXTENSIONS:
        snprintf(text, sizeof text, "%s%s cl_khr_icd", identity_extensions[device->identity],
                 device->has_uuid ? " cl_khr_device_uuid" : "");
        return ANSWER_TEXT(text);
    case CL_DEVICE_PLATFORM:
        return ANSWER(id->platform);
    case CL_DEVICE_AVAILABLE:
        return ANSWER(yes);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        return ANSWER(unified);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return ANSWER(total);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return ANSWER(largest);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
        return ANSWER(align);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return ANSWER(units);
    }
    return identity(device, what, room, out, given);
}

/* -- for the loader */

const cl_icd_dispatch sim_cl_dispatch = {
    .clGetPlatformIDs = sim_clGetPlatformIDs,
    .clGetPlatformInfo = sim_clGetPlatformInfo,
    .clGetDeviceIDs = sim_clGetDeviceIDs,
    .clGetDeviceInfo = sim_clGetDeviceInfo,
    .clCreateContext = sim_clCreateContext,
    .clRetainContext = sim_clRetainContext,
    .clReleaseContext = sim_clReleaseContext,
    .clGetContextInfo = sim_clGetContextInfo,
    .clCreateCommandQueue = sim_clCreateCommandQueue,
    .clRetainCommandQueue = sim_clRetainCommandQueue,
    .clReleaseCommandQueue = sim_clReleaseCommandQueue,
    .clGetCommandQueueInfo = sim_clGetCommandQueueInfo,
    .clCreateBuffer = sim_clCreateBuffer,
    .clRetainMemObject = sim_clRetainMemObject,
    .clReleaseMemObject = sim_clReleaseMemObject,
    .clGetMemObjectInfo = sim_clGetMemObjectInfo,
    .clWaitForEvents = sim_clWaitForEvents,
    .clGetEventInfo = sim_clGetEventInfo,
    .clRetainEvent = sim_clRetainEvent,
    .clReleaseEvent = sim_clReleaseEvent,
    .clFlush = sim_clFlush,
    .clFinish = sim_clFinish,
    .clEnqueueReadBuffer = sim_clEnqueueReadBuffer,
    .clEnqueueWriteBuffer = sim_clEnqueueWriteBuffer,
    .clEnqueueCopyBuffer = sim_clEnqueueCopyBuffer,
    .clEnqueueFillBuffer = sim_clEnqueueFillBuffer,
    .clEnqueueMapBuffer = sim_clEnqueueMapBuffer,
    .clEnqueueUnmapMemObject = sim_clEnqueueUnmapMemObject,
    .clEnqueueMigrateMemObjects = sim_clEnqueueMigrateMemObjects,
    .clEnqueueMarkerWithWaitList = sim_clEnqueueMarkerWithWaitList,
    .clEnqueueBarrierWithWaitList = sim_clEnqueueBarrierWithWaitList,
};

CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id *out, cl_uint *count)
{
    return sim_clGetPlatformIDs(room, out, count);
}

CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
    if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0)
        return (void *)clIcdGetPlatformIDsKHR;
    if (strcmp(name, "clGetPlatformInfo") == 0)
        return (void *)sim_clGetPlatformInfo;
    return NULL;
}
