/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated CUDA machine: identity, contexts, memory, errors, and that each mistake it is made for is caught. */
#include "cuda_headers.h"
#include "sandbox.h"

/* NVML's, as far as it is used here. */
typedef struct {
    unsigned long long total, free, used;
} nvml_memory;
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **handle);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle);
int nvmlDeviceGetMemoryInfo(void *handle, nvml_memory *memory);

#define MiB ((size_t)1 << 20)
#define CARD(id, more)                                                                                                 \
    "[gpu " id "]\ndrivers = cuda\nmemory = 256MiB\ncontext = 10MiB\npci = 0000:0" id ":00.0\n"                        \
    "uuid = 0000000" id "-1234-4abc-8def-0123456789ab\n" more
#define TWO CARD("1", "peers = 2\n") CARD("2", "")

static bool good(cudaError_t code)
{
    if (code != cudaSuccess)
        diag("%s (%d)", cudaGetErrorName(code), (int)code);
    return code == cudaSuccess;
}

/* -- identity, with no context */

static void body_listing(void)
{
    int count = 0, active = 1, can = 0;
    unsigned flags;
    char text[64];
    CUdevice device;
    CUuuid uuid;
    size_t total = 0;
    void *handle;
    nvml_memory memory;
    must(good(cudaGetDeviceCount(&count)) && count == 2);
    must(cuDeviceGet(&device, 0) == CUDA_ERROR_NOT_INITIALIZED);
    must(cuInit(0) == CUDA_SUCCESS && cuDeviceGet(&device, 1) == CUDA_SUCCESS);
    must(cuDeviceGetName(text, sizeof text, device) == CUDA_SUCCESS && strcmp(text, "2") == 0);
    must(cuDeviceGetUuid(&uuid, device) == CUDA_SUCCESS && uuid.bytes[3] == 2 && uuid.bytes[4] == 0x12);
    must(cuDeviceTotalMem_v2(&total, device) == CUDA_SUCCESS && total == 256 * MiB);
    must(cuDeviceGetPCIBusId(text, sizeof text, device) == CUDA_SUCCESS && strcmp(text, "0000:02:00.0") == 0);
    must(good(cudaDeviceCanAccessPeer(&can, 0, 1)) && can == 1);
    must(good(cudaDeviceCanAccessPeer(&can, 1, 0)) && can == 0);
    must(nvmlInit_v2() == 0 && nvmlDeviceGetHandleByUUID("GPU-00000002-1234-4abc-8def-0123456789ab", &handle) == 0);
    must(nvmlDeviceGetMemoryInfo(handle, &memory) == 0 && memory.free == 256 * MiB && memory.total == 256 * MiB);
    must(nvmlShutdown() == 0 && nvmlDeviceGetMemoryInfo(handle, &memory) == 1);
    must(cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active == 0);
}

static void body_contexts(void)
{
    CUcontext first, popped, current;
    CUdevice device;
    int index = -1, active = 0;
    unsigned flags;
    size_t free_bytes, total;
    must(cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxRetain(&first, 1) == CUDA_SUCCESS);
    must(cuCtxGetCurrent(&current) == CUDA_SUCCESS && !current);
    must(cuCtxPushCurrent_v2(first) == CUDA_SUCCESS && good(cudaGetDevice(&index)) && index == 1);
    must(good(cudaMemGetInfo(&free_bytes, &total)) && free_bytes == 246 * MiB && total == 256 * MiB);
    must(cuCtxGetDevice(&device) == CUDA_SUCCESS && device == 1);
    must(cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS && popped == first);
    must(cuCtxPopCurrent_v2(&popped) == CUDA_ERROR_INVALID_CONTEXT);
    must(cuDevicePrimaryCtxRelease_v2(1) == CUDA_SUCCESS);
    must(cuDevicePrimaryCtxGetState(1, &flags, &active) == CUDA_SUCCESS && !active);
    must(cuCtxPushCurrent_v2(first) == CUDA_ERROR_CONTEXT_IS_DESTROYED);
    must(cuDevicePrimaryCtxRelease_v2(1) != CUDA_SUCCESS);
    must(good(cudaSetDevice(1)) && good(cudaMemGetInfo(&free_bytes, &total)) && free_bytes == 246 * MiB);
}

static void body_runtime_holds(void)
{
    CUcontext context;
    void *memory;
    must(good(cudaSetDevice(0)) && good(cudaMalloc(&memory, 100)));
    must(cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    must(cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS && good(cudaFree(memory)));
}

/* -- memory */

static void body_memory(void)
{
    void *a = NULL, *b = NULL, *too_much = NULL;
    CUdeviceptr base;
    size_t size, free_bytes, total;
    must(cuInit(0) == CUDA_SUCCESS);
    must(good(cudaMalloc(&a, 100 * MiB)) && (uintptr_t)a % 256 == 0 && good(cudaMalloc(&b, 1)));
    must(cudaMalloc(&too_much, 150 * MiB) == cudaErrorMemoryAllocation && !too_much);
    must(cudaPeekAtLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaErrorMemoryAllocation &&
         cudaGetLastError() == cudaSuccess);
    must(cuMemGetAddressRange_v2(&base, &size, (CUdeviceptr)a + 12345) == CUDA_SUCCESS && base == (CUdeviceptr)a &&
         size == 100 * MiB);
    must(cuMemGetAddressRange_v2(&base, &size, (CUdeviceptr)&base) != CUDA_SUCCESS);
    must(good(cudaMemGetInfo(&free_bytes, &total)) && free_bytes == (256 - 10 - 100) * MiB - 1);
    must(good(cudaFree(a)) && good(cudaFree(b)) && good(cudaFree(NULL)));
    must(good(cudaMemGetInfo(&free_bytes, &total)) && free_bytes == 246 * MiB);
}

static void body_others(void)
{
    size_t before, after, total;
    void *memory;
    must(good(cudaMemGetInfo(&before, &total)) && before == 196 * MiB);
    must(good(cudaMemGetInfo(&after, &total)) && after == 176 * MiB);
    must(cudaMalloc(&memory, before) == cudaErrorMemoryAllocation);
}

static void body_granule(void)
{
    size_t free_bytes, total;
    void *memory;
    must(good(cudaMalloc(&memory, 1)) && good(cudaMemGetInfo(&free_bytes, &total)) && free_bytes == 244 * MiB);
    must(good(cudaFree(memory)));
}

static void body_slices(void)
{
    void *slice, *card;
    nvml_memory memory;
    char text[64];
    must(cuInit(0) == CUDA_SUCCESS && cuDeviceGetPCIBusId(text, sizeof text, 1) == CUDA_SUCCESS);
    must(nvmlInit_v2() == 0 && nvmlDeviceGetHandleByUUID("MIG-00000002-1234-4abc-8def-0123456789ab", &slice) == 0);
    must(nvmlDeviceGetHandleByUUID("GPU-00000002-1234-4abc-8def-0123456789ab", &slice) != 0);
    must(nvmlDeviceGetHandleByPciBusId_v2(text, &card) == 0 && card != slice);
    must(nvmlDeviceGetMemoryInfo(slice, &memory) == 0 && memory.total == 256 * MiB);
    must(nvmlDeviceGetMemoryInfo(card, &memory) == 0 && memory.total == 512 * MiB);
    must(nvmlDeviceGetHandleByIndex_v2(1, &card) != 0 && nvmlShutdown() == 0);
}

static void body_visible(void)
{
    int count = 0;
    CUuuid uuid;
    setenv("CUDA_VISIBLE_DEVICES", "GPU-00000002", 1);
    must(good(cudaGetDeviceCount(&count)) && count == 1 && cuInit(0) == CUDA_SUCCESS);
    must(cuDeviceGetUuid(&uuid, 0) == CUDA_SUCCESS && uuid.bytes[3] == 2);
}

static void body_nothing(void)
{
    int count = 7;
    must(cudaGetDeviceCount(&count) == cudaErrorNoDevice && cuInit(0) == CUDA_ERROR_NO_DEVICE);
}

/* -- errors on demand, and those that stick */

static void body_nth(void)
{
    void *memory = NULL, *second = NULL;
    must(good(cudaMalloc(&memory, 100)));
    must(cudaMalloc(&second, 100) == cudaErrorMemoryAllocation && !second);
    must(good(cudaMalloc(&second, 100)) && good(cudaFree(memory)));
    must(cudaFree(second) == cudaErrorUnknown); /* what fails on demand gives back all the same */
}

static void body_nth_of_all(void)
{
    void *memory;
    int count;
    must(good(cudaGetDeviceCount(&count)) && good(cudaMalloc(&memory, 100)));
    must(cudaGetDeviceCount(&count) == cudaErrorInvalidValue && cudaGetDeviceCount(&count) == cudaErrorInvalidValue);
    sim_forgive();
    must(good(cudaFree(memory)) && sim_calls("cudaGetDeviceCount") == 3 && sim_calls("*") == 5);
    sim_fail("cudaMalloc", 2, false, 2);
    must(good(cudaMalloc(&memory, 1)) && sim_value("unfreed_bytes") == 1 && good(cudaFree(memory)));
    must(cudaMalloc(&memory, 1) == cudaErrorMemoryAllocation);
}

/* Reads memory that is not there any more: the error comes with the work, and stays. */
static void body_sticky(void)
{
    void *memory, *host;
    cudaStream_t stream;
    must(good(cudaMalloc(&memory, MiB)) && good(cudaHostAlloc(&host, MiB, 0)) && good(cudaStreamCreate(&stream)));
    sim_fail("execute", 1, false, cudaErrorIllegalAddress);
    must(good(cudaMemcpyAsync(memory, host, MiB, cudaMemcpyHostToDevice, stream)));
    must(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
    must(cudaMalloc(&host, 1) == cudaErrorIllegalAddress && cudaGetLastError() == cudaErrorIllegalAddress &&
         cudaGetLastError() == cudaErrorIllegalAddress);
    must(cudaMemcpyAsync(memory, memory, 1, cudaMemcpyDefault, stream) == cudaErrorIllegalAddress);
    must(good(cudaSetDevice(1)) && good(cudaMalloc(&memory, 1)) && good(cudaFree(memory)));
    must(cudaSetDevice(0) == cudaErrorIllegalAddress);
    CUcontext context;
    must(cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxReset_v2(0) == CUDA_SUCCESS);
    must(good(cudaSetDevice(0)) && good(cudaMalloc(&memory, 1)) && good(cudaFree(memory)));
    must(cuCtxGetCurrent(&context) == CUDA_SUCCESS && context);
}

static void body_lost(void)
{
    void *memory, *other;
    cudaStream_t stream;
    must(good(cudaSetDevice(1)) && good(cudaMalloc(&memory, MiB)) && good(cudaStreamCreate(&stream)));
    for (int i = 0; i < 10; i++)
        cudaMemsetAsync(memory, 0, MiB, stream);
    must(cudaStreamSynchronize(stream) == cudaErrorLaunchFailure);
    must(cudaSetDevice(1) == cudaErrorLaunchFailure && cudaMalloc(&other, 1) == cudaErrorLaunchFailure);
    must(cudaStreamDestroy(stream) == cudaErrorLaunchFailure && cudaFree(memory) == cudaErrorLaunchFailure);
    must(good(cudaSetDevice(0)) && good(cudaMalloc(&memory, MiB)) && good(cudaFree(memory)));
}

/* -- mistakes */

static void body_touch(void)
{
    char *memory;
    must(good(cudaMalloc((void **)&memory, 100)));
    *(volatile char *)(memory + 5) = 1;
}

static void body_leaks(void)
{
    void *memory, *host;
    static char page[8192];
    cudaStream_t stream;
    cudaEvent_t event;
    must(good(cudaMalloc(&memory, 77)) && good(cudaHostAlloc(&host, 5000, 0)) && good(cudaStreamCreate(&stream)));
    must(good(cudaEventCreateWithFlags(&event, 0)) && good(cudaHostRegister(page, sizeof page, 0)));
    must(cudaHostRegister(page + 10, 5, 0) == cudaErrorHostMemoryAlreadyRegistered);
    must(cudaHostUnregister(page + 1) == cudaErrorHostMemoryNotRegistered);
}

static void body_abandoned(void)
{
    CUcontext context;
    cudaStream_t stream;
    must(cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    must(cuCtxPushCurrent_v2(context) == CUDA_SUCCESS && good(cudaStreamCreate(&stream)));
    must(cuCtxPopCurrent_v2(NULL) == CUDA_SUCCESS && cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS);
}

static void body_wrong_device(void)
{
    cudaEvent_t event;
    cudaStream_t stream;
    must(good(cudaEventCreateWithFlags(&event, 0)) && good(cudaSetDevice(1)) && good(cudaStreamCreate(&stream)));
    must(cudaEventRecord(event, stream) == cudaErrorInvalidResourceHandle);
    must(good(cudaStreamDestroy(stream)) && good(cudaEventDestroy(event)));
}

static void body_wrong_current(void)
{
    void *memory;
    cudaStream_t stream;
    must(good(cudaMalloc(&memory, 100)) && good(cudaStreamCreate(&stream)) && good(cudaSetDevice(1)));
    must(good(cudaMemsetAsync(memory, 1, 100, stream)) && good(cudaStreamSynchronize(stream)));
    must(good(cudaStreamDestroy(stream)) && good(cudaFree(memory)));
}

static void body_range(void)
{
    char *memory, host[200];
    must(good(cudaMalloc((void **)&memory, 100)));
    must(good(cudaMemcpy(memory + 50, host, 50, cudaMemcpyHostToDevice)));
    must(cudaMemcpy(memory + 51, host, 50, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    must(cudaMemcpy(memory, host, 10, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    must(good(cudaFree(memory)));
}

static void body_twice(void)
{
    void *memory;
    must(good(cudaMalloc(&memory, 100)) && good(cudaFree(memory)) && cudaFree(memory) == cudaErrorInvalidValue);
}

static void body_stale_handles(void)
{
    cudaStream_t stream;
    cudaEvent_t event;
    must(good(cudaStreamCreate(&stream)) && good(cudaStreamDestroy(stream)));
    must(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
    must(good(cudaEventCreateWithFlags(&event, 0)) && good(cudaEventDestroy(event)));
    must(cudaEventQuery(event) == cudaErrorInvalidResourceHandle);
}

static void body_peers(void)
{
    void *here, *there;
    char bytes[100] = "over there";
    cudaStream_t stream;
    must(good(cudaMalloc(&here, 100)) && good(cudaMemcpy(here, bytes, 100, cudaMemcpyDefault)));
    must(good(cudaSetDevice(1)) && good(cudaMalloc(&there, 100)) && good(cudaStreamCreate(&stream)));
    must(good(cudaMemcpyPeerAsync(there, 1, here, 0, 100, stream)) && good(cudaStreamSynchronize(stream)));
    memset(bytes, 0, sizeof bytes);
    must(good(cudaMemcpy(bytes, there, 100, cudaMemcpyDefault)) && strcmp(bytes, "over there") == 0);
    must(cudaMemcpyPeerAsync(there, 0, here, 0, 100, stream) == cudaErrorInvalidValue);
    must(cudaDeviceEnablePeerAccess(0, 0) == cudaErrorPeerAccessUnsupported);
    must(good(cudaStreamDestroy(stream)) && good(cudaFree(there)) && good(cudaFree(here)));
}

static void body_peer_access(void)
{
    void *here, *there;
    must(good(cudaSetDevice(1)) && good(cudaMalloc(&there, 100)) && good(cudaSetDevice(0)) &&
         good(cudaMalloc(&here, 100)));
    must(good(cudaDeviceEnablePeerAccess(1, 0)) &&
         cudaDeviceEnablePeerAccess(1, 0) == cudaErrorPeerAccessAlreadyEnabled);
    must(good(cudaMemcpy(here, there, 100, cudaMemcpyDeviceToDevice)) && good(cudaDeviceDisablePeerAccess(1)));
    must(cudaMemcpy(here, there, 100, cudaMemcpyDeviceToDevice) == cudaErrorPeerAccessNotEnabled);
    must(good(cudaFree(there)) && good(cudaFree(here)));
}

/* Through the host all arrives; with access from either side zeros or nothing does, and every call succeeds. */
static void body_liars(void)
{
    void *here, *there;
    char bytes[2][100] = { "here", "there" }, back[100];
    must(good(cudaSetDevice(1)) && good(cudaMalloc(&there, 100)));
    must(good(cudaSetDevice(0)) && good(cudaMalloc(&here, 100)));
    for (int i = 0; i < 3; i++) {
        must(good(cudaSetDevice(1)) && good(cudaMemcpy(there, bytes[1], 100, cudaMemcpyDefault)));
        must(good(cudaSetDevice(0)) && good(cudaMemcpy(here, bytes[0], 100, cudaMemcpyDefault)));
        must(good(cudaMemcpyPeerAsync(here, 0, there, 1, 100, NULL)) && good(cudaDeviceSynchronize()));
        must(good(cudaMemcpy(back, here, 100, cudaMemcpyDefault)));
        must(strcmp(back, i == 0 ? "there" : i == 1 ? "" : "here") == 0);
        must(i > 0 || good(cudaDeviceEnablePeerAccess(1, 0)));
    }
    must(good(cudaMemcpyPeerAsync(there, 1, here, 0, 100, NULL)) && good(cudaDeviceSynchronize()));
    must(good(cudaMemcpy(back, there, 100, cudaMemcpyDefault)) && strcmp(back, "here") == 0);
    must(good(cudaFree(there)) && good(cudaFree(here)));
}

/* -- what is wrong with a machine file is said, and nothing runs */

static void check_bad_machines(void)
{
    static const char *const bad[] = {
        "speed = 1\n",
        "seed = x\n",
        "[gpu A B]\n",
        "[gpu a]\ndrivers = cuda\n",
        "[gpu a]\nmemory = 1GiB\n",
        "[gpu a]\nmemory = 1TB\n",
        "[gpu a]\npci = 1\n",
        "[gpu a]\nuuid = 12\n",
        "fail = cudaMalloc 0 nomem\n",
        "fail = cudaMalloc 1 0\n",
        "[gpu a]\ndrivers = cuda\nmemory = 1GiB\npeers = b\n",
        "[gpu a]\n[gpu a]\n",
        "nonsense\n",
    };
    static struct outcome outcome;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_case(bad[i], body_nothing, &outcome);
        ok(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 99, "a machine file that is wrong, %zu", i);
    }
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "devices tell what they are", TWO, body_listing, "contexts", 0 },
        { "contexts are made, current, and let go", TWO, body_contexts, "contexts.2", 2 },
        { "a context that the runtime made stays", TWO, body_runtime_holds, NULL, 0 },
        { "memory is given and taken back", TWO, body_memory, NULL, 0 },
        { "what others take grows", CARD("1", "others = 50MiB\nothers_grow = 20MiB\n"), body_others, NULL, 0 },
        { "memory comes in granules", CARD("1", "granule = 2MiB\n"), body_granule, NULL, 0 },
        { "slices are two devices of one card", CARD("1", "mig = yes\n") CARD("2", "mig = yes\npci = 0000:01:00.0\n"),
          body_slices, NULL, 0 },
        { "visibility counts", TWO, body_visible, NULL, 0 },
        { "a machine without devices", "", body_nothing, NULL, 0 },
        { "the nth call fails", "fail = cudaMalloc 2 nomem\nfail = cudaFree 2 unknown\n" CARD("1", ""), body_nth, NULL,
          0 },
        { "the nth call of all fails, and those after it", "fail = * 3+ invalid\n" CARD("1", ""), body_nth_of_all, NULL,
          0 },
        { "an error that sticks", TWO, body_sticky, "violations", 0 },
        { "a device that is gone", CARD("1", "") CARD("2", "lost = 8\n"), body_lost, NULL, 0 },
        { "leaks: memory", TWO, body_leaks, "unfreed_bytes", 77 },
        { "leaks: pinned memory", TWO, body_leaks, "unfreed_pinned", 1 },
        { "leaks: streams", TWO, body_leaks, "unfreed_streams", 1 },
        { "leaks: events", TWO, body_leaks, "unfreed_events", 1 },
        { "leaks: registered memory", TWO, body_leaks, "still_registered", 1 },
        { "leaks: all of them", TWO, body_leaks, "violations", 5 },
        { "a stream is left in a context that ends", TWO, body_abandoned, "abandoned", 1 },
        { "an event of another device", TWO, body_wrong_device, "wrong_device", 1 },
        { "another device is current", TWO, body_wrong_current, "wrong_device", 1 },
        { "a copy out of range", TWO, body_range, "out_of_range", 1 },
        { "memory is freed twice", TWO, body_twice, "use_after_free", 1 },
        { "handles that are none any more", TWO, body_stale_handles, "bad_handle", 2 },
        { "copies to a peer need no access", TWO, body_peers, NULL, 0 },
        { "direct access to a peer's memory does", TWO, body_peer_access, "peer_access", 1 },
        { "a peer whose copies lie", CARD("1", "peers = 2\npeers_lie = 2\n") CARD("2", ""), body_liars, "lies", 2 },
    };
    static struct outcome outcome;
    RUN_CASES(cases);
    run_case(TWO, body_touch, &outcome);
    ok(WIFSIGNALED(outcome.status) || (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status)),
       "the host cannot touch device memory");
    is_u64(reported(&outcome, "host_touch"), 1, "and the report says so");
    check_bad_machines();
    return done_testing();
}
