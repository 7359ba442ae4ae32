/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions of OpenCL that this driver calls. They are found in the ICD loader when the driver is opened, so that
 * nothing of a vendor's is linked, and a machine without one gets a reason in words.
 */
#ifndef DT2_OPENCL_ENTRIES_H
#define DT2_OPENCL_ENTRIES_H

#include <CL/cl.h>

#define DT2_CL_ENTRIES(X)                                                                                             \
    X(clCreateBuffer)                                                                                                 \
    X(clCreateCommandQueue)                                                                                           \
    X(clCreateContext)                                                                                                \
    X(clEnqueueBarrierWithWaitList)                                                                                   \
    X(clEnqueueCopyBuffer)                                                                                            \
    X(clEnqueueFillBuffer)                                                                                            \
    X(clEnqueueMapBuffer)                                                                                             \
    X(clEnqueueMarkerWithWaitList)                                                                                    \
    X(clEnqueueMigrateMemObjects)                                                                                     \
    X(clEnqueueReadBuffer)                                                                                            \
    X(clEnqueueUnmapMemObject)                                                                                        \
    X(clEnqueueWriteBuffer)                                                                                           \
    X(clFinish)                                                                                                       \
    X(clFlush)                                                                                                        \
    X(clGetCommandQueueInfo)                                                                                          \
    X(clGetContextInfo)                                                                                               \
    X(clGetDeviceIDs)                                                                                                 \
    X(clGetDeviceInfo)                                                                                                \
    X(clGetEventInfo)                                                                                                 \
    X(clGetMemObjectInfo)                                                                                             \
    X(clGetPlatformIDs)                                                                                               \
    X(clGetPlatformInfo)                                                                                              \
    X(clReleaseCommandQueue)                                                                                          \
    X(clReleaseContext)                                                                                               \
    X(clReleaseEvent)                                                                                                 \
    X(clReleaseMemObject)                                                                                             \
    X(clRetainCommandQueue)                                                                                           \
    X(clRetainContext)                                                                                                \
    X(clRetainEvent)                                                                                                  \
    X(clRetainMemObject)                                                                                              \
    X(clWaitForEvents)

#define DT2_CL_POINTER(name) __typeof__(&name) name##_;
struct dt2_cl_entries {
    DT2_CL_ENTRIES(DT2_CL_POINTER)
};
extern struct dt2_cl_entries dt2_cl;

#define clCreateBuffer dt2_cl.clCreateBuffer_
#define clCreateCommandQueue dt2_cl.clCreateCommandQueue_
#define clCreateContext dt2_cl.clCreateContext_
#define clEnqueueBarrierWithWaitList dt2_cl.clEnqueueBarrierWithWaitList_
#define clEnqueueCopyBuffer dt2_cl.clEnqueueCopyBuffer_
#define clEnqueueFillBuffer dt2_cl.clEnqueueFillBuffer_
#define clEnqueueMapBuffer dt2_cl.clEnqueueMapBuffer_
#define clEnqueueMarkerWithWaitList dt2_cl.clEnqueueMarkerWithWaitList_
#define clEnqueueMigrateMemObjects dt2_cl.clEnqueueMigrateMemObjects_
#define clEnqueueReadBuffer dt2_cl.clEnqueueReadBuffer_
#define clEnqueueUnmapMemObject dt2_cl.clEnqueueUnmapMemObject_
#define clEnqueueWriteBuffer dt2_cl.clEnqueueWriteBuffer_
#define clFinish dt2_cl.clFinish_
#define clFlush dt2_cl.clFlush_
#define clGetCommandQueueInfo dt2_cl.clGetCommandQueueInfo_
#define clGetContextInfo dt2_cl.clGetContextInfo_
#define clGetDeviceIDs dt2_cl.clGetDeviceIDs_
#define clGetDeviceInfo dt2_cl.clGetDeviceInfo_
#define clGetEventInfo dt2_cl.clGetEventInfo_
#define clGetMemObjectInfo dt2_cl.clGetMemObjectInfo_
#define clGetPlatformIDs dt2_cl.clGetPlatformIDs_
#define clGetPlatformInfo dt2_cl.clGetPlatformInfo_
#define clReleaseCommandQueue dt2_cl.clReleaseCommandQueue_
#define clReleaseContext dt2_cl.clReleaseContext_
#define clReleaseEvent dt2_cl.clReleaseEvent_
#define clReleaseMemObject dt2_cl.clReleaseMemObject_
#define clRetainCommandQueue dt2_cl.clRetainCommandQueue_
#define clRetainContext dt2_cl.clRetainContext_
#define clRetainEvent dt2_cl.clRetainEvent_
#define clRetainMemObject dt2_cl.clRetainMemObject_
#define clWaitForEvents dt2_cl.clWaitForEvents_

#endif
