/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans and requests as JSON. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include "plan/fit.h"
#include "plan/plan.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *bytes_json(uint64_t bytes)
{
    return bytes > INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

/* A value that found no memory is NULL, and so is what it was to be put into: a document is whole, or none. */
static json_t *text_json(const char *text)
{
    if (!text)
        return json_null();
    DT2_AUTO char *clean = dt2_utf8_clean(text);
    return clean ? json_string(clean) : NULL;
}

/* The array with one value more. */
static json_t *with(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

/* The text of a value in our own memory; takes the reference. */
static char *dump(json_t *value, size_t flags)
{
    char *text = value ? json_dumps(value, flags) : NULL;
    char *copy = dt2_strdup(text);
    free(text); /* jansson's own memory */
    json_decref(value);
    return copy;
}

const char *const dt2_share_words[] = { "none", "node", "only" };

static json_t *limits_json(const struct dt2_limit *limits, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < count; i++)
        if (json_object_set_new(object, limits[i].name, bytes_json(limits[i].bytes)) < 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

char *dt2_request_json(const struct dt2_request *request)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:f, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:I, s:I, s:b, s:b, s:s, s:o, s:o, s:b}", "compute_device", text_json(request->compute_device),
        "virtual_vram_bytes", bytes_json(dt2_request_virtual_vram(request)), "virtual_vram_gb",
        (double)dt2_request_virtual_vram(request) / ((uint64_t)1 << 30), "donor_device",
        text_json(request->donor_device ? request->donor_device : "cpu"), "expert_mode_allocations",
        text_json(request->expert_mode_allocations ? request->expert_mode_allocations : ""), "eject_models",
        request->eject_models, "pack", request->pack, "reserve", limits_json(request->reserves, request->reserve_count),
        "budget", limits_json(request->budgets, request->budget_count), "place",
        text_json(request->place ? request->place : ""), "alignment_bytes", (json_int_t)request->alignment_bytes,
        "padding_bytes", (json_int_t)request->padding_bytes, "resident", request->resident,
        "fit", (request->flags & DT2_REQUEST_FIT) != 0, "share", dt2_share_words[request->share], "window_bytes",
        request->window_bytes ? bytes_json(request->window_bytes) : json_null(), "step_seconds",
        request->step_ns == DT2_UNKNOWN ? json_null() : json_real((double)request->step_ns / 1e9),
        "auto", (request->flags & DT2_REQUEST_AUTO) != 0);
    return dump(object, JSON_COMPACT);
}

/* Below 0: unknown. Six digits: more would be noise. */
static json_t *seconds_json(double seconds)
{
    return seconds < 0 || seconds > 1e12 ? json_null() : json_real((double)(int64_t)(seconds * 1e6 + 0.5) / 1e6);
}

static json_t *prediction_json(const struct dt2_prediction *p)
{
    if (!p)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o}", "load_seconds", seconds_json(p->load_seconds),
                     "load_cold_seconds", seconds_json(p->load_cold_seconds), "streamed_bytes", bytes_json(p->streamed_bytes),
                     "transfer_seconds", seconds_json(p->transfer_seconds), "compute_seconds", seconds_json(p->compute_seconds),
                     "stall_seconds", seconds_json(p->stall_seconds), "compute_estimated", p->compute_estimated, "assumed",
                     p->assumed, "whole", p->whole, "start_seconds", seconds_json(p->start_seconds), "learnt_at",
                     p->learnt_at ? json_integer(p->learnt_at) : json_null());
}

static json_t *share_json(const struct dt2_plan *plan, const struct dt2_share *share)
{
    json_t *blocks = json_array();
    for (size_t i = 0; i < share->block_count; i++)
        blocks = with(blocks, text_json(plan->kept.blocks[share->blocks[i]].name));
    return json_pack("{s:s, s:o, s:o, s:o, s:b, s:o, s:I, s:o, s:o, s:o, s:o}", "device", share->device, "quota_bytes",
                     bytes_json(share->quota_bytes), "bytes", bytes_json(share->bytes), "cost_bytes",
                     bytes_json(share->cost_bytes), "absorbs", share->absorbs, "blocks", blocks, "runs",
                     (json_int_t)share->runs, "load_seconds", seconds_json(share->load_seconds), "load_cold_seconds",
                     seconds_json(share->load_cold_seconds), "stream_gbps", seconds_json(share->stream_gbps), "reserve_bytes",
                     bytes_json(share->reserve_bytes));
}

static json_t *model_json(const struct dt2_plan *plan, const struct dt2_file *file)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:s, s:s}", "path", text_json(dt2_file_path(file)), "total_bytes",
                     bytes_json(plan->model_bytes), "file_bytes", bytes_json(dt2_file_total_bytes(file)), "blocks",
                     (json_int_t)plan->kept.count, "fingerprint", dt2_file_fingerprint(file), "dtype", dt2_file_dtype(file));
}

/* -- what was changed so that it fits ------------------------------------------------------------------------------ */

static json_t *with_change(json_t *list, struct dt2_text *words, const char *key, const char *from, const char *to)
{
    if (!to || !*to)
        return list;
    dt2_text_addf(words, "%s%s '%s' instead of '%s'", words->length ? ", " : "", key, to, from);
    return with(list, json_pack("{s:s, s:o, s:o}", "option", key, "from", text_json(from), "to", text_json(to)));
}

int dt2_plan_tell_fitted(struct dt2_plan *plan, const struct dt2_remedy *remedy, const struct dt2_request *input,
                         const char *refused, struct dt2_error *err)
{
    struct dt2_text words = { 0 };
    uint64_t v = dt2_request_virtual_vram(input);
    DT2_AUTO char *before = dt2_printf("%" PRIu64 ".%03" PRIu64, v >> 30, (v & (((uint64_t)1 << 30) - 1)) * 1000 >> 30);
    if (!before)
        return dt2_fail_nomem(err);
    json_t *list = with_change(json_array(), &words, "virtual_vram_gb", before, remedy->gib);
    list = with_change(list, &words, "donor_device", input->donor_device ? input->donor_device : "cpu", remedy->donors);
    list = with_change(list, &words, "expert_mode_allocations",
                       input->expert_mode_allocations ? input->expert_mode_allocations : "", remedy->expert);
    plan->fitted_json = dump(list, JSON_COMPACT);
    DT2_AUTO char *changed = dt2_text_take(&words);
    if (!plan->fitted_json || !changed)
        return dt2_fail_nomem(err);
    return dt2_warnings_add(&plan->warnings, err, "made to fit: %s; as asked it %s", changed, refused);
}

/* -- the whole ------------------------------------------------------------------------------------------------------ */

static json_t *devices_json(const struct dt2_plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->identity_count; i++) {
        const struct dt2_identified *device = &plan->identities[i];
        list = with(list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", text_json(device->name), "model",
                                    text_json(device->model), "pci", text_json(device->pci), "uuid", text_json(device->uuid),
                                    "total_bytes", bytes_json(device->total_bytes)));
    }
    return list;
}

/* Whether anything of the plan would be shared with other processes. */
static bool shares_host(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < plan->share_count; i++)
        if (plan->share != DT2_SHARE_NONE && plan->shares[i].bytes > 0 &&
            (strcmp(plan->shares[i].device, "cpu") == 0 || strncmp(plan->shares[i].device, "cpu:", 4) == 0))
            return true;
    return false;
}

char *dt2_plan_json(const struct dt2_plan *plan, const struct dt2_file *file)
{
    DT2_KEEP_ERRNO;
    if (file && dt2_plan_check(plan, file, NULL) < 0)
        return NULL;
    json_t *shares = json_array(), *warnings = json_array();
    for (size_t i = 0; i < plan->share_count; i++)
        shares = with(shares, share_json(plan, &plan->shares[i]));
    for (size_t i = 0; i < plan->warnings.count; i++)
        warnings = with(warnings, text_json(plan->warnings.items[i]));
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:s, s:o, s:b, s:o, s:o, s:o, s:o}", "model", file ? model_json(plan, file) : json_null(), "request",
                  json_loads(plan->request_json, 0, NULL), "fitted",
                  plan->fitted_json ? json_loads(plan->fitted_json, 0, NULL) : json_array(), "compute_device", plan->compute_device, "window_bytes",
                  bytes_json(plan->window_bytes), "shared", shares_host(plan), "shares", shares, "devices", devices_json(plan),
                  "prediction", prediction_json(dt2_plan_prediction(plan)), "warnings", warnings);
    return dump(object, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
}
