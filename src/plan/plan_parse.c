/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan read from the JSON that dt2_plan_json() wrote, for a file and its blocks. What stands there may be anybody's. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/shown.h"
#include "base/text.h"
#include "formats/file.h"
#include "plan/plan.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MOST 1e12

#define SHARES_MAX 4096
#define NOTES_MAX 256

struct reader {
    const json_t *document;
    const struct dt2_file *file;
    const struct dt2_block *blocks;
    size_t count;
    struct dt2_plan *plan;
    struct dt2_error *err;
};

static int unexpected(const struct reader *r, const char *where, const char *key, const char *what)
{
    return dt2_fail(r->err, DT2_EFAILED, "this is no plan: %s%s: expected %s", where, key, what);
}

static bool number_of(const json_t *object, const char *key, uint64_t most, uint64_t *number)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > most)
        return false;
    *number = (uint64_t)json_integer_value(value);
    return true;
}

/* Text without NUL inside, of at most 4096 bytes; NULL: something else. */
static const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    return text && json_string_length(value) == strlen(text) && strlen(text) <= 4096 ? text : NULL;
}

/* -- the model ----------------------------------------------------------------------------------------------------- */

static void differ(struct dt2_text *words, const char *what, const char *planned, const char *found)
{
    char a[DT2_SHOWN], b[DT2_SHOWN];
    planned = planned ? planned : "none";
    found = found ? found : "none";
    if (strcmp(planned, found) != 0)
        dt2_text_addf(words, "%s%s %s instead of %s", words->length ? ", " : "", what, dt2_shown(found, strlen(found), a),
                      dt2_shown(planned, strlen(planned), b));
}

static void differ_in_bytes(struct dt2_text *words, const char *what, const json_t *model, const char *key, uint64_t found)
{
    char a[24], b[24] = "none";
    uint64_t planned;
    snprintf(a, sizeof a, "%" PRIu64, found);
    if (number_of(model, key, INT64_MAX, &planned))
        snprintf(b, sizeof b, "%" PRIu64, planned);
    differ(words, what, b, a);
}

/* Everything in which the model is another is named. */
static int check_model(const struct reader *r)
{
    const json_t *model = json_object_get(r->document, "model");
    struct dt2_text words = { 0 };
    uint64_t bytes = 0;
    if (!json_is_object(model))
        return unexpected(r, "", "model", "an object: the plan of a file");
    for (size_t i = 0; i < r->count; i++)
        bytes += r->blocks[i].bytes;
    differ(&words, "the fingerprint", text_of(model, "fingerprint"), dt2_file_fingerprint(r->file));
    differ(&words, "the dtype", text_of(model, "dtype"), dt2_file_dtype(r->file));
    differ_in_bytes(&words, "the bytes of the file", model, "file_bytes", dt2_file_total_bytes(r->file));
    differ_in_bytes(&words, "the bytes to load", model, "total_bytes", bytes);
    differ_in_bytes(&words, "the number of blocks", model, "blocks", r->count);
    if (words.length == 0 && !words.failed)
        return 0;
    DT2_AUTO char *list = dt2_text_take(&words);
    if (!list)
        return dt2_fail_nomem(r->err);
    dt2_fail(r->err, DT2_EUSAGE, "the plan is not for %s, which has %s", dt2_file_path(r->file), list);
    dt2_suggest(r->err, "plan this model anew, with the --dtype, --key and --all-tensors with which it will be loaded");
    return DT2_EUSAGE;
}

/* -- the request ----------------------------------------------------------------------------------------------------- */

static int read_limits(const struct reader *r, const json_t *request, const char *key, struct dt2_limit **limits, size_t *count)
{
    json_t *object = json_object_get(request, key), *value;
    const char *name;
    if (!json_is_object(object))
        return unexpected(r, "request.", key, "an object of sizes");
    *limits = dt2_alloc(json_object_size(object), sizeof **limits);
    if (!*limits)
        return dt2_fail_nomem(r->err);
    json_object_foreach(object, name, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return unexpected(r, "request.", key, "sizes in bytes");
        (*limits)[*count] = (struct dt2_limit){ dt2_strdup(name), (uint64_t)json_integer_value(value) };
        if (!(*limits)[*count].name)
            return dt2_fail_nomem(r->err);
        ++*count;
    }
    return 0;
}

/* Plans of before had none. */
static bool read_sharing(const json_t *request, enum dt2_share_mode *share)
{
    const json_t *value = json_object_get(request, "share");
    const char *word = value ? json_string_value(value) : dt2_share_words[0];
    for (int i = DT2_SHARE_NONE; word && i <= DT2_SHARE_ONLY; i++)
        if (strcmp(word, dt2_share_words[i]) == 0) {
            *share = (enum dt2_share_mode)i;
            return true;
        }
    return false;
}

static int read_request(const struct reader *r)
{
    const json_t *request = json_object_get(r->document, "request");
    struct dt2_plan *plan = r->plan;
    if (!json_is_object(request) || !json_is_boolean(json_object_get(request, "eject_models")) ||
        !number_of(request, "alignment_bytes", 65536, &plan->alignment_bytes) ||
        !number_of(request, "padding_bytes", 1 << 20, &plan->padding_bytes))
        return unexpected(r, "", "request", "an object with eject_models, alignment_bytes and padding_bytes");
    plan->eject_models = json_is_true(json_object_get(request, "eject_models"));
    plan->resident = json_is_true(json_object_get(request, "resident"));
    if (!read_sharing(request, &plan->share))
        return unexpected(r, "request.", "share", "none, node or only");
    int rc = read_limits(r, request, "reserve", &plan->reserves, &plan->reserve_count);
    if (rc == 0)
        rc = read_limits(r, request, "budget", &plan->budgets, &plan->budget_count);
    if (rc < 0)
        return rc;
    char *text = json_dumps(request, JSON_COMPACT), *fitted = json_dumps(json_object_get(r->document, "fitted"), JSON_COMPACT);
    plan->request_json = dt2_strdup(text);
    plan->fitted_json = dt2_strdup(fitted);
    free(text); /* jansson's own memory */
    free(fitted);
    return plan->request_json ? 0 : dt2_fail_nomem(r->err);
}

/* -- the shares ------------------------------------------------------------------------------------------------------- */

/* Blocks by name: sorted, those of one name in execution order. */
struct named {
    const char *name;
    size_t index;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The first block of that name that has no share yet; the count: there is none. */
static size_t take_block(const struct reader *r, const struct named *names, const char *name)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < r->count && strcmp(names[low].name, name) == 0 && r->plan->owner[names[low].index] != DT2_NONE)
        low++;
    return low < r->count && strcmp(names[low].name, name) == 0 ? names[low].index : r->count;
}

static int read_blocks(const struct reader *r, const struct named *names, const json_t *list, size_t at, struct dt2_share *share)
{
    struct dt2_plan *plan = r->plan;
    size_t *blocks = plan->blocks + at, i;
    const json_t *value;
    char shown[DT2_SHOWN];
    json_array_foreach(list, i, value)
    {
        const char *name = json_string_value(value);
        size_t block = name ? take_block(r, names, name) : r->count;
        if (block == r->count)
            return dt2_fail(r->err, DT2_EUSAGE, "the plan is not for %s: block %s of its share of %s is not there, or is twice",
                            dt2_file_path(r->file), name ? dt2_shown(name, strlen(name), shown) : "null", share->device);
        plan->owner[block] = (size_t)(share - plan->shares);
        blocks[share->block_count++] = block;
        share->bytes += r->blocks[block].bytes;
    }
    qsort(blocks, share->block_count, sizeof *blocks, ascending);
    for (i = 0; i < share->block_count; i++)
        share->runs += i == 0 || blocks[i - 1] + 1 != blocks[i];
    share->blocks = blocks;
    return 0;
}

/* Below 0: it is not said, or no time. */
static double seconds_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    return seconds >= 0 && seconds <= SECONDS_MOST ? seconds : -1;
}

/* What was predicted then, where it is said. */
static void read_prediction(const struct reader *r)
{
    const json_t *object = json_object_get(r->document, "prediction");
    struct dt2_prediction *p = &r->plan->prediction;
    *p = (struct dt2_prediction){ .load_seconds = seconds_of(object, "load_seconds"),
                                  .load_cold_seconds = seconds_of(object, "load_cold_seconds"),
                                  .transfer_seconds = seconds_of(object, "transfer_seconds"),
                                  .compute_seconds = seconds_of(object, "compute_seconds"),
                                  .stall_seconds = seconds_of(object, "stall_seconds"),
                                  .compute_estimated = json_is_true(json_object_get(object, "compute_estimated")),
                                  .assumed = json_is_true(json_object_get(object, "assumed")),
                                  .whole = json_is_true(json_object_get(object, "whole")),
                                  .start_seconds = seconds_of(object, "start_seconds") };
    p->start_seconds = p->start_seconds > 0 ? p->start_seconds : 0;
    uint64_t learnt_at;
    if (number_of(object, "learnt_at", INT64_MAX, &learnt_at))
        p->learnt_at = (int64_t)learnt_at;
    r->plan->predicted = object && number_of(object, "streamed_bytes", INT64_MAX, &p->streamed_bytes) &&
                         p->load_seconds >= 0 && p->load_cold_seconds >= 0 && p->transfer_seconds >= 0 &&
                         p->compute_seconds >= 0 && p->stall_seconds >= 0;
}

static int read_share(const struct reader *r, const struct named *names, const json_t *object, size_t *at)
{
    struct dt2_share *share = &r->plan->shares[r->plan->share_count];
    const char *device = text_of(object, "device");
    const json_t *list = json_object_get(object, "blocks");
    uint64_t bytes;
    if (!device || !json_is_array(list) || !number_of(object, "bytes", INT64_MAX, &bytes))
        return unexpected(r, "", "shares", "objects with device, bytes and blocks");
    if (!number_of(object, "quota_bytes", INT64_MAX, &share->quota_bytes))
        share->quota_bytes = DT2_UNKNOWN;
    number_of(object, "cost_bytes", INT64_MAX, &share->cost_bytes); /* of then: it is counted again */
    share->absorbs = json_is_true(json_object_get(object, "absorbs"));
    share->load_seconds = seconds_of(object, "load_seconds");
    share->load_cold_seconds = seconds_of(object, "load_cold_seconds");
    share->stream_gbps = seconds_of(object, "stream_gbps");
    number_of(object, "reserve_bytes", INT64_MAX, &share->reserve_bytes);
    share->device = dt2_strdup(device);
    if (!share->device)
        return dt2_fail_nomem(r->err);
    r->plan->share_count++;
    if (json_array_size(list) > r->count - *at)
        return dt2_fail(r->err, DT2_EUSAGE, "the plan is not for %s: its shares have more blocks than the model",
                        dt2_file_path(r->file));
    int rc = read_blocks(r, names, list, *at, share);
    *at += share->block_count;
    if (rc == 0 && bytes != share->bytes)
        rc = dt2_fail(r->err, DT2_EUSAGE, "the plan is not for %s: the share of %s has %" PRIu64 " bytes there, %" PRIu64
                      " in the plan", dt2_file_path(r->file), share->device, share->bytes, bytes);
    return rc;
}

static int read_shares(const struct reader *r)
{
    const json_t *shares = json_object_get(r->document, "shares");
    struct dt2_plan *plan = r->plan;
    size_t count = json_array_size(shares), at = 0;
    DT2_AUTO struct named *names = dt2_alloc(r->count, sizeof *names);
    if (!json_is_array(shares) || count == 0 || count > SHARES_MAX)
        return unexpected(r, "", "shares", "a list of shares");
    plan->shares = dt2_alloc(count, sizeof *plan->shares);
    plan->blocks = dt2_alloc(r->count, sizeof *plan->blocks);
    plan->owner = dt2_alloc(r->count, sizeof *plan->owner);
    if (!names || !plan->shares || !plan->blocks || !plan->owner)
        return dt2_fail_nomem(r->err);
    for (size_t i = 0; i < r->count; i++) {
        plan->owner[i] = DT2_NONE;
        names[i] = (struct named){ r->blocks[i].name, i };
    }
    qsort(names, r->count, sizeof *names, by_name);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_share(r, names, json_array_get(shares, i), &at);
    if (rc == 0 && at < r->count)
        rc = dt2_fail(r->err, DT2_EUSAGE, "the plan is not for %s: it places %zu of its %zu blocks", dt2_file_path(r->file), at,
                      r->count);
    return rc;
}

/* -- devices and the rest ---------------------------------------------------------------------------------------------- */

static int read_devices(const struct reader *r)
{
    const json_t *devices = json_object_get(r->document, "devices"), *object;
    struct dt2_plan *plan = r->plan;
    size_t i, count = json_array_size(devices);
    if (!json_is_array(devices) || count > SHARES_MAX)
        return unexpected(r, "", "devices", "a list of the devices that it was made for");
    plan->identities = dt2_alloc(count, sizeof *plan->identities);
    if (!plan->identities)
        return dt2_fail_nomem(r->err);
    json_array_foreach(devices, i, object)
    {
        struct dt2_identified *made = &plan->identities[plan->identity_count++];
        if (!text_of(object, "name"))
            return unexpected(r, "devices.", "name", "a name");
        made->name = dt2_strdup(text_of(object, "name"));
        made->model = dt2_strdup(text_of(object, "model"));
        made->pci = dt2_strdup(text_of(object, "pci"));
        made->uuid = dt2_strdup(text_of(object, "uuid"));
        if (!number_of(object, "total_bytes", INT64_MAX, &made->total_bytes))
            made->total_bytes = DT2_UNKNOWN;
        if (!made->name)
            return dt2_fail_nomem(r->err);
    }
    return 0;
}

static int read_rest(const struct reader *r)
{
    const json_t *warnings = json_object_get(r->document, "warnings"), *value;
    struct dt2_plan *plan = r->plan;
    size_t i;
    int rc = 0;
    number_of(r->document, "window_bytes", INT64_MAX, &plan->window_bytes);
    read_prediction(r);
    plan->compute_device = dt2_strdup(text_of(r->document, "compute_device"));
    if (!plan->compute_device)
        return unexpected(r, "", "compute_device", "a name");
    json_array_foreach(warnings, i, value)
    {
        if (rc == 0 && i < NOTES_MAX && json_is_string(value))
            rc = dt2_warnings_add(&plan->warnings, r->err, "%.4096s", json_string_value(value));
    }
    for (size_t j = 0; j < r->count; j++)
        plan->model_bytes += r->blocks[j].bytes;
    plan->compute_left_bytes = DT2_UNKNOWN;
    plan->carried = true;
    return rc < 0 ? rc : dt2_kept_blocks_copy(r->blocks, r->count, &plan->kept, r->err);
}

int dt2_plan_parse(const char *text, size_t length, const struct dt2_file *file, const struct dt2_blocks *blocks,
                   struct dt2_plan **plan, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    json_error_t wrong;
    json_t *document = json_loadb(text, length, 0, &wrong);
    if (!json_is_object(document)) {
        json_decref(document);
        return document ? dt2_fail(err, DT2_EFAILED, "this is no plan: expected an object")
                        : dt2_fail(err, DT2_EFAILED, "line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    }
    struct dt2_plan *made = dt2_alloc(1, sizeof *made);
    struct reader r = { document, file, dt2_blocks_array(blocks), dt2_blocks_count(blocks), made, err };
    int rc = made ? check_model(&r) : dt2_fail_nomem(err);
    if (rc == 0)
        rc = read_request(&r);
    if (rc == 0)
        rc = read_shares(&r);
    if (rc == 0)
        rc = read_devices(&r);
    if (rc == 0)
        rc = read_rest(&r);
    json_decref(document);
    if (rc == 0)
        *plan = DT2_TAKE(made);
    dt2_plan_free(made);
    return rc;
}
