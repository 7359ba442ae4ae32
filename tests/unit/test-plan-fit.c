/* SPDX-License-Identifier: BSD-3-Clause */
/* What a refusal suggests: it fits, and nothing nearer does; on random machines, models and requests that do not fit. */
#include "support/world.h"

#define GIB ((uint64_t)1 << 30)
#define STEP(v) ((v) / 100 * GIB + ((v) % 100 * GIB + 99) / 100)

static int plan(const struct world *w, const struct dt2_request *request, struct dt2_plan **made, struct dt2_error *err)
{
    *made = NULL;
    return dt2_plan_make(w->devices, w->blocks, w->count, request, made, err);
}

static bool fits(const struct world *w, const struct dt2_request *request)
{
    struct dt2_plan *made;
    int rc = plan(w, request, &made, NULL);
    dt2_plan_free(made);
    return rc == 0;
}

/* The value of an option in a suggestion; "" when it is not there. */
static void value_of(const char *suggestion, const char *option, char *out, size_t size)
{
    const char *at = strstr(suggestion, option);
    out[0] = '\0';
    if (!at)
        return;
    at += strlen(option) + 1;
    char end = *at == '\'' ? '\'' : ' ';
    at += *at == '\'';
    snprintf(out, size, "%.*s", (int)strcspn(at, (char[]){ end, '\0' }), at);
}

/* -- what was refused, as it would lie without limits -------------------------------------------------------------- */

static size_t index_of(const struct world *w, const char *name)
{
    size_t index = 0;
    dt2_devices_find(w->devices, name, &index, NULL);
    return index;
}

/* All host nodes count as "cpu". */
static size_t memory_of(const struct world *w, const struct dt2_plan *made, size_t block)
{
    const char *name = dt2_plan_share(made, dt2_plan_block_share(made, block))->device;
    return index_of(w, strncmp(name, "cpu", 3) == 0 ? "cpu" : name);
}

static struct dt2_plan *plan_without_limits(struct world *w)
{
    struct dt2_limit budgets[2 * DEVICES_MOST];
    struct dt2_request request = w->request;
    struct dt2_plan *made;
    size_t count = dt2_devices_budget_count(w->devices);
    for (size_t i = 0; i < count; i++)
        budgets[i] = (struct dt2_limit){ dt2_devices_budget(w->devices, i)->name, (uint64_t)1 << 60 };
    request.budgets = budgets;
    request.budget_count = count;
    return plan(w, &request, &made, NULL) == 0 ? made : NULL;
}

static uint64_t moved_bytes(const struct world *w, const struct dt2_plan *from, const struct dt2_plan *to)
{
    uint64_t moved = 0;
    for (size_t i = 0; i < w->count; i++)
        if (memory_of(w, from, i) != memory_of(w, to, i))
            moved += w->blocks[i].bytes;
    return moved;
}

/* -- by brute force ------------------------------------------------------------------------------------------------- */

/* Two devices in the order of the string: the fewest bytes that any cut moves, each tried by the planner. */
static uint64_t least_by_force(struct world *w, const struct dt2_plan *from, const char *first, const char *second)
{
    uint64_t least = UINT64_MAX;
    for (size_t at = 0; at <= w->count; at++) {
        char string[128];
        uint64_t bytes = 0;
        for (size_t i = 0; i < at; i++)
            bytes += w->blocks[i].bytes;
        snprintf(string, sizeof string, "%s,%" PRIu64 "b;%s,*", first, bytes, second);
        struct dt2_request request = w->request;
        struct dt2_plan *made;
        request.expert_mode_allocations = string;
        if (plan(w, &request, &made, NULL) == 0)
            least = dt2_min(least, moved_bytes(w, from, made));
        dt2_plan_free(made);
    }
    return least;
}

/* Whether the devices of one string stand in another, in the same order. */
static bool keeps_order(const char *asked, const char *suggested)
{
    while (*asked) {
        char device[32];
        snprintf(device, sizeof device, "%.*s,", (int)strcspn(asked, ","), asked);
        suggested = strstr(suggested, device);
        if (!suggested)
            return false;
        suggested += strlen(device);
        asked += strcspn(asked, ";");
        asked += *asked == ';';
    }
    return true;
}

static const char *check_expert(struct world *w, const char *suggested)
{
    if (!keeps_order(w->expert, suggested))
        return "the suggested string keeps the order of its devices";
    struct dt2_plan *from = plan_without_limits(w), *to;
    struct dt2_request request = w->request;
    request.expert_mode_allocations = suggested;
    const char *broken = plan(w, &request, &to, NULL) == 0 ? NULL : "the suggested string fits";
    char first[16], second[16];
    bool nodes = strstr(w->machine, "cpu:") != NULL; /* whose sizes round what "cpu" holds */
    if (!broken && from && !nodes && !w->request.pack && sscanf(w->expert, "%15[^,],%*[^;];%15[^,],%*[^;]", first, second) == 2 &&
        !strchr(strchr(w->expert, ';') + 1, ';') && dt2_plan_share_count(from) == 2 && dt2_plan_share_count(to) == 2) {
        uint64_t least = least_by_force(w, from, first, second);
        if (moved_bytes(w, from, to) > least)
            broken = "no cut moves fewer bytes";
    }
    dt2_plan_free(from);
    dt2_plan_free(to);
    return broken;
}

static const char *check_virtual(struct world *w, const char *suggested)
{
    struct dt2_request request = w->request;
    uint64_t v, asked = w->request.virtual_vram_bytes;
    if (dt2_gib_parse(suggested, &v, NULL) < 0)
        return "the suggested amount is one";
    request.virtual_vram_bytes = v;
    if (!fits(w, &request))
        return "the suggested amount fits";
    if (strlen(strchr(suggested, '.') + 1) != 2)
        return NULL; /* between two steps */
    uint64_t step = (v / GIB * 100 + v % GIB * 100 / GIB);
    uint64_t back = v > asked ? STEP(step - 1) : STEP(step + 1);
    request.virtual_vram_bytes = back;
    if (v > asked ? back >= asked && fits(w, &request) : back <= asked && fits(w, &request))
        return "one step nearer to the request does not";
    return NULL;
}

/* With the flag the suggestion is taken, and told. */
static const char *check_flag(struct world *w, const char *suggestion)
{
    struct dt2_request request = w->request;
    struct dt2_plan *made;
    request.flags = DT2_REQUEST_FIT;
    bool found = strstr(suggestion, " would fit") != NULL, told = false;
    if ((plan(w, &request, &made, NULL) == 0) != found)
        return "the flag takes what is suggested, and nothing else";
    for (size_t i = 0; made && i < dt2_plan_warning_count(made); i++)
        told |= strncmp(dt2_plan_warning(made, i), "made to fit: ", 13) == 0;
    dt2_plan_free(made);
    return told == found ? NULL : "that is told";
}

static unsigned virtuals, experts, nothing, sums, donors, finer;

static const char *check(struct world *w, const struct dt2_error *err)
{
    char gib[64], list[256], string[1024];
    value_of(err->suggestion, "--virtual-vram-gb", gib, sizeof gib);
    value_of(err->suggestion, "--donor-device", list, sizeof list);
    value_of(err->suggestion, "--expert-mode-allocations", string, sizeof string);
    const char *broken = check_flag(w, err->suggestion);
    if (list[0]) {
        donors++;
        w->request.donor_device = list;
    }
    if (!broken && gib[0]) {
        virtuals++;
        finer += strlen(strchr(gib, '.') + 1) != 2;
        broken = check_virtual(w, gib);
    } else if (!broken && string[0]) {
        experts++;
        broken = check_expert(w, string);
    } else if (!broken && !list[0]) {
        nothing++;
        if (!strstr(err->suggestion, "no placement on this machine"))
            broken = "it says that nothing fits";
        sums += strstr(err->suggestion, "all budgets together hold") != NULL;
    }
    return broken;
}

/* Gigabytes in blocks of like sizes: steps of 0.01 GiB are small, and much fits somewhere. */
static void make_large(struct world *w)
{
    make_model(w);
    uint64_t most = (1 + random_below(8)) * GIB / w->count;
    w->model = 0;
    for (size_t i = 0; i < w->count; i++) {
        w->blocks[i].bytes = 0;
        for (size_t j = 0; j < w->blocks[i].tensor_count; j++)
            w->blocks[i].bytes += w->tensors[i][j] = 1 + random_below(most);
        w->model += w->blocks[i].bytes;
    }
}

int main(void)
{
    seed_random(20261129);
    static struct world w;
    unsigned rounds = random_rounds(4000), refused = 0, broken_count = 0;
    for (unsigned round = 0; round < rounds && broken_count < 5; round++) {
        uint64_t seed = tap_random_state;
        struct dt2_plan *made = NULL;
        struct dt2_error err;
        w.roomy = false;
        if (random_below(2))
            make_large(&w);
        else
            make_model(&w);
        make_machine(&w);
        make_request(&w);
        const char *broken = NULL;
        if (plan(&w, &w.request, &made, &err) == DT2_ENOFIT) {
            refused++;
            broken = check(&w, &err);
        }
        if (broken) {
            broken_count++;
            diag("round %u, seed %" PRIu64 ": %s\ncompute %s, V %" PRIu64 ", donors %s, expert '%s', pack %d, model %" PRIu64
                 " in %zu\n%s\n%s\n%s", round, seed, broken, w.compute, w.request.virtual_vram_bytes, w.donors, w.expert,
                 w.request.pack, w.model, w.count, w.machine, err.text, err.suggestion);
        }
        dt2_plan_free(made);
        dt2_devices_free(w.devices);
    }
    diag("%u refused: %u other amounts (%u finer than a step), %u strings, %u with more donors; nothing %u times, of which %u"
         " had too few bytes in all", refused, virtuals, finer, experts, donors, nothing, sums);
    ok(broken_count == 0, "what is suggested fits, and nothing nearer does");
    ok(virtuals > rounds / 50 && experts > rounds / 50 && nothing > 10 && donors > 10, "all kinds of suggestions were there");
    return done_testing();
}
