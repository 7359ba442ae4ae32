/* SPDX-License-Identifier: BSD-3-Clause */
/* What a pickle was found to hold, once it is read. */
#include "base/alloc.h"
#include "formats/pytorch/pickle.h"
#include <string.h>

void dt2_pickle_clear(struct dt2_pickle *pickle)
{
    dt2_text_clear(&pickle->text);
    dt2_release(pickle->items);
    dt2_release(pickle->runs);
    dt2_release(pickle->containers);
    dt2_release(pickle->calls);
    dt2_release(pickle->storages);
    *pickle = (struct dt2_pickle){ 0 };
}

const char *dt2_pickle_text(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value)
{
    return pickle->text.data + value->at;
}

bool dt2_pickle_is(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value, const char *string)
{
    return value->kind == DT2_PICKLE_STRING && value->count == strlen(string) &&
           memcmp(dt2_pickle_text(pickle, value), string, value->count) == 0;
}

const char *dt2_pickle_kind_name(const struct dt2_pickle_value *value)
{
    static const char *const names[] = {
        [DT2_PICKLE_NOTHING] = "nothing",
        [DT2_PICKLE_NONE] = "None",
        [DT2_PICKLE_BOOL] = "a bool",
        [DT2_PICKLE_INT] = "a number",
        [DT2_PICKLE_LONG] = "a long number",
        [DT2_PICKLE_FLOAT] = "a float",
        [DT2_PICKLE_STRING] = "a string",
        [DT2_PICKLE_BYTES_OBJECT] = "bytes",
        [DT2_PICKLE_TUPLE] = "a tuple",
        [DT2_PICKLE_LIST] = "a list",
        [DT2_PICKLE_SET] = "a set",
        [DT2_PICKLE_DICT] = "a dict",
        [DT2_PICKLE_GLOBAL] = "a class or function",
        [DT2_PICKLE_STORAGE] = "a bare storage",
        [DT2_PICKLE_TENSOR] = "a tensor",
    };
    bool named = value->kind == DT2_PICKLE_GLOBAL || value->kind == DT2_PICKLE_OBJECT;
    return named ? value->global->name : names[value->kind];
}

bool dt2_pickle_is_no_hooks(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value)
{
    if (value->kind != DT2_PICKLE_DICT)
        return value->kind == DT2_PICKLE_NONE;
    const struct dt2_pickle_container *dict = &pickle->containers[value->at];
    return dict->first_run == SIZE_MAX && dict->pairs == SIZE_MAX;
}

/* -- walking -- */

struct dt2_pickle_walk dt2_pickle_walk(const struct dt2_pickle *pickle, const struct dt2_pickle_value *container)
{
    const struct dt2_pickle_container *own = &pickle->containers[container->at];
    struct dt2_pickle_walk walk = { .run = own->first_run, .pairs_run = SIZE_MAX };
    if (own->pairs != SIZE_MAX)
        walk.pairs_run = pickle->containers[own->pairs].first_run;
    return walk;
}

/* Runs are never empty. */
static const struct dt2_pickle_value *next_item(const struct dt2_pickle *pickle, size_t *run, size_t *index)
{
    if (*run == SIZE_MAX)
        return NULL;
    const struct dt2_pickle_run *own = &pickle->runs[*run];
    const struct dt2_pickle_value *item = &pickle->items[own->first + (*index)++];
    if (*index == own->count) {
        *run = own->next;
        *index = 0;
    }
    return item;
}

const struct dt2_pickle_value *dt2_pickle_next(const struct dt2_pickle *pickle, struct dt2_pickle_walk *walk)
{
    return next_item(pickle, &walk->run, &walk->index);
}

/* A pair is a tuple or list of two. */
bool dt2_pickle_pair(const struct dt2_pickle *pickle, const struct dt2_pickle_value *pair, struct dt2_pickle_value *key,
                     struct dt2_pickle_value *value)
{
    if (pair->kind == DT2_PICKLE_TUPLE && pair->count == 2) {
        *key = pickle->items[pair->at];
        *value = pickle->items[pair->at + 1];
        return true;
    }
    if (pair->kind != DT2_PICKLE_LIST)
        return false;
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, pair);
    const struct dt2_pickle_value *first = dt2_pickle_next(pickle, &walk);
    const struct dt2_pickle_value *second = first ? dt2_pickle_next(pickle, &walk) : NULL;
    if (!second || dt2_pickle_next(pickle, &walk))
        return false;
    *key = *first;
    *value = *second;
    return true;
}

bool dt2_pickle_next_entry(const struct dt2_pickle *pickle, struct dt2_pickle_walk *walk, struct dt2_pickle_value *key,
                           struct dt2_pickle_value *value)
{
    const struct dt2_pickle_value *pair = next_item(pickle, &walk->pairs_run, &walk->pairs_index);
    if (pair) {
        if (!dt2_pickle_pair(pickle, pair, key, value))
            *key = *value = (struct dt2_pickle_value){ 0 };
        return true;
    }
    const struct dt2_pickle_value *item = dt2_pickle_next(pickle, walk);
    if (!item)
        return false;
    *key = *item;
    *value = *dt2_pickle_next(pickle, walk); /* items of dicts are added in pairs */
    return true;
}
