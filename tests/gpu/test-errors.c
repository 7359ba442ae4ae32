/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of the runtime that fail beside a program that uses it itself, and the last error, which is the program's. */
#include "caller.h"

/* -- errors */

static void body_last_error(void)
{
    dt2_handle device, queue = 0, buffer = 0, more = 0;
    open_driver();
    device = opened(0);
    must(good(CALL(queue_create, device, &queue)) && good(CALL(buffer_alloc, device, 200 * MiB, &buffer)));
    must(CALL(buffer_alloc, device, 100 * MiB, &more) == DT2_BACKEND_NOMEM && !more);
    must(failure.vendor_code == 2 && strstr(failure.vendor_name, "Memory"));
    must(strstr(failure.text, "104857600"));
    must(GPU(GetLastError)() == GPU(Success));
    must(CALL(buffer_alloc, device, 256 * MiB + 1, &more) == DT2_BACKEND_INVALID);
    must(good(CALL(buffer_free, buffer)) && good(CALL(queue_destroy, queue)) && good(CALL(device_close, device)));
    close_driver();
}

/* Each runtime function fails once; whatever the driver says, nothing is left in the thread and all is given back. */
static void body_each_fails(void)
{
    static const char *const functions[] = { "Malloc", "MemcpyAsync", "StreamCreateWithFlags", "EventCreateWithFlags",
                                             "EventRecord", "EventQuery", "EventSynchronize", "StreamSynchronize",
                                             "StreamWaitEvent", "HostRegister", "StreamDestroy", "EventDestroy" };
    open_driver();
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        char name[64];
        char *memory = aligned_alloc(4096, 4096);
        dt2_handle device = opened(0), buffer = 0, queue = 0, event = 0;
        int bad = 0;
        bool done;
        snprintf(name, sizeof name, GPU_DRIVER_NAME "%s", functions[i]);
        sim_fail(name, 1, false, GPU(ErrorInvalidValue));
        for (int round = 0; round < 2; round++) { /* in the second all is well, and completes what is lacking */
            memset(&failure, 0, sizeof failure);
            bad += !buffer && CALL(buffer_alloc, device, 4096, &buffer) < 0;
            bad += !queue && CALL(queue_create, device, &queue) < 0;
            bad += buffer && queue && CALL(copy_h2d, queue, buffer, 0, memory, 4096) < 0;
            bad += queue && !event && CALL(event_record, queue, &event) < 0;
            bad += event && CALL(event_query, event, &done) < 0;
            bad += event && CALL(queue_wait_event, queue, event) < 0;
            bad += event && CALL(event_wait, event) < 0;
            bad += queue && CALL(queue_wait, queue) < 0;
            if (CALL(host_register, device, memory, 4096) < 0)
                bad++;
            else
                must(good(CALL(host_unregister, device, memory)));
            must(GPU(PeekAtLastError)() == GPU(Success));
            must(bad == (i < 10)); /* the last two are called by what comes now */
            must(!bad || round == 1 || failure.vendor_code == GPU(ErrorInvalidValue));
            must(!bad || round == 1 || strstr(failure.vendor_name, "ErrorInvalidValue"));
        }
        must(good(CALL(event_free, event)) && good(CALL(queue_destroy, queue)) && good(CALL(buffer_free, buffer)) &&
             good(CALL(device_close, device)));
        must(GPU(PeekAtLastError)() == GPU(Success));
        sim_forgive();
        free(memory);
    }
    close_driver();
}

/*
 * A context is lost in the middle of the work: it is said so, by every call from then on, and all can be given
 * back.
 */
static void body_lost(void)
{
    static char memory[4096];
    dt2_handle device, buffer = 0, queue = 0, event = 0, more;
    open_driver();
    device = opened(0);
    must(good(CALL(buffer_alloc, device, 4096, &buffer)) && good(CALL(queue_create, device, &queue)));
    sim_fail("execute", 1, false, GPU(ErrorLaunchFailure));
    must(good(CALL(copy_h2d, queue, buffer, 0, memory, 4096)));
    int status = CALL(event_record, queue, &event); /* on a slow machine it is lost by then */
    if (status == 0)
        status = CALL(event_wait, event);
    must(status == DT2_BACKEND_LOST && strstr(failure.vendor_name, "LaunchFailure"));
    must(CALL(buffer_alloc, device, 4096, &more) == DT2_BACKEND_LOST);
    must(CALL(queue_create, device, &more) == DT2_BACKEND_LOST);
    must(CALL(queue_wait, queue) == DT2_BACKEND_LOST);
    if (event)
        CALL(event_free, event);
    CALL(queue_destroy, queue);
    CALL(buffer_free, buffer);
    must(good(CALL(device_close, device)));
    close_driver();
}

/* One device that cannot be opened does not stop the other. */
static void body_one_fails(void)
{
    dt2_handle device = 0, other;
    open_driver();
    sim_fail(GPU_IS_HIP ? "hipFree" : "cuDevicePrimaryCtxRetain", 1, false, GPU(ErrorMemoryAllocation));
    must(CALL(device_open, 0, NULL, &device) == DT2_BACKEND_NOMEM && !device && failure.vendor_code == 2);
    other = opened(1);
    must(good(CALL(device_close, other)));
    must(CALL(device_open, 0, &other, &device) == DT2_BACKEND_INVALID);
    close_driver();
}

/* -- the last error of the thread */

/* Every entry once; whatever fails, it goes on, and `look` is called after each. */
static void sweep(void (*look)(void))
{
#define TRY(call) ((void)(call), look())
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    struct dt2_backend_native native = { .struct_size = sizeof native };
    static char memory[4096] __attribute__((aligned(4096)));
    dt2_handle devices[2] = { 0, 0 }, buffers[2] = { 0, 0 }, queue = 0, event = 0, none = 0;
    enum dt2_peer_verdict verdict;
    uint64_t free_bytes;
    void *staging = NULL;
    bool answer;
    TRY(CALL(device_info, 0, &info));
    TRY(CALL(device_free_bytes, 0, true, &free_bytes));
    TRY(CALL(peer_query, 0, 1, &answer));
    for (uint32_t i = 0; i < 2; i++) {
        TRY(CALL(device_open, i, NULL, &devices[i]));
        TRY(CALL(buffer_alloc, devices[i], 4096, &buffers[i]));
    }
    TRY(CALL(buffer_native, buffers[0], &native));
    TRY(CALL(buffer_adopt, devices[0], native.handle, 4096, &none));
    TRY(CALL(buffer_free, none));
    TRY(CALL(queue_adopt, devices[0], NULL, &none));
    TRY(CALL(queue_destroy, none));
    TRY(CALL(queue_create, devices[0], &queue));
    TRY(CALL(host_alloc, devices[0], 4096, &staging));
    TRY(CALL(host_register, devices[0], memory, 4096));
    TRY(CALL(copy_h2d, queue, buffers[0], 0, memory, 4096));
    TRY(CALL(peer_check, devices[0], devices[1], &verdict));
    TRY(CALL(copy_peer, queue, buffers[0], 0, buffers[1], 0, 4096));
    TRY(CALL(event_record, queue, &event));
    TRY(CALL(event_query, event, &answer));
    TRY(CALL(queue_wait_event, queue, event));
    TRY(CALL(event_wait, event));
    TRY(CALL(copy_d2h, queue, buffers[0], 0, memory, 4096));
    TRY(CALL(queue_wait, queue));
    TRY(CALL(event_free, event));
    TRY(CALL(queue_destroy, queue));
    TRY(CALL(host_unregister, devices[0], memory));
    TRY(CALL(host_free, devices[0], staging));
    for (int i = 0; i < 2; i++) {
        TRY(CALL(buffer_free, buffers[i]));
        TRY(CALL(device_close, devices[i]));
    }
}

static void leave_own(void)
{
    must(GPU(SetDevice)(99) != GPU(Success));
}

/* A query that says "not ready" is an error to HIP, and overwrites what was there. */
static void still_own(void)
{
    GPU(Error_t) pending = GPU(PeekAtLastError)();
    must(pending == GPU(ErrorInvalidDevice) || (GPU_IS_HIP && pending == GPU(ErrorNotReady)));
    if (pending != GPU(ErrorInvalidDevice))
        leave_own();
}

static void some_pending(void)
{
    must(GPU(PeekAtLastError)() != GPU(Success));
}

static void none_pending(void)
{
    must(GPU(PeekAtLastError)() == GPU(Success));
}

static void body_own_error(void)
{
    leave_own();
    open_driver();
    still_own();
    sweep(still_own);
    close_driver();
    still_own();
}

/* Each call of all fails once. */
static void fail_each(void (*before)(void), void (*look)(void))
{
    unsigned failed = 0;
    open_driver();
    for (uint64_t n = 1; failed == n - 1; n++) {
        uint64_t injected = sim_value("injected");
        sim_fail("*", n, false, GPU(ErrorInvalidValue));
        before();
        sweep(look);
        failed += sim_value("injected") > injected;
        sim_forgive();
        (void)GPU(GetLastError)();
    }
    must(failed > 50);
    close_driver();
}

static void body_none_left(void)
{
    fail_each(none_pending, none_pending);
}

static void body_some_left(void)
{
    fail_each(leave_own, some_pending);
}

#if !GPU_IS_HIP
/* A runtime that does not tell its version is not used; libcuda does alone. */
static void body_no_version(void)
{
    leave_own();
    sim_fail("cudaRuntimeGetVersion", 1, true, cudaErrorInvalidValue);
    open_driver();
    some_pending();
    close_driver();
    (void)cudaGetLastError();
    open_driver();
    none_pending();
    close_driver();
}
#endif

int main(void)
{
    static const struct sim_case cases[] = {
        { "a failure has the vendor's name and code, and leaves no error behind", PAIR, body_last_error, NULL, 0 },
        { "each call may fail", PAIR, body_each_fails, NULL, 0 },
        { "a lost device is lost", PAIR, body_lost, NULL, 0 },
        { "a device that does not open does not stop another", PAIR, body_one_fails, NULL, 0 },
        { "the program's last error stays", PAIR, body_own_error, NULL, 0 },
        { "where no error was pending none is, whatever fails", PAIR, body_none_left, NULL, 0 },
        { "where one was pending one is, whatever fails", PAIR, body_some_left, NULL, 0 },
#if !GPU_IS_HIP
        { "no version, and no error of it", PAIR, body_no_version, NULL, 0 },
#endif
    };
    RUN_CASES(cases);
    return done_testing();
}
