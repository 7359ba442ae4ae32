/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"
#include <stdarg.h>
#include <stdio.h>

#define NAMED(code) { code, #code }

const char *dt2_cl_name(cl_int code)
{
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
        NAMED(CL_DEVICE_NOT_FOUND),
        NAMED(CL_DEVICE_NOT_AVAILABLE),
        NAMED(CL_COMPILER_NOT_AVAILABLE),
        NAMED(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        NAMED(CL_OUT_OF_RESOURCES),
        NAMED(CL_OUT_OF_HOST_MEMORY),
        NAMED(CL_PROFILING_INFO_NOT_AVAILABLE),
        NAMED(CL_MEM_COPY_OVERLAP),
        NAMED(CL_MAP_FAILURE),
        NAMED(CL_MISALIGNED_SUB_BUFFER_OFFSET),
        NAMED(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        NAMED(CL_INVALID_VALUE),
        NAMED(CL_INVALID_DEVICE_TYPE),
        NAMED(CL_INVALID_PLATFORM),
        NAMED(CL_INVALID_DEVICE),
        NAMED(CL_INVALID_CONTEXT),
        NAMED(CL_INVALID_QUEUE_PROPERTIES),
        NAMED(CL_INVALID_COMMAND_QUEUE),
        NAMED(CL_INVALID_HOST_PTR),
        NAMED(CL_INVALID_MEM_OBJECT),
        NAMED(CL_INVALID_EVENT_WAIT_LIST),
        NAMED(CL_INVALID_EVENT),
        NAMED(CL_INVALID_OPERATION),
        NAMED(CL_INVALID_BUFFER_SIZE),
        NAMED(CL_INVALID_PROPERTY),
        { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown code";
}

static int status_of(cl_int code, bool taking_memory)
{
    switch (code) {
    case CL_DEVICE_NOT_AVAILABLE:
        return DT2_BACKEND_LOST;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_HOST_MEMORY:
        return DT2_BACKEND_NOMEM;
    case CL_OUT_OF_RESOURCES:
    case CL_INVALID_BUFFER_SIZE:
    case CL_MAP_FAILURE:
        return taking_memory ? DT2_BACKEND_NOMEM : DT2_BACKEND_FAILED;
    default:
        return DT2_BACKEND_FAILED;
    }
}

static int failv(const struct dt2_cl_driver *driver, struct dt2_backend_error *err, int status, cl_int code,
                 const char *format, va_list args)
{
    char text[sizeof err->text];
    vsnprintf(text, sizeof text, format, args);
    return driver->services->fail(driver->services->core, err, status, code, dt2_cl_name(code), "%s", text);
}

int dt2_cl_fail(const struct dt2_cl_driver *driver, struct dt2_backend_error *err, cl_int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = failv(driver, err, status_of(code, false), code, format, args);
    va_end(args);
    return status;
}

int dt2_cl_fail_memory(const struct dt2_cl_driver *driver, struct dt2_backend_error *err, cl_int code,
                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = failv(driver, err, status_of(code, true), code, format, args);
    va_end(args);
    return status;
}

int dt2_cl_fail_bookkeeping(const struct dt2_cl_driver *driver, struct dt2_backend_error *err)
{
    return driver->services->fail(driver->services->core, err, DT2_BACKEND_NOMEM, 0, NULL,
                                  "out of host memory for bookkeeping");
}
