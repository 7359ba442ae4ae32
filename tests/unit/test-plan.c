/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans against those of an independent planner, and against refusals with known numbers. */
#include "base/checked.h"
#include "support/model.h"
#include "support/tap.h"
#include <distorch2.h>
#include <jansson.h>

#define SD15_BYTES 722558240
#define GIB (1ull << 30)

static struct dt2_devices *machine;
static struct dt2_blocks *sd15;
static struct dt2_file *sd15_file;

static struct dt2_devices *machine_from(const char *text)
{
    struct dt2_devices *devices = NULL;
    struct dt2_error err;
    if (dt2_devices_parse(text, strlen(text), &devices, &err) < 0)
        layout_die("the test's machine: %s", err.text);
    return devices;
}

static void load_fixtures(void)
{
    char path[] = "/tmp/dt2-plan-XXXXXX";
    int fd = mkstemp(path);
    struct dt2_error err;
    close(fd);
    sparse_model("control_v11p_sd15_canny_fp16", path);
    if (dt2_file_open(path, &sd15_file, &err) < 0 || dt2_blocks_make(sd15_file, &sd15, &err) < 0)
        layout_die("%s", err.text);
    unlink(path);

    json_t *json = json_load_file(source_path("tests/data/plans/machine.json"), 0, NULL);
    char *text = json_dumps(json, 0);
    machine = machine_from(text);
    free(text);
    json_decref(json);
}

/* -- conformance ------------------------------------------------------------------------------------------ */

static void compare_share(const struct dt2_share *share, const json_t *wanted, const char *what)
{
    is_str(share->device, json_string_value(json_object_get(wanted, "device")), "%s: device", what);
    is_u64(share->bytes, (uint64_t)json_integer_value(json_object_get(wanted, "bytes")), "%s %s: bytes", what,
           share->device);
    is_u64(share->block_count, (uint64_t)json_integer_value(json_object_get(wanted, "blocks")), "%s %s: blocks", what,
           share->device);
    const json_t *first = json_object_get(wanted, "first"), *last = json_object_get(wanted, "last");
    if (json_is_integer(first) && share->block_count > 0) {
        is_u64(share->blocks[0], (uint64_t)json_integer_value(first), "%s %s: first block", what, share->device);
        is_u64(share->blocks[share->block_count - 1], (uint64_t)json_integer_value(last), "%s %s: last block", what,
               share->device);
    }
}

static void test_conformance(void)
{
    json_t *cases = json_load_file(source_path("tests/data/plans/sd15.json"), 0, NULL), *one;
    size_t i;
    ok(json_array_size(cases) >= 20, "the cases are there");
    json_array_foreach(cases, i, one)
    {
        json_t *asked = json_object_get(one, "request"), *shares = json_object_get(one, "shares");
        struct dt2_request request = DT2_REQUEST_INIT;
        struct dt2_plan *plan = NULL;
        struct dt2_error err = { 0 };
        char donors[256] = "", what[256];
        for (size_t j = 0; j < json_array_size(json_object_get(asked, "donors")); j++)
            snprintf(donors + strlen(donors), sizeof donors - strlen(donors), "%s%s", j ? "," : "",
                     json_string_value(json_array_get(json_object_get(asked, "donors"), j)));
        request.compute_device = json_string_value(json_object_get(asked, "compute"));
        request.donor_device = donors;
        request.expert_mode_allocations = json_string_value(json_object_get(asked, "expert"));
        request.pack = json_is_true(json_object_get(asked, "pack"));
        dt2_gib_parse(json_string_value(json_object_get(asked, "V")), &request.virtual_vram_bytes, NULL);
        snprintf(what, sizeof what, "V %s, expert '%s'%s", json_string_value(json_object_get(asked, "V")),
                 request.expert_mode_allocations, request.pack ? ", packed" : "");
        if (!ok(dt2_plan_make(machine, dt2_blocks_array(sd15), dt2_blocks_count(sd15), &request, &plan, &err) == 0,
                "%s: planned", what)) {
            diag("%s", err.text);
            continue;
        }
        is_u64(dt2_plan_share_count(plan), json_array_size(shares), "%s: shares", what);
        for (size_t j = 0; j < dt2_plan_share_count(plan) && j < json_array_size(shares); j++)
            compare_share(dt2_plan_share(plan, j), json_array_get(shares, j), what);
        dt2_plan_free(plan);
    }
    json_decref(cases);
}

/* -- one case at a time ------------------------------------------------------------------------------------- */

static int plan_on(const struct dt2_devices *devices, struct dt2_request *request, struct dt2_plan **plan,
                   struct dt2_error *err)
{
    *plan = NULL;
    return dt2_plan_make(devices, dt2_blocks_array(sd15), dt2_blocks_count(sd15), request, plan, err);
}

static bool warns(const struct dt2_plan *plan, const char *part)
{
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        if (strstr(dt2_plan_warning(plan, i), part))
            return true;
    return false;
}

static void test_words(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err;

    request.expert_mode_allocations = "cuda:0,1gb;cpu,*";
    plan_on(machine, &request, &plan, &err);
    ok(warns(plan, "cpu gets nothing"), "a wildcard that gets nothing is said");
    ok(!warns(plan, "virtual VRAM"), "nobody asked for virtual VRAM: a complete string says nothing of it");
    is_u64(dt2_plan_share(plan, 1)->quota_bytes, DT2_UNKNOWN, "a wildcard has no quota");
    ok(dt2_plan_share(plan, 1)->absorbs, "it absorbs");
    dt2_plan_free(plan);

    request.virtual_vram_bytes = GIB;
    plan_on(machine, &request, &plan, &err);
    ok(warns(plan, "virtual VRAM is not used"), "where V was asked for, a complete string says that it is not used");
    dt2_plan_free(plan);

    request.expert_mode_allocations = "cuda:0,50%;cpu,100mb*";
    plan_on(machine, &request, &plan, &err);
    ok(warns(plan, "more than the 104857600 expected"), "a wildcard above what was expected is said");
    is_u64(dt2_plan_share(plan, 0)->quota_bytes, SD15_BYTES / 2, "half the model is the quota");
    dt2_plan_free(plan);

    request.expert_mode_allocations = "cuda:0,8%;cuda:1,8%;cpu,4%";
    plan_on(machine, &request, &plan, &err);
    is_u64(dt2_plan_share(plan, 0)->quota_bytes, 289023296, "relative ratio: first quota");
    is_u64(dt2_plan_share(plan, 2)->quota_bytes, 144511648, "relative ratio: last quota");
    dt2_plan_free(plan);

    request.expert_mode_allocations = "cuda:0,0.01;cpu,0.01";
    plan_on(machine, &request, &plan, &err);
    is_u64(dt2_plan_share(plan, 0)->quota_bytes, 257698037, "a hundredth of 24 GiB, rounded down");
    is_u64(dt2_plan_share(plan, 1)->quota_bytes, 687194767, "a hundredth of 64 GiB, rounded down");
    dt2_plan_free(plan);

    request = (struct dt2_request)DT2_REQUEST_INIT;
    request.donor_device = "cuda:0";
    plan_on(machine, &request, &plan, &err);
    is_u64(dt2_plan_share_count(plan), 1, "no donor but the compute device: one share");
    ok(warns(plan, "all stays on cuda:0"), "and it is said");
    is_u64(dt2_plan_window_bytes(plan), 0, "nothing streams, no window");
    dt2_plan_free(plan);

    request.donor_device = NULL;
    request.compute_device = "cpu";
    plan_on(machine, &request, &plan, &err);
    ok(!warns(plan, "all stays on"), "where neither V nor a donor was asked for, it is not");
    dt2_plan_free(plan);

    request = (struct dt2_request)DT2_REQUEST_INIT;
    request.virtual_vram_bytes = 0;
    plan_on(machine, &request, &plan, &err);
    is_u64(dt2_plan_warning_count(plan), 0, "all is to stay, and no donor was named: nothing to say");
    dt2_plan_free(plan);
    request.donor_device = "cpu";
    plan_on(machine, &request, &plan, &err);
    ok(warns(plan, "cpu gets nothing"), "a donor that was named and gets nothing is told");
    dt2_plan_free(plan);
}

static void test_window(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err;
    uint64_t largest = 0;
    request.expert_mode_allocations = "cuda:0,50%;cpu,*";
    plan_on(machine, &request, &plan, &err);
    const struct dt2_share *cpu = dt2_plan_share(plan, 1), *gpu = dt2_plan_share(plan, 0);
    for (size_t i = 0; i < cpu->block_count; i++)
        largest = dt2_max(largest, dt2_blocks_array(sd15)[cpu->blocks[i]].bytes);
    is_u64(dt2_plan_window_bytes(plan), 2 * largest, "the window is twice the largest block that streams");
    is_u64(gpu->cost_bytes, gpu->bytes + 2 * largest, "the compute device is charged with it");
    is_u64(cpu->cost_bytes, cpu->bytes, "the donor is not");
    dt2_plan_free(plan);
}

/* Every refusal: what code, what words. */
static void test_refusals(void)
{
    static const struct dt2_limit tebibyte = { "cuda:0", 1ull << 40 }, small = { "cuda:0", 100 << 20 },
                                  tiny_cpu = { "cpu", 10 << 20 };
    static const struct {
        const char *what;
        const char *compute, *donor, *expert;
        uint64_t v;
        const struct dt2_limit *reserve, *budget;
        int code;
        const char *text, *suggestion;
    } cases[] = {
        { "a reserve above the device", "cuda:0", "cpu", NULL, 0, &tebibyte, NULL, DT2_ENOFIT,
          "budget cuda:0 is short by 722558240 bytes", "no placement on this machine fits with cuda:0 computing" },
        { "a budget outright", "cuda:0", "cpu", NULL, 0, NULL, &small, DT2_ENOFIT, "budget cuda:0 is short by 617700640 bytes",
          "--virtual-vram-gb" },
        { "a donor that is short", "cuda:0", "cpu", NULL, 4 * GIB, NULL, &tiny_cpu, DT2_ENOFIT, "budget cpu is short by",
          "--virtual-vram-gb 0.0" },
        { "an expert string that does not fit", "cuda:0", "cpu", "cuda:0,*", 0, NULL, &small, DT2_ENOFIT,
          "budget cuda:0 is short", "--expert-mode-allocations 'cuda:0,*;cpu,645.798mb' would fit" },
        { "an unknown device", "cuda:0", "cpu", "cuda:9,50%;cpu,*", 0, NULL, NULL, DT2_ENOENT, "\n  ^", "cuda:" },
        { "an unknown compute device", "cuda:7", "cpu", NULL, 0, NULL, NULL, DT2_ENOENT, "cuda:7", "cuda:" },
        { "an unknown donor", "cuda:0", "cpu,cuda:5", NULL, 0, NULL, NULL, DT2_ENOENT, "\n      ^", "cuda:" },
        { "a missing donor", "cuda:0", "cpu,,cuda:1", NULL, 0, NULL, NULL, DT2_EUSAGE, "\n      ^", "" },
        { "one device twice", "cuda:0", "cpu", "cuda:1,1mb;cuda:1,2mb", 0, NULL, NULL, DT2_EUSAGE, "\n             ^", "" },
        { "too much virtual VRAM", "cuda:0", "cpu", NULL, 128 * GIB + 1, NULL, NULL, DT2_EUSAGE, "outside 0.0 to 128.0", "" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_request request = DT2_REQUEST_INIT;
        struct dt2_plan *plan;
        struct dt2_error err = { 0 };
        request.compute_device = cases[i].compute;
        request.donor_device = cases[i].donor;
        request.expert_mode_allocations = cases[i].expert;
        request.virtual_vram_bytes = cases[i].v;
        request.reserves = cases[i].reserve;
        request.reserve_count = cases[i].reserve != NULL;
        request.budgets = cases[i].budget;
        request.budget_count = cases[i].budget != NULL;
        is_int(plan_on(machine, &request, &plan, &err), cases[i].code, "%s: code", cases[i].what);
        if (!ok(strstr(err.text, cases[i].text), "%s: text", cases[i].what))
            diag("%s", err.text);
        if (!ok(strstr(err.suggestion, cases[i].suggestion), "%s: suggestion", cases[i].what))
            diag("%s", err.suggestion);
        ok(plan == NULL, "%s: no plan", cases[i].what);
    }
}

/* A block that lists no tensors is one; a list that does not sum to the block is refused. */
static void test_lists(void)
{
    const uint64_t parts[] = { 60, 40 };
    const struct dt2_block large[] = { { .name = "a", .bytes = 100 * GIB }, { .name = "b", .bytes = 100 * GIB } };
    const struct dt2_block wrong = { .name = "w", .bytes = 101, .tensor_bytes = parts, .tensor_count = 2 };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_limit budget = { "cuda:0", 8 * GIB };
    struct dt2_plan *plan = NULL;
    struct dt2_error err = { 0 };
    request.compute_device = "cuda:0";
    request.virtual_vram_bytes = 0;
    request.budgets = &budget;
    request.budget_count = 1;
    is_int(dt2_plan_make(machine, large, 2, &request, &plan, &err), DT2_ENOFIT, "200 GiB without lists do not fit 8");
    ok(strstr(err.text, "budget cuda:0 is short by 206158430208 bytes"), "they are charged: %s", err.text);
    is_int(dt2_plan_make(machine, &wrong, 1, &request, &plan, &err), DT2_EUSAGE, "a list of other bytes is refused");
    ok(strstr(err.text, "block w has 101 bytes, but its 2 tensors have 100"), "in words: %s", err.text);
    ok(plan == NULL, "no plan comes of it");
}

/* Blocks by name: exactly where they were sent, counted in quotas, with what is wrong told. */
static void test_place(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    request.compute_device = "cuda:0";
    request.expert_mode_allocations = "cuda:0,50%;cpu,*";
    request.place = "control_model.middle_block.*=cuda:1; time_embed.*=cpu ;*zero_convs*=cpu";
    is_int(plan_on(machine, &request, &plan, &err), 0, "a request with places%s%s", *err.text ? ": " : "", err.text);
    if (!plan)
        return;
    bool there = true;
    uint64_t bytes[3] = { 0 };
    for (size_t i = 0; i < dt2_blocks_count(sd15); i++) {
        const struct dt2_block *block = &dt2_blocks_array(sd15)[i];
        const char *device = dt2_plan_share(plan, dt2_plan_block_share(plan, i))->device;
        if (strncmp(block->name, "control_model.middle_block.", 27) == 0)
            there &= strcmp(device, "cuda:1") == 0;
        else if (strstr(block->name, "zero_convs"))
            there &= strcmp(device, "cpu") == 0;
        else
            there &= strcmp(device, "cuda:1") != 0;
        bytes[strcmp(device, "cuda:0") == 0 ? 0 : strcmp(device, "cuda:1") == 0 ? 1 : 2] += block->bytes;
    }
    ok(there, "every block is where a pattern sends it, and no other");
    ok(bytes[1] > 0 && bytes[0] > 0 && bytes[0] <= 361279120, "a quota counts what was placed");
    is_u64(bytes[0] + bytes[1] + bytes[2], 722558240, "all are placed");
    ok(warns(plan, "no block or tensor is left for time_embed.*=cpu"), "a pattern that matches nothing is told");
    dt2_plan_free(plan);
    request.place = "a=cuda:0;b=cuda:9";
    is_int(plan_on(machine, &request, &plan, &err), DT2_ENOENT, "an unknown device");
    ok(strstr(err.text, "\n             ^"), "has a caret: %s", err.text);
    request.place = "a=cuda:0;b";
    is_int(plan_on(machine, &request, &plan, &err), DT2_EUSAGE, "a pattern without device");
    ok(strstr(err.text, "place: '='"), "says what is missing");
    request.place = "*middle_block.0.in_layers.0.weight=cuda:1";
    is_int(plan_on(machine, &request, &plan, &err), DT2_EUSAGE, "one tensor of a block");
    ok(strstr(err.text, "placed as one") && strstr(err.suggestion, "dt2_blocks_cut"), "is refused: %s", err.text);
    request.place = NULL;
    request.resident = true;
    is_int(plan_on(machine, &request, &plan, &err), 0, "a request without window");
    is_u64(dt2_plan_window_bytes(plan), 0, "charges none");
    dt2_plan_free(plan);
}

/* What is suggested beside an expert string was planned: with the window, and what the driver takes once. */
static void test_expert_hint(const char *expert, uint64_t bytes, bool any)
{
    struct dt2_limit budget = { "cuda:0", bytes };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    char allocations[128] = "";
    request.compute_device = "cuda:0";
    request.expert_mode_allocations = expert;
    request.budgets = &budget;
    request.budget_count = 1;
    is_int(plan_on(machine, &request, &plan, &err), DT2_ENOFIT, "%s does not fit %" PRIu64, expert, bytes);
    sscanf(err.suggestion, "--expert-mode-allocations '%127[^']'", allocations);
    if (!ok(*allocations ? any : !any && strstr(err.suggestion, "no placement on this machine"), "something is suggested only if it was found"))
        diag("%s", err.suggestion);
    if (!*allocations)
        return;
    request.expert_mode_allocations = allocations;
    is_int(plan_on(machine, &request, &plan, &err), 0, "%s does", allocations);
    dt2_plan_free(plan);
}

/* What a refusal suggests fits, and nothing nearer does. */
static void test_suggestion(void)
{
    struct dt2_limit budget = { "cuda:0", 300 << 20 };
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    request.virtual_vram_bytes = GIB / 10;
    request.budgets = &budget;
    request.budget_count = 1;
    is_int(plan_on(machine, &request, &plan, &err), DT2_ENOFIT, "a tenth of a GiB off does not fit 300 MiB");
    char number[32] = "";
    sscanf(err.suggestion, "--virtual-vram-gb %31s", number);
    uint64_t suggested = 0;
    dt2_gib_parse(number, &suggested, NULL);
    request.virtual_vram_bytes = suggested;
    is_int(plan_on(machine, &request, &plan, &err), 0, "the suggested %s fits", number);
    dt2_plan_free(plan);
    bool fits = false;
    for (uint64_t step = 11; step * GIB / 100 + 1 < suggested; step++) {
        request.virtual_vram_bytes = step * GIB / 100 + 1;
        fits |= plan_on(machine, &request, &plan, NULL) == 0;
    }
    ok(!fits, "nothing between the request and the suggestion does");
}

/* -- host nodes --------------------------------------------------------------------------------------------- */

static const char two_nodes[] =
    "{\"devices\":["
    "{\"name\":\"cpu\",\"aliases\":[],\"driver\":\"host\",\"kind\":\"host\",\"vendor\":null,\"model\":null,\"pci\":null,\"uuid\":null,"
    "\"numa_node\":null,\"total_bytes\":17179869184,\"free_bytes\":17179869184,\"budgets\":[\"cpu\"],\"links\":[]},"
    "{\"name\":\"cpu:0\",\"aliases\":[],\"driver\":\"host\",\"kind\":\"host\",\"vendor\":null,\"model\":null,\"pci\":null,\"uuid\":null,"
    "\"numa_node\":0,\"total_bytes\":8589934592,\"free_bytes\":8589934592,\"budgets\":[\"cpu:0\",\"cpu\"],\"links\":[]},"
    "{\"name\":\"cpu:1\",\"aliases\":[],\"driver\":\"host\",\"kind\":\"host\",\"vendor\":null,\"model\":null,\"pci\":null,\"uuid\":null,"
    "\"numa_node\":1,\"total_bytes\":8589934592,\"free_bytes\":8589934592,\"budgets\":[\"cpu:1\",\"cpu\"],\"links\":[]},"
    "{\"name\":\"cuda:0\",\"aliases\":[],\"driver\":\"cuda\",\"kind\":\"gpu\",\"vendor\":null,\"model\":null,\"pci\":null,\"uuid\":null,"
    "\"numa_node\":1,\"total_bytes\":25769803776,\"free_bytes\":25769803776,\"budgets\":[\"cuda:0\"],\"links\":[]}],"
    "\"budgets\":[{\"name\":\"cpu\",\"total_bytes\":17179869184,\"free_bytes\":17179869184},"
    "{\"name\":\"cpu:0\",\"total_bytes\":8589934592,\"free_bytes\":8589934592},"
    "{\"name\":\"cpu:1\",\"total_bytes\":8589934592,\"free_bytes\":8589934592},"
    "{\"name\":\"cuda:0\",\"total_bytes\":25769803776,\"free_bytes\":25769803776}],"
    "\"unusable\":[],\"numa_distances\":[[10,21],[21,10]]}";

static void test_nodes(void)
{
    struct dt2_devices *devices = machine_from(two_nodes);
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    const struct dt2_limit near_is_small = { "cpu:1", 200 << 20 };

    is_int(plan_on(devices, &request, &plan, &err), 0, "virtual VRAM to cpu on two nodes");
    is_u64(dt2_plan_share_count(plan), 3, "the GPU and two nodes");
    is_str(dt2_plan_share(plan, 1)->device, "cpu:1", "the node of the GPU comes first");
    is_str(dt2_plan_share(plan, 2)->device, "cpu:0", "then the other");
    ok(!dt2_plan_share(plan, 1)->absorbs && dt2_plan_share(plan, 2)->absorbs, "the last node absorbs");
    is_u64(dt2_plan_share(plan, 2)->bytes, 0, "and gets nothing while the near one has room");
    dt2_plan_free(plan);

    request.budgets = &near_is_small;
    request.budget_count = 1;
    is_int(plan_on(devices, &request, &plan, &err), 0, "the near node holds 200 MiB");
    const struct dt2_share *near_node = dt2_plan_share(plan, 1), *far_node = dt2_plan_share(plan, 2);
    ok(near_node->bytes <= 200 << 20 && near_node->bytes > 190 << 20, "it is filled up to its budget");
    ok(near_node->blocks[near_node->block_count - 1] < far_node->blocks[0], "from the front of the run");
    dt2_plan_free(plan);

    request.expert_mode_allocations = "cuda:0,*;cpu,300mb";
    is_int(plan_on(devices, &request, &plan, &err), 0, "cpu takes from the back, and does not absorb");
    near_node = dt2_plan_share(plan, 1), far_node = dt2_plan_share(plan, 2);
    is_str(near_node->device, "cpu:1", "the near node stands first");
    ok(near_node->bytes <= 200 << 20 && near_node->bytes + far_node->bytes <= 300 << 20, "both stay within node and quota");
    ok(near_node->blocks[near_node->block_count - 1] + 1 == far_node->blocks[0], "the run is cut from its front");
    is_u64(far_node->blocks[far_node->block_count - 1], dt2_blocks_count(sd15) - 1, "and reaches the end of the model");
    dt2_plan_free(plan);

    request.expert_mode_allocations = "cpu,1gb;cpu:1,*";
    is_int(plan_on(devices, &request, &plan, &err), DT2_EUSAGE, "cpu and one of its nodes are one device twice");

    request = (struct dt2_request)DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    is_int(plan_on(devices, &request, &plan, &err), 0, "compute on cpu");
    is_str(dt2_plan_share(plan, 0)->device, "cpu:0", "without a locality, nodes stand by index");
    is_u64(dt2_plan_window_bytes(plan), 0, "host memory is used in place");
    dt2_plan_free(plan);

    /* A node that computes holds the window of what streams to it from the others. */
    const struct dt2_limit computes_and_is_small = { "cpu:0", 200 << 20 };
    request.compute_device = "cpu:0";
    request.expert_mode_allocations = "cpu,*";
    request.budgets = &computes_and_is_small;
    request.budget_count = 1;
    is_int(plan_on(devices, &request, &plan, &err), 0, "cpu is cut into nodes of which a small one computes: %s", err.text);
    is_str(dt2_plan_share(plan, 0)->device, "cpu:0", "which stands first");
    uint64_t cost = dt2_plan_share(plan, 0)->cost_bytes; /* which the window is part of */
    ok(dt2_plan_window_bytes(plan) > 0 && cost <= 200 << 20, "it has room for the window beside its share");
    ok(cost > 150 << 20, "and little that is left over");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
}

static void test_allocation_limit(void)
{
    static const char text[] =
        "{\"devices\":[{\"name\":\"opencl:0\",\"aliases\":[],\"driver\":\"opencl\",\"kind\":\"gpu\",\"vendor\":null,\"model\":null,"
        "\"pci\":null,\"uuid\":null,\"numa_node\":null,\"total_bytes\":8589934592,\"free_bytes\":null,\"alignment_bytes\":4096,"
        "\"max_alloc_bytes\":16777216,\"budgets\":[\"opencl:0\"],\"links\":[]},"
        "{\"name\":\"cpu\",\"aliases\":[\"cpu:0\"],\"driver\":\"host\",\"kind\":\"host\",\"vendor\":null,\"model\":null,\"pci\":null,"
        "\"uuid\":null,\"numa_node\":0,\"total_bytes\":17179869184,\"free_bytes\":17179869184,\"budgets\":[\"cpu\"],\"links\":[]}],"
        "\"budgets\":[{\"name\":\"opencl:0\",\"total_bytes\":8589934592,\"free_bytes\":null},"
        "{\"name\":\"cpu\",\"total_bytes\":17179869184,\"free_bytes\":17179869184}],\"unusable\":[]}";
    struct dt2_devices *devices = machine_from(text);
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    request.virtual_vram_bytes = 0;
    is_int(plan_on(devices, &request, &plan, &err), DT2_ENOFIT, "a tensor above the largest allocation is refused");
    ok(strstr(err.text, "largest allocation of opencl:0, 16777216"), "with device and limit");
    request.expert_mode_allocations = "opencl:0,50mb;cpu,*";
    is_int(plan_on(devices, &request, &plan, &err), 0, "small ones fit");
    ok(warns(plan, "free memory of opencl:0 is unknown: its total"), "unknown free memory is said");
    const struct dt2_share *share = dt2_plan_share(plan, 0);
    uint64_t cost = 0;
    for (size_t i = 0; i < share->block_count; i++) {
        const struct dt2_block *block = &dt2_blocks_array(sd15)[share->blocks[i]];
        for (size_t j = 0; j < block->tensor_count; j++)
            cost += (block->tensor_bytes[j] + 4095) / 4096 * 4096;
    }
    is_u64(share->cost_bytes - dt2_plan_window_bytes(plan), cost, "each tensor costs what its alignment makes of it");
    dt2_plan_free(plan);
    dt2_devices_free(devices);
}

static void test_json(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_plan *plan, *again;
    request.expert_mode_allocations = "cuda:0,50%;cpu,*";
    plan_on(machine, &request, &plan, NULL);
    plan_on(machine, &request, &again, NULL);
    char *text = dt2_plan_json(plan, NULL), *same = dt2_plan_json(again, NULL);
    is_str(text, same, "the same request gives the same plan");
    json_t *json = json_loads(text, 0, NULL);
    ok(json_is_null(json_object_get(json, "model")), "no file, no model");
    json_t *shares = json_object_get(json, "shares");
    ok(json_is_null(json_object_get(json_array_get(shares, 1), "quota_bytes")), "a wildcard's quota is null");
    is_u64(json_array_size(json_object_get(json_array_get(shares, 0), "blocks")), 149, "blocks by name");
    json_decref(json);
    dt2_text_free(text);
    dt2_text_free(same);
    dt2_plan_free(plan);
    dt2_plan_free(again);
}

/* What is written is read as it was, whatever the request. */
static void test_round_trip(void)
{
    static const char *const amounts[] = { "%d.5%%", "%dmb", "0.0%d" };
    struct dt2_limit reserve = { "cuda:1", 300 << 20 };
    unsigned rounds = random_rounds(300), same = 0, planned = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct dt2_request request = DT2_REQUEST_INIT;
        struct dt2_plan *plan = NULL, *again = NULL;
        char string[128] = "", amount[32];
        size_t kind = random_below(DT2_COUNT(amounts) + 1);
        for (int d = 0; kind < DT2_COUNT(amounts) && d < 2; d++) {
            snprintf(amount, sizeof amount, amounts[kind], (int)(1 + random_below(48)));
            snprintf(string + strlen(string), sizeof string - strlen(string), "cuda:%d,%s;", d, amount);
        }
        if (string[0] && random_below(2))
            strcat(string, "cpu,*");
        request.expert_mode_allocations = string;
        request.virtual_vram_bytes = random_below(GIB);
        request.pack = random_below(2);
        request.reserves = &reserve;
        request.reserve_count = random_below(2);
        request.place = random_below(2) ? "*zero_convs*=cpu" : NULL;
        if (plan_on(machine, &request, &plan, NULL) < 0)
            continue;
        planned++;
        char *text = dt2_plan_json(plan, sd15_file);
        dt2_plan_parse(text, strlen(text), sd15_file, sd15, &again, NULL);
        char *written = again ? dt2_plan_json(again, sd15_file) : NULL;
        same += written && strcmp(text, written) == 0;
        dt2_text_free(text);
        dt2_text_free(written);
        dt2_plan_free(plan);
        dt2_plan_free(again);
    }
    is_u64(same, planned, "plans are read as they were written");
    ok(planned > rounds / 2, "and there were some");
}

int main(void)
{
    seed_random(20261130);
    load_fixtures();
    test_conformance();
    test_words();
    test_window();
    test_refusals();
    test_suggestion();
    test_lists();
    test_place();
    test_expert_hint("cuda:0,500mb;cpu,*", 300 << 20, true);
    test_expert_hint("cuda:0,80%;cuda:1,20%", 200 << 20, true);
    test_expert_hint("cuda:0,*", 100 << 20, true);
    test_expert_hint("cuda:0,500mb;cpu,*", 10 << 20, false); /* the window alone is above that */
    test_nodes();
    test_allocation_limit();
    test_json();
    test_round_trip();
    dt2_blocks_free(sd15);
    dt2_file_free(sd15_file);
    dt2_devices_free(machine);
    return done_testing();
}
