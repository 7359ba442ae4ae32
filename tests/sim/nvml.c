/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The face of libnvidia-ml.so.1. Its header comes with no toolkit here: the declarations are ours. NVML sees all cards
 * of NVIDIA, in the order of their PCI addresses, whatever CUDA_VISIBLE_DEVICES says; a slice it knows by its UUID
 * alone.
 */
#include "sim.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_UNKNOWN = 999,
};
typedef int nvmlReturn_t;
typedef struct nvml_handle *nvmlDevice_t;
typedef struct {
    unsigned long long total, free, used;
} nvmlMemory_t;

nvmlReturn_t nvmlInit_v2(void);
nvmlReturn_t nvmlShutdown(void);
const char *nvmlErrorString(nvmlReturn_t result);
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count);
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *handle);
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *handle);
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *pci, nvmlDevice_t *handle);
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory);

static atomic_int users;

#define ENTER                                                                                                          \
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };                                       \
    int demanded = sim_enter(&function);                                                                               \
    if (demanded || users <= 0)                                                                                        \
    return demanded ? demanded : NVML_ERROR_UNINITIALIZED

nvmlReturn_t nvmlInit_v2(void)
{
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };
    int demanded = sim_enter(&function);
    if (demanded)
        return demanded;
    users++;
    sim_count_object("nvml", 1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void)
{
    ENTER;
    users--;
    sim_count_object("nvml", -1);
    return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "Success";
    case NVML_ERROR_UNINITIALIZED:
        return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "Invalid Argument";
    case NVML_ERROR_NOT_FOUND:
        return "Not Found";
    case NVML_ERROR_GPU_IS_LOST:
        return "GPU is lost";
    }
    return "Unknown Error";
}

/* -- handles: a device for a slice or a whole card, and for a card of slices the first of them with a mark */

struct nvml_handle {
    const struct sim_device *device;
    bool whole_card;
};
static struct nvml_handle handles[2 * SIM_DEVICES_MAX];

static nvmlDevice_t handle_of(const struct sim_device *device, bool whole_card)
{
    struct nvml_handle *handle = &handles[2 * device->number + whole_card];
    handle->device = device;
    handle->whole_card = whole_card;
    return handle;
}

static bool same_pci(const struct sim_pci *a, const struct sim_pci *b)
{
    return a->domain == b->domain && a->bus == b->bus && a->device == b->device && a->function == b->function;
}

static const struct sim_device *nvidia_at(unsigned number)
{
    const struct sim_device *device = sim_machine_device(number);
    return device->shown[SIM_CUDA] ? device : NULL;
}

/* The first device of a card: of its slices, the one that stands first. */
static const struct sim_device *card_at(const struct sim_pci *pci)
{
    for (unsigned i = 0; i < sim_machine_count(); i++)
        if (nvidia_at(i) && same_pci(&nvidia_at(i)->pci, pci))
            return nvidia_at(i);
    return NULL;
}

/* The card with the lowest address after `last` (NULL: of all). */
static const struct sim_device *next_card(const struct sim_pci *last)
{
    const struct sim_device *next = NULL;
#define ORDER(pci) ((uint64_t)(pci).domain << 32 | (pci).bus << 16 | (pci).device << 8 | (pci).function)
    for (unsigned i = 0; i < sim_machine_count(); i++) {
        const struct sim_device *device = nvidia_at(i);
        if (device && (!last || ORDER(device->pci) > ORDER(*last)) && (!next || ORDER(device->pci) < ORDER(next->pci)))
            next = device;
    }
    return next;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER;
    *count = 0;
    for (const struct sim_device *card = next_card(NULL); card; card = next_card(&card->pci))
        ++*count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *handle)
{
    ENTER;
    const struct sim_device *card = next_card(NULL);
    while (card && index--)
        card = next_card(&card->pci);
    if (!card)
        return NVML_ERROR_INVALID_ARGUMENT;
    *handle = handle_of(card, true);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *text, nvmlDevice_t *handle)
{
    ENTER;
    struct sim_pci pci;
    if (sscanf(text, "%x:%x:%x.%x", &pci.domain, &pci.bus, &pci.device, &pci.function) != 4)
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct sim_device *card = card_at(&pci);
    if (!card)
        return NVML_ERROR_NOT_FOUND;
    *handle = handle_of(card, true);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *text, nvmlDevice_t *handle)
{
    ENTER;
    for (unsigned i = 0; i < sim_machine_count(); i++) {
        const struct sim_device *device = nvidia_at(i);
        if (!device)
            continue;
        char uuid[64], *out = uuid;
        out += sprintf(out, device->mig ? "MIG-" : "GPU-");
        for (int byte = 0; byte < 16; byte++)
            out += sprintf(out, "%s%02x", byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-" : "",
                           device->uuid[byte]);
        if (strcasecmp(uuid, text) == 0) {
            *handle = handle_of(device, false);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory)
{
    ENTER;
    if (handle < handles || handle >= handles + 2 * SIM_DEVICES_MAX || !handle->device)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (handle->device->no_nvml)
        return NVML_ERROR_NOT_SUPPORTED;
    *memory = (nvmlMemory_t){ 0, 0, 0 };
    for (unsigned i = 0; i < sim_machine_count(); i++) {
        const struct sim_device *device = sim_machine_device(i);
        if (device != handle->device &&
            !(handle->whole_card && nvidia_at(i) && same_pci(&device->pci, &handle->device->pci)))
            continue;
        uint64_t free_bytes;
        sim_free_bytes(device, &free_bytes);
        memory->total += device->memory_bytes;
        memory->free += free_bytes;
    }
    memory->used = memory->total - memory->free;
    return NVML_SUCCESS;
}
