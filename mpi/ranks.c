/* SPDX-License-Identifier: BSD-3-Clause */
#include "ranks.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_BYTES 256

/* What rank 0 has of the others. */
struct ranks {
    int count;
    int *statuses;
    char *where;     /* WHERE_BYTES of each */
    json_t **documents;
};

/* -- gathering ---------------------------------------------------------------------------------------------------- */

static void say_where(const char *node, char where[WHERE_BYTES])
{
    char host[MPI_MAX_PROCESSOR_NAME + 1] = "";
    int length = 0;
    MPI_Get_processor_name(host, &length);
    snprintf(where, WHERE_BYTES, "%.*s", WHERE_BYTES - 1, node && *node ? node : host);
}

static void read_documents(struct ranks *ranks, const char *texts, const int *sizes, const int *places)
{
    ranks->documents = cli_alloc((size_t)ranks->count, sizeof(json_t *));
    for (int i = 0; i < ranks->count; i++) {
        json_t *document = json_loadb(texts + places[i], (size_t)sizes[i], 0, NULL);
        ranks->documents[i] = document ? document : json_object();
    }
}

static void gather(struct ranks *ranks, const char *node, const char *document, int status)
{
    int size = (int)strlen(document), rank, *sizes, *places, total = 0;
    char where[WHERE_BYTES], *texts;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks->count);
    size_t count = (size_t)ranks->count;
    sizes = cli_alloc(count, sizeof *sizes);
    places = cli_alloc(count, sizeof *places);
    ranks->statuses = cli_alloc(count, sizeof *ranks->statuses);
    ranks->where = cli_alloc(count, WHERE_BYTES);
    say_where(node, where);
    MPI_Allgather(&status, 1, MPI_INT, ranks->statuses, 1, MPI_INT, MPI_COMM_WORLD);
    MPI_Gather(where, WHERE_BYTES, MPI_CHAR, ranks->where, WHERE_BYTES, MPI_CHAR, 0, MPI_COMM_WORLD);
    MPI_Gather(&size, 1, MPI_INT, sizes, 1, MPI_INT, 0, MPI_COMM_WORLD);
    for (int i = 0; rank == 0 && i < ranks->count; total += sizes[i++])
        places[i] = total;
    texts = cli_alloc((size_t)total + 1, 1);
    MPI_Gatherv(document, size, MPI_CHAR, texts, sizes, places, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0)
        read_documents(ranks, texts, sizes, places);
    free(texts);
    free(places);
    free(sizes);
}

static void clear(struct ranks *ranks)
{
    for (int i = 0; ranks->documents && i < ranks->count; i++)
        json_decref(ranks->documents[i]);
    free(ranks->documents);
    free(ranks->where);
    free(ranks->statuses);
}

/* -- one document --------------------------------------------------------------------------------------------------- */

static void print_json(const struct ranks *ranks, const struct cli_command *command)
{
    json_t *document = json_object(), *rows = json_array();
    for (int i = 0; i < ranks->count; i++) {
        json_t *row = json_object(), *own = ranks->documents[i];
        cli_json_set(row, "rank", json_integer(i));
        cli_json_set(row, "node", cli_json_text(ranks->where + i * WHERE_BYTES));
        cli_json_set(row, "status", json_integer(ranks->statuses[i]));
        if (command->bit == CLI_PLAN && !json_object_get(own, "error"))
            cli_json_set(row, "plan", json_incref(own));
        else
            json_object_update(row, own);
        cli_json_append(rows, row);
    }
    cli_json_set(document, "ranks", rows);
    cli_json_print(document);
}

/* -- one table ------------------------------------------------------------------------------------------------------ */

static uint64_t bytes_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* "cpu 348 MiB, cuda:0 341 MiB"; to be freed. */
static char *devices_of(const json_t *plan)
{
    const json_t *shares = json_object_get(plan, "shares");
    char *text = cli_format("%s", ""), size[CLI_NUMBER_SIZE];
    for (size_t i = 0; i < json_array_size(shares); i++) {
        const json_t *share = json_array_get(shares, i);
        if (bytes_of(share, "bytes") == 0)
            continue;
        char *longer = cli_format("%s%s%s %s", text, *text ? ", " : "", json_string_value(json_object_get(share, "device")),
                                  dt2_size_format(bytes_of(share, "bytes"), size, sizeof size));
        free(text);
        text = longer;
    }
    return text;
}

static void add_row(struct cli_table *table, const struct ranks *ranks, int i, bool loads)
{
    const json_t *load = json_array_get(json_object_get(ranks->documents[i], "loads"), 0);
    const json_t *plan = loads ? json_object_get(load, "plan") : ranks->documents[i];
    char number[CLI_NUMBER_SIZE], *devices = devices_of(plan);
    cli_table_add(table, "%d", i);
    cli_table_text(table, ranks->where + i * WHERE_BYTES);
    if (!plan || !*devices) {
        cli_table_text(table, "-");
        cli_table_text(table, NULL);
        cli_table_text(table, NULL);
    } else {
        cli_table_size(table, bytes_of(json_object_get(plan, "model"), "total_bytes"));
        cli_table_text(table, bytes_of(load, "shared_bytes") ? cli_share(bytes_of(load, "shared_bytes"), bytes_of(load, "bytes"), number)
                                                               : NULL);
        cli_table_text(table, loads ? cli_seconds((uint64_t)(json_real_value(json_object_get(load, "seconds")) * 1e9), number) : NULL);
    }
    cli_table_text(table, plan && *devices ? devices : NULL);
    free(devices);
}

static void print_table(const struct ranks *ranks, const struct cli_command *command, const char *path)
{
    static const struct cli_column columns[] = {
        { "RANK", true, 0, 0 },   { "NODE", false, 8, 3 }, { "SIZE", true, 0, 0 },
        { "SHARED", true, 0, 2 }, { "TIME", true, 0, 1 },  { "DEVICES", false, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    char *title = cli_printable(path, false);
    printf("%s%s%s\n", cli_bold(), title, cli_normal());
    free(title);
    for (int i = 0; i < ranks->count; i++)
        add_row(table, ranks, i, command->bit == CLI_LOAD);
    cli_table_print(table, 2);
    cli_table_destroy(table);
    fflush(stdout);
}

/* -- what went wrong, or is to be said: once, of the first rank that says it -------------------------------------------- */

static bool said_before(const struct ranks *ranks, int rank, const json_t *(*what)(const struct ranks *, int), const json_t *now)
{
    for (int i = 0; i < rank; i++)
        if (json_equal((json_t *)(uintptr_t)what(ranks, i), (json_t *)(uintptr_t)now))
            return true;
    return false;
}

static const json_t *error_of(const struct ranks *ranks, int rank)
{
    return json_object_get(ranks->documents[rank], "error");
}

static const json_t *warnings_of(const struct ranks *ranks, int rank)
{
    const json_t *load = json_array_get(json_object_get(ranks->documents[rank], "loads"), 0);
    return json_object_get(load ? json_object_get(load, "plan") : ranks->documents[rank], "warnings");
}

static void report_errors(const struct ranks *ranks)
{
    for (int i = 0; i < ranks->count; i++) {
        const json_t *error = error_of(ranks, i);
        const char *hint = json_string_value(json_object_get(error, "suggestion"));
        struct dt2_error err;
        if (!error || said_before(ranks, i, error_of, error))
            continue;
        cli_fail(&err, DT2_EFAILED, "rank %d on %s: %s", i, ranks->where + i * WHERE_BYTES,
                 json_string_value(json_object_get(error, "message")));
        if (hint)
            cli_suggest(&err, "%s", hint);
        cli_report(&err);
    }
}

static void report_warnings(const struct ranks *ranks)
{
    for (int i = 0; i < ranks->count; i++) {
        const json_t *warnings = warnings_of(ranks, i);
        for (size_t j = 0; !said_before(ranks, i, warnings_of, warnings) && j < json_array_size(warnings); j++) {
            char *line = cli_format("rank %d on %s: %s", i, ranks->where + i * WHERE_BYTES,
                                    json_string_value(json_array_get(warnings, j)));
            cli_warn(line);
            free(line);
        }
    }
}

int ranks_report(const struct cli_command *command, const char *path, const char *node, const char *document, int status, bool json)
{
    struct ranks ranks = { 0 };
    gather(&ranks, node, document, status);
    if (ranks.documents && json)
        print_json(&ranks, command);
    if (ranks.documents && !json) {
        report_warnings(&ranks);
        print_table(&ranks, command, path);
        report_errors(&ranks);
    }
    for (int i = 0; i < ranks.count; i++)
        status = ranks.statuses[i] > status ? ranks.statuses[i] : status;
    clear(&ranks);
    return status;
}
