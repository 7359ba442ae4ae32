/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include <stdarg.h>
#include <stdio.h>

int dt2_gpu_status(int code)
{
    static const int lost[] = { GPU_LOST_CODES };
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++)
        if (lost[i] == code)
            return DT2_BACKEND_LOST;
    if (code == GPU(ErrorMemoryAllocation))
        return DT2_BACKEND_NOMEM;
    return code == GPU(ErrorNotSupported) ? DT2_BACKEND_UNSUPPORTED : DT2_BACKEND_FAILED;
}

/* -- the thread's last error */

static _Thread_local bool failed; /* a call, since the last error was as the program left it */

struct dt2_gpu_entry dt2_gpu_entry_begin(const struct dt2_gpu_driver *driver)
{
    struct dt2_gpu_entry entry = { .driver = driver, .saved_errno = errno };
    entry.pending = driver->runtime.PeekAtLastError && driver->runtime.PeekAtLastError() != GPU(Success);
    return entry;
}

void dt2_gpu_entry_end(const struct dt2_gpu_entry *entry)
{
    if (failed && !entry->pending) {
        (void)entry->driver->runtime.GetLastError();
        failed = false;
    }
    errno = entry->saved_errno;
}

void dt2_gpu_forget(void)
{
    failed = true;
}

/* -- codes in words */

int dt2_gpu_fail(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err, GPU(Error_t) code,
                 const char *format, ...)
{
    const struct dt2_backend_services *services = driver->services;
    const char *name = driver->runtime.GetErrorName(code);
    const char *meaning = driver->runtime.GetErrorString(code);
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dt2_gpu_forget();
    return services->fail(services->core, err, dt2_gpu_status(code), code, name ? name : "unknown code", "%s: %s", text,
                          meaning ? meaning : "the runtime does not say why");
}

int dt2_gpu_fail_bookkeeping(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_NOMEM, "out of host memory for bookkeeping");
}
