/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is let in: what a load would eject, what then fits, and the plan that comes of it. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "model/model.h"
#include "plan/capacity.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whether a model has bytes on a device. */
static bool is_on(const struct dt2_model *model, const char *device)
{
    for (size_t i = 0; i < dt2_plan_share_count(model->plan); i++) {
        const struct dt2_share *share = dt2_plan_share(model->plan, i);
        if (share->bytes > 0 && strcmp(share->device, device) == 0)
            return true;
    }
    return false;
}

/* Whether a model has bytes where `compute` computes: on the device, or, when that is "cpu", on any node of it. */
static bool is_in_the_way(const struct dt2_devices *devices, const struct dt2_model *model, size_t compute)
{
    const struct dt2_device *device = &devices->devices[compute];
    if (is_on(model, device->name))
        return true;
    for (size_t i = 0; i < devices->count && strcmp(device->name, "cpu") == 0; i++)
        if (dt2_device_is_host(&devices->devices[i]) && is_on(model, devices->devices[i].name))
            return true;
    return false;
}

/* Collects the models to eject, and the names of those that would be but for their borrowers. */
static int choose(struct dt2_context *context, const struct dt2_devices *devices, size_t compute,
                  struct dt2_admission *admission, struct dt2_text *borrowed, struct dt2_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&context->lock);
    admission->eject = dt2_alloc(context->count, sizeof(struct dt2_model *));
    if (!admission->eject)
        rc = dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < context->count; i++) {
        struct dt2_model *model = context->models[i];
        pthread_mutex_lock(&model->lock);
        bool loaded = model->state == DT2_MODEL_LOADED, free = model->borrowers == 0;
        pthread_mutex_unlock(&model->lock);
        if (!loaded || !is_in_the_way(devices, model, compute))
            continue;
        if (free)
            admission->eject[admission->eject_count++] = dt2_model_ref(model);
        else
            dt2_text_addf(borrowed, "%s%s", borrowed->length ? ", " : "", model->name);
    }
    pthread_mutex_unlock(&context->lock);
    return rc;
}

/* What ejecting gives back, budget by budget: the credits of the request. */
static int count_credits(struct dt2_context *context, const struct dt2_devices *devices, const struct dt2_applicant *applicant,
                         const struct dt2_admission *admission, struct dt2_limit **credits, struct dt2_error *err)
{
    struct dt2_limit *made = dt2_alloc(devices->budget_count, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < devices->budget_count; i++)
        made[i].name = devices->budgets[i].name;
    pthread_mutex_lock(&context->lock);
    for (size_t i = 0; i < admission->eject_count; i++) {
        const struct dt2_model *model = admission->eject[i];
        for (size_t j = 0; j < model->storage.count; j++)
            for (size_t k = 0; k < devices->budget_count; k++)
                if (dt2_charged_to(devices, dt2_plan_share(model->plan, j)->device, made[k].name))
                    made[k].bytes += dt2_storage_own_bytes(&model->storage, j);
        uint64_t sole = model->sharing && !dt2_sharing_same(model->sharing, applicant->sharing)
                            ? dt2_shared_sole_bytes(&model->sharing->shared)
                            : 0;
        for (size_t k = 0; sole && k < devices->budget_count; k++)
            if (dt2_charged_to(devices, "cpu", made[k].name))
                made[k].bytes += sole;
    }
    pthread_mutex_unlock(&context->lock);
    *credits = made;
    return 0;
}

/* -- what is there */

static void want(void *wanted, const char *name)
{
    dt2_wanted_device(wanted, name);
}

int dt2_request_wanted(const struct dt2_request *request, struct dt2_wanted *wanted, struct dt2_error *err)
{
    *wanted = (struct dt2_wanted){ .all = !request->compute_device };
    return dt2_request_named(request, want, wanted, err);
}

struct lookup {
    struct dt2_context *context;
    const struct dt2_devices *devices;
    struct dt2_error *err;
};

static void explain(void *data, const char *name)
{
    const struct lookup *lookup = data;
    size_t unused;
    if (dt2_devices_find(lookup->devices, name, &unused, NULL) < 0)
        dt2_machine_explain(lookup->context->machine, name, lookup->err);
}

/* -- what the program around us would give up */

/* Whether a plan fits a request, without what of it is there already. */
static int check_plan(const struct dt2_devices *devices, const struct dt2_request *request, const struct dt2_applicant *applicant,
                      const struct dt2_plan *plan, struct dt2_shortage *shortage, struct dt2_error *err)
{
    struct dt2_capacity capacity = { 0 };
    size_t device;
    int rc = dt2_devices_find(devices, dt2_plan_compute_device(plan), &device, err);
    if (rc == 0)
        rc = dt2_capacity_make(devices, request, device, &capacity, err);
    for (size_t i = 0; rc == 0 && i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        rc = dt2_devices_find(devices, share->device, &device, err);
        if (rc == 0)
            dt2_capacity_charge(&capacity, device, dt2_sub_floor(share->cost_bytes, dt2_sharing_there(applicant, plan, i)));
    }
    if (rc == 0)
        dt2_shortage_of(&capacity, shortage);
    if (rc == 0 && shortage->bytes)
        rc = dt2_capacity_refuse(&capacity, err);
    dt2_capacity_clear(&capacity);
    return rc;
}

/* A plan may fit with what the program says of a budget, of which the driver has less: what is not there yet is a shortage. */
static int check_drivers(const struct dt2_devices *devices, const struct dt2_request *request, const struct dt2_applicant *applicant,
                         const struct dt2_plan *plan, struct dt2_shortage *shortage, struct dt2_error *err)
{
    struct dt2_request untold = *request;
    untold.available = NULL;
    return check_plan(devices, &untold, applicant, plan, shortage, err);
}

/* Budgets for which the program was asked already, by how many bytes they were short then. */
struct asked {
    struct dt2_shortage *shortages;
    size_t count;
};

/* Notes a shortage. Whether it is worth asking for: it is the first of its budget, or less than the last one was. */
static bool is_less(struct asked *asked, const struct dt2_shortage *shortage)
{
    size_t i = 0;
    while (i < asked->count && strcmp(asked->shortages[i].name, shortage->name) != 0)
        i++;
    if (i == asked->count) {
        struct dt2_shortage *more = dt2_realloc(asked->shortages, i + 1, sizeof *more);
        if (!more)
            return false;
        asked->shortages = more;
        asked->shortages[asked->count++] = *shortage;
        return true;
    }
    bool less = shortage->bytes < asked->shortages[i].bytes;
    asked->shortages[i] = *shortage;
    return less;
}

/* -- deciding */

/* What other loads on this machine promised to take of host memory is not free. Whether that is anything. */
static bool take_promised(struct dt2_devices *devices, const struct dt2_ledger *ledger)
{
    bool any = false;
    for (size_t i = 0; i < devices->budget_count; i++) {
        uint64_t bytes = dt2_ledger_promised(ledger, devices->budgets[i].name, NULL);
        dt2_budget_take(devices, i, bytes);
        any |= bytes > 0;
    }
    return any;
}

/* Promises what a plan takes of host memory. */
static void promise(const struct dt2_devices *devices, const struct dt2_applicant *applicant, const struct dt2_plan *plan,
                    struct dt2_ledger *ledger)
{
    for (size_t i = 0; i < devices->budget_count; i++) {
        uint64_t bytes = 0;
        size_t device;
        for (size_t j = 0; j < dt2_plan_share_count(plan); j++) {
            const struct dt2_share *share = dt2_plan_share(plan, j);
            if (dt2_devices_find(devices, share->device, &device, NULL) == 0 &&
                dt2_device_is_host(&devices->devices[device]) &&
                dt2_charged_to(devices, share->device, devices->budgets[i].name))
                bytes += share->bytes - dt2_sharing_there(applicant, plan, j);
        }
        dt2_ledger_promise(ledger, devices->budgets[i].name, bytes);
    }
}

static int plan_with(const struct dt2_devices *devices, const struct dt2_applicant *applicant, const struct dt2_request *request,
                     struct dt2_admission *admission, struct dt2_shortage *shortage, struct dt2_error *err)
{
    const struct dt2_block *blocks = dt2_blocks_array(applicant->blocks);
    size_t count = dt2_blocks_count(applicant->blocks);
    if (applicant->plan)
        return dt2_plan_again(devices, blocks, count, applicant->plan, request, &admission->plan, shortage, err);
    return dt2_plan_decide(devices, blocks, count, request, &admission->plan, shortage, err);
}

/*
 * Plans as if what is there of the segment were free, and then charges what is not. Where that does not fit, since the plan has other
 * blocks in host memory than those, nothing is credited.
 */
static int plan_shared(const struct dt2_devices *devices, const struct dt2_applicant *applicant, const struct dt2_request *request,
                       struct dt2_admission *admission, struct dt2_shortage *shortage, struct dt2_error *err)
{
    DT2_AUTO struct dt2_limit *credits = dt2_alloc(request->credit_count, sizeof *credits);
    struct dt2_request with_there = *request;
    if (!applicant->sharing)
        return plan_with(devices, applicant, request, admission, shortage, err);
    if (!credits)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < request->credit_count; i++)
        credits[i] = request->credits[i];
    with_there.credits = credits;
    dt2_sharing_credit(applicant, devices, credits, request->credit_count);
    int rc = plan_with(devices, applicant, &with_there, admission, shortage, err);
    if (rc < 0 || check_plan(devices, request, applicant, admission->plan, shortage, NULL) == 0)
        return rc;
    dt2_plan_free(DT2_TAKE(admission->plan));
    return plan_with(devices, applicant, request, admission, shortage, err);
}

/* One try: choose, plan. On DT2_ENOFIT *shortage says on which device how much is missing. `ledger`: locked, or NULL. */
static int decide(struct dt2_context *context, const struct dt2_applicant *applicant, const struct dt2_request *request,
                  struct dt2_ledger *ledger, struct dt2_admission *admission, struct dt2_shortage *shortage, struct dt2_error *err)
{
    struct dt2_devices *devices = NULL;
    struct dt2_text borrowed = { 0 };
    DT2_AUTO struct dt2_limit *credits = NULL;
    struct dt2_wanted wanted;
    size_t compute;
    int rc = dt2_request_wanted(request, &wanted, err);
    wanted.all |= applicant->plan != NULL; /* its shares may be anywhere */
    if (rc == 0)
        rc = dt2_context_devices(context, 0, &wanted, &devices, err);
    if (rc < 0)
        return rc;
    bool known = true;
    if (request->compute_device)
        known = dt2_devices_find(devices, request->compute_device, &compute, NULL) == 0;
    else
        compute = dt2_devices_default(devices);
    if (ledger)
        admission->waits = take_promised(devices, ledger);
    if (known && request->eject_models)
        rc = choose(context, devices, compute, admission, &borrowed, err);
    if (rc == 0)
        rc = dt2_memory_check(applicant->options, devices, err);
    if (rc == 0)
        rc = count_credits(context, devices, applicant, admission, &credits, err);
    if (rc == 0) {
        dt2_memory_credit(applicant->options, devices, credits, devices->budget_count);
        struct dt2_request with_credits = *request;
        with_credits.credits = credits;
        with_credits.credit_count = devices->budget_count;
        rc = plan_shared(devices, applicant, &with_credits, admission, shortage, err);
        if (rc == 0 && applicant->ledger && request->available)
            rc = check_drivers(devices, &with_credits, applicant, admission->plan, shortage, err);
        if (rc == 0 && ledger)
            promise(devices, applicant, admission->plan, ledger);
    }
    if (rc == DT2_ENOFIT && borrowed.length && err) {
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, "; in use, so not ejected: %s", borrowed.data);
    }
    if (rc == DT2_ENOENT)
        dt2_request_named(request, explain, &(struct lookup){ context, devices, err }, NULL);
    dt2_text_clear(&borrowed);
    dt2_devices_free(devices);
    return rc;
}

/* What is shared with other processes is not free when it is ejected here. */
static int warn_staying(struct dt2_context *context, const struct dt2_admission *admission, struct dt2_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&context->lock); /* others may unload the same models meanwhile */
    for (size_t i = 0; rc == 0 && i < admission->eject_count; i++) {
        const struct dt2_model *model = admission->eject[i];
        size_t users = model->sharing ? dt2_shared_users(&model->sharing->shared) : 0;
        if (users > 1)
            rc = dt2_warnings_add(&admission->plan->warnings, err, "%" PRIu64 " bytes of %s stay in host memory: %zu other processes use them",
                               dt2_sub_floor(model->sharing->shared_bytes, dt2_shared_sole_bytes(&model->sharing->shared)),
                               model->name, users - 1);
    }
    pthread_mutex_unlock(&context->lock);
    return rc;
}

/* The plan says which models go first, and that others than ours are not touched. */
static int warn_ejected(const struct dt2_admission *admission, const struct dt2_request *request, struct dt2_error *err)
{
    if (admission->eject_count == 0)
        return 0;
    struct dt2_text names = { 0 };
    for (size_t i = 0; i < admission->eject_count; i++)
        dt2_text_addf(&names, "%s%s", i ? ", " : "", admission->eject[i]->name);
    DT2_AUTO char *list = dt2_text_take(&names);
    if (!list)
        return dt2_fail_nomem(err);
    return dt2_warnings_add(&admission->plan->warnings, err, DT2_WARNING_EJECTED "%s%s", list,
                         request->release ? "" : " (models of this context only: nobody can free those of other programs)");
}

/* Beside what others promised, if there is a ledger that says so. */
static int decide_beside(struct dt2_context *context, const struct dt2_applicant *applicant, const struct dt2_request *request,
                         struct dt2_admission *admission, struct dt2_error *err)
{
    struct dt2_shortage shortage = { 0 };
    struct dt2_ledger *ledger = applicant->ledger;
    if (!ledger || !dt2_ledger_lock(ledger))
        return decide(context, applicant, request, NULL, admission, &shortage, err);
    int rc = decide(context, applicant, request, ledger, admission, &shortage, err);
    dt2_ledger_unlock(ledger);
    return rc;
}

/* As if nobody had promised anything; the program around us is asked for room. */
static int decide_alone(struct dt2_context *context, const struct dt2_applicant *applicant, const struct dt2_request *request,
                        struct dt2_admission *admission, struct dt2_error *err)
{
    struct dt2_shortage shortage = { 0 };
    struct asked asked = { 0 };
    int rc = decide(context, applicant, request, NULL, admission, &shortage, err);
    while (rc == DT2_ENOFIT && applicant->ledger && request->release && shortage.bytes > 0 && is_less(&asked, &shortage) &&
           request->release(request->release_data, shortage.name, shortage.bytes) > 0) {
        dt2_admission_clear(admission);
        shortage = (struct dt2_shortage){ 0 };
        rc = decide(context, applicant, request, NULL, admission, &shortage, err);
    }
    dt2_release(asked.shortages);
    return rc;
}

/* After a first look that found no room: whether there will be some, or whether somebody gives it. */
static int decide_again(struct dt2_context *context, const struct dt2_applicant *applicant, const struct dt2_request *request,
                        struct dt2_admission *admission, struct dt2_error *err)
{
    bool waits = admission->waits;
    dt2_admission_clear(admission);
    int rc = decide_alone(context, applicant, request, admission, err);
    if (rc < 0 || waits)
        return rc < 0 ? rc : DT2_ADMISSION_AGAIN;
    dt2_admission_clear(admission); /* what was given is to be promised */
    rc = decide_beside(context, applicant, request, admission, err);
    return rc == DT2_ENOFIT && admission->waits ? DT2_ADMISSION_AGAIN : rc;
}

int dt2_admission_make(struct dt2_context *context, const struct dt2_applicant *applicant, struct dt2_admission *admission,
                       struct dt2_error *err)
{
    struct dt2_request read;
    if (applicant->plan)
        read = dt2_plan_request(applicant->plan);
    else if (dt2_request_read(applicant->request, &read, err) < 0)
        return DT2_EUSAGE;
    *admission = (struct dt2_admission){ 0 };
    int rc = decide_beside(context, applicant, &read, admission, err);
    if (rc == DT2_ENOFIT && applicant->ledger)
        rc = decide_again(context, applicant, &read, admission, err);
    if (rc == DT2_ADMISSION_AGAIN)
        dt2_admission_clear(admission);
    if (rc == 0)
        rc = warn_ejected(admission, &read, err);
    if (rc == 0)
        rc = warn_staying(context, admission, err);
    if (rc < 0)
        dt2_admission_clear(admission);
    return rc;
}

/* Takes a model for unloading. 0: it is ours to unload; 1: somebody else unloads it; DT2_EBUSY: it was borrowed. */
static int take(struct dt2_model *model)
{
    pthread_mutex_lock(&model->lock);
    int verdict = model->state != DT2_MODEL_LOADED ? 1 : model->borrowers ? DT2_EBUSY : 0;
    if (verdict == 0)
        model->state = DT2_MODEL_UNLOADING;
    pthread_mutex_unlock(&model->lock);
    return verdict;
}

static void give_back(struct dt2_model *model)
{
    pthread_mutex_lock(&model->lock);
    model->state = DT2_MODEL_LOADED;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
}

int dt2_admission_eject(struct dt2_admission *admission, struct dt2_error *err)
{
    struct dt2_model **eject = admission->eject;
    size_t taken = 0, count = admission->eject_count;
    for (size_t i = 0; i < count; i++) {
        struct dt2_model *model = eject[i];
        int verdict = take(model);
        if (verdict < 0) {
            dt2_fail(err, verdict, "model %s was borrowed while it was to be ejected", model->name);
            for (size_t j = 0; j < taken; j++)
                give_back(eject[j]);
            for (; i < count; i++)
                eject[taken++] = eject[i];
            admission->eject_count = taken;
            return verdict;
        }
        if (verdict == 0)
            eject[taken++] = model;
        else
            dt2_model_unref(model);
    }
    admission->eject_count = taken;
    for (size_t i = 0; i < taken; i++)
        dt2_model_release(eject[i]);
    return 0;
}

void dt2_admission_clear(struct dt2_admission *admission)
{
    for (size_t i = 0; i < admission->eject_count; i++)
        dt2_model_unref(admission->eject[i]);
    dt2_release(admission->eject);
    dt2_plan_free(admission->plan);
    *admission = (struct dt2_admission){ 0 };
}

int dt2_model_plan(struct dt2_context *context, const struct dt2_blocks *blocks, const struct dt2_request *request,
                   struct dt2_plan **plan, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    static const struct dt2_load_options plain = DT2_LOAD_OPTIONS_INIT;
    struct dt2_admission admission;
    if (dt2_fork_check(context->generation, "context", err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&context->admission);
    int rc = dt2_admission_make(context, &(struct dt2_applicant){ .blocks = blocks, .request = request, .options = &plain }, &admission, err);
    pthread_mutex_unlock(&context->admission);
    if (rc < 0)
        return rc;
    *plan = DT2_TAKE(admission.plan);
    dt2_admission_clear(&admission);
    return 0;
}
