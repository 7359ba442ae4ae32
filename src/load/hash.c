/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/hash.h"
#include "base/checked.h"
#include "base/error.h"
#include <xxhash.h>

static int hash_piece(const struct dt2_file *file, const struct dt2_piece *piece, void *buffer, uint64_t size,
                      XXH3_state_t *state, struct dt2_error *err)
{
    for (uint64_t done = 0; done < piece->bytes;) {
        uint64_t part = dt2_min(piece->bytes - done, size);
        struct iovec iov = { buffer, part };
        int rc = dt2_file_pread_check(file, piece->file, &iov, 1, piece->offset + done, err);
        if (rc < 0)
            return rc;
        XXH3_64bits_update(state, buffer, part);
        done += part;
    }
    return 0;
}

int dt2_hash_file(const struct dt2_file *file, size_t tensor, void *buffer, uint64_t size, uint64_t *hash,
                  struct dt2_error *err)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    XXH3_state_t *state = XXH3_createState();
    int rc = 0;
    if (!state)
        return dt2_fail_nomem(err);
    XXH3_64bits_reset(state);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = hash_piece(file, &pieces[i], buffer, size, state, err);
    *hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return rc;
}

int dt2_hash_buffer(struct dt2_staging *staging, dt2_handle buffer, uint64_t offset, uint64_t bytes, uint64_t *hash,
                    struct dt2_error *err)
{
    struct dt2_slot *slot;
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return dt2_fail_nomem(err);
    XXH3_64bits_reset(state);
    int rc = dt2_staging_take(staging, &slot, err);
    bool taken = rc == 0;
    for (uint64_t done = 0; rc == 0 && done < bytes;) {
        uint64_t part = dt2_min(bytes - done, staging->slot_bytes);
        rc = dt2_staging_fetch(staging, slot, buffer, offset + done, part, err);
        if (rc == 0)
            XXH3_64bits_update(state, slot->memory, part);
        done += part;
    }
    if (taken)
        dt2_staging_return(staging, slot);
    *hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return rc;
}

uint64_t dt2_hash_memory(const void *memory, uint64_t bytes)
{
    return XXH3_64bits(memory, bytes);
}
