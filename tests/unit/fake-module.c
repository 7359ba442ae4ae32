/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver modules for test-modules: one source, one module for each FAKE_... macro that is defined. Without any it is a
 * driver that opens and has two devices; none of its other entries is ever called.
 */
#include <distorch2/backend.h>
#include <stdio.h>
#include <stdlib.h>

static const struct dt2_backend_services *core;

static int fake_open(const struct dt2_backend_services *services, void **driver, struct dt2_backend_error *err)
{
    core = services;
#if defined(FAKE_ABSENT)
    return services->fail(services->core, err, DT2_BACKEND_ABSENT, 0, NULL, "no fake hardware");
#elif defined(FAKE_BROKEN)
    return services->fail(services->core, err, DT2_BACKEND_FAILED, 35, "fakeErrorOldDriver", "the runtime is too old");
#endif
#if defined(FAKE_ABORTS)
    fputs("a first line\n: CommandLine Error: Option 'fake' registered more than once!\n", stderr);
    abort();
#elif defined(FAKE_EXITS)
    exit(0);
#endif
    *driver = &core;
    (void)err;
    return DT2_BACKEND_OK;
}

static void fake_close(void *driver)
{
    (void)driver;
    core->log(core->core, 2, FAKE_NAME " closes");
}

static int fake_count(void *driver, uint32_t *count, struct dt2_backend_error *err)
{
    (void)driver, (void)count, (void)err;
#if defined(FAKE_EMPTY)
    *count = 0;
#elif defined(FAKE_COUNT_FAILS)
    return core->fail(core->core, err, DT2_BACKEND_FAILED, 0, NULL, "cannot count");
#else
    *count = 2;
#endif
    return DT2_BACKEND_OK;
}

static void never(void)
{
}
#define NEVER(entry) .entry = (__typeof__(((struct dt2_backend *)0)->entry))never

static const struct dt2_backend backend = {
#if defined(FAKE_SHORT)
    .struct_size = sizeof backend / 2,
#else
    .struct_size = sizeof backend,
#endif
#if defined(FAKE_ABI)
    .abi = DT2_BACKEND_ABI + 1,
#else
    .abi = DT2_BACKEND_ABI,
#endif
    .name = FAKE_NAME,
    .version = "0",
    .open = fake_open,
    .close = fake_close,
    .device_count = fake_count,
    NEVER(device_info),
    NEVER(device_free_bytes),
    NEVER(device_open),
    NEVER(device_close),
    NEVER(buffer_alloc),
    NEVER(buffer_adopt),
    NEVER(buffer_free),
    NEVER(buffer_native),
#if defined(FAKE_HALF)
    NEVER(host_alloc),
#endif
    NEVER(queue_create),
    NEVER(queue_adopt),
    NEVER(queue_destroy),
    NEVER(queue_wait),
    NEVER(copy_h2d),
    NEVER(copy_d2h),
#if !defined(FAKE_LACKS)
    NEVER(copy_d2d),
#endif
    NEVER(event_record),
    NEVER(event_query),
    NEVER(event_wait),
    NEVER(queue_wait_event),
    NEVER(event_free),
};

#if defined(FAKE_NO_SYMBOL)
#define dt2_backend_entry some_other_entry
DT2_PUBLIC const struct dt2_backend *some_other_entry(uint32_t abi);
#endif
#if defined(FAKE_NEEDS_LIBRARY)
int dt2_fake_vendor(void);
#endif

const struct dt2_backend *dt2_backend_entry(uint32_t abi)
{
#if defined(FAKE_NEEDS_LIBRARY)
    if (dt2_fake_vendor())
        return NULL;
#endif
#if defined(FAKE_REFUSES)
    return NULL;
#endif
    return abi == DT2_BACKEND_ABI ? &backend : NULL;
}
