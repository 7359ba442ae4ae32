/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of a pickle's dicts is the one of tensors, and what is beside the tensors. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/pytorch/reader.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAPPERS_MOST 16 /* dicts around the state dict */

/* The shortest of the notations that mean this number and no other. */
static void write_float(struct dt2_text *text, double real)
{
    char digits[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    dt2_text_addf(text, "%s", digits);
}

/* What stands for a value that is no tensor; in the pickle's text, which a
 * string is in already. */
static size_t write_value(struct dt2_text *text, const struct dt2_pickle_value *value)
{
    size_t at = text->length;
    if (value->kind == DT2_PICKLE_STRING)
        return value->at;
    if (value->kind == DT2_PICKLE_INT)
        dt2_text_addf(text, "%" PRId64, value->integer);
    else if (value->kind == DT2_PICKLE_FLOAT)
        write_float(text, value->real);
    else if (value->kind == DT2_PICKLE_BOOL)
        dt2_text_addf(text, "%s", value->integer ? "True" : "False");
    else
        dt2_text_addf(text, "(%s)", dt2_pickle_kind_name(value));
    dt2_text_add(text, "", 1);
    return at;
}

static bool is_showable(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value)
{
    if (value->kind != DT2_PICKLE_STRING)
        return true;
    const char *text = dt2_pickle_text(pickle, value);
    return !memchr(text, '\0', value->count) && dt2_utf8_valid(text, value->count);
}

/* What is no tensor is not loaded, but told: "epoch: 12". */
static int add_metadata(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *key,
                    const struct dt2_pickle_value *value)
{
    struct dt2_pickle *pickle = reader->pickle;
    if (key->kind != DT2_PICKLE_STRING || !is_showable(pickle, key) || !is_showable(pickle, value))
        return 0;
    if (!DT2_GROW(reader->metadata, reader->metadata_count, reader->metadata_capacity))
        return dt2_fail_nomem(reader->err);
    reader->metadata[reader->metadata_count++] = (struct dt2_pytorch_metadata){ key->at, write_value(&pickle->text, value) };
    return pickle->text.failed ? dt2_fail_nomem(reader->err) : 0;
}

/* Python keeps the last of equal keys, in the place of the first: which one is
 * meant nobody can tell. */
static int check_keys(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict)
{
    const struct dt2_pickle *pickle = reader->pickle;
    struct dt2_pickle_value key, value;
    size_t count = 0, capacity = 0;
    DT2_AUTO struct dt2_name *names = NULL;
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, dict);
    while (dt2_pickle_next_entry(pickle, &walk, &key, &value)) {
        if (key.kind != DT2_PICKLE_STRING)
            continue;
        if (!DT2_GROW(names, count, capacity))
            return dt2_fail_nomem(reader->err);
        names[count] = dt2_name_make(dt2_pickle_text(pickle, &key), key.count, count);
        count++;
    }
    if (count == 0)
        return 0;
    dt2_names_sort(names, count);
    const struct dt2_name *twice = dt2_names_twice(names, count);
    return twice ? dt2_pytorch_refuse(reader, "key '%s' is there twice",
                                      dt2_shown(twice->text, twice->length, reader->shown))
                 : 0;
}

/*
 * The dict in `dict` that holds the tensors: "state_dict"; or, when there are
 * no tensors beside it, the only dict, or the only one that has tensors.
 * NOTHING: `dict` itself is it, or, with *several, one of those that have tensors.
 */
static struct dt2_pickle_value find_inner(const struct dt2_pickle *pickle, const struct dt2_pickle_value *dict,
                                          bool *several)
{
    *several = false;
    struct dt2_pickle_value key, value, any = { 0 }, full = { 0 };
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, dict);
    size_t tensors = 0, dicts = 0, full_dicts = 0;
    while (dt2_pickle_next_entry(pickle, &walk, &key, &value)) {
        tensors += value.kind == DT2_PICKLE_TENSOR;
        if (dt2_pickle_is(pickle, &key, "state_dict"))
            return value;
        if (value.kind != DT2_PICKLE_DICT)
            continue;
        dicts++;
        any = value;
        if (pickle->containers[value.at].has_tensors) {
            full_dicts++;
            full = value;
        }
    }
    if (tensors > 0)
        return (struct dt2_pickle_value){ 0 };
    *several = full_dicts > 1;
    return full_dicts == 1 ? full : dicts == 1 ? any : (struct dt2_pickle_value){ 0 };
}

/* Notes what is beside the inner dict. */
static int add_others(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict,
                       const struct dt2_pickle_value *inner)
{
    struct dt2_pickle_value key, value;
    struct dt2_pickle_walk walk = dt2_pickle_walk(reader->pickle, dict);
    int rc = 0;
    while (rc == 0 && dt2_pickle_next_entry(reader->pickle, &walk, &key, &value))
        if (value.kind != DT2_PICKLE_DICT || value.at != inner->at)
            rc = add_metadata(reader, &key, &value);
    return rc;
}

/* The value of a key; NOTHING: it is not there. */
static struct dt2_pickle_value value_of(const struct dt2_pickle *pickle, const struct dt2_pickle_value *dict,
                                        const char *name)
{
    struct dt2_pickle_value key, value;
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, dict);
    while (dt2_pickle_next_entry(pickle, &walk, &key, &value))
        if (dt2_pickle_is(pickle, &key, name))
            return value;
    return (struct dt2_pickle_value){ 0 };
}

/* The dict that the caller names, however deep it is. */
static int find_named(struct dt2_pytorch_reader *reader, struct dt2_pickle_value *dict)
{
    const char *name = reader->file->key;
    *dict = reader->pickle->root;
    for (size_t i = 0; i < WRAPPERS_MOST && dict->kind == DT2_PICKLE_DICT; i++) {
        int rc = check_keys(reader, dict);
        if (rc < 0)
            return rc;
        bool several;
        struct dt2_pickle_value found = value_of(reader->pickle, dict, name);
        struct dt2_pickle_value inner = found.kind ? found : find_inner(reader->pickle, dict, &several);
        if (inner.kind != DT2_PICKLE_NOTHING)
            rc = add_others(reader, dict, &inner);
        if (rc < 0)
            return rc;
        *dict = inner;
        if (found.kind == DT2_PICKLE_DICT)
            return check_keys(reader, dict);
        if (found.kind)
            return dt2_pytorch_refuse(reader, "'%s' is %s, not a dict of tensors",
                                      dt2_show(name, reader->shown, sizeof reader->shown), dt2_pickle_kind_name(&found));
    }
    dt2_pytorch_refuse(reader, "it has no dict of tensors called '%s'",
                       dt2_show(name, reader->shown, sizeof reader->shown));
    return dt2_pytorch_suggest_dicts(reader, &reader->pickle->root);
}

static int find_state_dict(struct dt2_pytorch_reader *reader, struct dt2_pickle_value *dict)
{
    *dict = reader->pickle->root;
    if (dict->kind != DT2_PICKLE_DICT)
        return dt2_pytorch_refuse(reader, "what it holds is %s, not a dict of tensors", dt2_pickle_kind_name(dict));
    for (size_t i = 0; i < WRAPPERS_MOST; i++) {
        int rc = check_keys(reader, dict);
        if (rc < 0)
            return rc;
        bool several;
        struct dt2_pickle_value inner = find_inner(reader->pickle, dict, &several);
        if (several)
            rc = dt2_pytorch_choose_dict(reader, dict, &inner);
        if (rc < 0 || inner.kind == DT2_PICKLE_NOTHING)
            return rc;
        if (inner.kind != DT2_PICKLE_DICT)
            return dt2_pytorch_refuse(reader, "its state_dict is %s, not a dict of tensors",
                                      dt2_pickle_kind_name(&inner));
        rc = add_others(reader, dict, &inner);
        if (rc < 0)
            return rc;
        *dict = inner;
    }
    return dt2_pytorch_refuse(reader, "its state dict is in more than %d others", WRAPPERS_MOST);
}

/* What there is when there are no tensors: the first keys. */
static int refuse_empty(struct dt2_pytorch_reader *reader)
{
    struct dt2_text keys = { 0 };
    for (size_t i = 0; i < reader->metadata_count && i < 8; i++) {
        const char *key = reader->pickle->text.data + reader->metadata[i].key_at;
        dt2_text_addf(&keys, "%s%s", i ? ", " : "", dt2_shown(key, strlen(key), reader->shown));
    }
    DT2_AUTO char *list = dt2_text_take(&keys);
    if (reader->pickle->call_count > 0)
        return dt2_pytorch_refuse(reader, "what it holds of tensors has no names: it is in no dict of them%s%s",
                                  list && *list ? "; its keys: " : "", list ? list : "");
    return dt2_pytorch_refuse(reader, "it holds no tensors%s%s%s", list && *list ? ", but " : "", list ? list : "",
                              reader->metadata_count > 8 ? ", ..." : "");
}

int dt2_pytorch_read_state_dict(struct dt2_pytorch_reader *reader)
{
    struct dt2_pickle_value dict, key, value;
    int rc = reader->file->key ? find_named(reader, &dict) : find_state_dict(reader, &dict);
    if (rc < 0)
        return rc;
    if (!DT2_GROW(reader->file->shapes, reader->shape_count, reader->shape_capacity))
        return dt2_fail_nomem(reader->err); /* there even when all tensors are scalars */
    struct dt2_pickle_walk walk = dt2_pickle_walk(reader->pickle, &dict);
    while (rc == 0 && dt2_pickle_next_entry(reader->pickle, &walk, &key, &value)) {
        if (value.kind == DT2_PICKLE_TENSOR && key.kind != DT2_PICKLE_STRING)
            return dt2_pytorch_refuse(reader, "the name of a tensor is %s, not a string", dt2_pickle_kind_name(&key));
        rc = value.kind == DT2_PICKLE_TENSOR ? dt2_pytorch_add_tensor(reader, &key, &value)
                                             : add_metadata(reader, &key, &value);
    }
    if (rc == 0 && reader->record_count == 0)
        rc = refuse_empty(reader);
    return rc;
}
