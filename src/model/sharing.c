/* SPDX-License-Identifier: BSD-3-Clause */
/* A load whose host shares are one for all processes of the user: its turn, what it is charged, and where its blocks lie. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- beginning ------------------------------------------------------------------------------------------------------ */

/* Why nothing is shared: kept for a warning, or the end of the load. */
static int give_up(struct dt2_model *model, const struct dt2_applicant *applicant, int rc, const struct dt2_error *why,
                   struct dt2_error *err)
{
    dt2_sharing_free(DT2_TAKE(model->sharing));
    if (applicant->share == DT2_SHARE_ONLY || rc == DT2_ENOMEM)
        return rc == DT2_ENOMEM ? dt2_fail_nomem(err)
                                : dt2_fail(err, DT2_EFAILED, "model %s cannot be shared: %s", model->name, why->text);
    model->not_shared = dt2_strdup(why->text);
    return model->not_shared ? 0 : dt2_fail_nomem(err);
}

int dt2_model_share(struct dt2_model *model, const struct dt2_file *file, struct dt2_applicant *applicant, struct dt2_error *err)
{
    struct dt2_request read;
    struct dt2_error why;
    if (applicant->plan)
        read = dt2_plan_request(applicant->plan);
    else if (dt2_request_read(applicant->request, &read, err) < 0)
        return DT2_EUSAGE;
    applicant->share = read.share;
    if (read.share == DT2_SHARE_NONE)
        return 0;
    const struct dt2_sharing_rules rules = { .alignment_bytes = read.alignment_bytes, .padding_bytes = read.padding_bytes,
                                             .only = read.share == DT2_SHARE_ONLY };
    int rc = dt2_sharing_make(file, dt2_blocks_array(applicant->blocks), dt2_blocks_count(applicant->blocks), &rules,
                              &model->sharing, &why);
    return rc < 0 ? give_up(model, applicant, rc, &why, err) : 0;
}

int dt2_model_share_enter(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err)
{
    struct dt2_error why;
    int rc = model->sharing ? dt2_shared_enter(&model->sharing->shared, &why) : 0;
    return rc < 0 ? give_up(model, applicant, rc, &why, err) : rc;
}

void dt2_model_share_leave(struct dt2_model *model)
{
    if (model->sharing)
        dt2_shared_leave(&model->sharing->shared);
}

/* -- what it is charged ----------------------------------------------------------------------------------------------- */

/* Bytes of a block that are there already where the plan wants it. */
static uint64_t there(const struct dt2_sharing *sharing, const struct dt2_block *block, size_t index, int node)
{
    return block->bytes && dt2_sharing_fix(sharing, index, node).there ? block->bytes : 0;
}

void dt2_sharing_credit(const struct dt2_applicant *applicant, const struct dt2_devices *devices, struct dt2_limit *credits,
                        size_t count)
{
    const struct dt2_sharing *sharing = applicant->sharing;
    const struct dt2_block *blocks = dt2_blocks_array(applicant->blocks);
    char device[24];
    for (size_t i = 0; sharing && i < dt2_blocks_count(applicant->blocks); i++) {
        int node = atomic_load(&sharing->shared.segment.blocks[i].node);
        snprintf(device, sizeof device, node == DT2_NO_NODE ? "cpu" : "cpu:%d", node);
        uint64_t bytes = there(sharing, &blocks[i], i, node);
        for (size_t j = 0; bytes && j < count; j++)
            if (dt2_charged_to(devices, device, credits[j].name) && dt2_add_overflows(credits[j].bytes, bytes, &credits[j].bytes))
                credits[j].bytes = UINT64_MAX;
    }
}

uint64_t dt2_sharing_there(const struct dt2_applicant *applicant, const struct dt2_plan *plan, size_t share)
{
    const struct dt2_share *of = dt2_plan_share(plan, share);
    uint64_t bytes = 0;
    int node;
    if (!applicant->sharing || !dt2_sharing_node(of->device, &node) || dt2_memory_given(applicant->options, of->device))
        return 0;
    for (size_t i = 0; i < of->block_count; i++)
        bytes += there(applicant->sharing, &plan->kept.blocks[of->blocks[i]], of->blocks[i], node);
    return bytes;
}

/* -- where its blocks lie --------------------------------------------------------------------------------------------- */

/* The places of a share's blocks; NULL: none of it is shared. */
static int fix(const struct dt2_model *model, const struct dt2_applicant *applicant, size_t share, struct dt2_fixed **fixed,
               struct dt2_error *err)
{
    const struct dt2_share *of = dt2_plan_share(model->plan, share);
    int node;
    *fixed = NULL;
    if (!dt2_sharing_node(of->device, &node) || dt2_memory_given(applicant->options, of->device))
        return 0;
    *fixed = dt2_alloc(model->blocks.count, sizeof **fixed);
    for (size_t i = 0; *fixed && i < of->block_count; i++)
        (*fixed)[of->blocks[i]] = dt2_sharing_fix(model->sharing, of->blocks[i], node);
    return *fixed ? 0 : dt2_fail_nomem(err);
}

static int join(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_fixed **fixed, struct dt2_error *err)
{
    struct dt2_error why;
    int rc = dt2_sharing_join(model->sharing, model->plan, fixed, &why);
    if (rc == 0)
        return 0;
    rc = give_up(model, applicant, rc, &why, err);
    for (size_t i = 0; i < dt2_plan_share_count(model->plan); i++)
        dt2_release(DT2_TAKE(fixed[i]));
    return rc;
}

int dt2_model_share_fix(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_layout_rules *rules,
                        struct dt2_error *err)
{
    size_t count = dt2_plan_share_count(model->plan);
    if (!model->sharing)
        return 0;
    DT2_AUTO struct dt2_fixed **fixed = dt2_alloc(count, sizeof(struct dt2_fixed *));
    int rc = fixed ? 0 : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fix(model, applicant, i, &fixed[i], err);
    if (rc == 0)
        rc = join(model, applicant, fixed, err);
    for (size_t i = 0; fixed && i < count; i++)
        rules[i].fixed = fixed[i];
    return rc;
}

int dt2_model_share_say(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err)
{
    struct dt2_warnings *warnings = &model->plan->warnings;
    const char *not_shared = model->not_shared;
    if (not_shared)
        return dt2_warnings_add(warnings, err, "not shared with other processes: %s", not_shared);
    if (!model->sharing || model->sharing->elsewhere == 0)
        return 0;
    if (applicant->share == DT2_SHARE_ONLY)
        return dt2_fail(err, DT2_EFAILED, "%zu blocks of model %s are shared by others on another NUMA node", model->sharing->elsewhere,
                        model->name);
    return dt2_warnings_add(warnings, err, "%zu blocks are not shared: others have them on another NUMA node", model->sharing->elsewhere);
}

/* -- waiting for who fills ---------------------------------------------------------------------------------------------- */

enum { TELL_AFTER_S = 30 };

int dt2_model_share_wait(struct dt2_model *model, const struct dt2_applicant *applicant, unsigned moment, struct dt2_error *err)
{
    const struct timespec a_moment = { .tv_nsec = DT2_MOMENT_MS * 1000000L + (getpid() + (long)moment) % 8 * 1000000L };
    const struct dt2_load_options *options = applicant->options;
    struct dt2_progress progress = { .model = model->name, .waiting = true };
    bool tells = moment == TELL_AFTER_S * 1000 / DT2_MOMENT_MS, reports = moment % DT2_TICK_MOMENTS == 0 && options->progress;
    if (tells || reports) {
        pid_t filler = dt2_shared_peek(&model->sharing->shared, &progress.done_bytes);
        for (size_t i = 0; i < dt2_blocks_count(applicant->blocks); i++)
            progress.total_bytes += dt2_blocks_array(applicant->blocks)[i].bytes;
        progress.elapsed_ns = (uint64_t)moment * DT2_MOMENT_MS * 1000000;
        if (progress.done_bytes >= progress.total_bytes)
            progress.done_bytes = progress.total_bytes ? progress.total_bytes - 1 : 0; /* the end is told once, by who loads */
        if (tells)
            dt2_log_line(&model->context->log, DT2_LOG_WARNING, "%s waits for process %d, which fills it for both", model->name,
                         (int)filler);
        if (reports && options->progress(options->progress_data, &progress) != 0)
            return dt2_fail(err, DT2_ECANCELLED, "cancelled");
    }
    nanosleep(&a_moment, NULL);
    return 0;
}

void dt2_model_share_count(struct dt2_model *model)
{
    if (!model->sharing)
        return;
    model->stats.shared_bytes = model->sharing->shared_bytes;
    model->stats.filled_bytes = model->sharing->filled_bytes;
    model->stats.share_users = dt2_shared_users(&model->sharing->shared);
}
