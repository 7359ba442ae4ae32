/* SPDX-License-Identifier: BSD-3-Clause */
/* What a model is, in JSON. */
#include "cli/inspect.h"
#include "cli/text.h"
#include <stdlib.h>

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

static json_t *tensors_json(const struct cli_model *model, const struct cli_sums *sums)
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
        if (sums->xxh3)
            cli_json_set(object, "xxh3", cli_json_text(sums->xxh3[i]));
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
    struct cli_dtype dtypes[CLI_DTYPES_MAX];
    size_t count = cli_count_dtypes(file, dtypes);
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

static json_t *parts_json(const struct dt2_file *file, const struct cli_sums *sums)
{
    size_t count;
    struct cli_part *parts = cli_count_parts(file, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        cli_json_set(object, "path", cli_json_text(parts[i].path));
        cli_json_set(object, "tensors", json_integer((json_int_t)parts[i].tensors));
        cli_json_set(object, "bytes", cli_json_bytes(parts[i].bytes));
        if (sums->sha256)
            cli_json_set(object, "sha256", cli_json_text(sums->sha256[i]));
        cli_json_append(list, object);
    }
    free(parts);
    return list;
}

/* What is in the file and no part of the network. */
static void set_left_out(json_t *object, const struct dt2_blocks *blocks)
{
    uint64_t bytes;
    json_t *left_out = json_object();
    cli_json_set(left_out, "tensors", json_integer((json_int_t)dt2_blocks_left_out(blocks, &bytes)));
    cli_json_set(left_out, "bytes", cli_json_bytes(bytes));
    cli_json_set(object, "left_out", left_out);
}

static void set_network(json_t *object, const struct dt2_blocks *blocks)
{
    const struct dt2_traits *traits = dt2_blocks_traits(blocks);
    char *what = cli_describe(blocks);
    cli_json_set(object, "what", cli_json_text(what));
    free(what);
    cli_json_set(object, "needs_base", json_boolean(traits->needs_base));
    cli_json_set(object, "differences", json_boolean(traits->differences));
    cli_json_set(object, "inpaint", json_boolean(traits->inpaint));
    cli_json_set(object, "hint_channels", cli_json_bytes(traits->hint_channels ? traits->hint_channels : DT2_UNKNOWN));
    cli_json_set(object, "union_types", cli_json_bytes(traits->union_types ? traits->union_types : DT2_UNKNOWN));
}

json_t *cli_model_json(const char *name, const struct cli_model *model, const struct cli_sums *sums)
{
    json_t *object = json_object();
    cli_json_set(object, "name", cli_json_text(name));
    cli_json_set(object, "path", cli_json_text(dt2_file_path(model->file)));
    cli_json_set(object, "format", cli_json_text(dt2_file_format(model->file)));
    cli_json_set(object, "variant", cli_json_text(dt2_blocks_variant(model->blocks)));
    cli_json_set(object, "family", cli_json_text(dt2_blocks_family(model->blocks)));
    cli_json_set(object, "total_bytes", cli_json_bytes(cli_model_bytes(model)));
    set_left_out(object, model->blocks);
    set_network(object, model->blocks);
    cli_json_set(object, "fingerprint", cli_json_text(dt2_file_fingerprint(model->file)));
    cli_json_set(object, "parts", parts_json(model->file, sums));
    cli_json_set(object, "dtypes", dtypes_json(model->file));
    cli_json_set(object, "metadata", metadata_json(model->file));
    cli_json_set(object, "tensors", tensors_json(model, sums));
    cli_json_set(object, "blocks", blocks_json(model->blocks));
    return object;
}
