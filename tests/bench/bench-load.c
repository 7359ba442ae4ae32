/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How close a load, cold and warm, comes to the limits of this machine. Every figure is the median of interleaved rounds in one run, and
 * what counts is the ratio of two of them: machines are noisy, ratios less so. Further files, in other layouts and
 * formats, are loaded in the same rounds. Each is held against plain reads of itself: how a file came into the page cache, and what
 * of the machine's memory it has there, makes more of a difference than its format.
 *
 *   bench-load [-r ROUNDS] [-c | -w] MODEL [MODEL]...: -c: cold loads alone; -w: warm ones alone
 *   bench-load -s DEVICE MODEL: the rates of the first two loads of this process, which the above runs for each round.
 */
#include "bench/limit.h"
#include <distorch2.h>
#include <inttypes.h>
#include <stddef.h>
#include <sys/utsname.h>
#ifdef DT2_BENCH_OPENCL
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#endif

#define MODELS_MOST 8

enum target { HOST, OPENCL, TARGETS };

/* One file, and of each round the rates of its loads and of plain reads beside them. */
struct subject {
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    double rates[TARGETS][ROUNDS_MOST], limit[ROUNDS_MOST];
    double cold[TARGETS + 1][ROUNDS_MOST], cold_limit[ROUNDS_MOST]; /* the last: to two devices and the host */
};

static struct dt2_context *context;
static struct subject subjects[MODELS_MOST];
static size_t subject_count;
static size_t device_count; /* of OpenCL */

/* -- a load ----------------------------------------------------------------------------------------------- */

static uint64_t rss_anon(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t kib = 0;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib << 10;
}

static uint64_t highest_rss; /* while a load runs */

static int watch(void *data, const struct dt2_progress *progress)
{
    (void)data, (void)progress;
    uint64_t rss = rss_anon();
    if (rss > highest_rss)
        highest_rss = rss;
    return 0;
}

/* Loads a whole model, as the string says where; *beyond is the growth of anonymous memory beyond the model's bytes. */
static double measure_spread(const struct subject *subject, const char *device, const char *expert, int64_t *beyond)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model;
    struct dt2_error err;
    request.compute_device = device;
    request.expert_mode_allocations = expert;
    options.progress = watch;
    uint64_t before = highest_rss = rss_anon();
    if (dt2_model_load(context, subject->file, subject->blocks, &request, &options, &model, &err) < 0)
        die(device, err.text);
    double seconds = (double)dt2_model_statistics(model)->ns * 1e-9;
    watch(NULL, NULL);
    int64_t grown = (int64_t)(highest_rss - before) - (int64_t)dt2_file_total_bytes(subject->file);
    if (grown > *beyond)
        *beyond = grown;
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    return (double)dt2_file_total_bytes(subject->file) * 1e-9 / seconds;
}

/* The same to one device. */
static double measure_load(const struct subject *subject, const char *device, int64_t *beyond)
{
    char expert[64];
    snprintf(expert, sizeof expert, "%s,*", device);
    return measure_spread(subject, device, expert, beyond);
}

/* -- the first load of a process, and the second ---------------------------------------------------------- */

static void open_model(const char *path);

/* What -s prints. */
static void print_two(const char *device, const char *path)
{
    struct dt2_error err;
    int64_t beyond = 0;
    if (dt2_context_create(NULL, &context, &err) < 0)
        die("context", err.text);
    open_model(path);
    for (int i = 0; i < 2; i++) {
        back_memory(dt2_file_total_bytes(subjects->file));
        printf("%.4f\n", measure_load(subjects, device, &beyond));
    }
}

/* The second's rate as a part of the first's, in a process of their own. */
static double measure_second(const char *device)
{
    char self[4096] = "", command[sizeof self + 4200];
    double first = 0, second = 0;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        die("/proc/self/exe", strerror(errno));
    snprintf(command, sizeof command, "'%s' -s '%s' '%s'", self, device, dt2_file_path(subjects->file));
    FILE *stream = popen(command, "re");
    if (!stream || fscanf(stream, "%*[^\n]") < 0 || fscanf(stream, "%lf%lf", &first, &second) != 2 || pclose(stream) != 0)
        die(command, "no rates of two loads");
    return second / first;
}

/* -- the device's own write speed ------------------------------------------------------------------------- */

#ifdef DT2_BENCH_OPENCL
#define WRITE_PIECE ((size_t)16 << 20)
#define WRITE_TOTAL ((size_t)512 << 20)

/* The OpenCL device of an index, counted as the driver counts: platform by platform. */
static cl_device_id device_at(unsigned index)
{
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    clGetPlatformIDs(16, platforms, &platform_count);
    for (cl_uint i = 0; i < platform_count && i < 16; i++) {
        cl_device_id devices[64];
        cl_uint count = 0;
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 64, devices, &count) != CL_SUCCESS)
            continue;
        if (index < count)
            return devices[index];
        index -= count;
    }
    return NULL;
}

/* clEnqueueWriteBuffer of 16 MiB pieces from touched memory into a touched buffer. */
static double measure_write(const char *name)
{
    cl_int error;
    cl_device_id device = device_at((unsigned)strtoul(name + strlen("opencl:"), NULL, 10));
    cl_context cl = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    cl_command_queue queue = error ? NULL : clCreateCommandQueue(cl, device, 0, &error);
    cl_mem buffer = error ? NULL : clCreateBuffer(cl, CL_MEM_READ_WRITE, WRITE_TOTAL, NULL, &error);
    char *source = malloc(WRITE_PIECE);
    if (error || !source)
        die(name, "no buffer for its write speed");
    memset(source, 7, WRITE_PIECE);
    double seconds = 0;
    for (int pass = 0; pass < 2; pass++) { /* the first touches */
        double begin = now();
        for (size_t at = 0; at < WRITE_TOTAL; at += WRITE_PIECE)
            error |= clEnqueueWriteBuffer(queue, buffer, CL_FALSE, at, WRITE_PIECE, source, 0, NULL, NULL);
        error |= clFinish(queue);
        seconds = now() - begin;
    }
    if (error)
        die(name, "its write speed could not be measured");
    clReleaseMemObject(buffer);
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
    free(source);
    return (double)WRITE_TOTAL * 1e-9 / seconds;
}
#endif

/* -- planning --------------------------------------------------------------------------------------------- */

static double measure_plan_ms(void)
{
    struct dt2_devices *devices;
    struct dt2_error err;
    struct dt2_request request = DT2_REQUEST_INIT;
    enum { times = 200 };
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,50%";
    if (dt2_devices_list(context, 0, &devices, &err) < 0)
        die("devices", err.text);
    double begin = now();
    for (int i = 0; i < times; i++) {
        struct dt2_plan *plan;
        if (dt2_plan_make(devices, dt2_blocks_array(subjects->blocks), dt2_blocks_count(subjects->blocks), &request, &plan, &err) < 0)
            die("plan", err.text);
        dt2_plan_free(plan);
    }
    double ms = (now() - begin) * 1e3 / times;
    dt2_devices_free(devices);
    return ms;
}

/* -- the table -------------------------------------------------------------------------------------------- */

/* Both ways to a ratio: of the medians, and the median of each round's, which a machine that is busy at times disturbs less. */
static void print_ratio(const char *what, const double *of, const char *limit_name, const double *limit)
{
    static double figures[ROUNDS_MOST], limits[ROUNDS_MOST], shares[ROUNDS_MOST];
    for (unsigned i = 0; i < rounds; i++)
        shares[i] = (figures[i] = of[i]) / (limits[i] = limit[i]);
    double a = median(figures), b = median(limits);
    printf("%-34s %6.2f GB/s (%.2f..%.2f)  %-34s %6.2f GB/s (%.2f..%.2f)  ratio %.2f, round by round %.2f\n", what, a, figures[0],
           figures[rounds - 1], limit_name, b, limits[0], limits[rounds - 1], a / b, median(shares));
}

/* A file's name without its folders. */
static const char *shown(const struct subject *subject)
{
    const char *path = dt2_file_path(subject->file), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What a load of each file reaches of plain reads of it. */
static void print_subjects(const char *what, size_t of, size_t limit, const char *limit_name)
{
    for (size_t i = 0; i < subject_count; i++) {
        char line[128];
        snprintf(line, sizeof line, i ? "  the same, %s" : "%s", i ? shown(&subjects[i]) : what);
        print_ratio(line, (const double *)((const char *)&subjects[i] + of), limit_name,
                    (const double *)((const char *)&subjects[i] + limit));
    }
}

/* The first OpenCL device, if any; the name is copied. */
static void first_opencl(char *name, size_t size)
{
    struct dt2_devices *devices;
    if (dt2_devices_list(context, 0, &devices, NULL) < 0)
        return;
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        if (strcmp(device->driver, "opencl") != 0)
            continue;
        device_count++;
        if (!*name) {
            snprintf(name, size, "%s", device->name);
            printf("OpenCL device: %s, %s\n", device->name, device->model ? device->model : "unknown");
        }
    }
    dt2_devices_free(devices);
}

static void open_model(const char *path)
{
    struct dt2_error err;
    struct subject *subject = &subjects[subject_count++];
    if (dt2_file_open(path, &subject->file, &err) < 0 || dt2_blocks_make(subject->file, &subject->blocks, &err) < 0)
        die(path, err.text);
    printf("%s: %s, %zu tensors, %.3f GB\n", shown(subject), dt2_file_format(subject->file), dt2_file_tensor_count(subject->file),
           (double)dt2_file_total_bytes(subject->file) * 1e-9);
}

static void open_all(char **paths, int count)
{
    struct dt2_error err;
    if (dt2_context_create(NULL, &context, &err) < 0)
        die("context", err.text);
    count_threads();
    struct utsname system;
    double load = 0;
    uname(&system);
    getloadavg(&load, 1);
    printf("%s %s, %u processors, load average %.2f\n", system.sysname, system.release, threads, load);
    for (int i = 0; i < count; i++)
        open_model(paths[i]);
}

static void read_options(int argc, char **argv, bool *cold, bool *warm)
{
    const char *two = NULL;
    *cold = *warm = true;
    for (int c; (c = getopt(argc, argv, "r:s:cw")) != -1;) {
        rounds = c == 'r' ? (unsigned)strtoul(optarg, NULL, 10) : c == '?' ? 0 : rounds;
        two = c == 's' ? optarg : two;
        *cold &= c != 'w';
        *warm &= c != 'c';
    }
    if (two && argc - optind == 1) {
        print_two(two, argv[optind]);
        exit(0);
    }
    if (rounds < 1 || rounds > ROUNDS_MOST || (!*cold && !*warm) || argc - optind < 1 || argc - optind > MODELS_MOST)
        die("usage", "bench-load [-r ROUNDS] [-c | -w] MODEL [MODEL]...");
}

/* The subject of a turn: each round begins with another one. */
static struct subject *in_turn(size_t turn, unsigned round)
{
    return &subjects[(turn + round) % subject_count];
}

/*
 * Takes and frees as much memory as a load does, and reads the file through. Virtual machines give memory back to their host that was
 * not in use for a while, of the page cache too: who came first would pay for it.
 */
static void make_ready(const struct subject *subject)
{
    back_memory(dt2_file_total_bytes(subject->file));
    measure_limit(dt2_file_path(subject->file));
}

/* Loads every file once to a device; to the host, beside a plain read of it. */
static void load_all(const char *device, enum target target, unsigned round, int64_t *beyond)
{
    for (size_t i = 0; i < subject_count; i++) {
        struct subject *subject = in_turn(i, round);
        if (target == HOST) {
            make_ready(subject);
            subject->limit[round] = measure_limit(dt2_file_path(subject->file));
        }
        make_ready(subject);
        subject->rates[target][round] = measure_load(subject, device, beyond);
    }
}

/* What a cold file gives at best: through the page cache or past it. */
static double measure_cold_limit(const struct subject *subject)
{
    struct dt2_file_speeds speeds = DT2_FILE_SPEEDS_INIT;
    struct dt2_error err;
    if (dt2_file_measure(subject->file, dt2_file_total_bytes(subject->file), &speeds, &err) < 0)
        die("disk", err.text);
    return speeds.cold_gbps > speeds.cold_direct_gbps ? speeds.cold_gbps : speeds.cold_direct_gbps;
}

/* A file of which nothing is in the page cache. */
static double measure_cold(const struct subject *subject, const char *device, const char *expert, int64_t *beyond)
{
    back_memory(dt2_file_total_bytes(subject->file));
    dt2_file_drop_cache(subject->file);
    return measure_spread(subject, device, expert, beyond);
}

/* How files lie in the page cache decides how quick they are copied out of it: all come into it in one way. */
static void warm_all(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        dt2_file_drop_cache(subjects[i].file);
        measure_limit(dt2_file_path(subjects[i].file));
    }
}

/* A round of cold loads of one file: to the host, to an OpenCL device, and to two such and the host at once. */
static void load_cold(struct subject *subject, unsigned round, const char *opencl, int64_t beyond[TARGETS])
{
    char expert[128];
    int64_t ignored = 0;
    subject->cold_limit[round] = measure_cold_limit(subject);
    subject->cold[HOST][round] = measure_cold(subject, "cpu", "cpu,*", &beyond[HOST]);
    if (!*opencl)
        return;
    snprintf(expert, sizeof expert, "%s,*", opencl);
    subject->cold[OPENCL][round] = measure_cold(subject, opencl, expert, &beyond[OPENCL]);
    if (device_count > 1)
        subject->cold[TARGETS][round] = measure_cold(subject, opencl, "opencl:0,33%;opencl:1,33%;cpu,*", &ignored);
}

#define OF(member) offsetof(struct subject, member)
#define COLD_LIMIT "the better of plain cold reads"
#define WARM_LIMIT "pread into fresh huge pages"

static void bench_cold(const char *opencl, int64_t beyond[TARGETS])
{
    for (unsigned i = 0; i < rounds; i++)
        for (size_t j = 0; j < subject_count; j++)
            load_cold(in_turn(j, i), i, opencl, beyond);
    print_subjects("load to cpu, cold", OF(cold[HOST]), OF(cold_limit), COLD_LIMIT);
    if (*opencl)
        print_subjects("load to the OpenCL device, cold", OF(cold[OPENCL]), OF(cold_limit), COLD_LIMIT);
    if (device_count > 1)
        print_subjects("load to two and the host, cold", OF(cold[TARGETS]), OF(cold_limit), COLD_LIMIT);
}

static void bench_warm(const char *opencl, int64_t beyond[TARGETS])
{
    static double plan[ROUNDS_MOST], second[TARGETS][ROUNDS_MOST];
#ifdef DT2_BENCH_OPENCL
    static double written[ROUNDS_MOST];
#endif
    warm_all();
    for (unsigned i = 0; i < rounds; i++) {
        load_all("cpu", HOST, i, &beyond[HOST]);
        second[HOST][i] = measure_second("cpu");
#ifdef DT2_BENCH_OPENCL
        if (*opencl) {
            load_all(opencl, OPENCL, i, &beyond[OPENCL]);
            second[OPENCL][i] = measure_second(opencl);
            written[i] = measure_write(opencl);
        }
#endif
        plan[i] = measure_plan_ms();
    }
    print_subjects("load to cpu", OF(rates[HOST]), OF(limit), WARM_LIMIT);
#ifdef DT2_BENCH_OPENCL
    if (*opencl) {
        print_subjects("load to the OpenCL device", OF(rates[OPENCL]), OF(limit), WARM_LIMIT);
        print_ratio("  into touched memory", subjects->rates[OPENCL], "its own write speed", written);
    }
#endif
    printf("%-34s %6.2f of the first's rate (1 wanted)\n", "second load in a process, cpu", median(second[HOST]));
    if (*opencl)
        printf("%-34s %6.2f of the first's rate (1 wanted)\n", "  the same, the OpenCL device", median(second[OPENCL]));
    printf("%-34s %6.3f ms (below 1 wanted)\n", "plan", median(plan));
}

static void close_all(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        dt2_blocks_free(subjects[i].blocks);
        dt2_file_free(subjects[i].file);
    }
    dt2_context_destroy(context);
}

int main(int argc, char **argv)
{
    bool cold, warm;
    char opencl[64] = "";
    int64_t beyond[TARGETS] = { INT64_MIN, INT64_MIN };
    read_options(argc, argv, &cold, &warm);
    open_all(argv + optind, argc - optind);
    first_opencl(opencl, sizeof opencl);
    printf("medians of %u interleaved rounds (lowest..highest)\n\n", rounds);
    if (cold)
        bench_cold(opencl, beyond);
    if (warm)
        bench_warm(opencl, beyond);
    printf("%-34s %6.1f MiB (at most 80 wanted)\n", "anonymous memory beyond the model", (double)beyond[HOST] / (1 << 20));
    if (*opencl && beyond[OPENCL] > INT64_MIN)
        printf("%-34s %6.1f MiB (the device's memory is this process's)\n", "  the same, OpenCL device",
               (double)beyond[OPENCL] / (1 << 20));
    close_all();
    return 0;
}
