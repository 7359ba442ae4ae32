/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 inspect */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what is said of a file beyond what the library tells -- */

/* The name of each tensor's block, by the tensor's index in the file. To be freed. */
static const char **blocks_of_tensors(const struct cli_model *model)
{
    const char **names = cli_alloc(dt2_file_tensor_count(model->file), sizeof *names);
    const struct dt2_block *blocks = dt2_blocks_array(model->blocks);
    for (size_t i = 0; i < dt2_blocks_count(model->blocks); i++)
        for (size_t j = 0; j < blocks[i].tensor_count; j++)
            names[blocks[i].tensors[j]] = blocks[i].name;
    return names;
}

struct dtype {
    const char *name;
    size_t tensors;
    uint64_t bytes;
};

#define DTYPES_MAX 64 /* more than all formats together have */

/* Counts tensors by dtype, in the order in which these first appear. */
static size_t count_dtypes(const struct dt2_file *file, struct dtype *dtypes)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        size_t at = 0;
        while (at < count && strcmp(dtypes[at].name, tensor->dtype) != 0)
            at++;
        if (at == DTYPES_MAX)
            continue;
        if (at == count)
            dtypes[count++] = (struct dtype){ tensor->dtype, 0, 0 };
        dtypes[at].tensors++;
        dtypes[at].bytes += tensor->bytes;
    }
    return count;
}

/* -- JSON -- */

static json_t *tensors_json(const struct cli_model *model)
{
    json_t *tensors = json_array();
    const char **blocks = blocks_of_tensors(model);
    for (size_t i = 0; i < dt2_file_tensor_count(model->file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(model->file, i);
        json_t *object = json_object(), *shape = json_array();
        for (size_t j = 0; j < tensor->rank; j++)
            cli_json_append(shape, cli_json_bytes(tensor->shape[j]));
        cli_json_set(object, "name", cli_json_text(tensor->name));
        cli_json_set(object, "dtype", cli_json_text(tensor->dtype));
        cli_json_set(object, "shape", shape);
        cli_json_set(object, "bytes", cli_json_bytes(tensor->bytes));
        cli_json_set(object, "block", cli_json_text(blocks[i]));
        cli_json_set(object, "file", cli_json_text(tensor->file));
        cli_json_set(object, "offset", cli_json_bytes(tensor->offset));
        cli_json_append(tensors, object);
    }
    free(blocks);
    return tensors;
}

static json_t *blocks_json(const struct dt2_blocks *blocks)
{
    json_t *list = json_array();
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++) {
        const struct dt2_block *block = &dt2_blocks_array(blocks)[i];
        json_t *object = json_object();
        cli_json_set(object, "name", cli_json_text(block->name));
        cli_json_set(object, "bytes", cli_json_bytes(block->bytes));
        cli_json_set(object, "tensors", json_integer((json_int_t)block->tensor_count));
        cli_json_append(list, object);
    }
    return list;
}

static json_t *dtypes_json(const struct dt2_file *file)
{
    struct dtype dtypes[DTYPES_MAX];
    size_t count = count_dtypes(file, dtypes);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        cli_json_set(object, "dtype", cli_json_text(dtypes[i].name));
        cli_json_set(object, "tensors", json_integer((json_int_t)dtypes[i].tensors));
        cli_json_set(object, "bytes", cli_json_bytes(dtypes[i].bytes));
        cli_json_append(list, object);
    }
    return list;
}

static json_t *metadata_json(const struct dt2_file *file)
{
    json_t *object = json_object();
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        char *valid = cli_utf8(key);
        cli_json_set(object, valid, cli_json_text(value));
        free(valid);
    }
    return object;
}

static json_t *model_json(const struct cli_model *model)
{
    json_t *object = json_object();
    cli_json_set(object, "path", cli_json_text(dt2_file_path(model->file)));
    cli_json_set(object, "format", cli_json_text(dt2_file_format(model->file)));
    cli_json_set(object, "variant", cli_json_text(dt2_blocks_variant(model->blocks)));
    cli_json_set(object, "family", cli_json_text(dt2_blocks_family(model->blocks)));
    cli_json_set(object, "total_bytes", cli_json_bytes(dt2_file_total_bytes(model->file)));
    cli_json_set(object, "needs_base", json_boolean(dt2_blocks_needs_base(model->blocks)));
    cli_json_set(object, "fingerprint", cli_json_text(dt2_file_fingerprint(model->file)));
    cli_json_set(object, "dtypes", dtypes_json(model->file));
    cli_json_set(object, "metadata", metadata_json(model->file));
    cli_json_set(object, "tensors", tensors_json(model));
    cli_json_set(object, "blocks", blocks_json(model->blocks));
    return object;
}

static json_t *failure_json(const char *path, const struct dt2_error *err)
{
    json_t *object = json_object();
    cli_json_set(object, "path", cli_json_text(path));
    cli_json_set(object, "error", cli_json_error(err));
    return object;
}

/* -- for people -- */

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

static void print_summary(const char *name, const struct cli_model *model)
{
    const struct dt2_file *file = model->file;
    const char *family = dt2_blocks_family(model->blocks), *variant = dt2_blocks_variant(model->blocks);
    char size[CLI_NUMBER_SIZE], bytes[CLI_NUMBER_SIZE];
    char *title = cli_printable(name, false);
    printf("%s%s%s\n", cli_bold(), title, cli_normal());
    free(title);
    print_field("path", "%s", dt2_file_path(file));
    print_field("format", "%s", dt2_file_format(file));
    print_field("family", "%s", family ? family : "unknown");
    print_field("variant", "%s", variant ? variant : "unrecognised: blocks in file order");
    if (dt2_blocks_needs_base(model->blocks))
        print_field("needs", "further weights from the base model at run time");
    uint64_t total = dt2_file_total_bytes(file);
    print_field("size", "%s (%s bytes)", dt2_size_format(total, size, sizeof size), cli_grouped(total, bytes));
    print_field("tensors", "%zu in %zu blocks", dt2_file_tensor_count(file), dt2_blocks_count(model->blocks));
    struct dtype dtypes[DTYPES_MAX];
    size_t count = count_dtypes(file, dtypes);
    for (size_t i = 0; i < count; i++)
        print_field(i ? "" : "dtypes", "%s: %zu tensor%s, %s", dtypes[i].name, dtypes[i].tensors,
                    dtypes[i].tensors == 1 ? "" : "s", dt2_size_format(dtypes[i].bytes, size, sizeof size));
    print_metadata(file);
}

static void print_blocks(const struct dt2_blocks *blocks)
{
    static const struct cli_column columns[] = {
        { "#", true }, { "BLOCK", false }, { "TENSORS", true }, { "SIZE", true }, { "", false },
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

static void print_tensors(const struct dt2_file *file)
{
    static const struct cli_column columns[] = {
        { "TENSOR", false }, { "DTYPE", false }, { "SHAPE", false }, { "BYTES", true }, { "OFFSET", true },
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
    }
    puts("\nTensors, in file order");
    cli_table_print(table, 2);
    cli_table_destroy(table);
}

/* -- the command -- */

static void print_model(const char *name, const struct cli_model *model, bool tensors)
{
    print_summary(name, model);
    print_blocks(model->blocks);
    if (tensors)
        print_tensors(model->file);
}

static int inspect_one(const struct cli_options *options, const struct dt2_catalog *catalog, struct dt2_error *err)
{
    struct cli_model model;
    int rc = cli_model_open(catalog, options->arguments[0], &model, err);
    if (rc == 0 && options->json)
        cli_json_print(model_json(&model));
    else if (rc == 0)
        print_model(options->arguments[0], &model, options->tensors);
    cli_model_clear(&model);
    return rc;
}

/* A bad file does not keep the others from being shown; the first failure gives the exit status. */
static int inspect_several(const struct cli_options *options, const struct dt2_catalog *catalog, struct dt2_error *err)
{
    json_t *files = options->json ? json_array() : NULL;
    int status = 0;
    for (size_t i = 0; i < options->argument_count; i++) {
        const char *name = options->arguments[i];
        struct cli_model model;
        int rc = cli_model_open(catalog, name, &model, err);
        if (rc && !status)
            status = dt2_exit_status(rc);
        if (files)
            cli_json_append(files, rc ? failure_json(model.path ? model.path : name, err) : model_json(&model));
        else if (rc)
            cli_report(err);
        else
            print_model(name, &model, options->tensors);
        if (!files && i + 1 < options->argument_count)
            putchar('\n');
        cli_model_clear(&model);
    }
    if (files) {
        json_t *document = json_object();
        cli_json_set(document, "files", files);
        cli_json_print(document);
    }
    return status;
}

int cli_inspect(const struct cli_options *options, struct dt2_error *err)
{
    struct dt2_catalog *catalog = NULL;
    int rc = cli_catalog_open(options, &catalog, err);
    if (rc == 0)
        rc = options->argument_count == 1 ? inspect_one(options, catalog, err) : inspect_several(options, catalog, err);
    dt2_catalog_free(catalog);
    return rc;
}
