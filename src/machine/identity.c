/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/identity.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

static void complete_info(struct dt2_backend_device_info *info)
{
    info->struct_size = sizeof *info;
}

int dt2_views_collect(const struct dt2_modules *modules, const struct dt2_log *log, struct dt2_view **views,
                      size_t *count, struct dt2_error *err)
{
    struct dt2_view *made = NULL;
    size_t n = 0, capacity = 0;
    for (size_t i = 0; i < modules->count; i++) {
        const struct dt2_driver *driver = &modules->drivers[i];
        for (uint32_t index = 0; index < driver->device_count; index++) {
            struct dt2_backend_error failure = { 0 };
            if (!DT2_GROW(made, n, capacity)) {
                dt2_release(made);
                return dt2_fail_nomem(err);
            }
            made[n] = (struct dt2_view){ .driver = driver, .index = index, .info.struct_size = sizeof made[n].info };
            if (driver->backend->device_info(driver->self, index, &made[n].info, &failure) < 0) {
                if (dt2_lacks_bookkeeping(&failure)) {
                    dt2_release(made);
                    return dt2_fail_nomem(err);
                }
                dt2_log_line(log, DT2_LOG_WARNING, "%s:%u: %s", driver->name, (unsigned)index, failure.text);
                continue;
            }
            if (!dt2_is_power_of_two(made[n].info.alignment_bytes)) {
                dt2_log_line(log, DT2_LOG_WARNING,
                             "%s:%u is not used: its driver says that tensors are aligned to %" PRIu64
                             " bytes, which is no power of two",
                             driver->name, (unsigned)index, made[n].info.alignment_bytes);
                continue;
            }
            complete_info(&made[n++].info);
        }
    }
    *views = made;
    *count = n;
    return 0;
}

/* Views of one family are different devices by their driver's own account. */
static bool same_family(const struct dt2_view *a, const struct dt2_view *b)
{
    return strcmp(a->driver->name, b->driver->name) == 0 && strcmp(a->info.platform, b->info.platform) == 0;
}

/* A UUID of zeros is a driver that has none. */
static const char *uuid_of(const struct dt2_view *view)
{
    return view->info.uuid[strspn(view->info.uuid, "0-")] ? view->info.uuid : "";
}

static const char *pci_of(const struct dt2_view *view)
{
    return view->info.pci;
}

typedef const char *key_fn(const struct dt2_view *view);

/* Whether a view is the only one of its family with its key: what several have identifies none of them. */
static bool alone(const struct dt2_view *views, size_t count, const struct dt2_view *view, key_fn *key)
{
    for (size_t i = 0; i < count; i++)
        if (&views[i] != view && same_family(&views[i], view) && strcmp(key(&views[i]), key(view)) == 0)
            return false;
    return true;
}

/* Makes one device of those to which `a` and `b` belong, unless two views of one family would meet in it. */
static void merge(struct dt2_view *views, size_t count, size_t a, size_t b)
{
    size_t kept = views[a].group, dropped = views[b].group;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count && views[i].group == kept; j++)
            if (views[j].group == dropped && same_family(&views[i], &views[j]))
                return;
    for (size_t i = 0; i < count; i++)
        if (views[i].group == dropped)
            views[i].group = kept;
}

static void merge_by(struct dt2_view *views, size_t count, key_fn *key)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (*key(&views[i]) && strcmp(key(&views[i]), key(&views[j])) == 0 && !same_family(&views[i], &views[j]) &&
                views[i].group != views[j].group && alone(views, count, &views[i], key) &&
                alone(views, count, &views[j], key))
                merge(views, count, i, j);
}

/* The smaller, the sooner a device is listed under this view's name. */
static int rank(const struct dt2_view *view)
{
    const char *driver = view->driver->name;
    if (strcmp(driver, "cuda") == 0)
        return 0;
    if (strcmp(driver, "hip") == 0)
        return 1;
    if (strcmp(driver, "opencl") == 0)
        return view->info.native_platform ? 3 : 4;
    return 2;
}

/* The best view of a view's device: of equal ones the first. */
static size_t best_view(const struct dt2_view *views, size_t count, size_t of)
{
    size_t best = of;
    for (size_t i = 0; i < count; i++) {
        int better = rank(&views[best]) - rank(&views[i]);
        if (views[i].group == views[of].group && (better > 0 || (better == 0 && i < best)))
            best = i;
    }
    return best;
}

void dt2_views_identify(struct dt2_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        views[i].group = i;
    merge_by(views, count, uuid_of);
    merge_by(views, count, pci_of);
    for (size_t i = 0; i < count; i++)
        views[i].chosen = best_view(views, count, i);
}

bool dt2_views_have_pci(const struct dt2_view *views, size_t count, const char *pci)
{
    for (size_t i = 0; i < count; i++)
        if (*pci && strcmp(views[i].info.pci, pci) == 0)
            return true;
    return false;
}
