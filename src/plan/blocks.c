/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks of a file: grouped by name, ordered by execution, the empty ones joined to their neighbours. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/file.h"
#include "formats/names.h"
#include "plan/blocks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of one block name, while blocks are made. */
struct group {
    const char *name;
    size_t length;
    const struct dt2_name *members; /* in file order */
    size_t count;
    uint64_t bytes;
    size_t key_at, key_length; /* in the text of all keys */
    const char *key;
};

struct maker {
    const struct dt2_file *file;
    const struct dt2_network *network;
    bool *taken; /* which tensors are in a block */
    size_t tensor_count; /* of those */
    struct dt2_name *names; /* of the blocks, one for each tensor, sorted */
    struct group *groups;
    size_t group_count;
    struct dt2_text keys;
};

/*
 * Takes what the network reads, or `all`. What is another name of a tensor, or in a gang, has no bytes of its own, so that one
 * is taken too.
 */
static int take(struct maker *maker, bool all, struct dt2_blocks *blocks, struct dt2_error *err)
{
    const struct dt2_file *file = maker->file;
    size_t count = dt2_file_tensor_count(file);
    maker->taken = dt2_alloc(count, sizeof *maker->taken);
    if (!maker->taken)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        if (all || dt2_network_reads(maker->network, dt2_file_tensor(file, i)->name))
            maker->taken[i] = maker->taken[dt2_file_home(file, i, NULL)] = true;
    for (size_t i = 0; i < count; i++) {
        maker->tensor_count += maker->taken[i];
        blocks->left_out_count += !maker->taken[i];
        blocks->left_out_bytes += maker->taken[i] ? 0 : dt2_file_own_bytes(file, i); /* no more than the file's sum */
    }
    return 0;
}

/*
 * The part of a tensor's name that it shares with its block's others: all up to the last dot, the dot included. A name
 * without dot is a block by itself, and by its missing dot is told from the block of the same name.
 */
static struct dt2_name block_name(const struct dt2_network *network, const char *tensor, size_t index)
{
    const char *dot = strrchr(dt2_network_inner(network, tensor), '.'); /* what wraps a network divides nothing in it */
    return dt2_name_make(tensor, dot ? (size_t)(dot - tensor) + 1 : strlen(tensor), index);
}

static void add_group(struct maker *maker, const struct dt2_name *members, size_t count)
{
    size_t length = members->length;
    bool dotted = length > 0 && members->text[length - 1] == '.';
    struct group *group = &maker->groups[maker->group_count++];
    *group = (struct group){ .name = members->text, .length = length - dotted, .members = members, .count = count };
    for (size_t i = 0; i < count; i++)
        group->bytes += dt2_file_own_bytes(maker->file, members[i].index); /* no more than the file's sum */
}

static int make_groups(struct maker *maker, struct dt2_error *err)
{
    size_t count = maker->tensor_count;
    maker->names = dt2_alloc(count, sizeof *maker->names);
    maker->groups = dt2_alloc(count, sizeof *maker->groups);
    if (!maker->names || !maker->groups)
        return dt2_fail_nomem(err);
    for (size_t i = 0, at = 0; i < dt2_file_tensor_count(maker->file); i++)
        if (maker->taken[i])
            maker->names[at++] = block_name(maker->network, dt2_file_tensor(maker->file, dt2_file_leader(maker->file, i))->name,
                                             i);
    dt2_names_sort(maker->names, count);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && dt2_name_equal(&maker->names[begin], &maker->names[end]);)
            end++;
        add_group(maker, &maker->names[begin], end - begin);
    }
    return 0;
}

static int by_file(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return (x->members->index > y->members->index) - (x->members->index < y->members->index);
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, dt2_min(a_length, b_length));
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* By key; where keys agree, by all of the name that the group shares: the order of tensors in the file never counts. */
static int by_key(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int order = compare_bytes(x->key, x->key_length, y->key, y->key_length);
    return order ? order : compare_bytes(x->name, x->members->length, y->name, y->members->length);
}

/* Whether no tensor of [begin, index) has the dtype of that one. */
static bool is_new_dtype(const struct dt2_file *file, size_t begin, size_t index)
{
    for (size_t i = begin; i < index; i++)
        if (strcmp(dt2_file_tensor(file, i)->dtype, dt2_file_tensor(file, index)->dtype) == 0)
            return false;
    return true;
}

/*
 * Whether the tensors stand in the order of their names' text, in each file and for each dtype anew: who wrote them sorted them
 * so, and where they stand tells nothing of the network. How they will be stored has no part in that.
 */
static bool is_sorted_as_text(const struct dt2_file *file)
{
    file = dt2_file_written(file);
    for (size_t i = 1, begin = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *before = dt2_file_tensor(file, i - 1), *tensor = dt2_file_tensor(file, i);
        if (strcmp(before->file, tensor->file) != 0)
            begin = i;
        else if (strcmp(before->name, tensor->name) > 0 && !is_new_dtype(file, begin, i)) /* so there are few others */
            return false;
    }
    return true;
}

/* Appends the key of a group; what the network does not read stands behind it. */
static void add_key(struct maker *maker, const struct group *group, enum dt2_ordering ordering)
{
    const struct dt2_network *network = maker->network;
    const char *name = dt2_file_tensor(maker->file, group->members->index)->name;
    if (!network->variant) { /* by the names of its tensors, as the file has them */
        dt2_order_key(&maker->keys, ordering, name, strlen(name));
        return;
    }
    bool read = dt2_network_reads(network, name);
    size_t before = read ? (size_t)(dt2_network_inner(network, name) - name) : 0;
    before = dt2_min(before, group->length);
    dt2_order_key(&maker->keys, read ? ordering : DT2_ORDER_BESIDE, group->name + before, group->length - before);
}

static int order_groups(struct maker *maker, enum dt2_ordering ordering, struct dt2_error *err)
{
    if (ordering == DT2_ORDER_FILE && is_sorted_as_text(maker->file))
        ordering = DT2_ORDER_BESIDE; /* by name, numbers as numbers */
    if (ordering == DT2_ORDER_FILE) {
        qsort(maker->groups, maker->group_count, sizeof *maker->groups, by_file);
        return 0;
    }
    for (struct group *group = maker->groups; group < maker->groups + maker->group_count; group++) {
        group->key_at = maker->keys.length;
        add_key(maker, group, ordering);
        group->key_length = maker->keys.length - group->key_at;
    }
    if (maker->keys.failed)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < maker->group_count; i++)
        maker->groups[i].key = maker->keys.data + maker->groups[i].key_at;
    qsort(maker->groups, maker->group_count, sizeof *maker->groups, by_key);
    return 0;
}

/* -- from groups to blocks -- */

int dt2_blocks_alloc(struct dt2_blocks *blocks, const struct dt2_file *file, size_t count, size_t name_bytes,
                     size_t tensors, struct dt2_error *err)
{
    size_t text_bytes = 0;
    blocks->file_tensor_count = dt2_file_tensor_count(file);
    for (size_t i = 0; i < blocks->file_tensor_count; i++)
        text_bytes += strlen(dt2_file_tensor(file, i)->name) + 1;
    snprintf(blocks->fingerprint, sizeof blocks->fingerprint, "%s", dt2_file_fingerprint(file));
    blocks->path = dt2_strdup(dt2_file_path(file));
    blocks->blocks = dt2_alloc(count, sizeof *blocks->blocks);
    blocks->names = dt2_alloc(name_bytes, 1);
    blocks->tensor_bytes = dt2_alloc(tensors, sizeof *blocks->tensor_bytes);
    blocks->tensors = dt2_alloc(tensors, sizeof *blocks->tensors);
    blocks->tensor_names = dt2_alloc(tensors, sizeof *blocks->tensor_names);
    blocks->tensor_text = dt2_alloc(text_bytes, 1);
    bool all = blocks->path && blocks->blocks && blocks->names && blocks->tensor_bytes && blocks->tensors &&
               blocks->tensor_names && blocks->tensor_text;
    return all ? 0 : dt2_fail_nomem(err);
}

static int compare_indices(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/*
 * Whether group `i` begins a block. One without bytes goes with the block before it; what stands before the first one
 * with bytes goes with that one.
 */
static bool begins_block(const struct group *group, const struct dt2_blocks *blocks)
{
    if (blocks->count == 0)
        return true;
    return group->bytes > 0 && blocks->blocks[blocks->count - 1].bytes > 0;
}

static void fill(struct dt2_blocks *blocks, const struct maker *maker)
{
    char *name = blocks->names;
    size_t at = 0;
    for (const struct group *group = maker->groups; group < maker->groups + maker->group_count; group++) {
        if (begins_block(group, blocks))
            blocks->blocks[blocks->count++] =
                (struct dt2_block){ .tensor_bytes = blocks->tensor_bytes + at, .tensors = blocks->tensors + at,
                                    .tensor_names = blocks->tensor_names + at };
        struct dt2_block *block = &blocks->blocks[blocks->count - 1];
        if (!block->name || (block->bytes == 0 && group->bytes > 0)) { /* the name is that of the group with bytes */
            memcpy(name, group->name, group->length);
            block->name = name;
            name += group->length + 1;
        }
        for (size_t i = 0; i < group->count; i++)
            blocks->tensors[at++] = group->members[i].index;
        block->bytes += group->bytes;
        block->tensor_count += group->count;
    }
}

/* Joined groups too have their tensors in file order. */
static void sort_tensors(struct dt2_blocks *blocks)
{
    size_t *at = blocks->tensors;
    for (size_t i = 0; i < blocks->count; at += blocks->blocks[i++].tensor_count)
        qsort(at, blocks->blocks[i].tensor_count, sizeof *at, compare_indices);
}

void dt2_blocks_describe(struct dt2_blocks *blocks, const struct dt2_file *file, size_t count)
{
    char *end = blocks->tensor_text;
    for (size_t i = 0; i < count; i++) {
        blocks->tensor_bytes[i] = dt2_file_own_bytes(file, blocks->tensors[i]);
        blocks->tensor_names[i] = end;
        end = stpcpy(end, dt2_file_tensor(file, blocks->tensors[i])->name) + 1;
    }
}

static int make(struct dt2_blocks *blocks, struct maker *maker, bool all, struct dt2_error *err)
{
    blocks->network = dt2_recognise(maker->file);
    int rc = take(maker, all, blocks, err);
    if (rc == 0)
        rc = make_groups(maker, err);
    if (rc == 0)
        rc = order_groups(maker, blocks->network.ordering, err);
    size_t name_bytes = 0;
    for (size_t i = 0; i < maker->group_count; i++)
        name_bytes += maker->groups[i].length + 1;
    if (rc == 0)
        rc = dt2_blocks_alloc(blocks, maker->file, maker->group_count, name_bytes, maker->tensor_count, err);
    if (rc < 0)
        return rc;
    fill(blocks, maker);
    sort_tensors(blocks);
    dt2_blocks_describe(blocks, maker->file, maker->tensor_count);
    return 0;
}

static int make_blocks(const struct dt2_file *file, bool all, struct dt2_blocks **out, struct dt2_error *err)
{
    struct dt2_blocks *blocks = dt2_alloc(1, sizeof *blocks);
    if (!blocks)
        return dt2_fail_nomem(err);
    struct maker maker = { .file = file, .network = &blocks->network };
    int rc = make(blocks, &maker, all, err);
    dt2_text_clear(&maker.keys);
    dt2_release(maker.groups);
    dt2_release(maker.names);
    dt2_release(maker.taken);
    if (rc < 0)
        dt2_blocks_free(blocks);
    else
        *out = blocks;
    return rc;
}

int dt2_blocks_make(const struct dt2_file *file, struct dt2_blocks **out, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return make_blocks(file, false, out, err);
}

int dt2_blocks_make_all(const struct dt2_file *file, struct dt2_blocks **out, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return make_blocks(file, true, out, err);
}

void dt2_blocks_free(struct dt2_blocks *blocks)
{
    DT2_KEEP_ERRNO;
    if (!blocks)
        return;
    dt2_release(blocks->blocks);
    dt2_release(blocks->names);
    dt2_release(blocks->tensor_bytes);
    dt2_release(blocks->tensors);
    dt2_release(blocks->tensor_names);
    dt2_release(blocks->tensor_text);
    dt2_release(blocks->path);
    dt2_release(blocks);
}

int dt2_blocks_check(const struct dt2_blocks *blocks, const struct dt2_file *file, struct dt2_error *err)
{
    size_t count = dt2_file_tensor_count(file);
    if (blocks->file_tensor_count == count && strcmp(blocks->fingerprint, dt2_file_fingerprint(file)) == 0)
        return 0;
    dt2_fail(err, DT2_EUSAGE,
             "the blocks are not those of %s: they were made of %s as it was, with %zu tensors and the fingerprint %s; "
             "the file that is open has %zu and %s",
             dt2_file_path(file), blocks->path, blocks->file_tensor_count, blocks->fingerprint, count,
             dt2_file_fingerprint(file));
    dt2_suggest(err, "make its blocks with dt2_blocks_make()");
    return DT2_EUSAGE;
}

size_t dt2_blocks_count(const struct dt2_blocks *blocks)
{
    return blocks->count;
}

const struct dt2_block *dt2_blocks_array(const struct dt2_blocks *blocks)
{
    return blocks->blocks;
}

size_t dt2_blocks_left_out(const struct dt2_blocks *blocks, uint64_t *bytes)
{
    if (bytes)
        *bytes = blocks->left_out_bytes;
    return blocks->left_out_count;
}

const char *dt2_blocks_family(const struct dt2_blocks *blocks)
{
    return blocks->network.family;
}

const char *dt2_blocks_variant(const struct dt2_blocks *blocks)
{
    return blocks->network.variant;
}

bool dt2_blocks_needs_base(const struct dt2_blocks *blocks)
{
    return blocks->network.traits.needs_base;
}

const struct dt2_traits *dt2_blocks_traits(const struct dt2_blocks *blocks)
{
    return &blocks->network.traits;
}
