/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CUDA and the HIP driver beside a program that uses the runtime itself, on the simulated machine: a test is
 * compiled for each, by the names of the driver's own vendor.h, and says "cuda" or "hip" by GPU_DRIVER_NAME.
 */
#ifndef DT2_TESTS_GPU_CALLER_H
#define DT2_TESTS_GPU_CALLER_H

#include "machine/modules.h"
#include "runtime.h"
#include "sim/sandbox.h"
#include "vendor.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#define MiB ((uint64_t)1 << 20)
#define CARD(id, more)                                                                                                 \
    "[gpu " id "]\ndrivers = " GPU_DRIVER_NAME "\nmemory = 256MiB\ncontext = 10MiB\npci = 0000:0" id ":00.0\n"         \
    "uuid = 0000000" id "123441238def0123456789ab\n" more
#define PAIR CARD("1", "peers = 2\n") CARD("2", "peers = 1\n")
#define LIAR(id, peer) CARD(id, "peers = " peer "\npeers_lie = " peer "\n")
#define APART CARD("1", "") CARD("2", "")

/* -- the driver */

static const struct dt2_backend *backend;
static struct dt2_services *services;
static void *driver;
static struct dt2_backend_error failure;

/* DT2_TEST_MODULE: another module than the one that was built, with a mistake in it. */
static void open_driver_with(const struct dt2_log *log)
{
    const char *build = getenv("top_builddir"), *other = getenv("DT2_TEST_MODULE");
    char path[PATH_MAX];
    struct dt2_error err;
    if (other)
        snprintf(path, sizeof path, "%s", other);
    else
        snprintf(path, sizeof path, "%s/.libs/dt2-" GPU_DRIVER_NAME ".so", build ? build : ".");
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = module ? dlsym(module, "dt2_backend_entry") : NULL;
    backend = symbol ? (__extension__(dt2_backend_entry_fn *)symbol)(DT2_BACKEND_ABI) : NULL;
    if (!backend || dt2_services_create(log, &services, &err) < 0 ||
        backend->open(dt2_services_table(services), &driver, &failure) < 0) {
        diag("%s: %s", path, backend ? failure.text : "no module");
        exit(2);
    }
}

__attribute__((unused)) static void open_driver(void)
{
    open_driver_with(NULL);
}

__attribute__((unused)) static void close_driver(void)
{
    must(dt2_services_live(services) == 0);
    backend->close(driver);
    dt2_services_destroy(services);
}

__attribute__((unused)) static bool good(int status)
{
    if (status != DT2_BACKEND_OK)
        diag("status %d: %s (%s, %lld)", status, failure.text, failure.vendor_name, (long long)failure.vendor_code);
    return status == DT2_BACKEND_OK;
}

#define CALL(entry, ...) backend->entry(driver, __VA_ARGS__, &failure)

__attribute__((unused)) static dt2_handle opened(uint32_t index)
{
    dt2_handle device = 0;
    must(good(CALL(device_open, index, NULL, &device)));
    return device;
}

#define STEP(call)                                                                                                     \
    do {                                                                                                               \
        must(good(call));                                                                                              \
        look();                                                                                                        \
    } while (0)

/* Everything that a load does on a device, with `look` after each call. */
__attribute__((unused)) static void work(uint32_t index, void (*look)(void))
{
    dt2_handle device = 0, buffer = 0, queue = 0, event = 0;
    void *staging = NULL;
    char *registered = aligned_alloc(4096, 4096), back[4096];
    bool done;
    STEP(CALL(device_open, index, NULL, &device));
    STEP(CALL(buffer_alloc, device, 1 * MiB, &buffer));
    STEP(CALL(queue_create, device, &queue));
    STEP(CALL(host_alloc, device, 4096, &staging));
    STEP(CALL(host_register, device, registered, 4096));
    memset(staging, 7, 4096);
    memset(registered, 8, 4096);
    STEP(CALL(copy_h2d, queue, buffer, 0, staging, 4096));
    STEP(CALL(copy_h2d, queue, buffer, 4096, registered, 4096));
    STEP(CALL(copy_d2d, queue, buffer, 8192, buffer, 4096, 4096));
    STEP(CALL(event_record, queue, &event));
    STEP(CALL(event_query, event, &done));
    STEP(CALL(queue_wait_event, queue, event));
    STEP(CALL(event_wait, event));
    STEP(CALL(copy_d2h, queue, buffer, 8192, back, 4096));
    STEP(CALL(queue_wait, queue));
    must(back[0] == 8 && back[4095] == 8);
    STEP(CALL(event_free, event));
    STEP(CALL(queue_destroy, queue));
    STEP(CALL(host_unregister, device, registered));
    STEP(CALL(host_free, device, staging));
    STEP(CALL(buffer_free, buffer));
    STEP(CALL(device_close, device));
    free(registered);
}

#endif
