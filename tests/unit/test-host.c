/* SPDX-License-Identifier: BSD-3-Clause */
/* Host memory as a driver. */
#include "base/checked.h"
#include "base/clock.h"
#include "machine/host.h"
#include "machine/modules.h"
#include "machine/pages.h"
#include "machine/topology.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct dt2_services *services;
static const struct dt2_backend *b;
static void *driver;
static struct dt2_backend_error err;

static dt2_handle open_device(uint32_t index)
{
    dt2_handle device = 0;
    is_int(b->device_open(driver, index, NULL, &device, &err), 0, "device %u opens", (unsigned)index);
    return device;
}

static void test_table(void)
{
    is_str(b->name, "host", "its name");
    is_u64(b->struct_size, sizeof *b, "its size");
    is_u64(b->abi, DT2_BACKEND_ABI, "its ABI");
    ok(b->open && b->close && b->device_count && b->device_info && b->device_free_bytes && b->device_open &&
           b->device_close && b->buffer_alloc && b->buffer_adopt && b->buffer_free && b->buffer_native &&
           b->queue_create && b->queue_adopt && b->queue_destroy && b->queue_wait && b->copy_h2d && b->copy_d2h &&
           b->copy_d2d && b->event_record && b->event_query && b->event_wait && b->queue_wait_event && b->event_free,
       "every entry that must be there is");
}

static void test_devices(const struct dt2_topology *topology)
{
    uint32_t count = 0;
    struct dt2_backend_device_info info;
    uint64_t available = 0;
    b->device_count(driver, &count, &err);
    is_u64(count, topology ? 1 + topology->node_count : 1, "cpu, and a device for each node");
    for (uint32_t i = 0; i < count; i++) {
        is_int(b->device_info(driver, i, &info, &err), 0, "info of %u", (unsigned)i);
        is_str(info.kind, "host", "kind of %u", (unsigned)i);
        is_u64(info.alignment_bytes, 64, "alignment of %u", (unsigned)i);
        is_u64(info.max_alloc_bytes, DT2_UNKNOWN, "no limit on one buffer");
        ok(info.flags == (DT2_DEVICE_SHARES_HOST | DT2_DEVICE_HOST_ADDRESSABLE), "flags");
        is_int(b->device_free_bytes(driver, i, false, &available, &err), 0, "free bytes of %u", (unsigned)i);
        ok(info.total_bytes != DT2_UNKNOWN && available > 0 && available <= info.total_bytes,
           "free is within the total: %" PRIu64 " of %" PRIu64, available, info.total_bytes);
    }
    is_int(b->device_info(driver, count, &info, &err), DT2_BACKEND_INVALID, "one past the end");
    is_int(b->device_open(driver, 0, &info, &(dt2_handle){ 0 }, &err), DT2_BACKEND_INVALID, "no context to adopt");
}

/* What a buffer begins on: a huge page, but where these have more than 2 MiB and it is smaller than one. */
static size_t beginning(size_t bytes)
{
    size_t huge = 2 << 20;
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
    if (file && fscanf(file, "%zu", &huge) != 1)
        huge = 2 << 20;
    if (file)
        fclose(file);
    return huge > 2 << 20 && bytes < huge ? (size_t)sysconf(_SC_PAGESIZE) : huge;
}

/* What the kernel calls a huge page, for systems that say this. */
static void test_huge_pages(void)
{
    static const struct {
        const char *says;
        size_t huge, piece_of_small, piece_of_large; /* the mappings: of 1 MiB, and of 1 GiB */
    } systems[] = {
        { NULL, 2 << 20, 2 << 20, 2 << 20 },         { "2097152\n", 2 << 20, 2 << 20, 2 << 20 },
        { "1048576\n", 1 << 20, 1 << 20, 1 << 20 },  { "33554432\n", 32 << 20, 2 << 20, 32 << 20 },
        { "536870912\n", 512 << 20, 2 << 20, 512 << 20 }, { "3000000\n", 2 << 20, 2 << 20, 2 << 20 },
        { "512\n", 2 << 20, 2 << 20, 2 << 20 },      { "many\n", 2 << 20, 2 << 20, 2 << 20 },
    };
    for (size_t i = 0; i < DT2_COUNT(systems); i++) {
        const char *root = scratch_begin();
        if (systems[i].says)
            scratch_text("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", systems[i].says);
        const char *says = systems[i].says ? systems[i].says : "nothing";
        is_u64(dt2_huge_page_below(root), systems[i].huge, "a huge page where the kernel says %.9s", says);
        is_u64(dt2_huge_page(), systems[i].huge, "which is known from then on");
        is_u64(dt2_pages_piece(1 << 20), systems[i].piece_of_small, "what comes at a time of 1 MiB");
        is_u64(dt2_pages_piece(1 << 30), systems[i].piece_of_large, "and of 1 GiB");
        size_t length = dt2_pages_piece(1 << 30);
        char *memory = dt2_map_huge(length);
        ok(memory && (uintptr_t)memory % systems[i].huge == 0, "a mapping of one begins on one");
        if (memory)
            munmap(memory, length);
    }
    dt2_huge_page_below("");
}

static void test_buffers(void)
{
    dt2_handle device = open_device(0), buffer, queue, second;
    static const uint64_t sizes[] = { 1, 63, 4096, 4097, (2 << 20) + 1, 9 << 20 };
    struct dt2_backend_native native;
    is_int(b->queue_create(driver, device, &queue, &err), 0, "a queue");
    for (size_t i = 0; i < DT2_COUNT(sizes); i++) {
        uint64_t size = sizes[i];
        unsigned char wrote[3] = { 1, 2, 3 }, read[3] = { 0 };
        uint64_t n = size < 3 ? size : 3;
        is_int(b->buffer_alloc(driver, device, size, &buffer, &err), 0, "%" PRIu64 " bytes", size);
        b->buffer_native(driver, buffer, &native, &err);
        ok(native.is_address && (uintptr_t)native.handle % beginning(size) == 0, "begin on a page, and where they pay a huge one");
        is_int(b->copy_h2d(driver, queue, buffer, size - n, wrote, n, &err), 0, "a copy to the end");
        is_int(b->copy_d2h(driver, queue, buffer, size - n, read, n, &err), 0, "and back");
        ok(memcmp(read, wrote, n) == 0 && memcmp((char *)native.handle + size - n, wrote, n) == 0,
           "are what was written");
        is_int(b->copy_h2d(driver, queue, buffer, size - n + 1, wrote, n, &err), DT2_BACKEND_INVALID,
               "one byte too far");
        is_int(b->copy_h2d(driver, queue, buffer, UINT64_MAX, wrote, n, &err), DT2_BACKEND_INVALID,
               "an offset that overflows");
        is_int(b->copy_h2d(driver, queue, buffer, size, NULL, 0, &err), 0, "0 bytes at the end are fine");
        is_int(b->buffer_free(driver, buffer, &err), 0, "freed");
        ok(mincore(native.handle, 1, &(unsigned char){ 0 }) < 0 && errno == ENOMEM, "and really unmapped");
        is_int(b->buffer_free(driver, buffer, &err), DT2_BACKEND_INVALID, "once only");
    }
    is_int(b->buffer_alloc(driver, device, 0, &buffer, &err), DT2_BACKEND_INVALID, "0 bytes are refused");
    buffer = 77;
    is_int(b->buffer_alloc(driver, device, (uint64_t)1 << 60, &buffer, &err), DT2_BACKEND_NOMEM, "an EiB is no memory");
    ok(strstr(err.text, "1152921504606846976"), "and says how much: %s", err.text);
    is_u64(buffer, 77, "and writes nothing");
    is_int(b->buffer_alloc(driver, queue, 1, &buffer, &err), DT2_BACKEND_INVALID, "a queue is no device");

    b->buffer_alloc(driver, device, 100, &buffer, &err);
    b->buffer_alloc(driver, device, 100, &second, &err);
    b->copy_h2d(driver, queue, buffer, 0, "0123456789", 10, &err);
    is_int(b->copy_d2d(driver, queue, second, 50, buffer, 2, 5, &err), 0, "from buffer to buffer");
    char five[6] = "";
    b->copy_d2h(driver, queue, second, 50, five, 5, &err);
    is_str(five, "23456", "the bytes");
    is_int(b->copy_d2d(driver, queue, buffer, 4, buffer, 0, 4, &err), 0, "ranges side by side in one buffer");
    is_int(b->copy_d2d(driver, queue, buffer, 3, buffer, 0, 4, &err), DT2_BACKEND_INVALID, "ranges that overlap");
    is_int(b->device_close(driver, device, &err), DT2_BACKEND_BUSY, "a device in use is not closed");
    ok(strstr(err.text, "3 of"), "and says by how many: %s", err.text);
    b->buffer_free(driver, second, &err);
    b->buffer_free(driver, buffer, &err);
    b->queue_destroy(driver, queue, &err);
    is_int(b->device_close(driver, device, &err), 0, "closed");
    is_int(b->device_close(driver, device, &err), DT2_BACKEND_INVALID, "once only");
    is_u64(dt2_services_live(services), 0, "no handle is left");
}

static void test_foreign_memory(void)
{
    dt2_handle device = open_device(0), buffer, queue;
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *mapped;
    b->queue_create(driver, device, &queue, &err);
    is_int(b->buffer_adopt(driver, device, memory + 1, 100, &buffer, &err), 0, "a caller's memory is adopted");
    b->copy_h2d(driver, queue, buffer, 2, "abc", 3, &err);
    ok(memcmp(memory + 3, "abc", 3) == 0, "written where it is");
    is_int(b->buffer_map(driver, queue, buffer, 2, 3, DT2_MAP_READ, &mapped, &err), 0, "mapped");
    ok(mapped == memory + 3, "at its address");
    is_int(b->buffer_unmap(driver, queue, buffer, mapped, &err), 0, "unmapped");
    is_int(b->buffer_unmap(driver, queue, buffer, memory, &err), DT2_BACKEND_INVALID,
           "what lies before was never mapped");
    is_int(b->buffer_map(driver, queue, buffer, 99, 2, DT2_MAP_READ, &mapped, &err), DT2_BACKEND_INVALID,
           "past the end");
    is_int(b->buffer_free(driver, buffer, &err), 0, "given back");
    memory[3] = 'x';
    is_int(memory[3], 'x', "and still the caller's");
    is_int(b->buffer_adopt(driver, device, NULL, 100, &buffer, &err), DT2_BACKEND_INVALID, "nothing cannot be adopted");
    is_int(b->buffer_wrap(driver, device, memory, 4096, &buffer, &err), 0, "wrapped");
    b->buffer_free(driver, buffer, &err);
    is_int(b->buffer_wrap(driver, device, memory + 64, 64, &buffer, &err), DT2_BACKEND_INVALID, "only from a page on");
    is_int(b->buffer_wrap(driver, device, memory, 65, &buffer, &err), DT2_BACKEND_INVALID, "only whole lines");
    is_int(b->queue_adopt(driver, device, memory, &queue, &err), DT2_BACKEND_UNSUPPORTED, "no queue to adopt");
    b->queue_destroy(driver, queue, &err);
    b->device_close(driver, device, &err);
    munmap(memory, 8192);
}

static void test_queues(uint32_t devices)
{
    dt2_handle device = open_device(0), queue, event;
    bool done = false, reachable = false;
    b->queue_create(driver, device, &queue, &err);
    is_int(b->event_record(driver, queue, &event, &err), 0, "a point in a queue");
    is_int(b->event_query(driver, event, &done, &err), 0, "can be asked");
    ok(done, "and is passed");
    is_int(b->event_wait(driver, event, &err), 0, "and waited for");
    is_int(b->queue_wait_event(driver, queue, event, &err), 0, "also by a queue");
    is_int(b->queue_wait(driver, queue, &err), 0, "the queue is empty");
    is_int(b->event_free(driver, event, &err), 0, "the event is freed");
    is_int(b->event_free(driver, event, &err), DT2_BACKEND_INVALID, "once only");
    is_int(b->event_query(driver, event, &done, &err), DT2_BACKEND_INVALID, "and not asked after that");
    if (devices > 1) {
        dt2_handle other = open_device(1), there, here, foreign;
        b->buffer_alloc(driver, device, 64, &here, &err);
        is_int(b->buffer_alloc(driver, other, 64, &there, &err), 0, "memory on a node: %s", err.text);
        b->queue_create(driver, other, &foreign, &err);
        b->copy_h2d(driver, queue, here, 0, "peer", 4, &err);
        is_int(b->copy_h2d(driver, queue, there, 0, "x", 1, &err), DT2_BACKEND_INVALID, "a queue of another device");
        is_int(b->copy_peer(driver, foreign, there, 8, here, 0, 4, &err), 0, "between devices");
        char four[5] = "";
        b->copy_d2h(driver, foreign, there, 8, four, 4, &err);
        is_str(four, "peer", "the bytes");
        b->event_record(driver, foreign, &event, &err);
        is_int(b->queue_wait_event(driver, queue, event, &err), DT2_BACKEND_INVALID, "an event of another device");
        b->event_free(driver, event, &err);
        b->queue_destroy(driver, foreign, &err);
        b->buffer_free(driver, there, &err);
        b->buffer_free(driver, here, &err);
        is_int(b->device_close(driver, other, &err), 0, "closed: %s", err.text);
        is_int(b->peer_query(driver, 0, 1, &reachable, &err), 0, "peers");
        ok(reachable, "reach each other");
    }
    b->queue_destroy(driver, queue, &err);
    is_int(b->queue_wait(driver, queue, &err), DT2_BACKEND_INVALID, "a queue that was destroyed");
    b->device_close(driver, device, &err);
    is_u64(dt2_services_live(services), 0, "no handle is left");
}

/* What the kernel says of the mapping at an address, behind that key; "" where it does not. */
static const char *kernel_says(const char *memory, const char *key)
{
    static char line[4096];
    bool here = false, found = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (unsigned long)memory >= begin && (unsigned long)memory < end;
        else
            found = here && strncmp(line, key, strlen(key)) == 0;
    }
    if (file)
        fclose(file);
    return found ? line + strlen(key) : "";
}

/* Whether the kernel was told to give no huge pages at an address. */
static bool is_small(const char *memory)
{
    return strstr(kernel_says(memory, "VmFlags:"), " nh") != NULL;
}

/* Huge pages of memory that is shared: those that are whole, where the kernel gives any, and nothing else is touched. */
static void test_gather(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), huge = dt2_huge_page(), bytes = 4 * huge;
    int fd = memfd_create("gathered", MFD_CLOEXEC);
    if (huge > (8 << 20) || fd < 0 || ftruncate(fd, (off_t)bytes) < 0) {
        skip(1, "a huge page is too large, or there is no memfd");
        return;
    }
    char *area = mmap(NULL, bytes + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *memory = area + (huge - (uintptr_t)area % huge) % huge;
    if (area == MAP_FAILED || mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        ok(false, "memory to gather");
        return;
    }
    if (madvise(memory, page, 12345) == 0) {
        skip(1, "an emulator, which agrees to any advice");
        munmap(area, bytes + huge);
        close(fd);
        return;
    }
    memset(memory, 1, page);
    memset(memory + 3 * huge, 1, page);
    is_u64(dt2_pages_gather(memory + page, huge - page), 0, "no huge page is whole: none is gathered");
    is_u64(dt2_pages_gather(memory + huge + page, huge), 0, "nor here, across two");
    size_t gathered = dt2_pages_gather(memory + page, 3 * huge);
    ok(gathered == 2 * huge || gathered == 0, "of two that are whole, both or none: %zu bytes", gathered);
    is_u64(strtoull(kernel_says(memory, "ShmemPmdMapped:"), NULL, 10) << 10, gathered, "as the kernel says");
    struct stat st;
    ok(fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 <= gathered + 4 * page, "and it has no other memory");
    ok(memory[0] == 1 && memory[3 * huge + page - 1] == 1 && memory[huge] == 0, "what was there is as it was");
    is_int(dt2_pages_populate(memory, bytes), 0, "the rest is populated");
    memory[bytes - 1] = 1;
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    is_u64(dt2_pages_gather(memory, huge), 0, "who wants no huge pages is given none");
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    munmap(area, (size_t)(memory - area));
    munmap(memory, bytes + huge - (size_t)(memory - area));
    close(fd);
}

static void test_pages(void)
{
    enum { PIECE = 2 << 20 };
    static const struct {
        uint64_t nanoseconds;
        size_t bytes;
        bool shared, slow;
    } seen[] = { { 300000, PIECE, false, false }, { 700000, PIECE, false, false }, { 5000000, PIECE, false, true },
                 { 5000000, 8 * PIECE, false, false }, { 5000000, PIECE, true, false }, { 10000000, PIECE, true, true } };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        is_int(dt2_pages_slow(seen[i].nanoseconds, seen[i].bytes, seen[i].shared), seen[i].slow, "%llu ns for %zu bytes%s",
               (unsigned long long)seen[i].nanoseconds, seen[i].bytes, seen[i].shared ? " that are shared" : "");
    uint64_t begin = dt2_thread_ns();
    char *memory = dt2_map_huge(4 * PIECE);
    ok(memory && dt2_pages_populate(memory, PIECE) == 0, "huge pages, where the kernel has them");
    ok(dt2_thread_ns() > begin, "which is work");
    dt2_pages_small(memory + 2 * PIECE, 2 * PIECE);
    madvise(memory + PIECE, PIECE, MADV_NOHUGEPAGE);
    bool told = is_small(memory + PIECE); /* not by a kernel without huge pages, nor by an emulator */
    ok(!is_small(memory), "they are asked for");
    is_int(is_small(memory + 2 * PIECE) && is_small(memory + 4 * PIECE - 1), told, "and small ones from then on");
    is_int(dt2_pages_populate(memory + PIECE, 3 * PIECE), 0, "which are there as well");
    memory[0] = memory[4 * PIECE - 1] = 1;
    munmap(memory, 4 * PIECE);
}

int main(void)
{
    struct dt2_topology *topology = NULL;
    struct dt2_error failure;
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_SYNTHETIC");
    if (dt2_services_create(NULL, &services, &failure) < 0 || dt2_topology_load(false, &topology, &failure) < 0) {
        ok(false, "set-up: %s", failure.text);
        return done_testing();
    }
    b = dt2_host_backend();
    test_table();
    test_huge_pages();
    is_int(dt2_host_open(dt2_services_table(services), topology, &driver, &err), 0, "opens on this machine");
    test_devices(topology);
    test_buffers();
    test_foreign_memory();
    test_pages();
    test_gather();
    test_queues(1 + (uint32_t)topology->node_count);
    b->close(driver);
    is_int(b->open(dt2_services_table(services), &driver, &err), 0, "opens without a topology");
    test_devices(NULL);
    test_queues(1);
    b->close(driver);
    dt2_topology_free(topology);
    dt2_services_destroy(services);
    return done_testing();
}
