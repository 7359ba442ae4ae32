/* SPDX-License-Identifier: BSD-3-Clause */
/* What arrived, against what the file holds. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "load/crew.h"
#include "load/load.h"
#include "load/ring.h"
#include <inttypes.h>
#include <xxhash.h>

#define FILE_BUFFER ((uint64_t)1 << 20) /* of each worker */

struct verify {
    struct dt2_load *load;
    struct dt2_ring *rings;
    size_t *items; /* tensors of each share */
    char *buffers; /* FILE_BUFFER for each worker */
};

static int hash_file(const struct verify *verify, unsigned worker, size_t tensor, XXH3_state_t *state,
                     struct dt2_error *err)
{
    const struct dt2_file *file = verify->load->file;
    char *buffer = verify->buffers + worker * FILE_BUFFER;
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    for (size_t i = 0; i < count; i++)
        for (uint64_t done = 0; done < pieces[i].bytes;) {
            uint64_t part = dt2_min(pieces[i].bytes - done, FILE_BUFFER);
            struct iovec iov = { buffer, part };
            int rc = dt2_file_pread(file, pieces[i].file, &iov, 1, pieces[i].offset + done, err);
            if (rc < 0)
                return rc;
            XXH3_64bits_update(state, buffer, part);
            done += part;
        }
    return 0;
}

static int hash_device(const struct verify *verify, size_t lane, size_t tensor, XXH3_state_t *state,
                       struct dt2_error *err)
{
    const struct dt2_place *place = &verify->load->layout->places[tensor];
    const struct dt2_slab *slab = &verify->load->storage->stores[lane].slabs[place->slab];
    if (slab->address) {
        XXH3_64bits_update(state, (const char *)slab->address + place->offset, place->bytes);
        return 0;
    }
    struct dt2_ring *ring = &verify->rings[lane];
    struct dt2_slot *slot;
    int rc = dt2_ring_take(ring, &slot, err);
    if (rc < 0)
        return rc;
    for (uint64_t done = 0; rc == 0 && done < place->bytes;) {
        uint64_t part = dt2_min(place->bytes - done, ring->slot_bytes);
        rc = dt2_ring_fetch(ring, slot, slab->buffer, place->offset + done, part, err);
        if (rc == 0)
            XXH3_64bits_update(state, slot->memory, part);
        done += part;
    }
    dt2_ring_return(ring, slot);
    return rc;
}

static int verify_one(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    struct verify *verify = data;
    struct dt2_load *load = verify->load;
    size_t tensor = load->layout->shares[lane].tensors[item];
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return dt2_fail_nomem(err);
    XXH3_64bits_reset(state);
    int rc = hash_file(verify, worker, tensor, state, err);
    XXH64_hash_t wanted = XXH3_64bits_digest(state);
    XXH3_64bits_reset(state);
    if (rc == 0)
        rc = hash_device(verify, lane, tensor, state, err);
    XXH64_hash_t found = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    if (rc == 0 && found != wanted)
        rc = dt2_fail(err, DT2_EFAILED,
                      "%s: tensor %s on %s differs from the file: XXH3 %016" PRIx64 ", the file has %016" PRIx64,
                      dt2_file_path(load->file), dt2_file_tensor(load->file, tensor)->name,
                      load->storage->stores[lane].opened->name, (uint64_t)found, (uint64_t)wanted);
    if (rc == 0)
        atomic_fetch_add(&load->lanes[lane].done_bytes, load->layout->places[tensor].bytes);
    return rc;
}

static int verify_tick(void *data)
{
    struct verify *verify = data;
    return verify->load->tick ? verify->load->tick(verify->load->tick_data) : 0;
}

int dt2_load_verify(struct dt2_load *load, struct dt2_error *err)
{
    size_t count = load->storage->count;
    struct verify verify = { .load = load, .items = dt2_alloc(count, sizeof *verify.items) };
    if (!verify.items)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        atomic_store(&load->lanes[i].done_bytes, 0);
        if (load->storage->stores[i].slab_count > 0)
            verify.items[i] = load->layout->shares[i].tensor_count;
    }
    const struct dt2_crew crew = { .threads = load->threads,
                                   .items = verify.items,
                                   .lanes = count,
                                   .work = verify_one,
                                   .tick = verify_tick,
                                   .data = &verify };
    uint64_t buffers = dt2_crew_size(&crew) * FILE_BUFFER;
    verify.buffers = dt2_alloc(buffers, 1);
    int rc = verify.buffers ? dt2_rings_make(load, dt2_sub_floor(load->staging_bytes, buffers), &verify.rings, err)
                            : dt2_fail_nomem(err);
    if (rc == 0)
        rc = dt2_crew_run(&crew, err);
    dt2_rings_free(load, verify.rings);
    dt2_release(verify.buffers);
    dt2_release(verify.items);
    return rc;
}
