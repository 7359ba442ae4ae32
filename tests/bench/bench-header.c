/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the header of a file to its table of tensors: the time, and the memory at most, of the SDXL layout and of a file of
 * 100,000 tensors. Files are made in FOLDER and stay there.
 *
 *   bench-header FOLDER
 */
#include "support/model.h"
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MANY 100000
#define ROUNDS 15

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void open_and_free(const char *path)
{
    struct dt2_file *file;
    struct dt2_error err;
    if (dt2_file_open(path, &file, &err) < 0)
        layout_die("%s", err.text);
    dt2_file_free(file);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_ms(const char *path)
{
    double ms[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double begin = now_ms();
        open_and_free(path);
        ms[i] = now_ms() - begin;
    }
    qsort(ms, ROUNDS, sizeof *ms, ascending);
    return ms[ROUNDS / 2];
}

static long highest_rss_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* By how many bytes opening the file makes a process grow, in a process of its own. */
static double growth(const char *path)
{
    int ends[2];
    long kib = 0;
    if (pipe(ends) < 0)
        layout_die("pipe");
    pid_t child = fork();
    if (child < 0)
        layout_die("fork");
    if (child == 0) {
        kib = highest_rss_kib();
        open_and_free(path);
        kib = highest_rss_kib() - kib;
        _exit(write(ends[1], &kib, sizeof kib) != sizeof kib);
    }
    if (read(ends[0], &kib, sizeof kib) != sizeof kib || waitpid(child, NULL, 0) < 0)
        layout_die("%s: no answer", path);
    close(ends[0]);
    close(ends[1]);
    return (double)kib * 1024;
}

/* A file of so many tensors that its header has 13.6 MB, as the spaces at its end see to. */
static void make_many(const char *path)
{
    static char names[MANY][80];
    struct layout layout = { 0 };
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[0], "control_model.input_blocks.%d.1.transformer_blocks.%d.attn2.to_k.weight",
                 i / 10, i % 10);
        layout_add(&layout, names[i], "F16", "4,8");
    }
    size_t size;
    char *header = layout_header(&layout, &size);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, header, size) != (ssize_t)size || ftruncate(fd, (off_t)(size + layout.bytes)) < 0 ||
        close(fd) < 0)
        layout_die("%s: %s", path, strerror(errno));
    free(header);
    free(layout.tensors);
}

static void report(const char *what, const char *path, const char *wanted)
{
    uint64_t header_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &header_bytes, sizeof header_bytes) != sizeof header_bytes)
        layout_die("%s: %s", path, strerror(errno));
    close(fd);
    double grown = growth(path), ms = median_ms(path);
    printf("%-34s %6.2f ms%s; header of %.2f MB, memory %.1f MB", what, ms, wanted, (double)header_bytes * 1e-6,
           grown * 1e-6);
    if (header_bytes > 1000000) /* a small one is lost among what every process takes */
        printf(", %.1f times it (below 4 wanted)", grown / (double)header_bytes);
    putchar('\n');
}

int main(int argc, char **argv)
{
    char sdxl[4096], many[4096];
    if (argc != 2)
        layout_die("usage: bench-header FOLDER");
    snprintf(sdxl, sizeof sdxl, "%s/header-844.safetensors", argv[1]);
    snprintf(many, sizeof many, "%s/header-100000.safetensors", argv[1]);
    sparse_model("sdxl_controlnet_cldm_fp16", sdxl);
    make_many(many);
    report("table of 844 tensors", sdxl, " (below 5 wanted)");
    report("table of 100,000 tensors", many, "");
    return 0;
}
