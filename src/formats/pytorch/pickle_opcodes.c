/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcodes: one function an opcode or family of opcodes, all in one table.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/pytorch/pickle_machine.h"
#include <inttypes.h>
#include <string.h>

#define MEMO_SPARE 1000

/* A length of `size` bytes, of so many bytes that are there. */
static int take_length(struct dt2_unpickler *in, size_t size, uint64_t *length)
{
    int rc = dt2_unpickler_take_number(in, size, length);
    return rc < 0 ? rc : dt2_unpickler_need(in, *length);
}

/* Keeps `length` bytes as text. */
static int take_text(struct dt2_unpickler *in, enum dt2_pickle_kind kind, uint64_t length,
                     struct dt2_pickle_value *value)
{
    struct dt2_text *text = &in->pickle->text;
    *value = (struct dt2_pickle_value){ .kind = (uint8_t)kind, .count = (uint32_t)length, .at = text->length };
    char part[4096];
    for (uint64_t left = length, size; left > 0; left -= size) {
        size = dt2_min(left, sizeof part);
        int rc = dt2_pickle_take(&in->input, part, size, in->err);
        if (rc < 0)
            return rc;
        dt2_text_add(text, part, size);
    }
    dt2_text_add(text, "", 1);
    return text->failed ? dt2_fail_nomem(in->err) : 0;
}

/* Drops the last mark; *first: the index of what was above it. */
static int pop_mark(struct dt2_unpickler *in, size_t *first)
{
    if (in->mark_count == 0)
        return dt2_unpickler_refuse(in, "there is no mark on the stack");
    *first = in->marks[--in->mark_count];
    return 0;
}

/* -- values with values in them -- */

static uint8_t depth_of(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value)
{
    bool contains = dt2_pickle_is_container(value);
    return contains ? pickle->containers[value->at].depth : value->depth;
}

/* Moves the values from `first` on from the stack to the items. *depth: theirs,
 * and one more for what holds them. */
static int take_items(struct dt2_unpickler *in, size_t first, size_t *at, uint8_t *depth)
{
    struct dt2_pickle *pickle = in->pickle;
    uint64_t most = 0;
    *at = pickle->item_count;
    for (size_t i = first; i < in->count; i++) {
        if (pickle->item_count >= DT2_PICKLE_NODES)
            return dt2_unpickler_refuse(in, "more than %d values", DT2_PICKLE_NODES);
        if (!DT2_GROW(pickle->items, pickle->item_count, pickle->item_capacity))
            return dt2_fail_nomem(in->err);
        pickle->items[pickle->item_count++] = in->stack[i];
        most = dt2_max(most, depth_of(pickle, &in->stack[i]));
    }
    in->count = first;
    if (most >= DT2_PICKLE_DEPTH)
        return dt2_unpickler_refuse(in, "values nested deeper than %d", DT2_PICKLE_DEPTH);
    *depth = (uint8_t)(most + 1);
    return 0;
}

/* Makes a tuple of the values from `first` on. */
static int make_tuple(struct dt2_unpickler *in, size_t first)
{
    struct dt2_pickle_value tuple = { .kind = DT2_PICKLE_TUPLE, .count = (uint32_t)(in->count - first) };
    int rc = take_items(in, first, &tuple.at, &tuple.depth);
    return rc < 0 ? rc : dt2_unpickler_push(in, tuple);
}

/* Puts the run of items behind those that the container has. */
static int add_run(struct dt2_unpickler *in, struct dt2_pickle_container *container, size_t first, size_t count)
{
    struct dt2_pickle *pickle = in->pickle;
    struct dt2_pickle_run *last = container->last_run == SIZE_MAX ? NULL : &pickle->runs[container->last_run];
    if (last && last->first + last->count == first) {
        last->count += count;
        return 0;
    }
    if (!DT2_GROW(pickle->runs, pickle->run_count, pickle->run_capacity))
        return dt2_fail_nomem(in->err);
    size_t *link = last ? &pickle->runs[container->last_run].next : &container->first_run;
    *link = container->last_run = pickle->run_count;
    pickle->runs[pickle->run_count++] = (struct dt2_pickle_run){ first, count, SIZE_MAX };
    return 0;
}

/* Adds the values from `first` on to the list or dict below them. */
static int add_items(struct dt2_unpickler *in, size_t first, enum dt2_pickle_kind kind)
{
    if (first <= dt2_unpickler_base(in))
        return dt2_unpickler_refuse(in, "the stack has no value left that it wants");
    const struct dt2_pickle_value *target = &in->stack[first - 1];
    if (target->kind != kind)
        return dt2_unpickler_refuse(in, "adds to %s", dt2_pickle_kind_name(target));
    size_t count = in->count - first, at;
    if (kind == DT2_PICKLE_DICT && count % 2)
        return dt2_unpickler_refuse(in, "a key without a value");
    if (count > 0 && in->pickle->containers[target->at].fixed)
        return dt2_unpickler_refuse(in, "%s grows after a call has taken it", dt2_pickle_kind_name(target));
    for (size_t i = first; kind == DT2_PICKLE_DICT && i < in->count; i += 2)
        if (dt2_pickle_is_container(&in->stack[i]))
            return dt2_unpickler_refuse(in, "the key of a dict is %s", dt2_pickle_kind_name(&in->stack[i]));
    uint8_t depth;
    int rc = take_items(in, first, &at, &depth);
    if (rc < 0 || count == 0)
        return rc;
    struct dt2_pickle_container *container = &in->pickle->containers[in->stack[first - 1].at];
    container->depth = (uint8_t)dt2_max(container->depth, depth);
    for (size_t i = 0; i < count; i++)
        container->has_tensors |= in->pickle->items[at + i].kind == DT2_PICKLE_TENSOR;
    return add_run(in, container, at, count);
}

/* -- opcodes: constants -- */

static int run_none(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_NONE });
}

static int run_bool(struct dt2_unpickler *in, unsigned number)
{
    return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_BOOL, .integer = number });
}

/* BININT, the one of 4 bytes, has a sign. */
static int run_int(struct dt2_unpickler *in, unsigned number)
{
    uint64_t bits = 0;
    int rc = dt2_unpickler_take_number(in, number, &bits);
    int64_t integer = number == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
    return rc < 0 ? rc
                  : dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_INT, .integer = integer });
}

/* Two's complement, of a length that `number` bytes tell. */
static int run_long(struct dt2_unpickler *in, unsigned number)
{
    uint64_t length, bits = 0;
    struct dt2_pickle_value value = { .kind = DT2_PICKLE_INT };
    int rc = take_length(in, number, &length);
    if (rc == 0 && length > sizeof bits)
        rc = take_text(in, DT2_PICKLE_LONG, length, &value);
    else if (rc == 0)
        rc = dt2_unpickler_take_number(in, length, &bits);
    if (rc < 0)
        return rc;
    if (value.kind == DT2_PICKLE_INT && length > 0) {
        unsigned unused = 64 - 8 * (unsigned)length;
        value.integer = (int64_t)(bits << unused) >> unused;
    }
    return dt2_unpickler_push(in, value);
}

static int run_float(struct dt2_unpickler *in, unsigned number)
{
    unsigned char bytes[8];
    uint64_t bits = 0;
    int rc = dt2_unpickler_take(in, bytes, number);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof bytes; i++)
        bits = bits << 8 | bytes[i];
    struct dt2_pickle_value value = { .kind = DT2_PICKLE_FLOAT };
    memcpy(&value.real, &bits, sizeof bits);
    return dt2_unpickler_push(in, value);
}

static int run_string(struct dt2_unpickler *in, unsigned number)
{
    uint64_t length;
    struct dt2_pickle_value value;
    int rc = take_length(in, number, &length);
    if (rc == 0)
        rc = take_text(in, DT2_PICKLE_STRING, length, &value);
    return rc < 0 ? rc : dt2_unpickler_push(in, value);
}

static int run_bytes(struct dt2_unpickler *in, unsigned number)
{
    uint64_t length;
    int rc = take_length(in, number, &length);
    if (rc < 0)
        return rc;
    dt2_pickle_pass(&in->input, length);
    return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_BYTES_OBJECT });
}

/* -- opcodes: tuples, lists, dicts -- */

static int run_mark(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    if (in->mark_count == DT2_PICKLE_MARKS)
        return dt2_unpickler_refuse(in, "more than %d marks are open", DT2_PICKLE_MARKS);
    in->marks[in->mark_count++] = in->count;
    return 0;
}

static int run_pop(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    if (in->count == dt2_unpickler_base(in) && in->mark_count > 0) {
        in->mark_count--;
        return 0;
    }
    int rc = dt2_unpickler_need_values(in, 1);
    if (rc == 0)
        in->count--;
    return rc;
}

static int run_pop_mark(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    return pop_mark(in, &in->count);
}

/* Of `number` values. */
static int run_tuple_of(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_unpickler_need_values(in, number);
    return rc < 0 ? rc : make_tuple(in, in->count - number);
}

static int run_tuple(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    size_t first = 0;
    int rc = pop_mark(in, &first);
    return rc < 0 ? rc : make_tuple(in, first);
}

/* Lists, sets and dicts: number is the kind. */
static int run_empty(struct dt2_unpickler *in, unsigned number)
{
    return dt2_unpickler_push_container(in, number, SIZE_MAX);
}

/* Of all above the mark: an empty one is put below them, and filled. */
static int run_filled(struct dt2_unpickler *in, unsigned number)
{
    size_t first = 0;
    int rc = pop_mark(in, &first);
    if (rc == 0)
        rc = dt2_unpickler_push_container(in, number, SIZE_MAX);
    if (rc < 0)
        return rc;
    struct dt2_pickle_value container = in->stack[in->count - 1];
    memmove(&in->stack[first + 1], &in->stack[first], (in->count - 1 - first) * sizeof *in->stack);
    in->stack[first] = container;
    return add_items(in, first + 1, number);
}

static int run_append(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    int rc = dt2_unpickler_need_values(in, 2);
    return rc < 0 ? rc : add_items(in, in->count - 1, DT2_PICKLE_LIST);
}

static int run_set_item(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    int rc = dt2_unpickler_need_values(in, 3);
    return rc < 0 ? rc : add_items(in, in->count - 2, DT2_PICKLE_DICT);
}

/* Of all above the mark: number is the kind. */
static int run_add(struct dt2_unpickler *in, unsigned number)
{
    size_t first = 0;
    int rc = pop_mark(in, &first);
    return rc < 0 ? rc : add_items(in, first, number);
}

/* -- opcodes: the memo -- */

static int remember(struct dt2_unpickler *in, uint64_t index)
{
    int rc = dt2_unpickler_need_values(in, 1);
    if (rc < 0)
        return rc;
    if (index > MEMO_SPARE + 2 * in->memo_used || index >= DT2_PICKLE_NODES) /* writers count up from 0 or 1 */
        return dt2_unpickler_refuse(in, "memo %" PRIu64 " is set, when there are %zu", index, in->memo_used);
    size_t capacity = in->memo_capacity;
    while (index >= in->memo_capacity)
        if (!DT2_GROW(in->memo, in->memo_capacity, in->memo_capacity))
            return dt2_fail_nomem(in->err);
    memset(in->memo + capacity, 0, (in->memo_capacity - capacity) * sizeof *in->memo);
    in->memo_used += in->memo[index].kind == DT2_PICKLE_NOTHING;
    in->memo[index] = in->stack[in->count - 1];
    return 0;
}

static int run_put(struct dt2_unpickler *in, unsigned number)
{
    uint64_t index = 0;
    int rc = dt2_unpickler_take_number(in, number, &index);
    return rc < 0 ? rc : remember(in, index);
}

static int run_memoize(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    return remember(in, in->memo_used);
}

static int run_get(struct dt2_unpickler *in, unsigned number)
{
    uint64_t index = 0;
    int rc = dt2_unpickler_take_number(in, number, &index);
    if (rc < 0)
        return rc;
    if (index >= in->memo_capacity || in->memo[index].kind == DT2_PICKLE_NOTHING)
        return dt2_unpickler_refuse(in, "memo %" PRIu64 " was not set", index);
    return dt2_unpickler_push(in, in->memo[index]);
}

/* -- opcodes: the frame -- */

static int run_proto(struct dt2_unpickler *in, unsigned number)
{
    uint64_t protocol;
    int rc = dt2_unpickler_take_number(in, number, &protocol);
    if (rc == 0 && (protocol < 2 || protocol > 5))
        return dt2_unpickler_refuse(in, "a pickle of protocol %" PRIu64 "; 2 to 5 are read", protocol);
    return rc;
}

/* Frames help who reads a pipe. */
static int run_frame(struct dt2_unpickler *in, unsigned number)
{
    uint64_t length;
    return take_length(in, number, &length);
}

static int run_stop(struct dt2_unpickler *in, unsigned number)
{
    if (in->count != number || in->mark_count > 0)
        return dt2_unpickler_refuse(in, "%zu values are left at the end of the pickle", in->count + in->mark_count);
    in->pickle->root = in->stack[0];
    return 1;
}

/* Every opcode of protocols 0 to 5. Those without a function do not occur in
 * pickles of tensors. */
const struct dt2_opcode dt2_opcodes[256] = {
    [0x80] = { "PROTO", run_proto, 1 },
    [0x95] = { "FRAME", run_frame, 8 },
    ['.'] = { "STOP", run_stop, 1 },

    ['N'] = { "NONE", run_none, 0 },
    [0x88] = { "NEWTRUE", run_bool, 1 },
    [0x89] = { "NEWFALSE", run_bool, 0 },
    ['K'] = { "BININT1", run_int, 1 },
    ['M'] = { "BININT2", run_int, 2 },
    ['J'] = { "BININT", run_int, 4 },
    [0x8a] = { "LONG1", run_long, 1 },
    [0x8b] = { "LONG4", run_long, 4 },
    ['G'] = { "BINFLOAT", run_float, 8 },
    [0x8c] = { "SHORT_BINUNICODE", run_string, 1 },
    ['X'] = { "BINUNICODE", run_string, 4 },
    [0x8d] = { "BINUNICODE8", run_string, 8 },
    ['U'] = { "SHORT_BINSTRING", run_string, 1 },
    ['T'] = { "BINSTRING", run_string, 4 },
    ['C'] = { "SHORT_BINBYTES", run_bytes, 1 },
    ['B'] = { "BINBYTES", run_bytes, 4 },
    [0x8e] = { "BINBYTES8", run_bytes, 8 },
    [0x96] = { "BYTEARRAY8", run_bytes, 8 },

    ['('] = { "MARK", run_mark, 0 },
    ['0'] = { "POP", run_pop, 1 },
    ['1'] = { "POP_MARK", run_pop_mark, 0 },
    [')'] = { "EMPTY_TUPLE", run_tuple_of, 0 },
    [0x85] = { "TUPLE1", run_tuple_of, 1 },
    [0x86] = { "TUPLE2", run_tuple_of, 2 },
    [0x87] = { "TUPLE3", run_tuple_of, 3 },
    ['t'] = { "TUPLE", run_tuple, 0 },
    [']'] = { "EMPTY_LIST", run_empty, DT2_PICKLE_LIST },
    ['}'] = { "EMPTY_DICT", run_empty, DT2_PICKLE_DICT },
    [0x8f] = { "EMPTY_SET", run_empty, DT2_PICKLE_SET },
    ['l'] = { "LIST", run_filled, DT2_PICKLE_LIST },
    ['d'] = { "DICT", run_filled, DT2_PICKLE_DICT },
    [0x91] = { "FROZENSET", run_filled, DT2_PICKLE_SET },
    ['a'] = { "APPEND", run_append, 0 },
    ['e'] = { "APPENDS", run_add, DT2_PICKLE_LIST },
    [0x90] = { "ADDITEMS", run_add, DT2_PICKLE_SET },
    ['s'] = { "SETITEM", run_set_item, 0 },
    ['u'] = { "SETITEMS", run_add, DT2_PICKLE_DICT },

    ['q'] = { "BINPUT", run_put, 1 },
    ['r'] = { "LONG_BINPUT", run_put, 4 },
    [0x94] = { "MEMOIZE", run_memoize, 0 },
    ['h'] = { "BINGET", run_get, 1 },
    ['j'] = { "LONG_BINGET", run_get, 4 },

    ['c'] = { "GLOBAL", dt2_run_global, 0 },
    [0x93] = { "STACK_GLOBAL", dt2_run_stack_global, 2 },
    ['R'] = { "REDUCE", dt2_run_reduce, 2 },
    [0x81] = { "NEWOBJ", dt2_run_reduce, 2 },
    ['b'] = { "BUILD", dt2_run_build, 2 },
    ['Q'] = { "BINPERSID", dt2_run_persistent_id, 1 },

    ['F'] = { "FLOAT", NULL, 0 },
    ['I'] = { "INT", NULL, 0 },
    ['L'] = { "LONG", NULL, 0 },
    ['S'] = { "STRING", NULL, 0 },
    ['V'] = { "UNICODE", NULL, 0 },
    ['P'] = { "PERSID", NULL, 0 },
    ['p'] = { "PUT", NULL, 0 },
    ['g'] = { "GET", NULL, 0 },
    ['2'] = { "DUP", NULL, 0 },
    ['i'] = { "INST", dt2_run_inst, 0 },
    ['o'] = { "OBJ", NULL, 0 },
    [0x82] = { "EXT1", NULL, 0 },
    [0x83] = { "EXT2", NULL, 0 },
    [0x84] = { "EXT4", NULL, 0 },
    [0x92] = { "NEWOBJ_EX", NULL, 0 },
    [0x97] = { "NEXT_BUFFER", NULL, 0 },
    [0x98] = { "READONLY_BUFFER", NULL, 0 },
};
