/* SPDX-License-Identifier: BSD-3-Clause */
/* What a model is, on a page for people. */
#include "cli/inspect.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BAR_WIDTH 24
#define METADATA_WIDTH 100 /* trainers put whole histories there */

static void print_field(const char *name, const char *format, ...) DT2_PRINTF(2, 3);
static void print_field(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    char *safe = cli_printable(n < 0 ? "" : text, false);
    printf("  %-10s%s\n", name, safe);
    free(safe);
    free(n < 0 ? NULL : text);
}

static void print_metadata(const struct dt2_file *file)
{
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        size_t shown = cli_prefix(value, METADATA_WIDTH);
        print_field(i ? "" : "metadata", "%s: %.*s%s", key, (int)shown, value, value[shown] ? "..." : "");
    }
}

static void print_network(const struct dt2_blocks *blocks)
{
    const char *family = dt2_blocks_family(blocks), *variant = dt2_blocks_variant(blocks);
    const struct dt2_traits *traits = dt2_blocks_traits(blocks);
    char *what = cli_describe(blocks);
    if (what)
        print_field("what", "%s", what);
    free(what);
    print_field("family", "%s", family ? family : "unknown");
    print_field("variant", "%s", variant ? variant : "unrecognised: blocks in file order");
    if (traits->hint_channels)
        print_field("hint", "%ju channels%s", (uintmax_t)traits->hint_channels,
                    traits->inpaint ? ", a mask among them" : "");
    if (traits->differences)
        print_field("needs", "the weights of the base model, to which its own are to be added");
    else if (traits->needs_base)
        print_field("needs", "further weights from the base model at run time");
}

static void print_parts(const struct dt2_file *file, const struct cli_sums *sums)
{
    size_t count;
    struct cli_part *parts = cli_count_parts(file, &count);
    for (size_t i = 0; i < count && count > 1; i++) {
        char size[CLI_NUMBER_SIZE];
        print_field(i ? "" : "parts", "%s: %zu tensor%s, %s", parts[i].path, parts[i].tensors,
                    parts[i].tensors == 1 ? "" : "s", dt2_size_format(parts[i].bytes, size, sizeof size));
    }
    for (size_t i = 0; i < count && sums->sha256; i++)
        print_field(i ? "" : "sha256", "%s%s%s", sums->sha256[i], count > 1 ? "  " : "",
                    count > 1 ? parts[i].path : "");
    free(parts);
}

static void print_summary(const char *name, const struct cli_model *model, const struct cli_sums *sums)
{
    const struct dt2_file *file = model->file;
    char size[CLI_NUMBER_SIZE], bytes[CLI_NUMBER_SIZE];
    char *title = cli_printable(name, false);
    printf("%s%s%s\n", cli_bold(), title, cli_normal());
    free(title);
    print_field("path", "%s", dt2_file_path(file));
    print_field("format", "%s", dt2_file_format(file));
    print_network(model->blocks);
    uint64_t total = cli_model_bytes(model);
    print_field("size", "%s (%s bytes)", dt2_size_format(total, size, sizeof size), cli_grouped(total, bytes));
    size_t tensors = dt2_file_tensor_count(file) - dt2_blocks_left_out(model->blocks, NULL);
    print_field("tensors", "%zu in %zu blocks", tensors, dt2_blocks_count(model->blocks));
    char *left_out = cli_model_left_out(model);
    if (left_out)
        print_field("left out", "%s", left_out);
    free(left_out);
    struct cli_dtype dtypes[CLI_DTYPES_MAX];
    size_t count = cli_count_dtypes(file, dtypes);
    for (size_t i = 0; i < count; i++)
        print_field(i ? "" : "dtypes", "%s: %zu tensor%s, %s", dtypes[i].name, dtypes[i].tensors,
                    dtypes[i].tensors == 1 ? "" : "s", dt2_size_format(dtypes[i].bytes, size, sizeof size));
    print_parts(file, sums);
    print_metadata(file);
}

static void print_blocks(const struct dt2_blocks *blocks)
{
    static const struct cli_column columns[] = {
        { "#", true, 0, 1 },  { "BLOCK", false, 60, 0 }, { "TENSORS", true, 0, 2 }, { "SIZE", true, 0, 0 },
        { "", false, 0, 3 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    const struct dt2_block *list = dt2_blocks_array(blocks);
    size_t count = dt2_blocks_count(blocks);
    uint64_t largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = list[i].bytes > largest ? list[i].bytes : largest;
    for (size_t i = 0; i < count; i++) {
        char *bar = cli_output_is_terminal() ? cli_bar(list[i].bytes, largest, BAR_WIDTH) : NULL;
        cli_table_add(table, "%zu", i);
        cli_table_text(table, list[i].name);
        cli_table_add(table, "%zu", list[i].tensor_count);
        cli_table_size(table, list[i].bytes);
        cli_table_text(table, bar);
        free(bar);
    }
    printf("\nBlocks, in %s order\n", dt2_blocks_variant(blocks) ? "execution" : "file");
    cli_table_print(table, 2);
    cli_table_destroy(table);
}

static void add_shape(struct cli_table *table, const struct dt2_tensor *tensor)
{
    char *shape = cli_format("%s", tensor->rank ? "" : "scalar");
    for (size_t i = 0; i < tensor->rank; i++) {
        char *longer = cli_format("%s%s%ju", shape, i ? " x " : "", (uintmax_t)tensor->shape[i]);
        free(shape);
        shape = longer;
    }
    cli_table_text(table, shape);
    free(shape);
}

static void print_tensors(const struct dt2_file *file, const struct cli_sums *sums)
{
    static const struct cli_column columns[] = {
        { "TENSOR", false, 60, 0 }, { "DTYPE", false, 0, 0 }, { "SHAPE", false, 0, 0 },
        { "BYTES", true, 0, 1 },    { "OFFSET", true, 0, 2 }, { "XXH3", false, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        char number[CLI_NUMBER_SIZE];
        cli_table_text(table, tensor->name);
        cli_table_text(table, tensor->dtype);
        add_shape(table, tensor);
        cli_table_text(table, cli_grouped(tensor->bytes, number));
        cli_table_text(table, cli_grouped(tensor->offset, number));
        cli_table_text(table, sums->xxh3 ? sums->xxh3[i] : NULL);
    }
    puts("\nTensors, in file order");
    cli_table_print(table, 2);
    cli_table_destroy(table);
}

void cli_print_page(const char *name, const struct cli_model *model, const struct cli_sums *sums, bool tensors)
{
    print_summary(name, model, sums);
    print_blocks(model->blocks);
    if (tensors || sums->xxh3)
        print_tensors(model->file, sums);
}
