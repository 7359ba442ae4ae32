/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvml.h"
#include "gpu.h"
#include <stdio.h>

void dt2_nvml_init(struct dt2_nvml *nvml)
{
    *nvml = (struct dt2_nvml){ .state = DT2_NVML_UNTRIED };
    pthread_mutex_init(&nvml->lock, NULL); /* of the default kind: cannot fail */
}

void dt2_nvml_close(struct dt2_nvml *nvml)
{
    if (nvml->state == DT2_NVML_READY)
        (void)nvml->nvmlShutdown();
    dt2_gpu_close_library(nvml->library);
    pthread_mutex_destroy(&nvml->lock);
}

static bool start(struct dt2_nvml *nvml, char *why, size_t size)
{
    static const char *const sonames[] = { "libnvidia-ml.so.1", NULL };
    const struct dt2_gpu_symbol symbols[] = {
#define SYMBOL(symbol) { #symbol, &nvml->symbol },
        DT2_NVML_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    const struct dt2_gpu_search search = { .base = "libnvidia-ml", .sonames = sonames, .symbols = symbols,
                                           .symbol_count = sizeof symbols / sizeof *symbols };
    nvml->library = dt2_gpu_find_library(&search, NULL, why, size);
    if (!nvml->library)
        return false;
    nvmlReturn_t code = nvml->nvmlInit_v2();
    if (code != NVML_SUCCESS)
        snprintf(why, size, "%s", nvml->nvmlErrorString(code));
    return code == NVML_SUCCESS;
}

static bool ready(struct dt2_nvml *nvml, char *why, size_t size)
{
    pthread_mutex_lock(&nvml->lock);
    if (nvml->state == DT2_NVML_UNTRIED)
        nvml->state = start(nvml, why, size) ? DT2_NVML_READY : DT2_NVML_UNUSABLE;
    else if (nvml->state == DT2_NVML_UNUSABLE)
        snprintf(why, size, "it did not start");
    bool is_ready = nvml->state == DT2_NVML_READY;
    pthread_mutex_unlock(&nvml->lock);
    return is_ready;
}

static nvmlReturn_t find(const struct dt2_nvml *nvml, const char *uuid, const char *pci, nvmlDevice_t *device)
{
    static const char *const prefixes[] = { "GPU-", "MIG-" };
    nvmlReturn_t code = NVML_ERROR_NOT_FOUND;
    for (size_t i = 0; *uuid && code != NVML_SUCCESS && i < sizeof prefixes / sizeof *prefixes; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", prefixes[i], uuid);
        code = nvml->nvmlDeviceGetHandleByUUID(name, device);
    }
    return code != NVML_SUCCESS && *pci ? nvml->nvmlDeviceGetHandleByPciBusId_v2(pci, device) : code;
}

bool dt2_nvml_free_bytes(struct dt2_nvml *nvml, const char *uuid, const char *pci, uint64_t *free_bytes, char *why,
                         size_t size)
{
    nvmlDevice_t device = NULL;
    nvmlMemory_t memory = { 0 };
    if (!ready(nvml, why, size))
        return false;
    nvmlReturn_t code = find(nvml, uuid, pci, &device);
    if (code == NVML_SUCCESS)
        code = nvml->nvmlDeviceGetMemoryInfo(device, &memory);
    if (code != NVML_SUCCESS) {
        snprintf(why, size, "%s", nvml->nvmlErrorString(code));
        return false;
    }
    *free_bytes = memory.free;
    return true;
}
