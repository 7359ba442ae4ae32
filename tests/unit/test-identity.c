/* SPDX-License-Identifier: BSD-3-Clause */
/* Which views of drivers are one device: cases, and properties of random machines. */
#include "base/checked.h"
#include "machine/identity.h"
#include "support/tap.h"

static const struct dt2_driver cuda = { .name = "cuda" }, hip = { .name = "hip" }, opencl = { .name = "opencl" };

struct view_case {
    const struct dt2_driver *driver;
    const char *platform;
    bool native;
    const char *pci, *uuid;
    size_t chosen; /* expected */
};

static void fill(const struct view_case *from, struct dt2_view *view, uint32_t index)
{
    *view = (struct dt2_view){ .driver = from->driver, .index = index };
    snprintf(view->info.platform, sizeof view->info.platform, "%s", from->platform);
    snprintf(view->info.pci, sizeof view->info.pci, "%s", from->pci);
    snprintf(view->info.uuid, sizeof view->info.uuid, "%s", from->uuid);
    view->info.native_platform = from->native;
}

#define MAX_VIEWS 6
static const struct {
    const char *what;
    struct view_case views[MAX_VIEWS];
} cases[] = {
    { "equal UUIDs, CUDA is preferred", { { &opencl, "N", true, "", "u1", 1 }, { &cuda, "", false, "", "u1", 1 } } },
    { "HIP is preferred to OpenCL", { { &opencl, "A", true, "", "u1", 1 }, { &hip, "", false, "", "u1", 1 } } },
    { "equal PCI addresses, one device each",
      { { &cuda, "", false, "p1", "", 0 }, { &opencl, "N", true, "p1", "", 0 } } },
    { "the PCI address decides even where UUIDs are of different kinds",
      { { &hip, "", false, "p1", "a", 0 }, { &opencl, "A", true, "p1", "b", 0 } } },
    { "partitions: two devices at one address are not the other driver's one",
      { { &hip, "", false, "p1", "", 0 }, { &hip, "", false, "p1", "", 1 }, { &opencl, "A", true, "p1", "", 2 } } },
    { "partitions by UUID",
      { { &cuda, "", false, "p1", "m1", 0 },
        { &cuda, "", false, "p1", "m2", 1 },
        { &opencl, "N", true, "p1", "m2", 1 } } },
    { "one driver's devices are never one, whatever they say",
      { { &cuda, "", false, "p1", "u1", 0 }, { &cuda, "", false, "p1", "u1", 1 } } },
    { "one platform's devices are never one",
      { { &opencl, "P", false, "", "u1", 0 }, { &opencl, "P", false, "", "u1", 1 } } },
    { "two platforms, the maker's own is preferred",
      { { &opencl, "Mesa", false, "p1", "", 1 }, { &opencl, "AMD", true, "p1", "", 1 } } },
    { "two platforms, neither the maker's own: the first",
      { { &opencl, "A", false, "p1", "", 0 }, { &opencl, "B", false, "p1", "", 0 } } },
    { "nothing known is nothing in common",
      { { &opencl, "A", false, "", "", 0 }, { &opencl, "B", false, "", "", 1 }, { &cuda, "", false, "", "", 2 } } },
    { "zeros are no UUID",
      { { &opencl, "A", false, "", "00000000-0000-0000-0000-000000000000", 0 },
        { &opencl, "B", false, "", "00000000-0000-0000-0000-000000000000", 1 } } },
    { "three views: UUID and address chain",
      { { &cuda, "", false, "p1", "u1", 0 },
        { &opencl, "N", true, "", "u1", 0 },
        { &opencl, "M", false, "p1", "", 0 } } },
    { "a UUID that one platform shows twice tells nobody apart",
      { { &opencl, "A", false, "", "u1", 0 },
        { &opencl, "A", false, "", "u1", 1 },
        { &cuda, "", false, "", "u1", 2 } } },
    { "two cards, crosswise",
      { { &cuda, "", false, "p1", "", 0 },
        { &cuda, "", false, "p2", "", 1 },
        { &opencl, "N", true, "p2", "", 1 },
        { &opencl, "N", true, "p1", "", 0 } } },
};

static void test_cases(void)
{
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_view views[MAX_VIEWS];
        size_t count = 0;
        while (count < MAX_VIEWS && cases[i].views[count].driver) {
            fill(&cases[i].views[count], &views[count], (uint32_t)count);
            count++;
        }
        dt2_views_identify(views, count);
        for (size_t j = 0; j < count; j++)
            is_u64(views[j].chosen, cases[i].views[j].chosen, "%s: view %zu", cases[i].what, j);
    }
}

static bool same_family(const struct dt2_view *a, const struct dt2_view *b)
{
    return a->driver == b->driver && strcmp(a->info.platform, b->info.platform) == 0;
}

/* What must hold of any machine. */
static bool holds(const struct dt2_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t chosen = views[i].chosen;
        if (chosen >= count || views[chosen].chosen != chosen)
            return false; /* the chosen one stands for itself */
        if (views[chosen].driver == &opencl && views[i].driver != &opencl)
            return false; /* OpenCL never hides another driver */
        for (size_t j = 0; j < count; j++) {
            bool one = views[j].chosen == chosen;
            if (one && i != j && same_family(&views[i], &views[j]))
                return false; /* never merged within a family */
            if (one && i != j && !views[i].info.pci[0] && !views[i].info.uuid[0])
                return false; /* nothing known is nobody else */
        }
    }
    return true;
}

/* Two views of different families whose UUID nobody else shows must be one. */
static bool finds_pairs(const struct dt2_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            size_t others = 0;
            for (size_t k = 0; k < count; k++)
                others += k != i && k != j && strcmp(views[k].info.uuid, views[i].info.uuid) == 0;
            if (i != j && views[i].info.uuid[0] && strcmp(views[i].info.uuid, views[j].info.uuid) == 0 && others == 0 &&
                !same_family(&views[i], &views[j]) && views[i].chosen != views[j].chosen)
                return false;
        }
    return true;
}

static void test_properties(void)
{
    static const struct dt2_driver *const drivers[] = { &cuda, &hip, &opencl };
    static const char *const platforms[] = { "A", "B" }, *const pcis[] = { "", "p1", "p2", "p3" },
                             *const uuids[] = { "", "", "u1", "u2", "u3" };
    bool held = true, found = true;
    seed_random(20261126);
    for (int i = 0; i < 20000 && held && found; i++) {
        struct dt2_view views[8];
        size_t count = random_below(9);
        for (size_t j = 0; j < count; j++) {
            const struct dt2_driver *driver = drivers[random_below(3)];
            struct view_case random = { driver,
                                        driver == &opencl ? platforms[random_below(2)] : "",
                                        random_below(2),
                                        pcis[random_below(4)],
                                        uuids[random_below(5)],
                                        0 };
            fill(&random, &views[j], (uint32_t)j);
        }
        dt2_views_identify(views, count);
        held = holds(views, count);
        found = finds_pairs(views, count);
    }
    ok(held, "20000 random machines: families stay apart, the best view stands for each device");
    ok(found, "and equal UUIDs are found");
}

int main(void)
{
    test_cases();
    test_properties();
    return done_testing();
}
