/* SPDX-License-Identifier: BSD-3-Clause */
#include "model/speeds.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/thread.h"
#include "load/load.h"
#include "machine/pages.h"
#include "machine/pool.h"
#include "machine/steps.h"
#include "model/measure.h"
#include "share/place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CACHE_MOST ((size_t)1 << 20) /* bytes of a file that is looked at */
#define SCRATCH_BYTES ((uint64_t)192 << 20)
#define PIECE ((size_t)2 << 20)
#define COPY_BYTES ((size_t)64 << 20)
#define COPIES 4 /* the first touches the memory; the best counts */
#define READERS 4
#define WARM_RUNS 5
#define LOCK_MS 1000
#define COLD_READERS 32 /* as many as a load has under way */

/* -- where ------------------------------------------------------------------------------------------------------ */

/* "$XDG_CACHE_HOME/distorch2"; NULL: there is no such place. */
static char *cache_folder(void)
{
    const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    if (cache && cache[0] == '/')
        return dt2_printf("%s/distorch2", cache);
    return home && home[0] == '/' ? dt2_printf("%s/.cache/distorch2", home) : NULL;
}

/* The file of this host: homes are shared between machines. */
static char *cache_file(const char *folder)
{
    struct utsname host;
    if (!folder || uname(&host) != 0)
        return NULL;
    for (char *c = host.nodename; *c; c++)
        *c = *c == '/' ? '_' : *c;
    return dt2_printf("%s/speeds-%s.json", folder, host.nodename);
}

/* -- measuring -------------------------------------------------------------------------------------------------- */

struct copying {
    char *to;
    const char *from;
    size_t bytes;
};

static void *copy_part(void *data)
{
    const struct copying *copying = data;
    memcpy(copying->to, copying->from, copying->bytes);
    return NULL;
}

/* As a session's helpers copy: several threads, a part each. */
static uint64_t copy_once(char *to, const char *from, unsigned count)
{
    pthread_t threads[READERS];
    struct copying parts[READERS];
    bool started[READERS] = { false };
    uint64_t begin = dt2_now_ns();
    for (unsigned i = 0; i < count; i++) {
        size_t part = COPY_BYTES / count;
        parts[i] = (struct copying){ to + i * part, from + i * part, part };
        started[i] = i > 0 && dt2_thread_start(&threads[i], copy_part, &parts[i]) == 0;
    }
    for (unsigned i = 0; i < count; i++)
        if (!started[i])
            copy_part(&parts[i]);
    for (unsigned i = 0; i < count; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
    return dt2_now_ns() - begin;
}

static double measure_memory(void)
{
    unsigned count = dt2_thread_processors();
    char *memory = dt2_map_huge(2 * COPY_BYTES);
    uint64_t best = 0;
    if (!memory)
        return -1;
    count = count < 1 ? 1 : count > READERS ? READERS : count;
    for (int i = 0; i < COPIES; i++) {
        uint64_t ns = copy_once(memory, memory + COPY_BYTES, count);
        best = i == 1 || (i > 1 && ns < best) ? ns : best;
    }
    munmap(memory, 2 * COPY_BYTES);
    return best ? (double)COPY_BYTES / (double)best : -1;
}

/* A file that has no name any more, of bytes that no disk can leave out; -1: none can be had. */
static int open_scratch(const char *folder)
{
    const char *temporary = secure_getenv("TMPDIR");
    const char *folders[] = { folder, temporary && temporary[0] == '/' ? temporary : "/var/tmp", "/tmp" };
    int fd = -1;
    for (size_t i = 0; fd < 0 && i < sizeof folders / sizeof *folders; i++)
        if (folders[i])
            fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd;
}

static bool fill_scratch(int fd)
{
    DT2_AUTO uint64_t *piece = dt2_alloc(1, PIECE);
    uint64_t word = 0x9E3779B97F4A7C15u;
    bool good = piece;
    for (uint64_t at = 0; good && at < SCRATCH_BYTES; at += PIECE) {
        for (size_t i = 0; i < PIECE / sizeof *piece; i++)
            piece[i] = word = word * 6364136223846793005u + 1442695040888963407u;
        good = pwrite(fd, piece, PIECE, (off_t)at) == (ssize_t)PIECE;
    }
    return good && fsync(fd) == 0;
}

/* A machine is busy at times, and memory that a virtual one gave back to its host comes slowly the first time. */
static void best_of(int runs, int fd, unsigned readers, enum dt2_reading_into into, double *gbps)
{
    for (int i = 0; i < runs; i++) {
        double again = -1;
        dt2_measure_reads(fd, SCRATCH_BYTES, readers, into, &again, NULL);
        *gbps = again > *gbps ? again : *gbps;
    }
}

/* As a load reads what is not in the page cache: past it, where the file system can. */
static void measure_cold(int fd, double *gbps)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (direct >= 0)
        best_of(2, direct, COLD_READERS, DT2_INTO_TOUCHED, gbps);
    if (*gbps < 0)
        dt2_measure_reads(fd, SCRATCH_BYTES, COLD_READERS, DT2_INTO_TOUCHED, gbps, NULL);
    if (direct >= 0)
        close(direct);
}

static void measure_file(const char *folder, const struct dt2_log *log, struct dt2_speeds *speeds)
{
    int fd = open_scratch(folder);
    unsigned processors = dt2_thread_processors();
    if (fd < 0 || !fill_scratch(fd)) {
        dt2_log_line(log, DT2_LOG_INFO, "reads are not measured: no file of %llu bytes can be made: %s",
                     (unsigned long long)SCRATCH_BYTES, strerror(errno));
    } else {
        processors = processors < 1 ? 1 : processors > READERS ? READERS : processors;
        best_of(WARM_RUNS, fd, processors, DT2_INTO_POPULATED, &speeds->fresh_gbps);
        best_of(WARM_RUNS, fd, processors, DT2_INTO_TOUCHED, &speeds->touched_gbps);
        measure_cold(fd, &speeds->cold_gbps);
    }
    if (fd >= 0)
        close(fd);
}

/* Two digits: more would be noise. */
static double rounded(double gbps)
{
    return gbps < 0 ? gbps : (double)(long)(gbps * 100 + 0.5) / 100;
}

void dt2_speeds_measure(const struct dt2_log *log, uint64_t start_ns, struct dt2_devices *devices)
{
    DT2_AUTO char *folder = cache_folder();
    dt2_log_line(log, DT2_LOG_INFO, "measuring memory and disk, %zu of %zu", devices->count + 1, devices->count + 1);
    struct dt2_speeds speeds = { rounded(measure_memory()), -1, -1, -1, (int64_t)time(NULL), rounded((double)start_ns / 1e6) };
    measure_file(folder, log, &speeds);
    speeds.fresh_gbps = rounded(speeds.fresh_gbps);
    speeds.touched_gbps = rounded(speeds.touched_gbps);
    speeds.cold_gbps = rounded(speeds.cold_gbps);
    dt2_devices_set_speeds(devices, &speeds);
}

/* -- keeping ---------------------------------------------------------------------------------------------------- */

/* Under another name first, and then in one step: who reads has the old one, or the whole new one. */
static bool write_file(const char *path, const char *text)
{
    DT2_AUTO char *fresh = dt2_printf("%s.%ld", path, (long)getpid());
    size_t length = strlen(text);
    int fd = fresh ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd < 0)
        return false;
    bool good = write(fd, text, length) == (ssize_t)length;
    good = close(fd) == 0 && good && rename(fresh, path) == 0;
    if (!good)
        unlink(fresh);
    return good;
}

/* The folder, and the user's cache around it. */
static void make_folder(char *folder)
{
    char *last = strrchr(folder, '/');
    *last = '\0';
    mkdir(folder, 0700);
    *last = '/';
    mkdir(folder, 0700);
}

static void keep(const struct dt2_log *log, const char *path, const struct dt2_devices *devices)
{
    char *text = dt2_devices_json(devices);
    if (text && !write_file(path, text))
        dt2_log_line(log, DT2_LOG_INFO, "%s: what was measured is not kept: %s", path, strerror(errno));
    dt2_text_free(text);
}

/* The right to read what is kept and write it anew; what comes back is for unlock(). Where nobody can have it, one goes on without. */
static int lock(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)dt2_place_lock(fd, LOCK_MS);
    return fd;
}

static void unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* -- recalling -------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same(const struct dt2_device *a, const struct dt2_device *b)
{
    return same_text(a->pci, b->pci) && same_text(a->uuid, b->uuid) && same_text(a->model, b->model) &&
           same_text(a->runtime, b->runtime) && same_text(a->driver, b->driver);
}

/* A link whose generation or width is another one now is another link; where one of the two is unknown, nobody can tell. */
static bool same_link(const struct dt2_link *a, const struct dt2_link *b)
{
    return (!a->pcie_generation || !b->pcie_generation || a->pcie_generation == b->pcie_generation) &&
           (!a->pcie_lanes || !b->pcie_lanes || a->pcie_lanes == b->pcie_lanes);
}

static int recall_device(const struct dt2_device *kept, struct dt2_devices *devices, size_t index, struct dt2_error *err)
{
    struct dt2_device *device = &devices->devices[index];
    for (size_t i = 0; i < kept->link_count; i++) {
        const struct dt2_link *old = kept->links[i];
        struct dt2_link *now = (struct dt2_link *)(uintptr_t)dt2_device_link(device, old->to);
        if (!now) {
            int rc = dt2_devices_add_link(devices, index, old, err);
            if (rc < 0)
                return rc;
        } else if (same_link(old, now)) {
            if (!now->shared && !dt2_pool_text(devices->pool, old->shared, &now->shared))
                return dt2_fail_nomem(err); /* what only a look at all PCI devices tells */
            now->nominal_gbps = now->nominal_gbps < 0 ? old->nominal_gbps : now->nominal_gbps;
            now->measured_gbps = old->measured_gbps;
            now->read_gbps = old->read_gbps;
            now->delay_us = old->delay_us;
            now->fresh_gbps = old->fresh_gbps;
        }
    }
    device->open_ms = kept->open_ms;
    device->start_ms = kept->start_ms;
    return 0;
}

static int recall_steps(const struct dt2_devices *kept, size_t index, struct dt2_devices *devices, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < kept->step_count; i++)
        if (strcmp(kept->steps[i].device, kept->devices[index].name) == 0)
            rc = dt2_steps_put(devices, &kept->steps[i], err);
    return rc;
}

int dt2_speeds_recall(const struct dt2_devices *kept, bool speeds, struct dt2_devices *devices, struct dt2_error *err)
{
    for (size_t i = 0; i < devices->count; i++)
        for (size_t j = 0; j < kept->count; j++) {
            if (strcmp(kept->devices[j].name, devices->devices[i].name) != 0 || !is_same(&kept->devices[j], &devices->devices[i]))
                continue;
            int rc = recall_steps(kept, j, devices, err);
            if (rc == 0 && speeds)
                rc = recall_device(&kept->devices[j], devices, i, err);
            if (rc < 0)
                return rc;
        }
    if (kept->has_speeds && speeds)
        dt2_devices_set_speeds(devices, &kept->speeds);
    return 0;
}

static struct dt2_devices *read_kept(const struct dt2_log *log, const char *path)
{
    DT2_AUTO char *text = NULL;
    struct dt2_devices *kept = NULL;
    struct dt2_error wrong;
    size_t length;
    if (!path || access(path, R_OK) != 0)
        return NULL;
    if (dt2_read_file(path, CACHE_MOST, &text, &length, &wrong) == 0 && dt2_devices_parse(text, length, &kept, &wrong) == 0)
        return kept;
    dt2_log_line(log, DT2_LOG_INFO, "%s: what was measured before is not used: %s", path, wrong.text);
    return NULL;
}

struct dt2_devices *dt2_speeds_read(const struct dt2_log *log)
{
    DT2_AUTO char *folder = cache_folder();
    DT2_AUTO char *path = cache_file(folder);
    return read_kept(log, path);
}

/* What sessions have learnt while it was measured is kept too. */
void dt2_speeds_keep(const struct dt2_log *log, struct dt2_devices *devices)
{
    DT2_AUTO char *folder = cache_folder();
    DT2_AUTO char *path = cache_file(folder);
    if (!path)
        return;
    make_folder(folder);
    int locked = lock(folder);
    struct dt2_devices *kept = read_kept(log, path);
    if (kept)
        (void)dt2_speeds_recall(kept, false, devices, NULL);
    keep(log, path, devices);
    unlock(locked);
    dt2_devices_free(kept);
}

bool dt2_speeds_learn(const struct dt2_log *log, const char *device, const char *network, uint64_t step_ns)
{
    DT2_AUTO char *folder = cache_folder();
    DT2_AUTO char *path = cache_file(folder);
    const struct dt2_step step = { device, network, rounded((double)step_ns / 1e6), (int64_t)time(NULL) };
    int locked = path ? lock(folder) : -1;
    struct dt2_devices *kept = read_kept(log, path);
    bool any = kept != NULL;
    if (any && dt2_steps_put(kept, &step, NULL) == 0)
        keep(log, path, kept);
    unlock(locked);
    dt2_devices_free(kept);
    return any;
}
