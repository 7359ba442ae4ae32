/* SPDX-License-Identifier: BSD-3-Clause */
/* Placements that are chosen: beside all that there are of a few blocks, and beside virtual VRAM of the same bytes. */
#include "support/world.h"

#define FEW 12 /* blocks at most: with 4096 placements on two devices; on three it is 7, with 2187 */
#define FEW_ON_THREE 7

static size_t few, memories; /* of this round: blocks, and devices */

static const char *const places[] = { "cuda:0", "cpu", "hip:0" };

/* Three devices with links of random speeds; the compute device holds a random part of the model. */
static struct dt2_devices *make_few(const struct dt2_block *blocks, struct dt2_limit *budgets)
{
    char text[2048];
    uint64_t model = 0;
    struct dt2_devices *devices = NULL;
    for (size_t i = 0; i < few; i++)
        model += blocks[i].bytes;
    snprintf(text, sizeof text,
             "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":100000000000},"
             "{\"name\":\"cuda:0\",\"total_bytes\":100000000000,\"open_ms\":0,\"links\":[{\"to\":\"cpu\",\"measured_gbps\":%d,\"delay_us\":5}]},"
             "{\"name\":\"hip:0\",\"total_bytes\":100000000000,\"open_ms\":0,\"links\":[{\"to\":\"cpu\",\"measured_gbps\":%d,\"delay_us\":5}]}],"
             "\"speeds\":{\"memory_gbps\":10,\"fresh_gbps\":%d,\"touched_gbps\":10}}",
             (int)(2 + random_below(20)), (int)(2 + random_below(20)), (int)(4 + random_below(10)));
    dt2_devices_parse(text, strlen(text), &devices, NULL);
    budgets[0] = (struct dt2_limit){ "cuda:0", model / 4 + random_below(model) };
    budgets[1] = (struct dt2_limit){ "hip:0", model / 4 + random_below(model) };
    return devices;
}

static size_t runs_of(const struct dt2_plan *plan)
{
    size_t runs = 0;
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        runs += dt2_plan_share(plan, i)->runs;
    return runs;
}

/* The placement of that number, by names; false: it does not fit. */
static bool plan_number(const struct dt2_devices *devices, const struct dt2_block *blocks, struct dt2_request request, size_t number,
                        struct dt2_plan **plan)
{
    char place[256] = "";
    for (size_t i = 0; i < few; i++, number /= memories)
        snprintf(place + strlen(place), sizeof place - strlen(place), "%s%s=%s", i ? ";" : "", blocks[i].name,
                 places[number % memories]);
    request.place = place;
    request.flags = 0;
    request.virtual_vram_bytes = 0;
    return dt2_plan_make(devices, blocks, few, &request, plan, NULL) == 0;
}

/* The least stall of all placements that fit; below 0: none does. */
static double least_stall(const struct dt2_devices *devices, const struct dt2_block *blocks, const struct dt2_request *request)
{
    double least = -1;
    size_t count = 1;
    for (size_t i = 0; i < few; i++)
        count *= memories;
    for (size_t i = 0; i < count; i++) {
        struct dt2_plan *plan;
        if (!plan_number(devices, blocks, *request, i, &plan))
            continue;
        double stall = dt2_plan_prediction(plan)->stall_seconds;
        least = least < 0 || stall < least ? stall : least;
        dt2_plan_free(plan);
    }
    return least;
}

static void test_few(void)
{
    unsigned worse = 0, compared = 0, refused = 0;
    unsigned rounds = random_rounds(24);
    for (unsigned round = 0; round < rounds; round++) {
        memories = 2 + random_below(2);
        few = 3 + random_below((memories == 2 ? FEW : FEW_ON_THREE) - 2);
        struct dt2_block blocks[FEW];
        char names[FEW][8];
        struct dt2_limit budgets[2];
        struct dt2_request request = DT2_REQUEST_INIT;
        struct dt2_plan *plan = NULL;
        for (size_t i = 0; i < few; i++) {
            snprintf(names[i], sizeof names[i], "b%zu", i);
            blocks[i] = (struct dt2_block){ .name = names[i], .bytes = 1000000 + random_below(50000000) };
        }
        struct dt2_devices *devices = make_few(blocks, budgets);
        request.compute_device = "cuda:0";
        request.donor_device = memories == 2 ? "cpu" : NULL;
        request.budgets = budgets;
        request.budget_count = 2;
        request.step_ns = random_below(40000000);
        request.flags = DT2_REQUEST_AUTO;
        double least = least_stall(devices, blocks, &request);
        if (dt2_plan_make(devices, blocks, few, &request, &plan, NULL) < 0) {
            refused += least >= 0;
        } else {
            double stall = dt2_plan_prediction(plan)->stall_seconds;
            compared++;
            if (stall > least * 1.001 + 1e-6) {
                worse++;
                diag("round %u: %g chosen, %g is the least", round, stall, least);
            }
        }
        dt2_plan_free(plan);
        dt2_devices_free(devices);
    }
    ok(compared > rounds / 3, "%u choices beside all placements", compared);
    is_int(worse, 0, "none is above the least stall");
    is_int(refused, 0, "what fits in some way is planned");
}

/* Never worse than virtual VRAM of the same bytes, and within the same budgets. */
static void test_never_worse(void)
{
    static struct world w;
    const char *broken = NULL;
    unsigned rounds = random_rounds(400), compared = 0, gained = 0;
    for (unsigned round = 0; round < rounds && !broken; round++) {
        struct dt2_plan *plain = NULL, *chosen = NULL;
        uint64_t seed = tap_random_state;
        w.roomy = random_below(4) > 0;
        make_model(&w);
        make_machine(&w);
        make_request(&w);
        w.request.expert_mode_allocations = NULL;
        w.request.step_ns = random_below(50000000);
        w.request.flags = 0;
        int rc = dt2_plan_make(w.devices, w.blocks, w.count, &w.request, &plain, NULL);
        w.request.flags = DT2_REQUEST_AUTO;
        int chose = dt2_plan_make(w.devices, w.blocks, w.count, &w.request, &chosen, NULL);
        if (rc == 0 && chose < 0)
            broken = "what fits as virtual VRAM can be chosen";
        if (rc == 0 && chose == 0) {
            double a = dt2_plan_prediction(plain)->stall_seconds, b = dt2_plan_prediction(chosen)->stall_seconds;
            compared++;
            gained += b < a * 0.98 - 1e-6;
            if (b > a * 1.0002 + 1e-6 && w.request.virtual_vram_bytes != DT2_UNKNOWN)
                broken = "a choice is not worse than virtual VRAM";
            if (b <= a * 0.9999 - 1e-6 && runs_of(chosen) == 0)
                broken = "blocks lie somewhere";
        }
        if (broken)
            diag("round %u, seed %" PRIu64, round, seed);
        dt2_plan_free(plain);
        dt2_plan_free(chosen);
        dt2_devices_free(w.devices);
    }
    ok(!broken, "%u choices beside virtual VRAM: %s", compared, broken ? broken : "none is worse");
    ok(gained > rounds / 150, "and %u are better", gained);
}

static void test_refusals(void)
{
    struct dt2_devices *devices = NULL;
    struct dt2_plan *plan = NULL;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_block block = { .name = "b", .bytes = 100 };
    struct dt2_error err;
    const char *text = "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":100000000000}]}";
    dt2_devices_parse(text, strlen(text), &devices, NULL);
    request.flags = DT2_REQUEST_AUTO;
    ok(dt2_plan_make(devices, &block, 1, &request, &plan, NULL) == 0, "one memory: all of it there");
    dt2_plan_free(plan);
    request.expert_mode_allocations = "cpu,*";
    is_int(dt2_plan_make(devices, &block, 1, &request, &plan, &err), DT2_EUSAGE, "chosen or given, not both");
    dt2_devices_free(devices);
}

int main(void)
{
    seed_random(20261130);
    test_few();
    test_never_worse();
    test_refusals();
    return done_testing();
}
