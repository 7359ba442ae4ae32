/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 shared */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>

static void print_json(const struct dt2_shared_list *list)
{
    json_t *document = json_object(), *models = json_array();
    for (size_t i = 0; i < dt2_shared_list_count(list); i++) {
        const struct dt2_shared_memory *memory = dt2_shared_list_get(list, i);
        json_t *entry = json_object(), *processes = json_array();
        for (size_t j = 0; j < memory->process_count; j++)
            cli_json_append(processes, json_integer((json_int_t)memory->processes[j]));
        cli_json_set(entry, "path", cli_json_text(memory->path));
        cli_json_set(entry, "bytes", cli_json_bytes(memory->bytes));
        cli_json_set(entry, "users", json_integer((json_int_t)memory->process_count));
        cli_json_set(entry, "processes", processes);
        cli_json_set(entry, "filler", memory->filler ? json_integer((json_int_t)memory->filler) : json_null());
        cli_json_set(entry, "done_bytes", cli_json_bytes(memory->done_bytes));
        cli_json_set(entry, "total_bytes", cli_json_bytes(memory->total_bytes));
        cli_json_append(models, entry);
    }
    cli_json_set(document, "shared", models);
    cli_json_print(document);
}

/* The numbers of the processes; to be freed. */
static char *list_processes(const struct dt2_shared_memory *memory)
{
    char *text = cli_format("%s", "");
    for (size_t i = 0; i < memory->process_count; i++) {
        const char *role = memory->processes[i] == memory->filler ? " (fills)" : "";
        char *longer = cli_format("%s%s%lld%s", text, i ? " " : "", (long long)memory->processes[i], role);
        free(text);
        text = longer;
    }
    return text;
}

static void print_table(const struct dt2_shared_list *list)
{
    static const struct cli_column columns[] = {
        { "MODEL", false, 24, 0 }, { "SIZE", true, 0, 0 }, { "USERS", true, 0, 0 }, { "PROCESSES", false, 12, 1 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < dt2_shared_list_count(list); i++) {
        const struct dt2_shared_memory *memory = dt2_shared_list_get(list, i);
        char number[CLI_NUMBER_SIZE], *processes = list_processes(memory);
        cli_table_text(table, memory->path);
        cli_table_size(table, memory->bytes);
        snprintf(number, sizeof number, "%zu", memory->process_count);
        cli_table_text(table, number);
        cli_table_text(table, processes);
        free(processes);
    }
    cli_table_print(table, 0);
    cli_table_destroy(table);
}

int cli_shared(const struct cli_options *options, struct dt2_error *err)
{
    struct dt2_shared_list *list = NULL;
    int rc = dt2_shared_list_make(&list, err);
    if (rc)
        return rc;
    if (options->json)
        print_json(list);
    else if (dt2_shared_list_count(list))
        print_table(list);
    else
        cli_note("no process shares a model");
    dt2_shared_list_free(list);
    return 0;
}
