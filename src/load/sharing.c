/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/sharing.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/disk.h"
#include "machine/host.h"
#include "machine/pages.h"
#include "plan/plan.h"
#include "share/place.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define LAYOUT_VERSION "distorch2 segment 1"

/* -- whose it is ---------------------------------------------------------------------------------------------------- */

static void add(XXH3_state_t *state, const void *bytes, size_t size)
{
    uint64_t length = size; /* first, so that no two lists are the same bytes */
    XXH3_128bits_update(state, &length, sizeof length);
    XXH3_128bits_update(state, bytes, size);
}

static void add_text(XXH3_state_t *state, const char *text)
{
    add(state, text ? text : "", text ? strlen(text) : 0);
}

/* A file as the kernel knows it: also one that was rewritten in place and given its old time again has changed by its ctime. */
static int add_sources(XXH3_state_t *state, const struct dt2_file *file, struct dt2_error *err)
{
    for (uint32_t i = 0; i < dt2_file_source_count(file); i++) {
        struct dt2_disk disk;
        struct stat st;
        dt2_disk_open(file, i, false, &disk);
        int failed = fstat(disk.fd, &st);
        dt2_disk_close(&disk);
        if (failed)
            return dt2_fail(err, DT2_EFAILED, "%s cannot be looked at: %s", dt2_file_path(file), strerror(errno));
        const uint64_t facts[] = { st.st_dev, st.st_ino, (uint64_t)st.st_size,
                                   (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
                                   (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec };
        add(state, facts, sizeof facts);
    }
    return 0;
}

static void add_blocks(XXH3_state_t *state, const struct dt2_sharing *sharing, const struct dt2_block *blocks, size_t count)
{
    const uint64_t facts[] = { sharing->alignment_bytes, sharing->padding_bytes, (uint64_t)sysconf(_SC_PAGESIZE), count };
    add(state, facts, sizeof facts);
    for (size_t i = 0; i < count; i++) {
        add(state, blocks[i].tensor_bytes, blocks[i].tensor_count * sizeof *blocks[i].tensor_bytes);
        for (size_t j = 0; j < blocks[i].tensor_count; j++) {
            uint64_t index = blocks[i].tensors[j];
            XXH3_128bits_update(state, &index, sizeof index);
            add_text(state, dt2_file_tensor(sharing->file, blocks[i].tensors[j])->dtype);
        }
    }
}

/* The first job that touches memory pays for all of it, also when it has left: so a job's memory is shared within the job. */
static void add_job(XXH3_state_t *state)
{
    static const char *const variables[] = { "SLURM_JOB_ID", "FLUX_JOB_ID", "PBS_JOBID", "LSB_JOBID" };
    const char *scope = secure_getenv("DISTORCH2_SHARE_SCOPE");
    for (size_t i = 0; (!scope || strcmp(scope, "user") != 0) && i < DT2_COUNT(variables); i++)
        add_text(state, secure_getenv(variables[i]));
}

/* Of the file alone: what must be the same still when it was read. */
static int digest(const struct dt2_sharing *sharing, const struct dt2_block *blocks, size_t count, unsigned char *identity,
                  struct dt2_error *err)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t canonical;
    uint64_t processes = 0;
    if (!state)
        return dt2_fail_nomem(err);
    XXH3_128bits_reset(state);
    add_text(state, LAYOUT_VERSION);
    int rc = add_sources(state, sharing->file, err);
    if (rc == 0 && blocks && !dt2_place_processes(&processes))
        rc = dt2_fail(err, DT2_EFAILED, "there is no /proc");
    if (rc == 0 && blocks) {
        add(state, &processes, sizeof processes);
        add_text(state, dt2_file_fingerprint(sharing->file));
        add_text(state, dt2_file_dtype(sharing->file));
        add_blocks(state, sharing, blocks, count);
        add_job(state);
    }
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(identity, canonical.digest, DT2_IDENTITY_BYTES);
    XXH3_freeState(state);
    return rc;
}

/* -- making --------------------------------------------------------------------------------------------------------- */

static int measure(struct dt2_sharing *sharing, const struct dt2_block *blocks, size_t count, struct dt2_error *err)
{
    const struct dt2_layout_rules rules = { .alignment_bytes = sharing->alignment_bytes, .padding_bytes = sharing->padding_bytes };
    int rc = 0;
    sharing->block_bytes = dt2_alloc(count, sizeof *sharing->block_bytes);
    if (!sharing->block_bytes)
        return dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = dt2_layout_span(&blocks[i], &rules, (uint64_t)sysconf(_SC_PAGESIZE), &sharing->block_bytes[i], err);
    return rc;
}

static int open_way(struct dt2_sharing *sharing, const struct dt2_block *blocks, size_t count, struct dt2_error *err)
{
    struct dt2_share_key key = { .path = dt2_file_path(sharing->file),
                                 .block_bytes = sharing->block_bytes,
                                 .block_count = count,
                                 .tensor_count = dt2_file_tensor_count(sharing->file),
                                 .page_bytes = dt2_huge_page() };
    int rc = digest(sharing, blocks, count, key.identity, err);
    if (rc == 0)
        rc = digest(sharing, NULL, 0, sharing->identity, err);
    return rc == 0 ? dt2_shared_open(&key, &sharing->shared, err) : rc;
}

int dt2_sharing_make(const struct dt2_file *file, const struct dt2_block *blocks, size_t count,
                     const struct dt2_sharing_rules *rules, struct dt2_sharing **sharing, struct dt2_error *err)
{
    struct dt2_sharing *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    made->file = file;
    made->alignment_bytes = dt2_max(DT2_HOST_ALIGNMENT, rules->alignment_bytes);
    made->padding_bytes = rules->padding_bytes;
    made->only = rules->only;
    int rc = made->alignment_bytes <= DT2_SEGMENT_ALIGNMENT ? measure(made, blocks, count, err)
                                                            : dt2_fail(err, DT2_EFAILED, "tensors are to be aligned to more than %d bytes",
                                                                       (int)DT2_SEGMENT_ALIGNMENT);
    if (rc == 0)
        rc = open_way(made, blocks, count, err);
    if (rc < 0) {
        dt2_sharing_free(made);
        return rc;
    }
    *sharing = made;
    return 0;
}

void dt2_sharing_free(struct dt2_sharing *sharing)
{
    if (!sharing)
        return;
    dt2_shared_close(&sharing->shared);
    dt2_release(sharing->block_bytes);
    dt2_release(sharing);
}

bool dt2_sharing_same(const struct dt2_sharing *a, const struct dt2_sharing *b)
{
    return a && b && memcmp(a->shared.key.identity, b->shared.key.identity, DT2_IDENTITY_BYTES) == 0;
}

/* -- what is where -------------------------------------------------------------------------------------------------- */

bool dt2_sharing_node(const char *device, int *node)
{
    *node = DT2_NO_NODE;
    if (strcmp(device, "cpu") == 0)
        return true;
    if (strncmp(device, "cpu:", 4) != 0)
        return false;
    *node = atoi(device + 4);
    return true;
}

/* A block that lies on another node than this plan wants is not moved: others use it. */
struct dt2_fixed dt2_sharing_fix(const struct dt2_sharing *sharing, size_t block, int node)
{
    struct dt2_fixed fixed = { .shared = true, .bound = node != DT2_NO_NODE, .offset = sharing->shared.segment.offsets[block] };
    fixed.there = dt2_shared_state(&sharing->shared, block) == DT2_BLOCK_READY;
    if (fixed.there && node != DT2_NO_NODE && atomic_load(&sharing->shared.segment.blocks[block].node) != node)
        return (struct dt2_fixed){ .shared = false };
    return fixed;
}

/* -- joining and ending --------------------------------------------------------------------------------------------- */

/* Marks the blocks of one share in the load's record. */
static void hold(struct dt2_sharing *sharing, const struct dt2_share *share, const struct dt2_fixed *fixed, const struct dt2_plan *plan)
{
    int node;
    dt2_sharing_node(share->device, &node);
    for (size_t i = 0; i < share->block_count; i++) {
        size_t block = share->blocks[i];
        uint64_t bytes = plan->kept.blocks[block].bytes;
        if (bytes == 0)
            continue;
        sharing->elsewhere += !fixed[block].shared;
        if (!fixed[block].shared)
            continue;
        dt2_user_hold(sharing->shared.own, block);
        sharing->shared_bytes += bytes;
        if (fixed[block].there)
            continue;
        sharing->filled_bytes += bytes;
        atomic_store(&sharing->shared.segment.blocks[block].node, node);
    }
}

int dt2_sharing_join(struct dt2_sharing *sharing, const struct dt2_plan *plan, struct dt2_fixed *const *fixed,
                     struct dt2_error *err)
{
    if (!dt2_shared_record(&sharing->shared))
        return dt2_fail_nomem(err);
    sharing->shared_bytes = sharing->filled_bytes = sharing->elsewhere = 0;
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        if (fixed[i])
            hold(sharing, dt2_plan_share(plan, i), fixed[i], plan);
    int rc = dt2_shared_join(&sharing->shared, err);
    if (rc == 0)
        dt2_shared_begin(&sharing->shared, sharing->filled_bytes);
    return rc;
}

static void protect(struct dt2_storage *storage)
{
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; j < storage->stores[i].slab_count; j++) {
            const struct dt2_slab *slab = &storage->stores[i].slabs[j];
            if (slab->segment && slab->mapped_only)
                (void)dt2_segment_writable(slab->address, slab->bytes, false);
        }
}

int dt2_sharing_end(struct dt2_sharing *sharing, struct dt2_storage *storage, int rc, struct dt2_error *err)
{
    unsigned char identity[DT2_IDENTITY_BYTES];
    if (rc == 0)
        rc = digest(sharing, NULL, 0, identity, err);
    if (rc == 0 && memcmp(identity, sharing->identity, sizeof identity) != 0)
        rc = dt2_fail(err, DT2_EFAILED, "%s was touched while it was loaded, and cannot be shared", dt2_file_path(sharing->file));
    protect(storage);
    dt2_shared_end(&sharing->shared, rc == 0);
    if (rc < 0)
        dt2_shared_part(&sharing->shared);
    dt2_shared_leave(&sharing->shared);
    return rc;
}
