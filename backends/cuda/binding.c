/* SPDX-License-Identifier: BSD-3-Clause */
#include "binding.h"
#include "nvml.h"
#include <stdio.h>

/* The oldest that the shared source was written for. */
#define OLDEST_VERSION 11000
#define MAJOR(version) ((version) / 1000)
#define MINOR(version) ((version) % 1000 / 10)

int dt2_cuda_fail(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err, CUresult code, const char *what)
{
    const char *name = NULL;
    if (driver->vendor.cu.cuGetErrorName(code, &name) != CUDA_SUCCESS || !name)
        name = "unknown code";
    return driver->services->fail(driver->services->core, err, dt2_gpu_status((int)code), code, name, "%s", what);
}

/* -- libcuda */

/* Whether it serves what we need; binds the rest. It tells its version also before cuInit. */
static bool accept_libcuda(void *data, char *why, size_t size)
{
    const struct dt2_gpu_driver *driver = data;
    int version = OLDEST_VERSION;
    if (driver->vendor.cu.cuDriverGetVersion(&version) != CUDA_SUCCESS || version >= OLDEST_VERSION)
        return true;
    snprintf(why, size, "CUDA 11 or newer is needed, and it serves %d.%d", MAJOR(version), MINOR(version));
    return false;
}

static int bind_libcuda(struct dt2_gpu_driver *driver, const char *path, struct dt2_backend_error *err)
{
    struct dt2_gpu_vendor *vendor = &driver->vendor;
    const struct dt2_gpu_symbol symbols[] = {
#define SYMBOL(symbol) { #symbol, &vendor->cu.symbol },
        DT2_CUDA_DRIVER_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    const struct dt2_gpu_symbol optional[] = {
#define SYMBOL(symbol) { #symbol, &vendor->cu.cuDeviceGetUuid },
        DT2_CUDA_DRIVER_OPTIONAL_ENTRIES(SYMBOL) /* there is one, and it takes the place of the older one */
#undef SYMBOL
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!dt2_gpu_bind(vendor->libcuda, &symbols[i]))
            return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_FAILED, "NVIDIA's driver cannot be used: %s: it lacks %s",
                                  path, symbols[i].name);
    (void)dt2_gpu_bind(vendor->libcuda, &optional[0]);
    return DT2_BACKEND_OK;
}

static int find_libcuda(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    static const char *const sonames[] = { "libcuda.so.1", NULL };
    struct dt2_gpu_vendor *vendor = &driver->vendor;
    const struct dt2_gpu_symbol version = { "cuDriverGetVersion", &vendor->cu.cuDriverGetVersion };
    const struct dt2_gpu_search search = { .base = "libcuda", .sonames = sonames, .symbols = &version,
                                           .symbol_count = 1, .accept = accept_libcuda, .data = driver };
    char text[400];
    bool present;
    vendor->libcuda = dt2_gpu_find_library(&search, &present, text, sizeof text);
    if (vendor->libcuda)
        return bind_libcuda(driver, text, err);
    return DT2_GPU_REFUSE(driver, err, present ? DT2_BACKEND_FAILED : DT2_BACKEND_ABSENT, "NVIDIA's driver %s: %s",
                          present ? "cannot be used" : "is not installed", text);
}

static int start_libcuda(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    struct dt2_gpu_vendor *vendor = &driver->vendor;
    CUresult code = vendor->cu.cuInit(0);
    if (code == CUDA_SUCCESS)
        code = vendor->cu.cuDriverGetVersion(&vendor->driver_version);
    switch (code) {
    case CUDA_SUCCESS:
        return DT2_BACKEND_OK;
    case CUDA_ERROR_NO_DEVICE:
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_NO_DEVICE,
                              "NVIDIA's driver finds no device that it can use, or %s_VISIBLE_DEVICES hides them all",
                              GPU_VARIABLE);
    case CUDA_ERROR_STUB_LIBRARY:
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_ABSENT,
                              "NVIDIA's driver is not installed: libcuda.so.1 is the stub that comes with the toolkit");
    default:
        return dt2_cuda_fail(driver, err, code, "NVIDIA's driver does not start");
    }
}

/* -- the runtime */

/* Whether a runtime is one that we know, and that the driver serves. */
static bool accept_runtime(void *data, char *why, size_t size)
{
    struct dt2_gpu_driver *driver = data;
    DT2_GPU_ENTRY(driver);
    int version = 0, served = driver->vendor.driver_version;
    if (driver->runtime.RuntimeGetVersion(&version) != cudaSuccess) {
        dt2_gpu_forget();
        snprintf(why, size, "it does not tell its version");
        return false;
    }
    driver->vendor.runtime_version = version;
    if (version < OLDEST_VERSION)
        snprintf(why, size, "CUDA 11 or newer is needed, and it is %d.%d", MAJOR(version), MINOR(version));
    else if (MAJOR(version) > MAJOR(served))
        snprintf(why, size, "NVIDIA's driver is too old for it: it serves CUDA %d.%d, and %d.%d is needed",
                 MAJOR(served), MINOR(served), MAJOR(version), MINOR(version));
    return version >= OLDEST_VERSION && MAJOR(version) <= MAJOR(served);
}

/*
 * A runtime is never looked for by its soname: the system's copy would be the one that a program gets which loads its
 * own later, and that may need a newer one. Where none is held or named libcuda does alone.
 */
static int find_runtime(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    static const char *const no_sonames[] = { NULL };
    const struct dt2_gpu_search search = { .base = "libcudart", .sonames = no_sonames, .accept = accept_runtime,
                                           .data = driver };
    int served = driver->vendor.driver_version;
    char text[400];
    int status = dt2_gpu_bind_runtime(driver, &search, text, sizeof text, err);
    if (status == DT2_BACKEND_OK) {
        int version = driver->vendor.runtime_version;
        snprintf(driver->about, sizeof driver->about, "libcudart %d.%d (%s)", MAJOR(version), MINOR(version), text);
        return DT2_BACKEND_OK;
    }
    if (status != DT2_BACKEND_ABSENT)
        return status;
    DT2_GPU_LOG(driver, DT2_GPU_DEBUG, "CUDA: no runtime is used: %s", text);
    if (!dt2_cuda_over_libcuda(driver, text, sizeof text))
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_FAILED, "NVIDIA's driver cannot be used without a runtime: %s",
                              text);
    snprintf(driver->about, sizeof driver->about, "libcuda %d.%d, without a runtime", MAJOR(served), MINOR(served));
    return DT2_BACKEND_OK;
}

int dt2_gpu_vendor_open(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    dt2_nvml_init(&driver->vendor.nvml);
    int status = find_libcuda(driver, err);
    if (status == DT2_BACKEND_OK)
        status = start_libcuda(driver, err);
    if (status == DT2_BACKEND_OK)
        status = find_runtime(driver, err);
    if (status == DT2_BACKEND_OK)
        DT2_GPU_LOG(driver, DT2_GPU_DEBUG, "CUDA: %s; the driver serves CUDA %d.%d", driver->about,
                    MAJOR(driver->vendor.driver_version), MINOR(driver->vendor.driver_version));
    return status;
}

void dt2_gpu_vendor_close(struct dt2_gpu_driver *driver)
{
    dt2_nvml_close(&driver->vendor.nvml);
    dt2_gpu_close_library(driver->vendor.libcuda);
}
