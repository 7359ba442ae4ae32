/* SPDX-License-Identifier: BSD-3-Clause */
/* Ways to read a file: past the page cache and through it, with io_uring and where that is refused. */
#include "machine/pages.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TENSORS = 60, WHOLE = 30, LARGE = 1000000 };
static char *path; /* of the model that is loaded */
static uint64_t begins[TENSORS], lengths[TENSORS]; /* of each tensor in its file: the first ones in whole words */

static void make_file(void)
{
    static char names[TENSORS][24], shapes[TENSORS][24];
    struct layout layout = { 0 };
    for (int i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "block%d.weight", i);
        lengths[i] = i % 5 ? 1 + random_below(5000) : LARGE + random_below(3000000);
        lengths[i] = i < WHOLE ? (lengths[i] + 7) / 8 * 8 : lengths[i];
        snprintf(shapes[i], sizeof shapes[i], "%" PRIu64, lengths[i]);
        layout_add(&layout, names[i], "U8", shapes[i]);
    }
    size_t header_size;
    char *header = layout_header(&layout, &header_size);
    unsigned char *bytes = layout_memory(header_size + layout.bytes);
    memcpy(bytes, header, header_size);
    for (uint64_t i = 0, at = header_size; i < TENSORS; at += lengths[i++])
        begins[i] = at;
    for (size_t i = header_size; i < header_size + layout.bytes; i++)
        bytes[i] = (unsigned char)(random_u64() >> 7);
    path = strdup(scratch_file("io.safetensors", bytes, header_size + layout.bytes, 0));
    free(bytes);
    free(header);
    free(layout.tensors);
}

static void drop_cache(void)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* Whether file systems here have direct reads at all: tmpfs has not always had them. */
static bool has_direct(void)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static uint64_t asked_alignment; /* 0: none */
static uint64_t addresses[TENSORS]; /* of the last load's tensors, by their number; 0: none */

static void keep_addresses(struct dt2_model *model)
{
    for (int i = 0; i < TENSORS; i++) {
        struct dt2_native native = DT2_NATIVE_INIT;
        size_t index;
        char name[24];
        snprintf(name, sizeof name, "block%d.weight", i);
        bool found = dt2_model_find(model, name, &index, NULL) == 0 && dt2_model_native(model, index, &native, NULL) == 0;
        addresses[i] = found ? (uintptr_t)native.handle + native.offset : 0;
    }
}

/* Loads and verifies; the statistics that matter. */
static int load(enum dt2_io io, unsigned threads, size_t depth, uint64_t staging_bytes, struct dt2_model_stats *stats,
                struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_model *model = NULL;
    request.compute_device = "cpu";
    request.alignment_bytes = asked_alignment;
    options.verify = true;
    options.io = io;
    options.threads = threads;
    options.queue_depth = depth;
    options.staging_bytes = staging_bytes;
    drop_cache();
    if (dt2_context_create(NULL, &context, err) < 0 || dt2_file_open(path, &file, err) < 0 ||
        dt2_blocks_make(file, &blocks, err) < 0)
        layout_die("%s", err->text);
    int rc = dt2_model_load(context, file, blocks, &request, &options, &model, err);
    if (rc == 0) {
        *stats = *dt2_model_statistics(model);
        keep_addresses(model);
    }
    dt2_model_unref(model);
    dt2_context_destroy(context);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    return rc;
}

/* `wanted_engine` NULL: whoever is there. */
static void test_ways(const char *wanted_engine)
{
    struct dt2_model_stats stats = { 0 };
    struct dt2_error err = { 0 };
    is_int(load(DT2_IO_BUFFERED, 2, 16, 0, &stats, &err), 0, "through the page cache, every byte verified: %s", err.text);
    is_u64(stats.direct_bytes, 0, "nothing went past it");
    if (wanted_engine)
        is_str(stats.engine, wanted_engine, "who waits");
    ok(stats.queue_depth >= 8, "more reads than threads are under way: %u", stats.queue_depth);
    is_int(load(DT2_IO_DIRECT, 2, 16, 0, &stats, &err), 0, "past the page cache, every byte verified: %s", err.text);
    if (has_direct())
        is_u64(stats.direct_bytes, stats.bytes, "all of it");
    ok(stats.staging_bytes <= 64 << 20 && (stats.staging_bytes > 0 || !has_direct()), "its memory is counted, and bounded");
    is_int(load(DT2_IO_DIRECT, 2, 16, 1 << 20, &stats, &err), 0, "with little staging: %s", err.text);
    ok(stats.staging_bytes <= 1 << 20, "and no more than that: %" PRIu64, stats.staging_bytes);
    is_int(load(DT2_IO_AUTO, 1, 1, 0, &stats, &err), 0, "one by one: %s", err.text);
    is_str(stats.engine, "threads", "which takes no io_uring");
}

/* Refuses io_uring_setup() to this process, as containers do. */
static bool refuse_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1), /* io_uring_setup, the same on all architectures */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A file of 300 MiB, nearly all of it a hole. */
static void make_large_file(void)
{
    struct layout layout = { 0 };
    size_t header_size;
    char name[] = "block0.weight", shape[] = "314572800";
    layout_add(&layout, name, "U8", shape);
    char *header = layout_header(&layout, &header_size);
    path = strdup(scratch_file("large.safetensors", header, header_size, 0));
    if (truncate(path, (off_t)(header_size + layout.bytes)) < 0)
        layout_die("%s: %s", path, strerror(errno));
    free(header);
    free(layout.tensors);
}

static bool is_local(void)
{
    struct statfs system;
    return statfs(path, &system) == 0 && (system.f_type == 0xEF53 || system.f_type == 0x58465342 || system.f_type == 0x9123683E);
}

static void test_auto(void)
{
    struct dt2_model_stats stats = { 0 };
    struct dt2_error err = { 0 };
    char *small = path;
    is_int(load(DT2_IO_AUTO, 0, 0, 0, &stats, &err), 0, "a small file: %s", err.text);
    is_u64(stats.direct_bytes, 0, "goes through the page cache");
    make_large_file();
    is_int(load(DT2_IO_AUTO, 0, 0, 0, &stats, &err), 0, "a large one, every byte verified: %s", err.text);
    if (has_direct() && is_local()) {
        is_u64(stats.direct_bytes, stats.bytes, "goes past it");
        ok(stats.queue_depth >= 32, "in a deep queue: %u", stats.queue_depth);
    } else {
        skip(2, "the scratch folder is on no local disk");
    }
    unlink(path);
    free(path);
    path = small;
}

/* What addresses of direct reads are multiples of, as the kernel says; 4096: it says nothing. */
static uint64_t address_alignment(void)
{
#ifdef STATX_DIOALIGN
    struct statx st;
    if (statx(AT_FDCWD, path, 0, STATX_DIOALIGN, &st) == 0 && st.stx_mask & STATX_DIOALIGN)
        return st.stx_dio_mem_align;
#endif
    return 4096;
}

static void test_straight(void)
{
    struct dt2_model_stats stats = { 0 };
    struct dt2_error err = { 0 };
    bool agree = true, words = true, aligned = true;
    if (!has_direct()) {
        skip(4, "the scratch folder has no direct reads");
        return;
    }
    is_int(load(DT2_IO_DIRECT, 0, 0, 0, &stats, &err), 0, "past the page cache: %s", err.text);
    for (int i = 0; i < TENSORS; i++) {
        if (i < WHOLE && lengths[i] >= LARGE)
            agree &= addresses[i] && (addresses[i] - begins[i]) % address_alignment() == 0;
        words &= addresses[i] % 8 == 0;
    }
    ok(agree && words, "large tensors lie in host memory as in their file, where no copy is needed; and all at whole words");
    asked_alignment = 64;
    is_int(load(DT2_IO_DIRECT, 0, 0, 0, &stats, &err), 0, "with an alignment that was asked for: %s", err.text);
    asked_alignment = 0;
    for (int i = 0; i < TENSORS; i++)
        aligned &= addresses[i] && addresses[i] % 64 == 0;
    ok(aligned, "every tensor has it");
}

/* Loads are populated and cut by the kernel's huge page, whatever its size. */
static void test_huge_pages(void)
{
    static const char *const sizes[] = { "65536", "1048576", "4194304", "536870912" };
    struct dt2_model_stats stats = { 0 };
    struct dt2_error err = { 0 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        scratch_text("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", sizes[i]);
        dt2_huge_page_below(scratch_root);
        is_int(load(DT2_IO_BUFFERED, 2, 16, 0, &stats, &err), 0, "huge pages of %s, through the page cache: %s", sizes[i], err.text);
        is_int(load(DT2_IO_DIRECT, 2, 16, 0, &stats, &err), 0, "and past it: %s", err.text);
    }
    dt2_huge_page_below("");
}

static void test_usage(void)
{
    struct dt2_model_stats stats;
    struct dt2_error err;
    is_int(load((enum dt2_io)7, 1, 1, 0, &stats, &err), DT2_EUSAGE, "another way is refused");
    ok(strstr(err.text, "7"), "by its number: %s", err.text);
}

int main(void)
{
    make_file();
    test_auto();
    test_usage();
    test_straight();
    test_huge_pages();
    test_ways(NULL);
    if (refuse_uring())
        test_ways("threads");
    else
        skip(1, "io_uring cannot be refused here");
    free(path);
    return done_testing();
}
