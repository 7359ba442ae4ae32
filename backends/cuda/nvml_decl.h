/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The little of NVIDIA's management library that tells free memory, declared here: its own header comes with
 * neither the driver nor every toolkit. Where the real nvml.h is included before, the functions below are declared
 * a second time, so that a compiler compares them, and the assertions look at the real types:
 * tests/gpu/test-nvml.c.
 */
#ifndef DT2_CUDA_NVML_DECL_H
#define DT2_CUDA_NVML_DECL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "entries.h"

#ifndef __nvml_nvml_h__ /* the real one's guard */
typedef enum nvmlReturn_enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct nvmlMemory_st {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} nvmlMemory_t;
#endif

_Static_assert(NVML_SUCCESS == 0 && NVML_ERROR_NOT_FOUND == 6 && sizeof(nvmlReturn_t) == sizeof(int), "NVML's codes");
_Static_assert(sizeof(nvmlDevice_t) == sizeof(void *), "NVML's device");
_Static_assert(sizeof(nvmlMemory_t) == 24 && offsetof(nvmlMemory_t, total) == 0 && offsetof(nvmlMemory_t, free) == 8,
               "NVML's memory");

nvmlReturn_t nvmlInit_v2(void);
nvmlReturn_t nvmlShutdown(void);
const char *nvmlErrorString(nvmlReturn_t result);
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device);
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *pci, nvmlDevice_t *device);
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory);

/* The library, looked for when it is first asked. */
struct dt2_nvml {
    pthread_mutex_t lock; /* guards what follows; NVML itself is thread-safe */
    enum { DT2_NVML_UNTRIED, DT2_NVML_READY, DT2_NVML_UNUSABLE } state;
    void *library;
#define DT2_NVML_MEMBER(symbol) __typeof__(&symbol) symbol;
    DT2_NVML_ENTRIES(DT2_NVML_MEMBER)
#undef DT2_NVML_MEMBER
};

#endif
