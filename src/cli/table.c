/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2         /* spaces between columns */
#define CELL_MOST 1000 /* characters of a text, however wide the table may be: names may have megabytes */
#define TEXT_LEAST 12 /* where nothing else helps, texts are shortened to this */

struct cli_table {
    const struct cli_column *columns;
    size_t column_count;
    char **cells;
    size_t cell_count;
    size_t capacity;
};

struct cli_table *cli_table_create(const struct cli_column *columns, size_t count)
{
    struct cli_table *table = cli_alloc(1, sizeof *table);
    table->columns = columns;
    table->column_count = count;
    return table;
}

void cli_table_destroy(struct cli_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void cli_table_text(struct cli_table *table, const char *text)
{
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = cli_grow(table->cells, table->capacity, sizeof *table->cells);
    }
    char *shown = cli_printable(text ? text : "", false), *cell = cli_shortened(shown, CELL_MOST);
    free(shown);
    table->cells[table->cell_count++] = cell;
}

void cli_table_add(struct cli_table *table, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    cli_table_text(table, n < 0 ? NULL : text);
    free(n < 0 ? NULL : text);
}

void cli_table_size(struct cli_table *table, uint64_t bytes)
{
    char words[CLI_NUMBER_SIZE];
    cli_table_text(table, dt2_size_format(bytes, words, sizeof words));
}

/* The width of a column; 0 when it has no cell with anything in it. */
static size_t column_width(const struct cli_table *table, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < table->cell_count; i += table->column_count) {
        size_t cell = cli_columns(table->cells[i]);
        width = cell > width ? cell : width;
    }
    size_t title = cli_columns(table->columns[column].title);
    return width && title > width ? title : width;
}

/* -- fitting -- */

static size_t total_width(const struct cli_table *table, const size_t *widths, unsigned indent)
{
    size_t total = indent, shown = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        total += widths[i];
        shown += widths[i] > 0;
    }
    return total + (shown ? (shown - 1) * GAP : 0);
}

/* What a column may be shortened to; `most` is the least that any column keeps. */
static size_t least_width(const struct cli_column *column, size_t width, size_t most)
{
    size_t title = cli_columns(column->title), least = column->least < most ? column->least : most;
    least = least > title ? least : title;
    return column->least && least < width ? least : width;
}

/* Takes as much as is too much from the widest columns, as far as they go. */
static void shorten(const struct cli_table *table, size_t *widths, size_t excess, size_t most)
{
    while (excess) {
        size_t widest = table->column_count;
        for (size_t i = 0; i < table->column_count; i++)
            if (least_width(&table->columns[i], widths[i], most) < widths[i] &&
                (widest == table->column_count || widths[i] > widths[widest]))
                widest = i;
        if (widest == table->column_count)
            return;
        widths[widest]--;
        excess--;
    }
}

/* Leaves the next column out. */
static bool drop(const struct cli_table *table, size_t *widths)
{
    size_t next = table->column_count;
    for (size_t i = 0; i < table->column_count; i++)
        if (widths[i] && table->columns[i].drop &&
            (next == table->column_count || table->columns[i].drop > table->columns[next].drop))
            next = i;
    if (next == table->column_count)
        return false;
    widths[next] = 0;
    return true;
}

/* Whether it would fit with all texts as short as they may be. */
static bool can_fit(const struct cli_table *table, const size_t *widths, unsigned indent, size_t limit)
{
    size_t spared = 0;
    for (size_t i = 0; i < table->column_count; i++)
        spared += widths[i] - least_width(&table->columns[i], widths[i], SIZE_MAX);
    return total_width(table, widths, indent) - spared <= limit;
}

static void fit(const struct cli_table *table, size_t *widths, unsigned indent)
{
    size_t limit = cli_table_width();
    while (!can_fit(table, widths, indent, limit) && drop(table, widths))
        ;
    size_t total = total_width(table, widths, indent);
    if (total > limit)
        shorten(table, widths, total - limit, can_fit(table, widths, indent, limit) ? SIZE_MAX : TEXT_LEAST);
}

/* -- printing -- */

/* One line. Spaces are put before what comes, so that none trails. */
static void print_row(const struct cli_table *table, char *const *cells, const size_t *widths, unsigned indent)
{
    size_t spaces = indent;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!widths[i])
            continue;
        char *cell = cli_shortened(cells ? cells[i] : table->columns[i].title, widths[i]);
        size_t missing = widths[i] - cli_columns(cell);
        spaces += table->columns[i].right ? missing : 0;
        if (*cell) {
            printf("%*s%s", (int)spaces, "", cell);
            spaces = 0;
        }
        spaces += (table->columns[i].right ? 0 : missing) + GAP;
        free(cell);
    }
    putchar('\n');
}

void cli_table_print(const struct cli_table *table, unsigned indent)
{
    size_t *widths = cli_alloc(table->column_count, sizeof *widths);
    for (size_t i = 0; i < table->column_count; i++)
        widths[i] = column_width(table, i);
    fit(table, widths, indent);
    fputs(cli_bold(), stdout);
    print_row(table, NULL, widths, indent);
    fputs(cli_normal(), stdout);
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count)
        print_row(table, table->cells + i, widths, indent);
    free(widths);
}

void cli_print_paragraph(unsigned first, unsigned rest, const char *text)
{
    size_t most = cli_output_is_terminal() || getenv("COLUMNS") ? cli_table_width() : SIZE_MAX, column = first;
    printf("%*s", (int)first, "");
    for (bool begins = true; *text; begins = false) {
        size_t length = strcspn(text, " ");
        char *word = cli_format("%.*s", (int)length, text);
        size_t columns = cli_columns(word);
        bool breaks = !begins && (columns >= most || column + 1 + columns > most);
        if (breaks)
            printf("\n%*s%s", (int)rest, "", word);
        else
            printf("%s%s", begins ? "" : " ", word);
        column = breaks ? rest + columns : column + !begins + columns;
        free(word);
        text += length + (text[length] == ' ');
    }
    putchar('\n');
}
