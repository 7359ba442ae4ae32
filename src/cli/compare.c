/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/compare.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

struct candidate {
    char *what;
    struct dt2_plan *plan; /* NULL: refused */
    struct dt2_error error;
};

struct comparison {
    const struct cli_planner *planner;
    const struct cli_options *options;
    const struct cli_model *model;
    struct candidate *candidates;
    size_t count;
};

/* `expert` and `donor` instead of the request's; NULL: as it has them. */
static void add(struct comparison *c, char *what, const char *expert, const char *donor, uint64_t flags)
{
    struct dt2_request request = c->options->request;
    struct candidate *made;
    c->candidates = cli_grow(c->candidates, c->count + 1, sizeof *c->candidates);
    made = &c->candidates[c->count++];
    *made = (struct candidate){ .what = what, .plan = NULL };
    if (expert)
        request.expert_mode_allocations = *expert ? expert : NULL;
    if (donor)
        request.donor_device = donor;
    if (expert)
        request.flags = flags;
    if (cli_planner_plan(c->planner, &request, c->model->blocks, &made->plan, &made->error))
        made->plan = NULL;
}

/* The device that computes, as some plan has it. */
static const char *compute_of(const struct comparison *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->candidates[i].plan)
            return dt2_plan_compute_device(c->candidates[i].plan);
    return NULL;
}

static void add_donors(struct comparison *c, const struct dt2_devices *devices, const char *compute)
{
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        bool node = strncmp(device->name, "cpu:", 4) == 0;
        if (!node && strcmp(device->name, compute) != 0)
            add(c, cli_format("donor %s", device->name), "", device->name, 0);
    }
}

static int add_all(struct comparison *c, struct dt2_error *err)
{
    struct dt2_devices *listed = NULL;
    const struct dt2_devices *devices = c->planner->saved;
    int rc = devices ? 0 : dt2_devices_list(c->planner->context, 0, &listed, err);
    if (rc)
        return rc;
    devices = devices ? devices : listed;
    add(c, cli_format("as asked"), NULL, NULL, 0);
    add(c, cli_format("host only"), "cpu,*", NULL, 0);
    const char *compute = c->options->request.compute_device;
    compute = compute_of(c) ? compute_of(c) : compute ? compute : dt2_devices_get(devices, dt2_devices_default(devices))->name;
    char *all = cli_format("%s,*", compute), *name = cli_format("%s", compute);
    add(c, cli_format("all on %s", name), all, NULL, 0);
    add_donors(c, devices, name);
    add(c, cli_format("--auto"), "", c->options->request.donor_device, DT2_REQUEST_AUTO);
    free(all);
    free(name);
    dt2_devices_free(listed);
    return 0;
}

static char *memory_text(const struct dt2_plan *plan)
{
    char *text = cli_format("%s", "");
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        char size[CLI_NUMBER_SIZE];
        if (share->bytes == 0)
            continue;
        char *longer = cli_format("%s%s%s %s", text, *text ? ", " : "", share->device,
                                  dt2_size_format(share->cost_bytes, size, sizeof size));
        free(text);
        text = longer;
    }
    return text;
}

static void print_table(const struct comparison *c)
{
    static const struct cli_column columns[] = {
        { "CANDIDATE", false, 0, 0 }, { "FITS", false, 0, 0 },      { "LOADS IN", true, 0, 0 },
        { "STALL", true, 0, 0 },      { "MEMORY", false, 20, 1 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < c->count; i++) {
        const struct candidate *candidate = &c->candidates[i];
        const struct dt2_prediction *p = candidate->plan ? dt2_plan_prediction(candidate->plan) : NULL;
        char number[CLI_NUMBER_SIZE];
        cli_table_text(table, candidate->what);
        cli_table_text(table, candidate->plan ? "yes" : "no");
        cli_table_text(table, p ? cli_seconds((uint64_t)(p->load_seconds * 1e9), number) : NULL);
        cli_table_text(table, p ? cli_seconds((uint64_t)(p->stall_seconds * 1e9), number) : NULL);
        char *memory = candidate->plan ? memory_text(candidate->plan) : cli_format("%s", candidate->error.text);
        cli_table_text(table, memory);
        free(memory);
    }
    cli_table_print(table, 0);
    cli_table_destroy(table);
}

/* A donor through which a pass waits longer than it would with the host in its place. */
static void print_verdicts(const struct comparison *c, unsigned indent)
{
    const struct candidate *host = NULL;
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->candidates[i].what, "donor cpu") == 0 && c->candidates[i].plan)
            host = &c->candidates[i];
    for (size_t i = 0; host && i < c->count; i++) {
        const struct candidate *candidate = &c->candidates[i];
        char its[CLI_NUMBER_SIZE], cpu[CLI_NUMBER_SIZE], bytes[CLI_NUMBER_SIZE];
        if (!candidate->plan || strncmp(candidate->what, "donor ", 6) != 0)
            continue;
        const struct dt2_prediction *p = dt2_plan_prediction(candidate->plan), *h = dt2_plan_prediction(host->plan);
        if (p->stall_seconds <= h->stall_seconds * 1.02 + 1e-4)
            continue;
        const char *donor = candidate->what + 6, *compute = dt2_plan_compute_device(candidate->plan);
        bool alike = strncmp(donor, compute, strcspn(donor, ":") + 1) == 0; /* of one driver */
        char *text = cli_format("%s lends %s to %s%s: %s a pass; cpu would take %s", donor,
                                dt2_size_format(p->streamed_bytes, bytes, sizeof bytes), compute, alike ? "" : " through the host",
                                cli_seconds((uint64_t)(p->stall_seconds * 1e9), its),
                                cli_seconds((uint64_t)(h->stall_seconds * 1e9), cpu));
        cli_print_paragraph(indent, indent + 2, text);
        free(text);
    }
}

static void print_json(const struct comparison *c)
{
    json_t *document = json_object(), *list = json_array();
    for (size_t i = 0; i < c->count; i++) {
        const struct candidate *candidate = &c->candidates[i];
        json_t *object = json_object();
        cli_json_set(object, "what", cli_json_text(candidate->what));
        cli_json_set(object, "fits", json_boolean(candidate->plan != NULL));
        cli_json_set(object, "message", cli_json_text(candidate->plan ? NULL : candidate->error.text));
        cli_json_set(object, "plan",
                     candidate->plan ? cli_json_parsed(dt2_plan_json(candidate->plan, c->model->file)) : json_null());
        cli_json_append(list, object);
    }
    cli_json_set(document, "candidates", list);
    cli_json_print(document);
}

static void clear(struct comparison *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->candidates[i].what);
        dt2_plan_free(c->candidates[i].plan);
    }
    free(c->candidates);
}

void cli_compare_donors(const struct cli_planner *planner, const struct cli_options *options, const struct cli_model *model,
                        const struct dt2_plan *plan, unsigned indent)
{
    struct comparison c = { .planner = planner, .options = options, .model = model };
    if (!options->request.donor_device || options->request.expert_mode_allocations || options->request.flags & DT2_REQUEST_AUTO)
        return;
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        if (share->bytes > 0 && share->stream_gbps > 0 && strncmp(share->device, "cpu", 3) != 0)
            add(&c, cli_format("donor %s", share->device), "", share->device, options->request.flags);
    }
    if (c.count > 0)
        add(&c, cli_format("donor cpu"), "", "cpu", options->request.flags);
    print_verdicts(&c, indent);
    clear(&c);
}

int cli_compare(const struct cli_planner *planner, const struct cli_options *options, const struct cli_model *model,
                struct dt2_error *err)
{
    struct comparison c = { .planner = planner, .options = options, .model = model };
    int rc = add_all(&c, err);
    if (rc == 0 && options->json)
        print_json(&c);
    else if (rc == 0) {
        print_table(&c);
        print_verdicts(&c, 0);
    }
    clear(&c);
    return rc;
}
