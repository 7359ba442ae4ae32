/* SPDX-License-Identifier: BSD-3-Clause */
/* What arrived, against what the file holds. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "load/hash.h"
#include "load/load.h"
#include "load/workers.h"
#include <inttypes.h>

#define FILE_BUFFER ((uint64_t)1 << 20) /* of each worker */

struct verify {
    struct dt2_load *load;
    struct dt2_staging *stagings;
    size_t *items; /* tensors of each share */
    char *buffers; /* FILE_BUFFER for each worker */
};

static int hash_device(const struct verify *verify, size_t lane, size_t tensor, uint64_t *hash, struct dt2_error *err)
{
    const struct dt2_place *place = &verify->load->layout->places[tensor];
    const struct dt2_slab *slab = &verify->load->storage->stores[lane].slabs[place->slab];
    if (!slab->address)
        return dt2_hash_buffer(&verify->stagings[lane], slab->buffer, place->offset, place->bytes, hash, err);
    *hash = dt2_hash_memory((const char *)slab->address + place->offset, place->bytes);
    return 0;
}

/* The hash of a tensor's bytes in the file: of one that is shared somebody may have read them for it already. */
static int hash_wanted(const struct verify *verify, unsigned worker, size_t lane, size_t tensor, uint64_t *hash, struct dt2_error *err)
{
    const struct dt2_load *load = verify->load;
    const struct dt2_slab *slab = &load->storage->stores[lane].slabs[load->layout->places[tensor].slab];
    if (slab->segment && dt2_segment_hash(slab->segment, tensor, hash))
        return 0;
    int rc = dt2_hash_file(load->file, tensor, verify->buffers + worker * FILE_BUFFER, FILE_BUFFER, hash, err);
    if (rc == 0 && slab->segment)
        dt2_segment_keep_hash(slab->segment, tensor, *hash);
    return rc;
}

static int verify_one(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    struct verify *verify = data;
    struct dt2_load *load = verify->load;
    size_t tensor = load->layout->shares[lane].tensors[item];
    uint64_t wanted, found;
    int rc = hash_wanted(verify, worker, lane, tensor, &wanted, err);
    if (rc == 0)
        rc = hash_device(verify, lane, tensor, &found, err);
    if (rc == 0 && found != wanted)
        rc = dt2_fail(err, DT2_EFAILED,
                      "%s: tensor %s on %s differs from the file: XXH3 %016" PRIx64 ", the file has %016" PRIx64,
                      dt2_file_path(load->file), dt2_file_tensor(load->file, tensor)->name,
                      load->storage->stores[lane].opened->name, found, wanted);
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
    const struct dt2_workers workers = { .threads = load->threads,
                                   .items = verify.items,
                                   .lanes = count,
                                   .work = verify_one,
                                   .tick = verify_tick,
                                   .data = &verify };
    uint64_t buffers = dt2_workers_count(&workers) * FILE_BUFFER;
    verify.buffers = dt2_alloc(buffers, 1);
    uint64_t rest = dt2_sub_floor(load->staging_bytes, buffers);
    int rc = verify.buffers ? dt2_stagings_make(load, rest, &verify.stagings, err) : dt2_fail_nomem(err);
    if (rc == 0)
        rc = dt2_workers_run(&workers, err);
    dt2_stagings_free(load, verify.stagings);
    dt2_release(verify.buffers);
    dt2_release(verify.items);
    return rc;
}
