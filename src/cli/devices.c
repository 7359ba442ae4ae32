/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 devices */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *default_device(const struct dt2_devices *devices)
{
    const struct dt2_device *device = dt2_devices_get(devices, dt2_devices_default(devices));
    return device ? device->name : NULL;
}

static void print_json(const struct dt2_devices *devices)
{
    json_t *document = json_object();
    json_t *snapshot = cli_json_parsed(dt2_devices_json(devices));
    cli_json_set(document, "distorch2", cli_json_text(dt2_version()));
    cli_json_set(document, "compute_device", cli_json_text(default_device(devices)));
    json_object_update(document, snapshot);
    json_decref(snapshot);
    cli_json_print(document);
}

static void add_aliases(struct cli_table *table, const struct dt2_device *device)
{
    char *aliases = cli_format("%s", "");
    for (size_t i = 0; i < device->alias_count; i++) {
        char *longer = cli_format("%s%s%s", aliases, i ? ", " : "", device->aliases[i]);
        free(aliases);
        aliases = longer;
    }
    cli_table_text(table, aliases);
    free(aliases);
}

static void print_devices(const struct dt2_devices *devices)
{
    static const struct cli_column columns[] = {
        { "NAME", false, 0, 0 }, { "KIND", false, 0, 2 }, { "MODEL", false, 14, 0 }, { "MEMORY", true, 0, 0 },
        { "FREE", true, 0, 0 },  { "NUMA", true, 0, 3 },  { "PCI", false, 0, 1 },    { "ALSO", false, 0, 4 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        cli_table_text(table, device->name);
        cli_table_text(table, device->kind);
        cli_table_text(table, device->model);
        cli_table_size(table, device->total_bytes);
        cli_table_size(table, device->free_bytes);
        if (device->numa_node >= 0)
            cli_table_add(table, "%d", device->numa_node);
        else
            cli_table_text(table, NULL);
        cli_table_text(table, device->pci);
        add_aliases(table, device);
    }
    cli_table_print(table, 0);
    cli_table_destroy(table);
}

/* "4.0 x16" */
static void add_pcie(struct cli_table *table, const struct dt2_link *link)
{
    if (link->pcie_generation && link->pcie_lanes)
        cli_table_add(table, "%u.0 x%u", link->pcie_generation, link->pcie_lanes);
    else
        cli_table_text(table, NULL);
}

static void print_links(const struct dt2_devices *devices)
{
    static const struct cli_column columns[] = {
        { "FROM", false, 0, 0 },  { "TO", false, 0, 0 },      { "PCIE", false, 0, 0 },
        { "NOMINAL", true, 0, 0 }, { "MEASURED", true, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    bool any = false;
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        for (size_t j = 0; j < device->link_count; j++) {
            const struct dt2_link *link = device->links[j];
            char rate[CLI_NUMBER_SIZE];
            if (link->nominal_gbps < 0 && link->measured_gbps < 0 && !link->pcie_generation)
                continue;
            cli_table_text(table, device->name);
            cli_table_text(table, link->to);
            add_pcie(table, link);
            cli_table_text(table, cli_rate(link->nominal_gbps, rate));
            cli_table_text(table, cli_rate(link->measured_gbps, rate));
            any = true;
        }
    }
    if (any) {
        puts("\nLinks");
        cli_table_print(table, 2);
    }
    cli_table_destroy(table);
}

/* What was measured of memory and disk, and when. */
static void print_speeds(const struct dt2_speeds *speeds)
{
    char memory[CLI_NUMBER_SIZE], fresh[CLI_NUMBER_SIZE], cold[CLI_NUMBER_SIZE];
    if (!speeds)
        return;
    char *ago = cli_age(speeds->measured_at), *age = cli_format("%s%s", *ago ? ", measured " : "", ago);
    char *text = cli_format("Copies in host memory %s, from the page cache %s, from the disk %s%s.",
                            cli_rate(speeds->memory_gbps, memory), cli_rate(speeds->fresh_gbps, fresh),
                            cli_rate(speeds->cold_gbps, cold), age);
    putchar('\n');
    cli_print_paragraph(0, 0, text);
    free(text);
    free(age);
    free(ago);
}

/* One sentence for each pair whose direct copies do not arrive. */
static void print_broken(const struct dt2_devices *devices)
{
    const char *gap = "\n";
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        for (size_t j = 0; j < device->link_count; j++) {
            const struct dt2_link *link = device->links[j];
            size_t other;
            if (link->peer && strcmp(link->peer, "broken") == 0 &&
                dt2_devices_find(devices, link->to, &other, NULL) == 0 && other > i) {
                printf("%sCopies that go directly between %s and %s do not arrive: theirs go through the host.\n", gap,
                       device->name, link->to);
                gap = "";
            }
        }
    }
}

static void print_budgets(const struct dt2_devices *devices)
{
    static const struct cli_column columns[] = {
        { "NAME", false, 0, 0 }, { "LIMIT", true, 0, 0 }, { "FREE", true, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    bool any = false;
    for (size_t i = 0; i < dt2_devices_budget_count(devices); i++) {
        const struct dt2_budget *budget = dt2_devices_budget(devices, i);
        size_t unused;
        if (dt2_devices_find(devices, budget->name, &unused, NULL) == 0)
            continue; /* a device's own memory stands in the list above */
        cli_table_text(table, budget->name);
        cli_table_size(table, budget->total_bytes);
        cli_table_size(table, budget->free_bytes);
        any = true;
    }
    if (any) {
        puts("\nLimits that several devices share");
        cli_table_print(table, 2);
    }
    cli_table_destroy(table);
}

/* What each driver works with: devices of one driver are neighbours. */
static void print_runtimes(const struct dt2_devices *devices)
{
    static const struct cli_column columns[] = { { "DRIVER", false, 0, 0 }, { "WORKS WITH", false, 30, 0 } };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    const char *last = "";
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *device = dt2_devices_get(devices, i);
        if (!device->runtime || strcmp(device->driver, last) == 0)
            continue;
        last = device->driver;
        cli_table_text(table, device->driver);
        cli_table_text(table, device->runtime);
    }
    if (*last) {
        puts("\nDrivers");
        cli_table_print(table, 2);
    }
    cli_table_destroy(table);
}

/* -- what cannot be used: alike GPUs are one paragraph */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool are_alike(const struct dt2_unusable *a, const struct dt2_unusable *b)
{
    return same_text(a->model, b->model) && same_text(a->reason, b->reason) && same_text(a->help, b->help);
}

/* The first that is like the one at `index`. */
static size_t first_alike(const struct dt2_devices *devices, size_t index)
{
    size_t first = 0;
    while (!are_alike(dt2_devices_unusable(devices, first), dt2_devices_unusable(devices, index)))
        first++;
    return first;
}

/* "0000:01:00.0, 0000:02:00.0" of all that are like it; "-": none has an address. */
static char *addresses_of(const struct dt2_devices *devices, size_t index, size_t *count)
{
    char *list = cli_format("%s", "");
    *count = 0;
    for (size_t i = index; i < dt2_devices_unusable_count(devices); i++) {
        const struct dt2_unusable *gpu = dt2_devices_unusable(devices, i);
        if (!are_alike(gpu, dt2_devices_unusable(devices, index)))
            continue;
        ++*count;
        if (!gpu->pci)
            continue;
        char *longer = cli_format("%s%s%s", list, *list ? ", " : "", gpu->pci);
        free(list);
        list = longer;
    }
    char *shown = cli_printable(*list ? list : "-", false);
    free(list);
    return shown;
}

static void print_alike(const struct dt2_devices *devices, size_t index)
{
    const struct dt2_unusable *gpu = dt2_devices_unusable(devices, index);
    size_t count;
    char *addresses = addresses_of(devices, index, &count);
    char *model = cli_printable(gpu->model ? gpu->model : "GPU", false);
    char *reason = cli_printable(gpu->reason ? gpu->reason : "no driver claims it", false);
    char *help = cli_printable(gpu->help ? gpu->help : "", false);
    char *what = count == 1 ? cli_format("%s  %s: %s", addresses, model, reason) : cli_format("%zu x %s: %s", count, model, reason);
    char *where = cli_format("at %s", addresses), *hint = cli_format("hint: %s", help);
    cli_print_paragraph(2, 4, what);
    if (count > 1)
        cli_print_paragraph(4, 4, where);
    if (*help)
        cli_print_paragraph(4, 4, hint);
    free(what);
    free(where);
    free(hint);
    free(addresses);
    free(model);
    free(reason);
    free(help);
}

static void print_unusable(const struct dt2_devices *devices)
{
    size_t count = dt2_devices_unusable_count(devices);
    if (count)
        puts("\nUnusable");
    for (size_t i = 0; i < count; i++)
        if (first_alike(devices, i) == i)
            print_alike(devices, i);
}

#define BAR_WIDTH 24

/* The log, of which what is being measured is drawn as a bar. */
static void show_measuring(void *data, enum dt2_log_level level, const char *line)
{
    unsigned number, all;
    const char *where = strrchr(line, ',');
    if (strncmp(line, "measuring ", strlen("measuring ")) == 0 && where && sscanf(where, ", %u of %u", &number, &all) == 2) {
        char *bar = cli_bar(number - 1, all, BAR_WIDTH), *text = cli_format("%s  %s\n", bar, line);
        cli_status_show(text, 1);
        free(text);
        free(bar);
    }
    cli_log(data, level, line);
}

int cli_devices(const struct cli_options *options, struct dt2_error *err)
{
    bool bar = options->measure && cli_errors_can_redraw() && options->progress != CLI_PROGRESS_NONE;
    unsigned flags = DT2_DEVICES_UNUSABLE;
    flags |= options->free ? DT2_DEVICES_FREE : 0;
    flags |= options->measure ? DT2_DEVICES_MEASURE : 0;
    struct dt2_context *context = NULL;
    struct dt2_devices *devices = NULL;
    int rc = cli_context_create_with(bar ? show_measuring : cli_log, &context, err);
    if (rc == 0)
        rc = dt2_devices_list(context, flags, &devices, err);
    cli_status_hide();
    if (rc == 0 && options->json) {
        print_json(devices);
    } else if (rc == 0) {
        print_devices(devices);
        printf("\n%s computes, unless --compute-device names another.\n", default_device(devices));
        print_budgets(devices);
        print_links(devices);
        print_speeds(dt2_devices_speeds(devices));
        print_broken(devices);
        print_runtimes(devices);
        print_unusable(devices);
    }
    dt2_devices_free(devices);
    dt2_context_destroy(context);
    return rc;
}
