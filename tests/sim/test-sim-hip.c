/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated HIP: what differs from CUDA; the engine behind it is tested by CUDA's face. */
#include "hip_headers.h"
#include "sandbox.h"

#define CARD(id, more)                                                                                                 \
    "[gpu " id "]\nname = Radeon " id "\ndrivers = hip\nmemory = 64MiB\ncontext = 4MiB\npci = 0000:a" id ":00.0\n"     \
    "uuid = 89abcdef0123456" id "\n" more
#define TWO CARD("1", "") CARD("2", "")

static bool good(hipError_t code)
{
    if (code != hipSuccess)
        diag("%s (%d)", hipGetErrorName(code), (int)code);
    return code == hipSuccess;
}

static void body_listing(void)
{
    int count = 0, current = -1, version = 0;
    hipDevice_t device;
    hipUUID uuid;
    char text[64];
    size_t bytes;
    must(good(hipGetDeviceCount(&count)) && count == 2 && good(hipRuntimeGetVersion(&version)) && version > 50200000);
    must(good(hipDeviceGet(&device, 1)) && good(hipDeviceGetName(text, sizeof text, device)) &&
         strcmp(text, "Radeon 2") == 0);
    must(good(hipDeviceGetUuid(&uuid, device)) && memcmp(uuid.bytes, "89abcdef01234562", 16) == 0);
    must(good(hipDeviceGetPCIBusId(text, sizeof text, device)) && strcmp(text, "0000:a2:00.0") == 0);
    must(good(hipDeviceTotalMem(&bytes, device)) && bytes == 64 << 20);
    must(good(hipSetDevice(1)) && good(hipGetDevice(&current)) && current == 1);
    must(hipSetDevice(2) == hipErrorInvalidDevice && hipGetLastError() == hipErrorInvalidDevice);
}

static void body_copy(void)
{
    enum { BYTES = 100000 };
    char *host = NULL, *memory = NULL;
    void *base;
    size_t size;
    int ordinal = -1;
    hipStream_t stream;
    hipEvent_t event;
    must(good(hipSetDevice(1)) && good(hipMalloc((void **)&memory, BYTES)));
    must(good(hipHostMalloc((void **)&host, BYTES, hipHostMallocPortable)) &&
         good(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking)));
    memset(host, 9, BYTES);
    must(good(hipMemcpyAsync(memory, host, BYTES, hipMemcpyHostToDevice, stream)));
    must(good(hipEventCreateWithFlags(&event, hipEventDisableTiming)) && good(hipEventRecord(event, stream)));
    must(good(hipEventSynchronize(event)) && good(hipEventDestroy(event)));
    memset(host, 0, BYTES);
    must(good(hipMemcpyAsync(host, memory, BYTES, hipMemcpyDeviceToHost, stream)) &&
         good(hipStreamSynchronize(stream)));
    must(host[0] == 9 && host[BYTES - 1] == 9 && hipGetStreamDeviceId(stream) == 1);
    must(good(hipMemGetAddressRange(&base, &size, memory + 5)) && base == memory && size == BYTES);
    must(good(hipPointerGetAttribute(&ordinal, HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL, memory)) && ordinal == 1);
    must(good(hipStreamDestroy(stream)) && good(hipHostFree(host)) && good(hipFree(memory)));
}

/* The allocation lands on the device that is current; a stream of another cannot reach it. */
static void body_forgot_device(void)
{
    void *memory;
    hipStream_t stream;
    must(good(hipSetDevice(1)) && good(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking)));
    must(good(hipSetDevice(0)) && good(hipMalloc(&memory, 100)) && good(hipSetDevice(1)));
    must(hipMemsetAsync(memory, 0, 100, stream) == hipErrorPeerAccessNotEnabled);
    must(good(hipStreamDestroy(stream)) && good(hipFree(memory)));
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "devices tell what they are", TWO, body_listing, "contexts", 0 },
        { "bytes go there and come back", TWO, body_copy, NULL, 0 },
        { "only the device in use has a context", TWO, body_copy, "contexts.1", 0 },
        { "memory of another device", TWO, body_forgot_device, "peer_access", 1 },
        { "a failure on demand", "fail = hipMalloc 9 nomem\n" TWO, body_copy, NULL, 0 },
    };
    RUN_CASES(cases);
    return done_testing();
}
