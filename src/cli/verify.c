/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 verify: a model against what `inspect --checksums --json` told of it before. */
#include "cli/commands.h"
#include "cli/hash.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/report.h"
#include "cli/saved.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One comparison. */
struct comparison {
    const char *name; /* of the model */
    const struct dt2_file *file;
    const json_t *saved;      /* its tensors */
    char (*xxh3)[CLI_XXH3_SIZE];
    json_t *differences;
};

/* -- what was saved -- */

/* Of the models of a document the one that is meant: by name or path, or the only one. NULL: none. */
static const json_t *find_model(const json_t *document, const char *name, const char *path)
{
    const json_t *files = json_object_get(document, "files");
    if (!json_is_array(files))
        return document;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *model = json_array_get(files, i);
        const char *its_name = json_string_value(json_object_get(model, "name"));
        const char *its_path = json_string_value(json_object_get(model, "path"));
        if ((its_name && strcmp(its_name, name) == 0) || (its_path && strcmp(its_path, path) == 0))
            return model;
    }
    return json_array_size(files) == 1 ? json_array_get(files, 0) : NULL;
}

/* The tensors of the model, each with a name and a checksum. */
static int find_tensors(const json_t *document, const char *against, const char *name, const char *path,
                        const json_t **tensors, struct dt2_error *err)
{
    const json_t *model = find_model(document, name, path);
    if (!model) {
        cli_fail(err, DT2_EFAILED, "%s: none of its models is called %s", cli_saved_name(against), name);
        return cli_suggest(err, "one of `inspect %s --checksums --json` fits", name);
    }
    *tensors = json_object_get(model, "tensors");
    bool good = json_is_array(*tensors);
    for (size_t i = 0; good && i < json_array_size(*tensors); i++) {
        const json_t *tensor = json_array_get(*tensors, i);
        good = json_is_string(json_object_get(tensor, "name")) && json_is_string(json_object_get(tensor, "xxh3"));
    }
    if (good)
        return 0;
    cli_fail(err, DT2_EFAILED, "%s: has no checksums of tensors", cli_saved_name(against));
    return cli_suggest(err, "distorch2 inspect %s --checksums --json writes them", name);
}

/* -- comparing -- */

static void differs(struct comparison *comparison, const char *tensor, const char *what, json_t *expected,
                    json_t *found)
{
    json_t *object = json_object();
    cli_json_set(object, "tensor", cli_json_text(tensor));
    cli_json_set(object, "what", cli_json_text(what));
    cli_json_set(object, "expected", expected);
    cli_json_set(object, "found", found);
    cli_json_append(comparison->differences, object);
}

static json_t *shape_json(const struct dt2_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->rank; i++)
        cli_json_append(shape, cli_json_bytes(tensor->shape[i]));
    return shape;
}

/* What differs first: the kind of numbers, how many, or their bytes. A key that was not saved is not compared. */
static void compare_tensor(struct comparison *comparison, const json_t *saved, size_t index)
{
    const struct dt2_tensor *tensor = dt2_file_tensor(comparison->file, index);
    const struct {
        const char *key;
        json_t *found;
    } facts[] = {
        { "dtype", cli_json_text(tensor->dtype) },
        { "shape", shape_json(tensor) },
        { "bytes", cli_json_bytes(tensor->bytes) },
        { "xxh3", cli_json_text(comparison->xxh3[index]) },
    };
    bool same = true;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        json_t *expected = json_object_get(saved, facts[i].key);
        if (same && expected && !json_equal(expected, facts[i].found)) {
            differs(comparison, tensor->name, facts[i].key, json_incref(expected), json_incref(facts[i].found));
            same = false;
        }
        json_decref(facts[i].found);
    }
}

static void compare(struct comparison *comparison)
{
    size_t count = dt2_file_tensor_count(comparison->file);
    bool *seen = cli_alloc(count, sizeof *seen);
    for (size_t i = 0; i < json_array_size(comparison->saved); i++) {
        const json_t *saved = json_array_get(comparison->saved, i);
        const char *name = json_string_value(json_object_get(saved, "name"));
        size_t index;
        if (dt2_file_find(comparison->file, name, &index, NULL)) {
            differs(comparison, name, "missing", json_true(), json_false());
            continue;
        }
        seen[index] = true;
        compare_tensor(comparison, saved, index);
    }
    for (size_t i = 0; i < count; i++)
        if (!seen[i])
            differs(comparison, dt2_file_tensor(comparison->file, i)->name, "not expected", json_false(), json_true());
    free(seen);
}

/* -- telling -- */

static char *value_text(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    char *copy = cli_format("%s", json_is_string(value) ? json_string_value(value) : text ? text : "");
    free(text);
    return copy;
}

static void print_table(const struct comparison *comparison)
{
    static const struct cli_column columns[] = {
        { "TENSOR", false, 40, 0 }, { "WHAT", false, 0, 0 }, { "EXPECTED", false, 16, 0 }, { "FOUND", false, 16, 0 },
    };
    size_t count = json_array_size(comparison->differences);
    char *title = cli_printable(comparison->name, false);
    printf("%s%s%s\n", cli_bold(), title, cli_normal());
    free(title);
    if (count == 0) {
        printf("  all %zu tensors are as expected\n", dt2_file_tensor_count(comparison->file));
        return;
    }
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        const json_t *difference = json_array_get(comparison->differences, i);
        const char *what = json_string_value(json_object_get(difference, "what"));
        bool compared = !strchr("mn", what[0]); /* missing, or not expected: there is nothing to show */
        char *expected = value_text(json_object_get(difference, "expected"));
        char *found = value_text(json_object_get(difference, "found"));
        cli_table_text(table, json_string_value(json_object_get(difference, "tensor")));
        cli_table_text(table, what);
        cli_table_text(table, compared ? expected : NULL);
        cli_table_text(table, compared ? found : NULL);
        free(expected);
        free(found);
    }
    cli_table_print(table, 2);
    cli_table_destroy(table);
    printf("  %zu of %zu tensors differ\n", count, dt2_file_tensor_count(comparison->file));
}

static void print_json(const struct comparison *comparison)
{
    json_t *document = json_object();
    cli_json_set(document, "name", cli_json_text(comparison->name));
    cli_json_set(document, "path", cli_json_text(dt2_file_path(comparison->file)));
    cli_json_set(document, "tensors", json_integer((json_int_t)dt2_file_tensor_count(comparison->file)));
    cli_json_set(document, "matches", json_boolean(json_array_size(comparison->differences) == 0));
    cli_json_set(document, "differences", json_incref(comparison->differences));
    cli_json_print(document);
}

/* -- the command -- */

static int verify_open(const struct cli_options *options, const char *name, const struct dt2_file *file,
                       const json_t *document, struct dt2_error *err)
{
    struct comparison comparison = { .name = name, .file = file };
    struct cli_options sums_alone = *options;
    struct cli_sums sums = { NULL, NULL };
    sums_alone.checksums = true;
    int rc = find_tensors(document, options->against, name, dt2_file_path(file), &comparison.saved, err);
    if (rc == 0)
        rc = cli_sums_take(&sums_alone, name, file, &sums, err);
    if (rc == 0) {
        comparison.xxh3 = sums.xxh3;
        comparison.differences = json_array();
        compare(&comparison);
        if (options->json)
            print_json(&comparison);
        else
            print_table(&comparison);
        rc = json_array_size(comparison.differences) ? dt2_exit_status(DT2_EFAILED) : 0;
        json_decref(comparison.differences);
    }
    cli_sums_clear(&sums);
    return rc;
}

static int read_document(const char *against, json_t **document, struct dt2_error *err)
{
    char *text;
    size_t length;
    json_error_t where;
    int rc = cli_read_saved(against, "--against", "distorch2 inspect --checksums --json", &text, &length, err);
    if (rc == 0) {
        *document = json_loadb(text, length, 0, &where);
        if (!*document)
            rc = cli_fail(err, DT2_EFAILED, "%s: line %d: %s", cli_saved_name(against), where.line, where.text);
    }
    free(text);
    return rc;
}

int cli_verify(const struct cli_options *options, struct dt2_error *err)
{
    const char *name = options->arguments[0];
    struct cli_catalog catalog = { .options = options };
    struct cli_model model = { NULL, NULL, NULL };
    json_t *document = NULL;
    if (!options->against) {
        cli_fail(err, DT2_EUSAGE, "verify needs the checksums to compare with");
        return cli_suggest(err, "--against=FILE, which `distorch2 inspect %s --checksums --json` wrote", name);
    }
    int rc = read_document(options->against, &document, err);
    if (rc == 0)
        rc = cli_model_open(&catalog, name, &model, err);
    if (rc == 0)
        rc = verify_open(options, name, model.file, document, err);
    cli_model_clear(&model);
    cli_catalog_close(&catalog);
    json_decref(document);
    return rc;
}
