/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices that a request names, before anybody looks them up. */
#include "base/alloc.h"
#include "base/error.h"
#include "plan/grammar.h"
#include "plan/plan.h"
#include <string.h>

#define BLANKS " \t\n\r\f\v"

static int tell_part(const char *text, size_t length, dt2_named_fn *named, void *data)
{
    while (length && strchr(BLANKS, text[length - 1]))
        length--;
    DT2_AUTO char *name = dt2_strndup(text, length);
    if (!name)
        return DT2_ENOMEM;
    if (*name)
        named(data, name);
    return 0;
}

static int tell_list(const char *list, dt2_named_fn *named, void *data)
{
    int rc = 0;
    while (rc == 0 && list && *list) {
        list += strspn(list, BLANKS ",");
        size_t length = strcspn(list, ",");
        rc = tell_part(list, length, named, data);
        list += length;
    }
    return rc;
}

static void tell_limits(const struct dt2_limit *limits, size_t count, dt2_named_fn *named, void *data)
{
    for (size_t i = 0; i < count; i++)
        named(data, limits[i].name);
}

int dt2_request_named(const struct dt2_request *request, dt2_named_fn *named, void *data, struct dt2_error *err)
{
    struct dt2_allocations entries = { 0 };
    if (request->compute_device)
        named(data, request->compute_device);
    tell_limits(request->reserves, request->reserve_count, named, data);
    tell_limits(request->budgets, request->budget_count, named, data);
    int rc = tell_list(request->donor_device, named, data);
    if (rc == 0)
        rc = dt2_allocations_parse(request->expert_mode_allocations, &entries, NULL);
    for (size_t i = 0; rc == 0 && i < entries.count; i++)
        named(data, entries.items[i].device);
    dt2_allocations_clear(&entries);
    struct dt2_overrides overrides = { 0 };
    if (rc == 0)
        rc = dt2_overrides_parse(request->place, &overrides, NULL);
    for (size_t i = 0; i < overrides.count; i++)
        named(data, overrides.items[i].device);
    dt2_overrides_clear(&overrides);
    return rc == DT2_ENOMEM ? dt2_fail_nomem(err) : 0; /* what cannot be parsed is the planner's to refuse */
}
