/* SPDX-License-Identifier: BSD-3-Clause */
/* The OpenCL devices that tests use: PoCL's, of which POCL_DEVICES="pthread basic" makes two. */
#ifndef DT2_TESTS_OPENCL_H
#define DT2_TESTS_OPENCL_H

#include <distorch2.h>

static inline bool two_opencl_devices(struct dt2_context *context)
{
    struct dt2_devices *devices;
    size_t index;
    if (dt2_devices_list(context, 0, &devices, NULL) < 0)
        return false;
    bool two = dt2_devices_find(devices, "opencl:0", &index, NULL) == 0 &&
               dt2_devices_find(devices, "opencl:1", &index, NULL) == 0;
    dt2_devices_free(devices);
    return two;
}

#endif
