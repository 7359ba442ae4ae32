/* SPDX-License-Identifier: BSD-3-Clause */
/* What plans predict: on machines whose speeds are known, figures that can be worked out by hand; on random ones, what must hold. */
#include "support/world.h"

#define MB ((uint64_t)1000000)

/* "cpu" and two GPUs of different makers; text goes into their links to the host, and into the speeds. */
static struct dt2_devices *machine(const char *cuda_link, const char *hip_link, const char *more)
{
    char text[4096];
    snprintf(text, sizeof text,
             "{\"devices\":["
             "{\"name\":\"cpu\",\"total_bytes\":100000000000},"
             "{\"name\":\"cuda:0\",\"total_bytes\":100000000000,\"open_ms\":0,\"links\":[{\"to\":\"cpu\",\"delay_us\":0,%s}]},"
             "{\"name\":\"hip:0\",\"total_bytes\":100000000000,\"open_ms\":0,\"links\":[{\"to\":\"cpu\",\"delay_us\":0,%s}]}],"
             "\"speeds\":{\"memory_gbps\":10,\"fresh_gbps\":20,\"touched_gbps\":20,\"cold_gbps\":2%s}}",
             cuda_link, hip_link, more);
    struct dt2_devices *devices = NULL;
    struct dt2_error err;
    if (dt2_devices_parse(text, strlen(text), &devices, &err) < 0) {
        diag("%s", err.text);
        exit(1);
    }
    return devices;
}

#define BLOCKS 20
static struct dt2_block blocks[BLOCKS];

static void make_blocks(uint64_t each)
{
    static char names[BLOCKS][8];
    for (size_t i = 0; i < BLOCKS; i++) {
        snprintf(names[i], sizeof names[i], "b%zu", i);
        blocks[i] = (struct dt2_block){ .name = names[i], .bytes = each };
    }
}

static struct dt2_plan *plan_of(const struct dt2_devices *devices, const char *expert, uint64_t step_ns)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan = NULL;
    struct dt2_error err;
    request.compute_device = "cuda:0";
    request.expert_mode_allocations = expert;
    request.step_ns = step_ns;
    if (dt2_plan_make(devices, blocks, BLOCKS, &request, &plan, &err) < 0) {
        diag("%s", err.text);
        exit(1);
    }
    return plan;
}

static bool about(double found, double expected, double part)
{
    bool good = found >= expected * (1 - part) - 1e-9 && found <= expected * (1 + part) + 1e-9;
    if (!good)
        diag("found %g, expected %g", found, expected);
    return good;
}

/* 2 GB in 20 blocks, over 10 GB/s: 0.2 s a pass. */
static void test_passes(void)
{
    struct dt2_devices *devices = machine("\"measured_gbps\":10", "\"measured_gbps\":4,\"read_gbps\":4", "");
    make_blocks(100 * MB);
    struct dt2_plan *plan = plan_of(devices, "cpu,*", 0);
    const struct dt2_prediction *p = dt2_plan_prediction(plan);
    ok(about(p->transfer_seconds, 0.2, 0.01) && about(p->stall_seconds, 0.2, 0.01), "nothing computes: all of the transfer is stall");
    is_u64(p->streamed_bytes, 2000 * MB, "all of it streams");
    ok(!p->assumed && p->whole && !p->compute_estimated, "nothing is assumed where all was measured");
    dt2_plan_free(plan);
    plan = plan_of(devices, "cpu,*", 1000000000);
    ok(dt2_plan_prediction(plan)->stall_seconds < 0.001, "what computes for a second hides it");
    dt2_plan_free(plan);
    plan = plan_of(devices, "cpu,*", 200000000);
    ok(dt2_plan_prediction(plan)->stall_seconds < 0.12, "what computes as long as the transfer takes hides some of it");
    dt2_plan_free(plan);
    plan = plan_of(devices, "cuda:0,50%;cpu,*", 0);
    ok(about(dt2_plan_prediction(plan)->stall_seconds, 0.1, 0.15), "half of it streams: half the stall");
    dt2_plan_free(plan);
    plan = plan_of(devices, "cuda:0,*", 0);
    ok(dt2_plan_prediction(plan)->stall_seconds == 0 && dt2_plan_prediction(plan)->streamed_bytes == 0, "what lies there does not stream");
    dt2_plan_free(plan);
    plan = plan_of(devices, "hip:0,*", 0);
    ok(about(dt2_plan_prediction(plan)->stall_seconds, 0.5, 0.15), "another maker's card: both legs, and the slower one counts");
    dt2_plan_free(plan);
    plan = plan_of(devices, "cpu,*", DT2_UNKNOWN);
    ok(dt2_plan_prediction(plan)->compute_estimated && dt2_plan_prediction(plan)->compute_seconds > 0, "an estimate says that it is one");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
}

static void test_loads(void)
{
    struct dt2_devices *devices = machine("\"measured_gbps\":10,\"shared\":\"0000:00:01.0\"",
                                          "\"measured_gbps\":10,\"shared\":\"0000:00:02.0\"", "");
    make_blocks(100 * MB);
    struct dt2_plan *plan = plan_of(devices, "cuda:0,50%;hip:0,*", 0);
    const struct dt2_prediction *p = dt2_plan_prediction(plan);
    ok(about(p->load_seconds, 0.1, 0.01), "two links of their own: a gigabyte each at ten a second");
    ok(about(p->load_cold_seconds, 1, 0.01), "cold, the disk decides");
    ok(about(dt2_plan_share(plan, 0)->load_seconds, 0.1, 0.01), "and of one share");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
    devices = machine("\"measured_gbps\":10,\"shared\":\"0000:00:01.0\"", "\"measured_gbps\":10,\"shared\":\"0000:00:01.0\"", "");
    plan = plan_of(devices, "cuda:0,50%;hip:0,*", 0);
    ok(about(dt2_plan_prediction(plan)->load_seconds, 0.2, 0.01), "a link that both share counts once");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
    devices = machine("\"measured_gbps\":10", "\"measured_gbps\":1", "");
    plan = plan_of(devices, "cuda:0,50%;hip:0,*", 0);
    ok(about(dt2_plan_share(plan, 0)->load_seconds, 0.1, 0.01) && about(dt2_plan_share(plan, 1)->load_seconds, 1, 0.01),
       "each device in its own time");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
    devices = machine("\"nominal_gbps\":10", "\"measured_gbps\":1", "");
    plan = plan_of(devices, "cuda:0,*", 0);
    ok(dt2_plan_prediction(plan)->load_seconds > 0.2, "of a nominal rate not all is reached");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
}

/* The window that was asked for is charged, and a larger one waits no longer where blocks are unlike. */
/* What a load is told apart by: memory that was just taken, and copies one by one; and drivers that start. */
static void test_fresh(void)
{
    struct dt2_devices *devices = machine("\"measured_gbps\":10,\"fresh_gbps\":5", "\"measured_gbps\":10", ",\"start_ms\":300");
    struct dt2_plan *plan = plan_of(devices, "cuda:0,*", 0);
    ok(about(dt2_plan_prediction(plan)->load_seconds, 0.4, 0.01), "a load writes to memory that was just taken");
    ok(about(dt2_plan_prediction(plan)->start_seconds, 0.3, 0.01), "drivers start before");
    dt2_plan_free(plan);
    plan = plan_of(devices, "hip:0,*", 0);
    ok(about(dt2_plan_prediction(plan)->stall_seconds, 0.2, 0.1), "passes write to a window that is in use");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
}

static void test_window(void)
{
    struct dt2_devices *devices = machine("\"measured_gbps\":10", "\"measured_gbps\":4", "");
    struct dt2_request request = DT2_REQUEST_INIT;
    double stalls[2] = { 0 };
    make_blocks(20 * MB);
    blocks[7].bytes = 300 * MB;
    request.compute_device = "cuda:0";
    request.expert_mode_allocations = "cpu,*";
    request.step_ns = 100000000;
    for (int i = 0; i < 2; i++) {
        struct dt2_plan *plan = NULL;
        request.window_bytes = i ? 660 * MB : 1;
        dt2_plan_make(devices, blocks, BLOCKS, &request, &plan, NULL);
        is_u64(dt2_plan_window_bytes(plan), i ? 660 * MB : 300 * MB, i ? "the window is as asked" : "but holds the largest block");
        stalls[i] = dt2_plan_prediction(plan)->stall_seconds;
        dt2_plan_free(plan);
    }
    ok(stalls[1] < stalls[0], "through a larger window less is waited for");
    dt2_devices_free(devices);
}

static const char *check(const struct dt2_prediction *p)
{
    double whole = p->transfer_seconds + 1e-6;
    if (!(p->load_seconds >= 0 && p->load_cold_seconds >= 0 && p->transfer_seconds >= 0))
        return "times are not negative";
    if (p->stall_seconds > whole * 1.25 + 0.0001) /* beside the times in which the fetcher itself waits for a place */
        return "nothing waits longer than bytes are on their way";
    if (p->stall_seconds < (p->transfer_seconds - p->compute_seconds) * 0.75 - 0.0001) /* what is ahead at the ends may differ */
        return "what computing cannot hide is waited for";
    return NULL;
}

static void test_random(void)
{
    static struct world w;
    const char *broken = NULL;
    unsigned planned = 0, rounds = random_rounds(4000);
    for (unsigned round = 0; round < rounds && !broken; round++) {
        struct dt2_plan *plan = NULL;
        uint64_t seed = tap_random_state;
        w.roomy = random_below(4) > 0;
        make_model(&w);
        make_machine(&w);
        make_request(&w);
        w.request.step_ns = random_below(3) ? random_below(100000000) : DT2_UNKNOWN;
        if (dt2_plan_make(w.devices, w.blocks, w.count, &w.request, &plan, NULL) == 0) {
            const struct dt2_prediction *p = dt2_plan_prediction(plan);
            broken = check(p);
            planned++;
            if (broken)
                diag("round %u, seed %" PRIu64 ": transfer %g, stall %g, compute %g", round, seed, p->transfer_seconds,
                     p->stall_seconds, p->compute_seconds);
        }
        dt2_plan_free(plan);
        dt2_devices_free(w.devices);
    }
    ok(!broken, "what must hold of every prediction: %s", broken ? broken : "it does");
    ok(planned > rounds / 2, "of %u plans", planned);
}

int main(void)
{
    seed_random(20261129);
    test_passes();
    test_loads();
    test_fresh();
    test_window();
    test_random();
    return done_testing();
}
