/* SPDX-License-Identifier: BSD-3-Clause */
/* Images: memory that all ranks of a node share, filled by what each node read of the files. */
#include "image.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_BYTES ((uint64_t)8 << 20) /* what one node reads at once, and sends to the others */
#define DEPTH 4                         /* so many are under way */
#define MARGIN_BYTES ((uint64_t)64 << 20)
#define TELL_SECONDS 0.1                /* how often it is told how far it is */

/* -- making --------------------------------------------------------------------------------------------------------- */

/* What host memory has free, and the control group; DT2_UNKNOWN: nobody tells. */
static uint64_t free_bytes(void)
{
    struct dt2_context *context = NULL;
    struct dt2_devices *devices = NULL;
    uint64_t least = DT2_UNKNOWN;
    size_t cpu;
    if (dt2_context_create(NULL, &context, NULL) == 0 && dt2_devices_list(context, 0, &devices, NULL) == 0 &&
        dt2_devices_find(devices, "cpu", &cpu, NULL) == 0) {
        const struct dt2_device *device = dt2_devices_get(devices, cpu);
        for (size_t i = 0; i < dt2_devices_budget_count(devices); i++) {
            const struct dt2_budget *budget = dt2_devices_budget(devices, i);
            for (size_t j = 0; j < device->budget_count; j++)
                if (strcmp(budget->name, device->budgets[j]) == 0 && budget->free_bytes < least)
                    least = budget->free_bytes;
        }
    }
    dt2_devices_free(devices);
    dt2_context_destroy(context);
    return least;
}

/* Memory that does not suffice ends the process while it is filled, so one asks before. */
static int check_room(const struct dt2_images *images, struct dt2_error *err)
{
    uint64_t wanted = MARGIN_BYTES, there = free_bytes();
    for (size_t i = 0; i < images->count; i++)
        wanted += images->items[i].size;
    if (there == DT2_UNKNOWN || wanted <= there)
        return 0;
    dt2_job_fail(err, DT2_ENOFIT, "the model's files need %" PRIu64 " bytes of host memory while they are read, and %" PRIu64 " are free",
                 wanted, there);
    snprintf(err->suggestion, sizeof err->suggestion, "bring the files to the nodes' disks, and load them from there");
    return err->code;
}

static int make(struct dt2_image *image, struct dt2_error *err)
{
    if (image->size == 0)
        return 0;
    if (ftruncate(image->memory, (off_t)image->size) < 0 || fcntl(image->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return dt2_job_fail(err, DT2_EFAILED, "an image of %" PRIu64 " bytes cannot be made: %s", image->size, strerror(errno));
    char *map = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_SHARED, image->memory, 0);
    if (map == MAP_FAILED)
        return dt2_job_fail(err, DT2_EFAILED, "an image of %" PRIu64 " bytes cannot be mapped: %s", image->size, strerror(errno));
    image->map = map;
    return 0;
}

int dt2_images_make(struct dt2_images *images, struct dt2_error *err)
{
    int rc = check_room(images, err);
    for (size_t i = 0; rc == 0 && i < images->count; i++) {
        images->items[i].memory = memfd_create("distorch2-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        rc = images->items[i].memory < 0 ? dt2_job_fail(err, DT2_EFAILED, "memfd_create: %s", strerror(errno))
                                         : make(&images->items[i], err);
    }
    return rc;
}

/* -- filling -------------------------------------------------------------------------------------------------------- */

/* Reads a piece of a file to its place. */
static int read_piece(const struct dt2_image *image, uint64_t offset, uint64_t bytes, struct dt2_error *err)
{
    while (bytes > 0) {
        ssize_t got = pread(image->file, image->map + offset, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dt2_job_fail(err, DT2_EFAILED, "%s: cannot read at byte %" PRIu64 ": %s", image->path, offset, strerror(errno));
        if (got == 0)
            return dt2_job_fail(err, DT2_EFAILED, "%s: the file is shorter than it was: it had %" PRIu64 " bytes when it was opened",
                                image->path, image->size);
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return 0;
}

/* The pieces of all files, one after the other: the next. False: there are no more. */
struct piece {
    size_t image;
    uint64_t offset, bytes;
    uint64_t number;
};

static bool next_piece(const struct dt2_images *images, struct piece *piece)
{
    piece->number += piece->bytes > 0;
    piece->offset += piece->bytes;
    while (piece->image < images->count && piece->offset == images->items[piece->image].size) {
        piece->image++;
        piece->offset = 0;
    }
    if (piece->image == images->count)
        return false;
    uint64_t left = images->items[piece->image].size - piece->offset;
    piece->bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    return true;
}

/* A leader's thread, which reads its pieces while those before are sent. It calls nothing of MPI's. */
struct reader {
    const struct dt2_job *job;
    const struct dt2_images *images;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t read; /* pieces before this one are there, or another node's */
    bool stop;
    int rc;
    struct dt2_error err;
};

static bool is_ours(const struct dt2_job *job, const struct piece *piece)
{
    return piece->number % (uint64_t)job->leader_count == (uint64_t)job->leader;
}

/* Says how far it is; false: nobody wants more. */
static bool say_read(struct reader *reader, uint64_t read, int rc)
{
    pthread_mutex_lock(&reader->lock);
    reader->read = read;
    reader->rc = rc;
    bool goes_on = rc == 0 && !reader->stop;
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    return goes_on;
}

static void *read_all(void *data)
{
    struct reader *reader = data;
    struct piece piece = { 0 };
    bool goes_on = true;
    while (goes_on && next_piece(reader->images, &piece)) {
        int rc = is_ours(reader->job, &piece)
                     ? read_piece(&reader->images->items[piece.image], piece.offset, piece.bytes, &reader->err)
                     : 0;
        goes_on = say_read(reader, piece.number + 1, rc);
    }
    return NULL;
}

/* Without a thread every piece that is waited for has failed. */
static void start_reader(const struct dt2_job *job, const struct dt2_images *images, struct reader *reader)
{
    sigset_t all, before;
    *reader = (struct reader){ .job = job, .images = images };
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&reader->thread, NULL, read_all, reader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        reader->thread = pthread_self();
        reader->rc = dt2_job_fail(&reader->err, DT2_EFAILED, "no thread can be made: %s", strerror(failed));
    }
}

static int wait_for_piece(struct reader *reader, const struct piece *piece, struct dt2_error *err)
{
    pthread_mutex_lock(&reader->lock);
    while (reader->read <= piece->number && reader->rc == 0)
        pthread_cond_wait(&reader->changed, &reader->lock);
    int rc = reader->rc;
    pthread_mutex_unlock(&reader->lock);
    if (rc < 0)
        *err = reader->err;
    return rc;
}

static void end_reader(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    reader->stop = true;
    pthread_mutex_unlock(&reader->lock);
    if (!pthread_equal(reader->thread, pthread_self()))
        pthread_join(reader->thread, NULL);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
}

/* The pieces that are under way, and what went wrong first. */
struct flight {
    const struct dt2_job *job;
    struct reader reader;
    MPI_Request requests[DEPTH];
    MPI_Request agreement; /* whether all leaders were well, some pieces ago */
    int told, worst;       /* what this one said, and the least of all */
    int rc;
    struct dt2_error *err;
};

static void keep(struct flight *flight, int rc, const struct dt2_error *err)
{
    if (flight->rc == 0 && rc < 0) {
        flight->rc = rc;
        *flight->err = *err;
    }
}

/*
 * Whether to go on: before every DEPTH-th piece all tell how they fare, and learn what they told before the DEPTH-th piece before, so
 * that nobody waits for the answer, and all stop at the same piece.
 */
static bool goes_on(struct flight *flight, const struct piece *piece)
{
    struct dt2_error err;
    if (piece->number % DEPTH)
        return true;
    keep(flight, dt2_job_mpi(dt2_job_wait(&flight->agreement, true), "MPI_Iallreduce", &err), &err);
    if (flight->worst < 0)
        return false;
    flight->told = flight->rc;
    keep(flight, dt2_job_mpi(MPI_Iallreduce(&flight->told, &flight->worst, 1, MPI_INT, MPI_MIN, flight->job->leaders, &flight->agreement),
                             "MPI_Iallreduce", &err), &err);
    return true;
}

/* Who fails goes on sending until all know: nobody waits for ever. */
static void send_piece(struct flight *flight, const struct dt2_image *image, const struct piece *piece)
{
    struct dt2_error err;
    MPI_Request *request = &flight->requests[piece->number % DEPTH];
    int root = (int)(piece->number % (uint64_t)flight->job->leader_count);
    keep(flight, dt2_job_mpi(dt2_job_wait(request, true), "MPI_Ibcast", &err), &err);
    if (is_ours(flight->job, piece) && flight->rc == 0)
        keep(flight, wait_for_piece(&flight->reader, piece, &err), &err);
    keep(flight, dt2_job_mpi(MPI_Ibcast(image->map + piece->offset, (int)piece->bytes, MPI_BYTE, root, flight->job->leaders, request),
                             "MPI_Ibcast", &err), &err);
}

/* How far a node is, for who wants to know. */
struct telling {
    const struct dt2_mpi_options *options;
    struct dt2_progress now;
    double begun, told; /* as MPI_Wtime() counts; 0: not yet */
};

static void start_telling(const struct dt2_images *images, const struct dt2_mpi_options *options, struct telling *telling)
{
    *telling = (struct telling){ .options = options, .now = { .model = images->count ? images->items[0].path : "" }, .begun = MPI_Wtime() };
    for (size_t i = 0; i < images->count; i++)
        telling->now.total_bytes += images->items[i].size;
}

/* Whether it was asked to stop. */
static int tell_progress(struct telling *telling, uint64_t bytes, struct dt2_error *err)
{
    double now = MPI_Wtime();
    bool first = telling->told == 0, last = (telling->now.done_bytes += bytes) == telling->now.total_bytes;
    if (!telling->options->progress || (!first && !last && now - telling->told < TELL_SECONDS))
        return 0;
    telling->told = now;
    telling->now.elapsed_ns = (uint64_t)((now - telling->begun) * 1e9);
    return telling->options->progress(telling->options->progress_data, &telling->now)
               ? dt2_job_fail(err, DT2_ECANCELLED, "%s: cancelled", telling->now.model)
               : 0;
}

static int check_unchanged(const struct dt2_image *image, struct dt2_error *err)
{
    struct stat now;
    if (fstat(image->file, &now) < 0)
        return dt2_job_fail(err, DT2_EFAILED, "%s: cannot be looked at: %s", image->path, strerror(errno));
    if ((uint64_t)now.st_size != image->size || now.st_mtim.tv_sec != image->seen.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != image->seen.st_mtim.tv_nsec)
        return dt2_job_fail(err, DT2_EFAILED, "%s: the file was written to while it was read", image->path);
    return 0;
}

int dt2_images_fill(const struct dt2_job *job, const struct dt2_images *images, const struct dt2_mpi_options *options,
                    struct dt2_error *err)
{
    struct flight flight = { .job = job, .agreement = MPI_REQUEST_NULL, .err = err };
    struct piece piece = { 0 };
    struct telling telling;
    struct dt2_error more;
    start_telling(images, options, &telling);
    for (size_t i = 0; i < DEPTH; i++)
        flight.requests[i] = MPI_REQUEST_NULL;
    for (size_t i = 0; i < images->count; i++)
        (void)posix_fadvise(images->items[i].file, 0, 0, POSIX_FADV_SEQUENTIAL);
    start_reader(job, images, &flight.reader);
    keep(&flight, tell_progress(&telling, 0, &more), &more);
    while (next_piece(images, &piece) && goes_on(&flight, &piece)) {
        send_piece(&flight, &images->items[piece.image], &piece);
        if (flight.rc == 0)
            keep(&flight, tell_progress(&telling, piece.bytes, &more), &more);
    }
    for (size_t i = 0; i < DEPTH; i++)
        keep(&flight, dt2_job_mpi(dt2_job_wait(&flight.requests[i], true), "MPI_Ibcast", &more), &more);
    keep(&flight, dt2_job_mpi(dt2_job_wait(&flight.agreement, true), "MPI_Iallreduce", &more), &more);
    end_reader(&flight.reader);
    for (size_t i = 0; flight.rc == 0 && i < images->count; i++)
        flight.rc = check_unchanged(&images->items[i], err);
    return flight.rc;
}

int dt2_images_close(struct dt2_images *images, struct dt2_error *err)
{
    char path[64];
    for (size_t i = 0; i < images->count; i++) {
        struct dt2_image *image = &images->items[i];
        if (image->map)
            munmap(image->map, image->size);
        image->map = NULL;
        /* Not where MPI keeps pages pinned that it has sent from: then the image is what nobody writes to, all the same. */
        (void)fcntl(image->memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
        snprintf(path, sizeof path, "/proc/self/fd/%d", image->memory);
        int only = open(path, O_RDONLY | O_CLOEXEC);
        if (only < 0)
            return dt2_job_fail(err, DT2_EFAILED, "%s: cannot open: %s", path, strerror(errno));
        close(image->memory);
        image->memory = only;
    }
    return 0;
}

/* -- sharing -------------------------------------------------------------------------------------------------------- */

/* What a leader tells of an image. */
struct told {
    int64_t process, descriptor;
    uint64_t size, device, inode;
    char path[PATH_MAX];
};

static int tell(const struct dt2_image *image, struct told *told, struct dt2_error *err)
{
    struct stat st;
    if (fstat(image->memory, &st) < 0)
        return dt2_job_fail(err, DT2_EFAILED, "an image cannot be looked at: %s", strerror(errno));
    *told = (struct told){ .process = getpid(), .descriptor = image->memory, .size = image->size, .device = st.st_dev,
                           .inode = st.st_ino };
    snprintf(told->path, sizeof told->path, "%s", image->path); /* one that was opened is no longer */
    return 0;
}

static int attach(const struct told *told, struct dt2_image *image, struct dt2_error *err)
{
    char door[64];
    struct stat st;
    *image = (struct dt2_image){ .path = strdup(told->path), .size = told->size, .file = -1, .memory = -1 };
    if (!image->path)
        return dt2_job_fail(err, DT2_ENOMEM, "out of memory");
    snprintf(door, sizeof door, "/proc/%" PRId64 "/fd/%" PRId64, told->process, told->descriptor);
    image->memory = open(door, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (image->memory < 0)
        return dt2_job_fail(err, DT2_EFAILED, "the image that the first rank of this node has is not to be had: %s: %s", door,
                            strerror(errno));
    if (fstat(image->memory, &st) < 0 || st.st_dev != told->device || st.st_ino != told->inode || (uint64_t)st.st_size != told->size)
        return dt2_job_fail(err, DT2_EFAILED, "%s is not the image that the first rank of this node has", door);
    return 0;
}

/* Who fails listens to the end, so that nobody waits for it. */
int dt2_images_share(const struct dt2_job *job, struct dt2_images *images, struct dt2_error *err)
{
    uint64_t count = images->count;
    int rc = dt2_job_bcast(job->node, 0, &count, sizeof count, err);
    if (rc == 0 && !job->leads) {
        images->items = calloc(count, sizeof *images->items);
        rc = images->items ? 0 : dt2_job_fail(err, DT2_ENOMEM, "out of memory");
    }
    for (uint64_t i = 0; i < count; i++) {
        struct told told = { 0 };
        struct dt2_error more, *to = rc ? &more : err;
        int failed = job->leads ? tell(&images->items[i], &told, to) : 0;
        if (dt2_job_bcast(job->node, 0, &told, sizeof told, to) < 0)
            return DT2_EFAILED;
        if (!failed && rc == 0 && !job->leads) {
            failed = attach(&told, &images->items[i], to);
            images->count = i + 1;
        }
        rc = rc ? rc : failed;
    }
    return rc;
}
