/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Beside a program that uses the runtime itself: what it has current stays so, what is its own is adopted or refused,
 * and no context is made where no bytes go.
 */
#include "caller.h"

/* -- what is current */

static int chosen;

static void still_chosen(void)
{
    int now = -1;
    must(GPU(GetDevice)(&now) == GPU(Success) && now == chosen);
    must(GPU(PeekAtLastError)() == GPU(Success));
}

static void body_listing(void)
{
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    uint64_t free_bytes;
    bool reachable;
    open_driver();
    for (uint32_t i = 0; i < 2; i++)
        must(good(CALL(device_info, i, &info)) && good(CALL(device_free_bytes, i, false, &free_bytes)) &&
             good(CALL(peer_query, i, 1 - i, &reachable)));
    must(strcmp(info.uuid, "00000002-1234-4123-8def-0123456789ab") == 0 && strcmp(info.pci, "0000:02:00.0") == 0);
    must(info.total_bytes == 256 * MiB && info.fixed_bytes == 8 * MiB && !info.flags && strcmp(info.kind, "gpu") == 0);
    close_driver();
    must(GPU_IS_HIP || sim_value("contexts") == 0); /* without a kernel that tells what is free, HIP does */
}

static void body_current(void)
{
    void *memory = NULL;
    open_driver();
    chosen = 1;
    must(GPU(SetDevice)(1) == GPU(Success) && GPU(Malloc)(&memory, 100) == GPU(Success));
    work(0, still_chosen);
    work(1, still_chosen);
    must(GPU(Free)(memory) == GPU(Success));
    close_driver();
}

/* A thread that has nothing current has nothing current afterwards. */
static void nothing_current(void)
{
#if !GPU_IS_HIP
    CUcontext current = (CUcontext)&current;
    must(cuCtxGetCurrent(&current) == CUDA_SUCCESS && !current);
#endif
    int now = -1;
    must(GPU(GetDevice)(&now) == GPU(Success) && now == 0);
}

static void body_nothing_current(void)
{
    open_driver();
    work(1, nothing_current);
    must(sim_value("contexts.1") == 0 && sim_value("contexts.2") == 1);
    close_driver();
}

/* -- what is the program's own */

static void body_streams(void)
{
    static char memory[4096];
    GPU(Stream_t) own = NULL, foreign = NULL;
    dt2_handle device, buffer = 0, queue = 0;
    open_driver();
    must(GPU(SetDevice)(1) == GPU(Success) && GPU(StreamCreate)(&foreign) == GPU(Success));
    must(GPU(SetDevice)(0) == GPU(Success) && GPU(StreamCreate)(&own) == GPU(Success));
    device = opened(0);
    must(good(CALL(buffer_alloc, device, 4096, &buffer)));
    must(CALL(queue_adopt, device, foreign, &queue) == DT2_BACKEND_INVALID && !queue);
    must(CALL(queue_adopt, device, GPU(StreamPerThread), &queue) == DT2_BACKEND_INVALID && !queue);
    GPU(Stream_t) streams[] = { own, NULL };
    for (int i = 0; i < 2; i++) {
        must(good(CALL(queue_adopt, device, streams[i], &queue)));
        must(good(CALL(copy_h2d, queue, buffer, 0, memory, 4096)) && good(CALL(queue_wait, queue)));
        must(CALL(device_close, device) == DT2_BACKEND_BUSY);
        must(good(CALL(queue_destroy, queue)));
    }
    must(GPU(StreamQuery)(own) == GPU(Success)); /* it is still there */
    must(good(CALL(buffer_free, buffer)) && good(CALL(device_close, device)));
    must(GPU(StreamDestroy)(own) == GPU(Success) && GPU(StreamDestroy)(foreign) == GPU(Success));
    close_driver();
}

static void body_memory(void)
{
    void *own = NULL, *foreign = NULL, *pinned = NULL;
    dt2_handle device, buffer = 0;
    open_driver();
    must(GPU(SetDevice)(1) == GPU(Success) && GPU(Malloc)(&foreign, 1000) == GPU(Success));
    must(GPU(SetDevice)(0) == GPU(Success) && GPU(Malloc)(&own, 1000) == GPU(Success));
    device = opened(0);
    must(good(CALL(host_alloc, device, 4096, &pinned)));
    const struct {
        void *memory;
        uint64_t bytes;
        int status;
    } cases[] = {
        { own, 1000, DT2_BACKEND_OK },
        { (char *)own + 400, 600, DT2_BACKEND_OK },
        { own, 1001, DT2_BACKEND_INVALID },
        { (char *)own + 400, 601, DT2_BACKEND_INVALID },
        { own, UINT64_MAX, DT2_BACKEND_INVALID },
        { foreign, 1000, DT2_BACKEND_INVALID },
        { pinned, 1000, DT2_BACKEND_INVALID },
        { driver, 100, DT2_BACKEND_INVALID },
        { NULL, 100, DT2_BACKEND_INVALID },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dt2_backend_native native = { .struct_size = sizeof native };
        int status = CALL(buffer_adopt, device, cases[i].memory, cases[i].bytes, &buffer);
        if (status != cases[i].status)
            diag("case %zu: %d, %s", i, status, failure.text);
        must(status == cases[i].status && GPU(PeekAtLastError)() == GPU(Success));
        if (status == DT2_BACKEND_OK)
            must(good(CALL(buffer_native, buffer, &native)) && native.handle == cases[i].memory && native.is_address &&
                 good(CALL(buffer_free, buffer)));
    }
    must(good(CALL(host_free, device, pinned)) && good(CALL(device_close, device)));
    must(GPU(Free)(own) == GPU(Success) && GPU(SetDevice)(1) == GPU(Success) && GPU(Free)(foreign) == GPU(Success));
    close_driver();
}

/* -- events: the runtime's are used again, handles are not */

static void body_events(void)
{
    enum { MANY = 600, MOST = 512 };
    static dt2_handle events[MANY];
    dt2_handle device, queue, ours = 0;
    bool done;
    open_driver();
    device = opened(0);
    must(good(CALL(queue_create, device, &queue)));
    for (int i = 0; i < 100; i++) {
        dt2_handle before = ours;
        must(good(CALL(event_record, queue, &ours)) && ours != before);
        must(CALL(event_query, before, &done) == DT2_BACKEND_INVALID);
        must(good(CALL(queue_wait_event, queue, ours)) && good(CALL(event_free, ours)));
        must(CALL(event_free, ours) == DT2_BACKEND_INVALID);
    }
    must(sim_calls(GPU_DRIVER_NAME "EventCreateWithFlags") == 1);
    for (int i = 0; i < MANY; i++)
        must(good(CALL(event_record, queue, &events[i])));
    for (int i = 0; i < MANY; i++)
        must(good(CALL(event_free, events[i])));
    must(sim_calls(GPU_DRIVER_NAME "EventCreateWithFlags") == MANY);
    must(sim_calls(GPU_DRIVER_NAME "EventDestroy") == MANY - MOST);
    must(good(CALL(queue_destroy, queue)) && good(CALL(device_close, device)));
    must(sim_calls(GPU_DRIVER_NAME "EventDestroy") == MANY);
    close_driver();
}

/* -- two devices */

static void copy_across(uint32_t to, uint32_t from)
{
    char memory[4096], back[4096] = { 0 };
    dt2_handle devices[2] = { opened(to), opened(from) }, buffers[2], queues[2], event = 0;
    memset(memory, 9, sizeof memory);
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_alloc, devices[i], 4096, &buffers[i])) &&
             good(CALL(queue_create, devices[i], &queues[i])));
    must(good(CALL(copy_h2d, queues[1], buffers[1], 0, memory, 4096)) && good(CALL(queue_wait, queues[1])));
    for (int i = 0; i < 2; i++)
        must(good(CALL(copy_peer, queues[0], buffers[0], 0, buffers[1], 0, 4096)));
    must(good(CALL(event_record, queues[0], &event)) && good(CALL(event_wait, event)) && good(CALL(event_free, event)));
    must(good(CALL(copy_d2h, queues[0], buffers[0], 0, back, 4096)) && good(CALL(queue_wait, queues[0])));
    must(memcmp(memory, back, sizeof back) == 0);
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_free, buffers[i])) && good(CALL(queue_destroy, queues[i])));
    must(good(CALL(device_close, devices[to > from])) && good(CALL(device_close, devices[to < from])));
    must(GPU(PeekAtLastError)() == GPU(Success));
}

static void has_access(int from, int to)
{
    must(GPU(SetDevice)(from) == GPU(Success));
    must(GPU(DeviceEnablePeerAccess)(to, 0) == GPU(ErrorPeerAccessAlreadyEnabled));
    (void)GPU(GetLastError)();
}

/*
 * Access stays on, whoever switched it on: the program, and whatever else it uses, may count on it by now. Its own
 * contexts live all the time.
 */
static void body_peers(void)
{
    for (int i = 0; i < 2; i++)
        must(GPU(SetDevice)(i) == GPU(Success) && GPU(Free)(NULL) == GPU(Success));
    must(GPU(DeviceEnablePeerAccess)(0, 0) == GPU(Success));
    open_driver();
    copy_across(0, 1);
    must(sim_value("copies.peer") == 4); /* two of them to see whether they arrive */
    copy_across(1, 0);
    must(sim_value("copies.peer") == 6);
    has_access(0, 1);
    has_access(1, 0);
    close_driver();
    has_access(0, 1);
    has_access(1, 0);
}

/* The verdict on devices that are opened for it; UINT_MAX when there is none. */
static unsigned verdict(uint32_t to, uint32_t from, int expected)
{
    dt2_handle devices[2] = { opened(to), opened(from) };
    enum dt2_peer_verdict found = DT2_PEER_NONE;
    int status = CALL(peer_check, devices[0], devices[1], &found);
    must(status == expected || good(status));
    must(GPU(PeekAtLastError)() == GPU(Success));
    must(good(CALL(device_close, devices[0])) && good(CALL(device_close, devices[1])));
    return status == DT2_BACKEND_OK ? (unsigned)found : UINT_MAX;
}

static void check_refused(uint32_t to, uint32_t from)
{
    dt2_handle devices[2] = { opened(to), opened(from) }, buffers[2], queue;
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_alloc, devices[i], 4096, &buffers[i])));
    must(good(CALL(queue_create, devices[0], &queue)));
    must(CALL(copy_peer, queue, buffers[0], 0, buffers[1], 0, 4096) == DT2_BACKEND_UNSUPPORTED &&
         strstr(failure.text, "do not arrive"));
    must(good(CALL(queue_destroy, queue)));
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_free, buffers[i])) && good(CALL(device_close, devices[i])));
}

static unsigned warnings;

static void count_warnings(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    bool complete = strstr(line, GPU_DRIVER_NAME ":0") && strstr(line, GPU_DRIVER_NAME ":1") && strstr(line, "IOMMU");
    warnings += level == DT2_LOG_WARNING && complete;
}

/* Whichever way it is that lies, also where nobody asked: refused, said once, and not tried again. */
static void body_liars(void)
{
    static const struct dt2_log log = { count_warnings, NULL };
    open_driver_with(&log);
    check_refused(1, 0);
    uint64_t copies = sim_value("copies.peer");
    must(copies == 2 && sim_value("lies") == 1 && warnings == 1);
    check_refused(0, 1);
    must(verdict(0, 1, 0) == DT2_PEER_BROKEN && verdict(1, 0, 0) == DT2_PEER_BROKEN);
    must(sim_value("copies.peer") == copies && warnings == 1);
    close_driver();
}

/* A check that fails is no verdict, and leaves nothing; access that ended with a context is switched on again. */
static void body_verdict(void)
{
    open_driver();
    sim_fail(GPU_DRIVER_NAME "Malloc", 2, false, GPU(ErrorMemoryAllocation));
    must(verdict(0, 1, DT2_BACKEND_NOMEM) == UINT_MAX);
    must(sim_calls(GPU_DRIVER_NAME "DeviceEnablePeerAccess") == 0);
    sim_fail(GPU_DRIVER_NAME "MemcpyPeerAsync", 2, false, GPU(ErrorInvalidValue));
    must(verdict(0, 1, DT2_BACKEND_FAILED) == UINT_MAX && strstr(failure.text, "on device 0"));
    must(verdict(0, 1, 0) == DT2_PEER_OK && verdict(0, 0, 0) == DT2_PEER_OK);
    uint64_t copies = sim_value("copies.peer"), enabled = sim_calls(GPU_DRIVER_NAME "DeviceEnablePeerAccess");
    must(verdict(1, 0, 0) == DT2_PEER_OK);
    must(sim_value("copies.peer") == copies);
    must(sim_calls(GPU_DRIVER_NAME "DeviceEnablePeerAccess") == enabled + 2);
    close_driver();
}

static void body_apart(void)
{
    bool reachable = true;
    open_driver();
    must(good(CALL(peer_query, 0, 1, &reachable)) && !reachable);
    must(good(CALL(peer_query, 0, 0, &reachable)) && reachable);
    must(verdict(0, 1, 0) == DT2_PEER_NONE);
    copy_across(0, 1);
    must(sim_value("copies.peer") == 2 && sim_calls(GPU_DRIVER_NAME "DeviceEnablePeerAccess") == 0);
    close_driver();
}

/* -- the kinds of host memory, free memory, threads */

static void body_pinned(void)
{
    open_driver();
    work(0, still_chosen);
    must(sim_value("copies.h2d.pinned") == 1 && sim_value("copies.h2d.registered") == 1 &&
         sim_value("copies.h2d.pageable") == 0 && sim_value("copies.d2h.pageable") == 1 &&
         sim_value("copies.d2d") == 1);
    close_driver();
}

/* What cannot be pinned is refused with its size, and nothing is left of the attempt. */
static void body_unpinnable(void)
{
    static char memory[3 * 4096] __attribute__((aligned(4096)));
    void *staging = NULL, *more = NULL;
    open_driver();
    dt2_handle device = opened(0);
    must(CALL(host_register, device, memory, sizeof memory) == DT2_BACKEND_NOMEM && strstr(failure.text, "12288"));
    must(good(CALL(host_alloc, device, 4096, &staging)) && good(CALL(host_register, device, memory, 4096)));
    must(CALL(host_alloc, device, 4096, &more) == DT2_BACKEND_NOMEM && strstr(failure.text, "4096") && !more);
    must(GPU(PeekAtLastError)() == GPU(Success));
    must(good(CALL(host_unregister, device, memory)) && good(CALL(host_alloc, device, 4096, &more)));
    must(good(CALL(host_free, device, staging)) && good(CALL(host_free, device, more)));
    must(good(CALL(device_close, device)));
    close_driver();
}

static void write_number(const char *root, const char *name, const char *number)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/bus/pci/devices/0000:01:00.0", root);
    for (char *slash = path + strlen(root); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", name);
    write_file(path, number);
}

static void body_free(void)
{
    uint64_t free_bytes = 1;
    char root[] = "/tmp/dt2-sys-XXXXXX", command[64];
    must(mkdtemp(root) != NULL);
    setenv("DISTORCH2_SYSFS", root, 1);
    open_driver();
    if (GPU_IS_HIP) {
        write_number(root, "mem_info_vram_total", "268435456\n");
        write_number(root, "mem_info_vram_used", "62914560\n");
    }
    must(good(CALL(device_free_bytes, 0, false, &free_bytes)) && free_bytes == 196 * MiB);
    must(sim_value("contexts") == 0);
    if (GPU_IS_HIP) { /* the kernel speaks of another memory: the runtime is asked, which has no context that costs */
        write_number(root, "mem_info_vram_total", "104857600\n");
        must(good(CALL(device_free_bytes, 0, false, &free_bytes)) && free_bytes == 186 * MiB);
    } else {
        sim_fail("nvmlDeviceGetMemoryInfo", 1, true, 999);
        must(good(CALL(device_free_bytes, 0, false, &free_bytes)) && free_bytes == DT2_UNKNOWN);
        must(sim_value("contexts") == 0);
    }
    snprintf(command, sizeof command, "rm -r %s", root);
    must(system(command) == 0);
    must(good(CALL(device_free_bytes, 0, true, &free_bytes)) && free_bytes == 186 * MiB); /* a context takes 10 MiB */
    dt2_handle device = opened(0);
    must(good(CALL(device_free_bytes, 0, false, &free_bytes)) && free_bytes == 186 * MiB);
    must(good(CALL(device_close, device)));
    close_driver();
}

static void *work_in_thread(void *data)
{
    work((uint32_t)(uintptr_t)data, nothing_current);
    return NULL;
}

static void body_threads(void)
{
    pthread_t threads[4];
    open_driver();
    for (uintptr_t i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, work_in_thread, (void *)(i % 2)) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    close_driver();
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "listing makes no context", PAIR, body_listing, NULL, 0 },
        { "what the program has chosen stays chosen", PAIR, body_current, NULL, 0 },
        { "where nothing is current nothing is afterwards", PAIR, body_nothing_current, NULL, 0 },
        { "the program's streams", PAIR, body_streams, NULL, 0 },
        { "the program's memory", PAIR, body_memory, NULL, 0 },
        { "events", PAIR, body_events, NULL, 0 },
        { "copies between devices that reach each other", PAIR, body_peers, NULL, 0 },
        { "copies that do not arrive here", LIAR("1", "2") CARD("2", "peers = 1\n"), body_liars, NULL, 0 },
        { "copies that do not arrive there", CARD("1", "peers = 2\n") LIAR("2", "1"), body_liars, NULL, 0 },
        { "a verdict on copies", PAIR, body_verdict, NULL, 0 },
        { "copies between devices that do not", APART, body_apart, NULL, 0 },
        { "pinned and registered memory is that", PAIR, body_pinned, NULL, 0 },
        { "memory that cannot be pinned", CARD("1", "pinnable = 8KiB\n"), body_unpinnable, NULL, 0 },
        { "free memory", CARD("1", "others = 60MiB\n"), body_free, NULL, 0 },
        { "several threads", PAIR, body_threads, NULL, 0 },
    };
    RUN_CASES(cases);
    return done_testing();
}
