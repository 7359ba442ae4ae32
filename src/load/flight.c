/* SPDX-License-Identifier: BSD-3-Clause */
/* One stretch from the file to its place. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "load/fill.h"
#include <string.h>

/* Something that was done for a share since then has ended now. */
static void note(struct dt2_fill *fill, size_t lane, enum dt2_doing doing, uint64_t from_ns)
{
    if (!fill->load->activities)
        return;
    uint64_t now = dt2_now_ns();
    pthread_mutex_lock(&fill->lock);
    dt2_activity_add(&fill->load->activities[lane], doing, from_ns, now);
    pthread_mutex_unlock(&fill->lock);
}

/* -- ways */

static bool is_made(uint32_t file)
{
    return file & (DT2_IN_VIEW | DT2_CONVERTED);
}

/* Whether a stretch is read past the page cache. */
static bool goes_direct(const struct dt2_fill *fill, size_t lane, const struct dt2_read *stretch)
{
    if (is_made(stretch->file) || fill->disks.disks[stretch->file].direct < 0)
        return false;
    if (!fill->stagings[lane].ready && !fill->bounce.ready)
        return false;
    const struct dt2_disk *disk = &fill->disks.disks[stretch->file];
    if (fill->load->io == DT2_IO_DIRECT)
        return true;
    return fill->disks.prefers_direct && !dt2_disk_cached(disk, stretch->offset, stretch->span);
}

static uint64_t direct_begin(const struct dt2_read *stretch)
{
    return stretch->offset & ~(DT2_DIRECT_ALIGNMENT - 1);
}

/* Where a part lies in the flight's slot. */
static uint64_t in_slot(const struct dt2_flight *flight, const struct dt2_read_part *part)
{
    return flight->direct ? part->file_offset - direct_begin(flight->stretch) : part->staged;
}

/* Sees to it that the host memory that a stretch goes to is there, before a byte goes into it; `ahead` as dt2_populate() has it. */
static int populate(struct dt2_fill *fill, const struct dt2_flight *flight, bool ahead, struct dt2_error *err)
{
    const struct dt2_read_part *parts = &fill->reads[flight->lane].parts[flight->stretch->first_part];
    int rc = 0;
    for (size_t i = 0; rc == 0 && !fill->stagings[flight->lane].ready && i < flight->stretch->part_count; i++)
        rc = dt2_populate(&fill->populating, flight->lane, parts[i].slab, parts[i].slab_offset, parts[i].bytes, ahead,
                          err);
    return rc;
}

/* -- direct reads to where bytes live */

#define STRAIGHT_LEAST ((uint64_t)32 * 1024) /* a piece of memory of its own costs more than copying less */

/* Parts that lie behind one another in the file and in memory, and which of their blocks a direct read brings to where they live. */
struct run {
    uint64_t offset, end;             /* in the file */
    char *memory;                     /* of the first byte */
    uint64_t straight, straight_end;  /* in the file; none when they are the same */
};

/* The run that begins with part *i, which then counts the first one behind it. */
static struct run next_run(const struct dt2_fill *fill, const struct dt2_flight *flight, size_t *i)
{
    const struct dt2_read_part *parts = &fill->reads[flight->lane].parts[flight->stretch->first_part], *part = &parts[*i];
    struct run run = { part->file_offset, part->file_offset + part->bytes,
                       fill->slabs[flight->lane][part->slab] + part->slab_offset, 0, 0 };
    uint32_t slab = part->slab;
    uint64_t slab_end = part->slab_offset + part->bytes;
    while (++*i < flight->stretch->part_count && parts[*i].slab == slab && parts[*i].file_offset == run.end &&
           parts[*i].slab_offset == slab_end) {
        run.end += parts[*i].bytes;
        slab_end += parts[*i].bytes;
    }
    if (!flight->direct || fill->load->storage->stores[flight->lane].slabs[slab].written)
        return run;
    uint64_t begin = (run.offset + DT2_DIRECT_ALIGNMENT - 1) & ~(DT2_DIRECT_ALIGNMENT - 1);
    uint64_t end = run.end & ~(DT2_DIRECT_ALIGNMENT - 1), alignment = fill->disks.disks[flight->stretch->file].address_alignment;
    if (((uintptr_t)run.memory - run.offset) % alignment == 0 && end >= begin + STRAIGHT_LEAST) {
        run.straight = begin;
        run.straight_end = end;
    }
    return run;
}

/* Whether a direct read writes to where bytes live. */
static bool is_straight(const struct dt2_fill *fill, const struct dt2_flight *flight)
{
    bool any = false;
    for (size_t i = 0; flight->direct && !fill->stagings[flight->lane].ready && i < flight->stretch->part_count && !any;)
        any = next_run(fill, flight, &i).straight_end > 0;
    return any;
}

/* A direct read takes whole blocks: to where they live, or into the slot as they lie in the file. */
static void aim_direct(struct dt2_fill *fill, struct dt2_flight *flight)
{
    const struct dt2_read *stretch = flight->stretch;
    uint64_t begin = direct_begin(stretch), at = begin, end = stretch->offset + stretch->span;
    char *slot = flight->slot->memory;
    end = (end + DT2_DIRECT_ALIGNMENT - 1) & ~(DT2_DIRECT_ALIGNMENT - 1);
    flight->iov_count = 0;
    for (size_t i = 0; !fill->stagings[flight->lane].ready && i < stretch->part_count;) {
        const struct run run = next_run(fill, flight, &i);
        if (run.straight_end == 0)
            continue;
        if (run.straight > at)
            flight->iov[flight->iov_count++] = (struct iovec){ slot + (at - begin), run.straight - at };
        flight->iov[flight->iov_count++] =
            (struct iovec){ run.memory + (run.straight - run.offset), run.straight_end - run.straight };
        at = run.straight_end;
    }
    if (end > at)
        flight->iov[flight->iov_count++] = (struct iovec){ slot + (at - begin), end - at };
}

/* Lists the memory that the read fills. */
static void aim(struct dt2_fill *fill, struct dt2_flight *flight, char *sink)
{
    const struct dt2_read *stretch = flight->stretch;
    if (flight->direct) {
        aim_direct(fill, flight);
        return;
    }
    const struct dt2_destination destination = { flight->slot ? flight->slot->memory : NULL, fill->slabs[flight->lane] };
    flight->iov_count = dt2_read_scatter(&fill->reads[flight->lane], stretch, &destination, sink, flight->iov);
}

/* -- arriving */

/* Brings bytes of a slot to where they live. */
static int bring(const struct dt2_slab *slab, char *to, const char *from, uint64_t bytes, struct dt2_error *err)
{
    if (slab->written)
        return dt2_segment_write(slab->segment, to, from, bytes, err);
    memcpy(to, from, bytes);
    return 0;
}

/* What a read has not brought there: all of it, but what a direct one has. */
static int copy_out(const struct dt2_fill *fill, const struct dt2_flight *flight, const struct dt2_slot *slot, struct dt2_error *err)
{
    const struct dt2_read_part *parts = &fill->reads[flight->lane].parts[flight->stretch->first_part];
    const char *memory = slot->memory;
    int rc = 0;
    for (size_t i = 0, next = 0; rc == 0 && i < flight->stretch->part_count; i = next) {
        const struct run run = next_run(fill, flight, &next);
        uint64_t begin = direct_begin(flight->stretch);
        if (run.straight_end) {
            memcpy(run.memory, memory + (run.offset - begin), run.straight - run.offset);
            memcpy(run.memory + (run.straight_end - run.offset), memory + (run.straight_end - begin), run.end - run.straight_end);
            continue;
        }
        for (; rc == 0 && i < next; i++)
            rc = bring(&fill->load->storage->stores[flight->lane].slabs[parts[i].slab],
                       fill->slabs[flight->lane][parts[i].slab] + parts[i].slab_offset, memory + in_slot(flight, &parts[i]),
                       parts[i].bytes, err);
    }
    return rc;
}

/* Parts that lie behind one another in the slot as on the device go by one copy. */
static size_t list_copies(const struct dt2_fill *fill, const struct dt2_flight *flight, struct dt2_copy *copies)
{
    const struct dt2_read_part *part = &fill->reads[flight->lane].parts[flight->stretch->first_part];
    const struct dt2_store *store = &fill->load->storage->stores[flight->lane];
    size_t count = 0;
    for (size_t i = 0; i < flight->stretch->part_count; i++, part++) {
        struct dt2_copy *last = count ? &copies[count - 1] : NULL;
        uint64_t from = in_slot(flight, part);
        if (last && part->joined && part->slab_offset - last->offset == from - last->from)
            last->bytes = from + part->bytes - last->from;
        else
            copies[count++] = (struct dt2_copy){ from, store->slabs[part->slab].buffer, part->slab_offset, part->bytes };
    }
    return count;
}

static int deliver(struct dt2_fill *fill, struct dt2_flight *flight, struct dt2_error *err)
{
    struct dt2_copy copies[DT2_PARTS_MOST];
    struct dt2_slot *slot = flight->slot;
    if (!slot)
        return 0;
    flight->slot = NULL; /* it goes back here */
    if (fill->stagings[flight->lane].ready)
        return dt2_staging_send(flight->staging, slot, copies, list_copies(fill, flight, copies), err);
    int rc = populate(fill, flight, false, err);
    if (rc == 0)
        rc = copy_out(fill, flight, slot, err);
    dt2_staging_return(flight->staging, slot);
    return rc;
}

/* Counts what has arrived. The last of a lane waits for all that was sent. */
static int count(struct dt2_fill *fill, const struct dt2_flight *flight, struct dt2_error *err)
{
    struct dt2_load *load = fill->load;
    size_t lane = flight->lane;
    int rc = 0;
    atomic_fetch_add(&load->lanes[lane].done_bytes, flight->stretch->bytes);
    if (load->segment)
        atomic_fetch_add(&load->segment->head->done_bytes, flight->stretch->bytes);
    atomic_fetch_add(flight->direct ? &load->direct_bytes : &load->buffered_bytes, flight->stretch->bytes);
    if (atomic_fetch_sub(&fill->left[lane], 1) == 1) {
        rc = fill->stagings[lane].ready ? dt2_staging_drain(&fill->stagings[lane], err) : 0;
        atomic_store(&load->lanes[lane].end_ns, dt2_now_ns());
    }
    return rc;
}

/* -- reading */

/* Whether some of a stretch is written to where it lives, and so read into a slot before. */
static bool is_written(const struct dt2_fill *fill, size_t lane, const struct dt2_read *stretch)
{
    const struct dt2_read_part *parts = &fill->reads[lane].parts[stretch->first_part];
    bool written = false;
    for (size_t i = 0; fill->load->segment && i < stretch->part_count && !written; i++)
        written = fill->load->storage->stores[lane].slabs[parts[i].slab].written;
    return written;
}

static uint64_t bytes_of(const struct iovec *iov, int count)
{
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* What `got` bytes of the read have left over, from the file by an ordinary read, which also words why it fails. */
static int read_rest(struct dt2_fill *fill, struct dt2_flight *flight, uint64_t got, struct dt2_error *err)
{
    const struct dt2_read *stretch = flight->stretch;
    uint64_t wanted = stretch->span, offset = stretch->offset;
    struct iovec *iov = flight->iov;
    int left = flight->iov_count;
    if (flight->direct) { /* which may end with the file, in the midst of a block */
        offset = direct_begin(stretch);
        wanted += stretch->offset - offset;
        iov[left - 1].iov_len -= bytes_of(iov, left) - wanted;
    }
    if (got >= wanted)
        return 0;
    offset += got;
    for (; got >= iov->iov_len; iov++, left--)
        got -= iov->iov_len;
    iov->iov_base = (char *)iov->iov_base + got;
    iov->iov_len -= got;
    return dt2_file_pread(fill->load->file, stretch->file, iov, left, offset, err);
}

/* Reads here and now. */
static int read_now(struct dt2_fill *fill, struct dt2_flight *flight, struct dt2_error *err)
{
    const struct dt2_read *stretch = flight->stretch;
    ssize_t got = 0;
    if (flight->direct)
        got = preadv(fill->disks.disks[stretch->file].direct, flight->iov, flight->iov_count, (off_t)direct_begin(stretch));
    return read_rest(fill, flight, got < 0 ? 0 : (uint64_t)got, err);
}

static bool start(struct dt2_fill *fill, struct dt2_flyer *flyer, struct dt2_flight *flight)
{
    const struct dt2_read *stretch = flight->stretch;
    if (!flyer->ring || is_made(stretch->file))
        return false;
    const struct dt2_disk *disk = &fill->disks.disks[stretch->file];
    uint64_t offset = flight->direct ? direct_begin(stretch) : stretch->offset;
    return dt2_uring_read(flyer->ring, flight->direct ? disk->direct : disk->fd, flight->iov, flight->iov_count, offset,
                          flight);
}

/* -- one flight */

static void land(struct dt2_flyer *flyer, struct dt2_flight *flight)
{
    if (flight->slot)
        dt2_staging_return(flight->staging, flight->slot);
    flight->slot = NULL;
    flight->next = flyer->idle;
    flyer->idle = flight;
}

/* The read has ended with `rc`. */
static int arrive(struct dt2_fill *fill, struct dt2_flyer *flyer, struct dt2_flight *flight, int rc, struct dt2_error *err)
{
    uint64_t now = dt2_now_ns();
    bool copies = flight->slot;
    note(fill, flight->lane, DT2_READING, flight->read_ns);
    if (rc == 0)
        rc = deliver(fill, flight, err);
    if (rc == 0)
        rc = count(fill, flight, err);
    if (copies)
        note(fill, flight->lane, DT2_COPYING, now);
    land(flyer, flight);
    return rc;
}

/* Waits for one of the worker's reads. */
static int reap(struct dt2_fill *fill, struct dt2_flyer *flyer, bool wanted, struct dt2_error *err)
{
    int result;
    struct dt2_flight *flight = dt2_uring_reap(flyer->ring, &result);
    flyer->under_way--;
    if (!wanted) {
        land(flyer, flight);
        return 0;
    }
    return arrive(fill, flyer, flight, read_rest(fill, flight, result < 0 ? 0 : (uint64_t)result, err), err);
}

/* A flight that is idle, and a slot for it where it needs one. */
static int take(struct dt2_fill *fill, struct dt2_flyer *flyer, struct dt2_staging *staging, struct dt2_flight **flight,
                struct dt2_error *err)
{
    struct dt2_slot *slot = NULL;
    int rc = 0;
    while (rc == 0 && !flyer->idle)
        rc = reap(fill, flyer, true, err);
    while (rc == 0 && staging && !slot) {
        bool may_wait = flyer->under_way == 0; /* else for slots that are its own */
        rc = (may_wait ? dt2_staging_take : dt2_staging_try)(staging, &slot, err);
        if (rc == 0 && !slot)
            rc = reap(fill, flyer, true, err);
    }
    if (rc < 0)
        return rc;
    *flight = flyer->idle;
    flyer->idle = flyer->idle->next;
    (*flight)->staging = staging;
    (*flight)->slot = slot;
    return 0;
}

/* Has the worker run near the device that it reads for; NULL: where it ran before. */
static void go_near(struct dt2_flyer *flyer, const struct dt2_opened *device)
{
    if (flyer->near == device)
        return;
    if (flyer->near)
        dt2_opened_go_back(flyer->near, flyer->before);
    flyer->before = device ? dt2_opened_go_near(device) : NULL;
    flyer->near = device;
}

int dt2_flight_begin(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    struct dt2_fill *fill = data;
    struct dt2_flyer *flyer = &fill->flyers[worker];
    const struct dt2_read *stretch = &fill->reads[lane].stretches[item];
    bool direct = goes_direct(fill, lane, stretch);
    struct dt2_staging *staging = fill->stagings[lane].ready ? &fill->stagings[lane] : NULL;
    struct dt2_flight *flight;
    go_near(flyer, fill->load->storage->stores[lane].opened);
    if (!staging && (direct || is_written(fill, lane, stretch)))
        staging = &fill->bounce;
    uint64_t now = dt2_now_ns();
    int rc = take(fill, flyer, staging, &flight, err);
    if (rc < 0)
        return rc;
    flight->lane = lane;
    flight->stretch = stretch;
    flight->direct = direct;
    rc = flight->slot && !is_straight(fill, flight) ? 0 : populate(fill, flight, false, err);
    if (rc < 0) {
        land(flyer, flight);
        return rc;
    }
    aim(fill, flight, flyer->sink);
    note(fill, lane, DT2_WAITING, now);
    flight->read_ns = dt2_now_ns();
    if (start(fill, flyer, flight)) {
        flyer->under_way++;
        return flight->slot ? populate(fill, flight, true, err) : 0; /* while the disk reads */
    }
    return arrive(fill, flyer, flight, read_now(fill, flight, err), err);
}

int dt2_flight_finish(void *data, unsigned worker, bool wanted, struct dt2_error *err)
{
    struct dt2_fill *fill = data;
    struct dt2_flyer *flyer = &fill->flyers[worker];
    int rc = 0;
    while (flyer->under_way > 0) {
        int one = reap(fill, flyer, wanted && rc == 0, err);
        rc = rc < 0 ? rc : one;
    }
    go_near(flyer, NULL);
    return rc;
}

/* -- workers */

static int make_flyer(struct dt2_flyer *flyer, bool ring, unsigned depth, struct dt2_error *err)
{
    flyer->ring = ring ? dt2_uring_make(depth) : NULL;
    unsigned count = flyer->ring ? depth : 1;
    flyer->flights = dt2_alloc(count, sizeof *flyer->flights);
    if (!flyer->flights)
        return dt2_fail_nomem(err);
    for (unsigned i = 0; i < count; i++)
        land(flyer, &flyer->flights[i]);
    return 0;
}

int dt2_flyers_make(struct dt2_fill *fill, bool rings, struct dt2_error *err)
{
    fill->flyers = dt2_alloc(fill->flyer_count, sizeof *fill->flyers);
    int rc = fill->flyers ? 0 : dt2_fail_nomem(err);
    for (unsigned i = 0; rc == 0 && i < fill->flyer_count; i++)
        rc = make_flyer(&fill->flyers[i], rings, fill->depth, err);
    return rc;
}

void dt2_flyers_free(struct dt2_fill *fill)
{
    for (unsigned i = 0; fill->flyers && i < fill->flyer_count; i++) {
        dt2_uring_free(fill->flyers[i].ring);
        dt2_release(fill->flyers[i].flights);
    }
    dt2_release(fill->flyers);
    fill->flyers = NULL;
}
