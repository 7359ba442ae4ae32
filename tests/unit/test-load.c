/* SPDX-License-Identifier: BSD-3-Clause */
/* The pieces of a load that need no device: layout, reads, the workers. */
#include "base/checked.h"
#include "load/layout.h"
#include "load/reads.h"
#include "load/workers.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <signal.h>
#include <stdatomic.h>

/* A file of `count` tensors of the given sizes in bytes, the blocks of it, and a plan that puts all on cpu. */
static struct dt2_file *file;
static struct dt2_blocks *blocks;
static struct dt2_plan *plan;
static uint64_t sizes[] = { 1000, 3, 70000, 1, 4096, 250000, 64, 12345 };
static unsigned char *content;
static size_t header_size;

static void make_file(void)
{
    static char names[DT2_COUNT(sizes)][16], shapes[DT2_COUNT(sizes)][16];
    struct layout layout = { 0 };
    for (size_t i = 0; i < DT2_COUNT(sizes); i++) {
        snprintf(names[i], sizeof names[i], "t%zu.weight", i);
        snprintf(shapes[i], sizeof shapes[i], "%" PRIu64, sizes[i]);
        layout_add(&layout, names[i], "U8", shapes[i]);
    }
    char *header = layout_header(&layout, &header_size);
    content = malloc(header_size + layout.bytes);
    memcpy(content, header, header_size);
    for (size_t i = 0; i < layout.bytes; i++)
        content[header_size + i] = (unsigned char)random_u64();
    const char *path = scratch_file("load.safetensors", content, header_size + layout.bytes, 0);
    struct dt2_error err;
    if (dt2_file_open(path, &file, &err) < 0 || dt2_blocks_make(file, &blocks, &err) < 0)
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);

    static const char machine[] =
        "{\"devices\":[{\"name\":\"cpu\",\"aliases\":[],\"driver\":\"host\",\"kind\":\"host\",\"vendor\":null,\"model\":null,"
        "\"pci\":null,\"uuid\":null,\"numa_node\":0,\"total_bytes\":8589934592,\"free_bytes\":8589934592,\"budgets\":[\"cpu\"],"
        "\"links\":[]}],\"budgets\":[{\"name\":\"cpu\",\"total_bytes\":8589934592,\"free_bytes\":8589934592}],\"unusable\":[]}";
    struct dt2_devices *devices;
    struct dt2_request request = DT2_REQUEST_INIT;
    if (dt2_devices_parse(machine, sizeof machine - 1, &devices, &err) < 0 ||
        dt2_plan_make(devices, dt2_blocks_array(blocks), dt2_blocks_count(blocks), &request, &plan, &err) < 0)
        layout_die("%s", err.text);
    dt2_devices_free(devices);
}

/* Brings the parts of a stretch from a slot to their slabs: joined ones with the gap before them, as one copy would. */
static void copy_out(const struct dt2_reads *reads, const struct dt2_read *s, const char *slot, char *const *slabs)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const struct dt2_read_part *part = &reads->parts[s->first_part + i], *before = part - 1;
        uint64_t gap = part->joined ? part->slab_offset - before->slab_offset - before->bytes : 0;
        memcpy(slabs[part->slab] + part->slab_offset - gap, slot + part->staged - gap, part->bytes + gap);
    }
}

/* Reads all stretches; returns whether each is within the limit and they are in the file's order. */
static bool read_all(const struct dt2_reads *reads, uint64_t limit, char *slot, char *const *slabs)
{
    bool good = true;
    uint64_t at = 0;
    for (size_t i = 0; i < reads->count; i++) {
        const struct dt2_read *s = &reads->stretches[i];
        const struct dt2_read_part *last = &reads->parts[s->first_part + s->part_count - 1];
        struct iovec iov[DT2_IOVECS_MOST];
        char sink[DT2_GAP_MOST];
        struct dt2_error err;
        int count = dt2_read_scatter(reads, s, &(struct dt2_destination){ slot, slabs }, sink, iov);
        good &= s->span <= limit && last->staged + last->bytes <= limit && s->offset >= at && s->bytes <= s->span;
        good &= dt2_file_pread(file, s->file, iov, count, s->offset, &err) == 0;
        at = s->offset + s->span;
        if (slot)
            copy_out(reads, s, slot, slabs);
    }
    return good;
}

static void test_reads(const struct dt2_layout *layout, uint64_t alignment, uint64_t limit, bool staged)
{
    struct dt2_reads reads = { 0 };
    struct dt2_error err;
    const struct dt2_reads_rules rules = { limit, alignment, 0 };
    is_int(dt2_reads_make(file, layout, 0, &rules, &reads, &err), 0, "stretches of at most %" PRIu64 " bytes", limit);
    char *slabs[16] = { 0 }, *slot = staged ? calloc(1, limit) : NULL;
    for (size_t i = 0; i < layout->shares[0].slab_count; i++)
        slabs[i] = calloc(1, layout->shares[0].slab_bytes[i] + 1);
    ok(read_all(&reads, limit, slot, slabs), "are in the file's order and no longer%s", staged ? ", nor in a slot" : "");
    bool same = true;
    for (size_t i = 0, at = header_size; i < DT2_COUNT(sizes); at += sizes[i++])
        same &= memcmp(slabs[layout->places[i].slab] + layout->places[i].offset, content + at, sizes[i]) == 0;
    ok(same, "and bring every byte to its place");
    if (limit == 1 << 20 && layout->shares[0].slab_count == 1)
        is_u64(reads.count, 1, "what fits is read by one call");
    for (size_t i = 0; i < layout->shares[0].slab_count; i++)
        free(slabs[i]);
    free(slot);
    dt2_reads_clear(&reads);
}

/* Where pages count, stretches end as they do: no part reaches into the next, and still every byte comes to its place. */
static void test_pages(const struct dt2_layout *layout, uint64_t page)
{
    struct dt2_reads reads = { 0 };
    struct dt2_error err;
    const struct dt2_reads_rules rules = { 1 << 20, 64, page };
    is_int(dt2_reads_make(file, layout, 0, &rules, &reads, &err), 0, "stretches that end with pages of %" PRIu64 " bytes", page);
    bool inside = true, ends = true;
    uint64_t bytes = 0;
    for (size_t i = 0; i < reads.count; i++)
        for (size_t j = 0; j < reads.stretches[i].part_count; j++) {
            const struct dt2_read_part *part = &reads.parts[reads.stretches[i].first_part + j];
            uint64_t end = part->slab_offset % page + part->bytes;
            inside &= end <= page;
            ends &= end < page || j + 1 == reads.stretches[i].part_count;
            bytes += part->bytes;
        }
    ok(inside && ends, "no part crosses the end of one, and none follows it");
    is_u64(bytes, layout->shares[0].bytes, "and they bring all");
    dt2_reads_clear(&reads);
}

static void test_layout(uint64_t alignment, uint64_t most)
{
    struct dt2_layout_rules rules = { .alignment_bytes = alignment, .max_alloc_bytes = most };
    struct dt2_layout layout;
    struct dt2_error err;
    if (!ok(dt2_layout_make(plan, dt2_blocks_array(blocks), DT2_COUNT(sizes), &rules, &layout, &err) == 0,
            "layout with alignment %" PRIu64 ", slabs of at most %" PRIu64, alignment, most)) {
        diag("%s", err.text);
        return;
    }
    bool aligned = true, inside = true, apart = true;
    for (size_t i = 0; i < DT2_COUNT(sizes); i++) {
        const struct dt2_place *p = &layout.places[i];
        aligned &= p->offset % alignment == 0;
        inside &= p->offset + p->bytes <= layout.shares[0].slab_bytes[p->slab] && p->bytes == sizes[i];
        for (size_t j = 0; j < i; j++) {
            const struct dt2_place *q = &layout.places[j];
            apart &= p->slab != q->slab || p->offset >= q->offset + q->bytes || q->offset >= p->offset + p->bytes;
        }
    }
    bool small = true;
    for (size_t i = 0; i < layout.shares[0].slab_count; i++)
        small &= layout.shares[0].slab_bytes[i] <= most;
    ok(aligned, "every tensor is aligned");
    ok(inside && small, "and inside its slab, which is no larger than allowed");
    ok(apart, "and overlaps no other");
    if (most == DT2_UNKNOWN)
        is_u64(layout.shares[0].slab_count, 1, "without a limit there is one slab");

    /* Stretches of any size bring the same bytes to the same places, straight and through a slot. */
    static const uint64_t limits[] = { 1, 7, 4096, 100000, 1 << 20 };
    for (size_t k = 0; k < DT2_COUNT(limits); k++)
        if (limits[k] > 1 || most == DT2_UNKNOWN) /* one byte a stretch: once is enough */
            for (int slot = 0; slot < 2; slot++)
                test_reads(&layout, alignment, limits[k], slot);
    test_pages(&layout, 512);
    test_pages(&layout, 4096);
    dt2_layout_clear(&layout);
}

/* Tensors that lie as in their file: at the same remainders of a block, where they are large or follow one another. */
static void test_layout_as_in_file(void)
{
    static uint64_t offsets[DT2_COUNT(sizes)];
    struct dt2_layout_rules rules = { .alignment_bytes = 64, .max_alloc_bytes = DT2_UNKNOWN, .file_offsets = offsets,
                                      .block_bytes = 512 };
    struct dt2_layout layout;
    struct dt2_error err;
    uint64_t bytes = 0, spare = 0, at = 24;
    for (size_t i = 0; i < DT2_COUNT(sizes); at += (sizes[i++] + 7) / 8 * 8)
        offsets[i] = i == 3 ? DT2_UNKNOWN : at;
    if (!ok(dt2_layout_make(plan, dt2_blocks_array(blocks), DT2_COUNT(sizes), &rules, &layout, &err) == 0, "as in the file")) {
        diag("%s", err.text);
        return;
    }
    bool agree = true, aligned = true;
    size_t large = 0;
    for (size_t i = 0; i < DT2_COUNT(sizes); i++) {
        bool as_there = offsets[i] != DT2_UNKNOWN && (layout.places[i].offset - offsets[i]) % 512 == 0;
        bytes += sizes[i];
        spare += 64 + 512;
        large += offsets[i] != DT2_UNKNOWN && sizes[i] >= 65536;
        agree &= as_there || offsets[i] == DT2_UNKNOWN || sizes[i] < 65536;
        aligned &= as_there || layout.places[i].offset % 64 == 0;
    }
    ok(large > 0 && agree, "%zu large tensors agree with it", large);
    ok(aligned, "the others are aligned");
    ok(layout.shares[0].slab_bytes[0] <= bytes + spare, "no more than a block is lost at each");
    dt2_layout_clear(&layout);
}

static void test_layout_refusal(void)
{
    struct dt2_layout_rules rules = { .alignment_bytes = 64, .max_alloc_bytes = 249999 };
    struct dt2_layout layout;
    struct dt2_error err;
    is_int(dt2_layout_make(plan, dt2_blocks_array(blocks), DT2_COUNT(sizes), &rules, &layout, &err), DT2_ENOFIT,
           "a tensor above the largest allocation has no place");
    ok(strstr(err.text, "250000") && strstr(err.text, "249999"), "both numbers are said");
}

/* -- the workers ------------------------------------------------------------------------------------------- */

#define LANES 3
struct job {
    _Atomic unsigned done[LANES][100];
    _Atomic unsigned ticks;
    size_t fail_lane, fail_item;
    unsigned cancel_after; /* ticks; 0: never. Items then take until that tick and a little longer. */
    unsigned size;
    _Atomic bool outside; /* a worker's number was not below their count */
};

static int work(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    struct job *job = data;
    if (worker >= job->size)
        atomic_store(&job->outside, true);
    atomic_fetch_add(&job->done[lane][item], 1);
    for (unsigned ms = 0; ms < 10000 && atomic_load(&job->ticks) < job->cancel_after; ms++)
        usleep(1000);
    if (job->cancel_after)
        usleep(20000);
    if (lane == job->fail_lane && item == job->fail_item) {
        err->code = DT2_EFAILED;
        snprintf(err->text, sizeof err->text, "item %zu of lane %zu", item, lane);
        return DT2_EFAILED;
    }
    return 0;
}

static int tick(void *data)
{
    struct job *job = data;
    unsigned ticks = atomic_fetch_add(&job->ticks, 1) + 1;
    return job->cancel_after && ticks >= job->cancel_after;
}

static void test_workers(unsigned threads)
{
    static const size_t items[LANES] = { 100, 0, 37 };
    struct dt2_error err;
    struct job job = { .fail_lane = SIZE_MAX };
    struct dt2_workers workers = {
        .threads = threads, .items = items, .lanes = LANES, .work = work, .tick = tick, .data = &job
    };
    job.size = dt2_workers_count(&workers);
    is_int(dt2_workers_run(&workers, &err), 0, "%u threads finish", threads);
    bool once = true;
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < items[i]; j++)
            once &= job.done[i][j] == 1;
    ok(once, "every item is done once");
    ok(!job.outside, "workers are numbered below their count");

    job = (struct job){ .fail_lane = 2, .fail_item = 5, .size = job.size };
    is_int(dt2_workers_run(&workers, &err), DT2_EFAILED, "a failure is the result");
    is_str(err.text, "item 5 of lane 2", "with its words");

    job = (struct job){ .fail_lane = SIZE_MAX, .cancel_after = 1, .size = job.size };
    is_int(dt2_workers_run(&workers, &err), DT2_ECANCELLED, "a tick cancels");
    ok(job.done[0][99] == 0, "and the rest is not done");
}

static void test_workers_signals(void)
{
    sigset_t now, before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    static const size_t items[1] = { 10 };
    struct job job = { .fail_lane = SIZE_MAX, .size = 64 };
    struct dt2_workers workers = { .threads = 2, .items = items, .lanes = 1, .work = work, .data = &job };
    dt2_workers_run(&workers, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    bool same = true;
    for (int i = 1; i < 32; i++)
        same &= sigismember(&now, i) == sigismember(&before, i);
    ok(same, "the caller's signal mask is as it was");
    static const size_t none[1] = { 0 };
    workers.items = none;
    is_int(dt2_workers_run(&workers, NULL), 0, "no items, no work");
}

int main(void)
{
    seed_random(7);
    make_file();
    test_layout(1, DT2_UNKNOWN);
    test_layout(64, DT2_UNKNOWN);
    test_layout(256, 250000);
    test_layout(4096, 262144);
    test_layout_as_in_file();
    test_layout_refusal();
    test_workers(1);
    test_workers(4);
    test_workers(16);
    test_workers_signals();
    dt2_plan_free(plan);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(content);
    return done_testing();
}
