/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits of the machine, as <distorch2/measure.h> has them. */
#include "machine/measure.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sized.h"
#include "base/thread.h"
#include "formats/disk.h"
#include "machine/pages.h"
#include "model/measure.h"
#include "model/model.h"
#include <distorch2/measure.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct dt2_sized sized_device =
    DT2_SIZED(struct dt2_device_speeds, read_pinned_gbps, "the speeds'", "DT2_DEVICE_SPEEDS_INIT");
static const struct dt2_sized sized_file =
    DT2_SIZED(struct dt2_file_speeds, touched_gbps, "the speeds'", "DT2_FILE_SPEEDS_INIT");

/* -- devices */

static int measure_ways(const struct dt2_opened *opened, struct dt2_device_speeds *speeds, struct dt2_error *err)
{
    int rc = dt2_measure(opened, DT2_WRITE, false, &speeds->write_gbps, err);
    if (rc == 0)
        rc = dt2_measure(opened, DT2_WRITE, true, &speeds->write_pinned_gbps, err);
    if (rc == 0)
        rc = dt2_measure(opened, DT2_READ, false, &speeds->read_gbps, err);
    return rc == 0 ? dt2_measure(opened, DT2_READ, true, &speeds->read_pinned_gbps, err) : rc;
}

/* The name under which a device is listed, which may be given in another spelling; with the list that has it. */
static int find_listed(struct dt2_context *context, const char *device, struct dt2_devices **devices, const char **name,
                       struct dt2_error *err)
{
    size_t index;
    int rc = dt2_devices_list(context, 0, devices, err);
    if (rc < 0)
        return rc;
    rc = dt2_devices_find(*devices, device, &index, err);
    if (rc < 0)
        dt2_devices_free(*devices);
    else
        *name = dt2_devices_get(*devices, index)->name;
    return rc;
}

int dt2_device_measure(struct dt2_context *context, const char *device, struct dt2_device_speeds *speeds, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_device_speeds found = DT2_DEVICE_SPEEDS_INIT;
    struct dt2_devices *devices;
    struct dt2_opened *opened;
    const char *name = NULL;
    int rc = dt2_result_check(&sized_device, speeds, err);
    if (rc == 0)
        rc = find_listed(context, device, &devices, &name, err);
    if (rc < 0)
        return rc;
    rc = dt2_machine_open(context->machine, name, &opened, err);
    dt2_devices_free(devices);
    if (rc < 0)
        return rc;
    rc = measure_ways(opened, &found, err);
    dt2_machine_close(context->machine, opened);
    if (rc == 0)
        dt2_result_write(&sized_device, &found, speeds);
    return rc;
}

/* -- files */

#define PIECE ((uint64_t)2 << 20)
#define MOST ((uint64_t)512 << 20)
#define COLD_READERS 16
#define LONGEST_NS ((uint64_t)10 * 1000000000)

/* One measurement: several threads read a file piece by piece. */
struct reading {
    int fd;
    uint64_t size;
    char *memory; /* for all of the file; NULL: each thread has a piece of its own, which it uses again and again */
    bool populate; /* each piece of that memory before it is read into */
    uint64_t end_ns;
    _Atomic uint64_t next, done;
    atomic_int failure; /* an errno */
};

/* Asks for whole pieces, also at the file's end: direct reads are to be whole blocks. */
static void read_piece(struct reading *reading, uint64_t at, char *to)
{
    uint64_t wanted = dt2_min(PIECE, reading->size - at);
    for (uint64_t done = 0; done < wanted;) {
        ssize_t got = pread(reading->fd, to + done, PIECE - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            atomic_store(&reading->failure, got < 0 ? errno : EIO);
            return;
        }
        done += (uint64_t)got;
    }
    atomic_fetch_add(&reading->done, wanted);
}

static void *read_pieces(void *data)
{
    struct reading *reading = data;
    char *own = reading->memory ? NULL : dt2_map_huge(PIECE);
    if (!reading->memory && (!own || dt2_pages_populate(own, PIECE) != 0))
        atomic_store(&reading->failure, ENOMEM);
    while (atomic_load(&reading->failure) == 0 && dt2_now_ns() < reading->end_ns) {
        uint64_t at = atomic_fetch_add(&reading->next, PIECE);
        if (at >= reading->size)
            break;
        if (reading->populate && dt2_pages_populate(reading->memory + at, PIECE) != 0)
            atomic_store(&reading->failure, ENOMEM);
        read_piece(reading, at, own ? own : reading->memory + at);
    }
    if (own)
        munmap(own, PIECE);
    return NULL;
}

int dt2_measure_reads(int fd, uint64_t size, unsigned readers, enum dt2_reading_into into, double *gbps, struct dt2_error *err)
{
    struct reading reading = { .fd = fd, .size = size, .populate = into == DT2_INTO_POPULATED };
    const uint64_t room = (size + PIECE - 1) / PIECE * PIECE;
    DT2_AUTO pthread_t *threads = dt2_alloc(readers, sizeof *threads);
    unsigned count = 0;
    if (!threads)
        return dt2_fail_nomem(err);
    uint64_t begin = dt2_now_ns();
    reading.end_ns = begin + LONGEST_NS;
    reading.memory = into != DT2_INTO_TOUCHED ? dt2_map_huge(room) : NULL;
    if (into != DT2_INTO_TOUCHED && !reading.memory)
        return dt2_fail_nomem(err);
    while (count < readers && dt2_thread_start(&threads[count], read_pieces, &reading) == 0)
        count++;
    if (count == 0)
        read_pieces(&reading);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    uint64_t ns = dt2_now_ns() - begin;
    if (reading.memory)
        munmap(reading.memory, room);
    int failure = atomic_load(&reading.failure);
    if (failure)
        return dt2_fail(err, DT2_EFAILED, "reads cannot be measured: %s", strerror(failure));
    *gbps = ns ? (double)atomic_load(&reading.done) / (double)ns : -1;
    return 0;
}

static int measure_disk(const struct dt2_file *file, const struct dt2_disk *disk, struct dt2_file_speeds *speeds,
                        struct dt2_error *err)
{
    unsigned processors = dt2_thread_processors();
    processors = processors && processors < COLD_READERS ? processors : COLD_READERS;
    double warming;
    dt2_file_drop_cache(file);
    int rc = dt2_measure_reads(disk->fd, speeds->bytes, COLD_READERS, DT2_INTO_TOUCHED, &speeds->cold_gbps, err);
    if (rc == 0 && disk->direct >= 0) {
        dt2_file_drop_cache(file);
        rc = dt2_measure_reads(disk->direct, speeds->bytes, COLD_READERS, DT2_INTO_TOUCHED, &speeds->cold_direct_gbps, err);
    }
    if (rc == 0)
        rc = dt2_measure_reads(disk->fd, speeds->bytes, COLD_READERS, DT2_INTO_TOUCHED, &warming, err);
    if (rc == 0)
        rc = dt2_measure_reads(disk->fd, speeds->bytes, processors, DT2_INTO_FRESH, &speeds->fresh_gbps, err);
    return rc == 0 ? dt2_measure_reads(disk->fd, speeds->bytes, processors, DT2_INTO_TOUCHED, &speeds->touched_gbps, err) : rc;
}

/* The index of the largest of the model's files. */
static uint32_t largest_of(const struct dt2_file *file)
{
    uint32_t largest = 0;
    struct dt2_disk disk;
    uint64_t most = 0;
    for (uint32_t i = 0; i < dt2_file_source_count(file); i++) {
        dt2_disk_open(file, i, false, &disk);
        if (disk.size > most) {
            most = disk.size;
            largest = i;
        }
    }
    return largest;
}

int dt2_file_measure(const struct dt2_file *file, uint64_t most, struct dt2_file_speeds *speeds, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_file_speeds found = DT2_FILE_SPEEDS_INIT;
    struct dt2_disk disk;
    int rc = dt2_result_check(&sized_file, speeds, err);
    if (rc < 0)
        return rc;
    dt2_disk_open(file, largest_of(file), true, &disk);
    found.bytes = dt2_min(disk.size, most ? most : MOST);
    if (found.bytes > 0)
        rc = measure_disk(file, &disk, &found, err);
    dt2_disk_close(&disk);
    if (rc == 0)
        dt2_result_write(&sized_file, &found, speeds);
    return rc;
}
