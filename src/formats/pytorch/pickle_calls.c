/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcodes that would find and call something: what may be named, and what
 * becomes of calls. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"
#include "formats/pytorch/pickle_machine.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ARGUMENTS_MOST 16

/* A line of a global's module or name. */
static int take_line(struct dt2_unpickler *in, char line[DT2_PICKLE_NAME + 1])
{
    for (size_t i = 0; i <= DT2_PICKLE_NAME; i++) {
        int rc = dt2_unpickler_take(in, &line[i], 1);
        if (rc < 0)
            return rc;
        if (line[i] == '\0')
            return dt2_unpickler_refuse(in, "a name with the character NUL in it");
        if (line[i] == '\n') {
            line[i] = '\0';
            return 0;
        }
    }
    return dt2_unpickler_refuse(in, "a name of more than %d characters", DT2_PICKLE_NAME);
}

static int push_global(struct dt2_unpickler *in, const char *module, const char *name)
{
    char whole[2 * DT2_PICKLE_NAME + 2], shown[DT2_SHOWN];
    const struct dt2_global *global = dt2_global_find(module, name);
    int length = snprintf(whole, sizeof whole, "%s.%s", module, name);
    dt2_shown(whole, (size_t)length, shown);
    if (global && global->kind == DT2_GLOBAL_REFUSED)
        return dt2_unpickler_refuse(in, "%s: %s", global->why, shown);
    if (global)
        return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_GLOBAL, .global = global });
    if (dt2_global_runs_code(module, name))
        return dt2_unpickler_refuse_code(in, shown);
    dt2_unpickler_refuse(in, "this file needs %s, which this reader does not know", shown);
    return dt2_unpickler_suggest(in);
}

int dt2_run_global(struct dt2_unpickler *in, unsigned number)
{
    (void)number;
    char module[DT2_PICKLE_NAME + 1], name[DT2_PICKLE_NAME + 1];
    int rc = take_line(in, module);
    if (rc == 0)
        rc = take_line(in, name);
    return rc < 0 ? rc : push_global(in, module, name);
}

/* The two strings on top of the stack. */
int dt2_run_stack_global(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_unpickler_need_values(in, number);
    if (rc < 0)
        return rc;
    const struct dt2_pickle_value *strings = &in->stack[in->count - 2];
    for (size_t i = 0; i < 2; i++) {
        const char *text = strings[i].kind == DT2_PICKLE_STRING ? dt2_pickle_text(in->pickle, &strings[i]) : NULL;
        if (!text || strings[i].count > DT2_PICKLE_NAME || strlen(text) != strings[i].count)
            return dt2_unpickler_refuse(in, "a global's name is %s",
                                        text ? "too long, or holds the character NUL"
                                             : dt2_pickle_kind_name(&strings[i]));
    }
    in->count -= 2;
    return push_global(in, dt2_pickle_text(in->pickle, &strings[0]), dt2_pickle_text(in->pickle, &strings[1]));
}

/* The old way to make an object of a class that is named on the spot. */
int dt2_run_inst(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_run_global(in, number);
    return rc < 0 ? rc : dt2_unpickler_refuse(in, "this opcode has no business in a file of tensors");
}

static int push_call(struct dt2_unpickler *in, const struct dt2_global *function, const struct dt2_pickle_value *args)
{
    struct dt2_pickle *pickle = in->pickle;
    if (pickle->call_count >= DT2_PICKLE_NODES)
        return dt2_unpickler_refuse(in, "more than %d tensors", DT2_PICKLE_NODES);
    if (!DT2_GROW(pickle->calls, pickle->call_count, pickle->call_capacity))
        return dt2_fail_nomem(in->err);
    pickle->calls[pickle->call_count] =
        (struct dt2_pickle_call){ .function = function, .args = *args, .offset = in->opcode_at };
    return dt2_unpickler_push(
        in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_TENSOR, .depth = args->depth, .at = pickle->call_count++ });
}

/* -- calls -- */

static int refuse_call(struct dt2_unpickler *in, const struct dt2_global *function, const char *with)
{
    return dt2_unpickler_refuse(in, "%s is called with %s", function->name, with);
}

/* What a call took is not to change: Python copies some of it at once, and
 * looks at some of it later. */
static void fix(struct dt2_pickle *pickle, const struct dt2_pickle_value *value)
{
    if (dt2_pickle_is_container(value))
        pickle->containers[value->at].fixed = true;
}

static int push_ordered_dict(struct dt2_unpickler *in, size_t pairs)
{
    int rc = dt2_unpickler_push_container(in, DT2_PICKLE_DICT, pairs);
    if (rc == 0)
        in->pickle->containers[in->pickle->container_count - 1].ordered = true;
    return rc;
}

/* Python 2 hands a list of pairs over. Each is used once, so that nothing is
 * looked through again and again. */
static int call_ordered_dict(struct dt2_unpickler *in, const struct dt2_pickle_value *args, bool fresh)
{
    struct dt2_pickle *pickle = in->pickle;
    if (args->count == 0)
        return push_ordered_dict(in, SIZE_MAX);
    struct dt2_pickle_value list = pickle->items[args->at];
    if (in->opcode != 'R' || args->count != 1 || list.kind != DT2_PICKLE_LIST || !fresh)
        return dt2_unpickler_refuse(in, "collections.OrderedDict is made of other "
                                        "than one list that is used once");
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, &list);
    bool tensors = false;
    for (const struct dt2_pickle_value *pair; (pair = dt2_pickle_next(pickle, &walk));) {
        struct dt2_pickle_value key, value;
        fix(pickle, pair);
        if (!dt2_pickle_pair(pickle, pair, &key, &value))
            return dt2_unpickler_refuse(in, "collections.OrderedDict is made of a list of other than pairs");
        tensors |= value.kind == DT2_PICKLE_TENSOR;
    }
    int rc = push_ordered_dict(in, list.at);
    if (rc == 0)
        pickle->containers[pickle->container_count - 1].has_tensors = tensors;
    return rc;
}

/* -- attributes -- */

#define ATTRIBUTES_MOST 100

/* Whether setting this attribute of a tensor would change its bytes, its class,
 * or what its methods do. */
static bool is_own_attribute(const char *name)
{
    static const char *const own[] = { "data",          "grad",  "imag",  "names",  "real",
                                       "requires_grad", "shape", "dtype", "device", "layout" };
    for (size_t i = 0; i < DT2_COUNT(own); i++)
        if (strcmp(name, own[i]) == 0)
            return true;
    return strncmp(name, "__", 2) == 0;
}

static int check_attributes(struct dt2_unpickler *in, const struct dt2_pickle_value *attributes)
{
    struct dt2_pickle *pickle = in->pickle;
    struct dt2_pickle_value key, value;
    if (attributes->kind == DT2_PICKLE_NONE)
        return 0;
    if (attributes->kind != DT2_PICKLE_DICT)
        return dt2_unpickler_refuse(in, "the attributes of a value are %s", dt2_pickle_kind_name(attributes));
    fix(pickle, attributes);
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, attributes);
    for (size_t i = 0; dt2_pickle_next_entry(pickle, &walk, &key, &value); i++) {
        if (key.kind != DT2_PICKLE_STRING || i == ATTRIBUTES_MOST)
            return dt2_unpickler_refuse(in, "a value has attributes whose name is no string, or more than %d",
                                        ATTRIBUTES_MOST);
        char shown[DT2_SHOWN];
        if (is_own_attribute(dt2_pickle_text(pickle, &key)))
            return dt2_unpickler_refuse(in, "an attribute would change the tensor itself: %s",
                                        dt2_shown(dt2_pickle_text(pickle, &key), key.count, shown));
    }
    return 0;
}

/* The state of a tensor: a dict of attributes, or that and those in slots. */
static int check_state(struct dt2_unpickler *in, const struct dt2_pickle_value *state)
{
    if (state->kind != DT2_PICKLE_TUPLE)
        return check_attributes(in, state);
    if (state->count != 2)
        return dt2_unpickler_refuse(in, "the attributes of a value are a tuple of %" PRIu32, state->count);
    struct dt2_pickle_value first = in->pickle->items[state->at], second = in->pickle->items[state->at + 1];
    int rc = check_attributes(in, &first);
    return rc < 0 ? rc : check_attributes(in, &second);
}

static bool makes_tensors(const struct dt2_global *function)
{
    switch (function->kind) {
    case DT2_GLOBAL_REBUILD_PARAMETER:
    case DT2_GLOBAL_REBUILD_TENSOR:
    case DT2_GLOBAL_REBUILD_TENSOR_V2:
    case DT2_GLOBAL_REBUILD_TENSOR_V3:
        return true;
    default:
        return false;
    }
}

/* (function, class, arguments, attributes): the function's call is what counts.
 */
static int call_from_type(struct dt2_unpickler *in, const struct dt2_global *function,
                          const struct dt2_pickle_value *args)
{
    const struct dt2_pickle_value *items = in->pickle->items + args->at;
    bool known = args->count == 4 && items[0].kind == DT2_PICKLE_GLOBAL && makes_tensors(items[0].global) &&
                 items[1].kind == DT2_PICKLE_GLOBAL &&
                 (items[1].global->kind == DT2_GLOBAL_TENSOR_CLASS || items[1].global->kind == DT2_GLOBAL_PARAMETER) &&
                 items[2].kind == DT2_PICKLE_TUPLE && items[2].count <= ARGUMENTS_MOST;
    if (!known)
        return refuse_call(in, function, "other than a function for tensors, a class of tensors and arguments");
    struct dt2_pickle_value inner = items[2], state = items[3];
    const struct dt2_global *maker = items[0].global;
    for (size_t i = 0; i < inner.count; i++)
        fix(in->pickle, &in->pickle->items[inner.at + i]);
    int rc = check_state(in, &state);
    return rc < 0 ? rc : push_call(in, maker, &inner);
}

/* Classes may be made by NEWOBJ as well; functions may not. */
static int call_function(struct dt2_unpickler *in, const struct dt2_global *function,
                         const struct dt2_pickle_value *args)
{
    if (in->opcode != 'R')
        return refuse_call(in, function, "the opcode that makes objects of classes");
    if (function->kind == DT2_GLOBAL_REBUILD_FROM_TYPE)
        return call_from_type(in, function, args);
    if (function->kind != DT2_GLOBAL_REBUILD_PARAMETER_WITH_STATE)
        return push_call(in, function, args);
    if (args->count != 4)
        return refuse_call(in, function, "other than four arguments");
    struct dt2_pickle_value state = in->pickle->items[args->at + 3];
    int rc = check_state(in, &state);
    return rc < 0 ? rc : push_call(in, function, args);
}

static int call(struct dt2_unpickler *in, const struct dt2_global *function, const struct dt2_pickle_value *args,
                bool fresh)
{
    const struct dt2_pickle_value *first = in->pickle->items + args->at;
    switch (function->kind) {
    case DT2_GLOBAL_ORDERED_DICT:
        return call_ordered_dict(in, args, fresh);
    case DT2_GLOBAL_DEFAULT_DICT:
        if (args->count == 0 ||
            (args->count == 1 && (first->kind == DT2_PICKLE_GLOBAL || first->kind == DT2_PICKLE_NONE)))
            return dt2_unpickler_push_container(in, DT2_PICKLE_DICT, SIZE_MAX);
        return refuse_call(in, function, "other than a factory");
    case DT2_GLOBAL_SIZE:
        return args->count == 1 && first->kind == DT2_PICKLE_TUPLE ? dt2_unpickler_push(in, *first)
                                                                   : refuse_call(in, function, "other than one tuple");
    case DT2_GLOBAL_PARAMETER:
        return push_call(in, function, args);
    case DT2_GLOBAL_REBUILD_PARAMETER:
    case DT2_GLOBAL_REBUILD_PARAMETER_WITH_STATE:
    case DT2_GLOBAL_REBUILD_TENSOR:
    case DT2_GLOBAL_REBUILD_TENSOR_V2:
    case DT2_GLOBAL_REBUILD_TENSOR_V3:
    case DT2_GLOBAL_REBUILD_FROM_TYPE:
        return call_function(in, function, args);
    case DT2_GLOBAL_DATA:
        return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_OBJECT, .global = function });
    default:
        dt2_unpickler_refuse(in, "this file needs an object of %s, which this reader does not make", function->name);
        return dt2_unpickler_suggest(in);
    }
}

/* NEWOBJ calls classes in the same way. */
int dt2_run_reduce(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_unpickler_need_values(in, number);
    if (rc < 0)
        return rc;
    struct dt2_pickle_value function = in->stack[in->count - 2], args = in->stack[in->count - 1];
    in->count -= 2;
    if (function.kind != DT2_PICKLE_GLOBAL)
        return dt2_unpickler_refuse(in, "a call of what is no function, but %s", dt2_pickle_kind_name(&function));
    if (args.kind != DT2_PICKLE_TUPLE)
        return refuse_call(in, function.global, dt2_pickle_kind_name(&args));
    if (args.count > ARGUMENTS_MOST)
        return dt2_unpickler_refuse(in, "%s is called with %" PRIu32 " arguments", function.global->name, args.count);
    const struct dt2_pickle_value *items = in->pickle->items + args.at;
    bool fresh = args.count > 0 && dt2_pickle_is_container(items) && !in->pickle->containers[items->at].fixed;
    for (size_t i = 0; i < args.count; i++)
        fix(in->pickle, &items[i]);
    return call(in, function.global, &args, fresh);
}

/* -- states -- */

/* PyTorch's own have versions in `_metadata`; an attribute of another name
 * could stand before a method of the dict. */
static int build_dict(struct dt2_unpickler *in, struct dt2_pickle_container *dict, const struct dt2_pickle_value *state)
{
    struct dt2_pickle_value key, value;
    if (!dict->ordered || dict->built || state->kind != DT2_PICKLE_DICT)
        return dt2_unpickler_refuse(in, !dict->ordered ? "a dict that is no OrderedDict gets a state"
                                        : dict->built  ? "the state of an OrderedDict is set twice"
                                                       : "the state of an OrderedDict is no dict");
    dict->built = true;
    struct dt2_pickle_walk walk = dt2_pickle_walk(in->pickle, state);
    for (size_t i = 0; dt2_pickle_next_entry(in->pickle, &walk, &key, &value); i++)
        if (key.kind != DT2_PICKLE_STRING || dt2_pickle_text(in->pickle, &key)[0] != '_' ||
            dt2_pickle_text(in->pickle, &key)[1] == '_' || i == ATTRIBUTES_MOST)
            return dt2_unpickler_refuse(in, "the attribute of an OrderedDict is "
                                            "other than _metadata and the like");
    return 0;
}

/* (requires_grad, volatile, hooks), as Variables had it. Four or five would set
 * the tensor's storage. */
static int build_parameter(struct dt2_unpickler *in, struct dt2_pickle_call *parameter,
                           const struct dt2_pickle_value *state)
{
    if (parameter->function->kind != DT2_GLOBAL_PARAMETER)
        return dt2_unpickler_refuse(in, "the state of a tensor is set");
    if (parameter->built)
        return dt2_unpickler_refuse(in, "the state of a Parameter is set twice");
    const struct dt2_pickle_value *items = in->pickle->items + state->at;
    if (state->kind != DT2_PICKLE_TUPLE || state->count != 3 || items[0].kind != DT2_PICKLE_BOOL ||
        !dt2_pickle_is_no_hooks(in->pickle, &items[2]))
        return dt2_unpickler_refuse(in, "the state of a Parameter is not (requires_grad, volatile, no hooks)");
    fix(in->pickle, &items[2]);
    parameter->built = true;
    return 0;
}

/* The state of an object: nothing that is needed, or else it is refused. */
int dt2_run_build(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_unpickler_need_values(in, number);
    if (rc < 0)
        return rc;
    struct dt2_pickle_value target = in->stack[in->count - 2], state = in->stack[in->count - 1];
    fix(in->pickle, &state);
    if (target.kind == DT2_PICKLE_DICT)
        rc = build_dict(in, &in->pickle->containers[target.at], &state);
    else if (target.kind == DT2_PICKLE_TENSOR)
        rc = build_parameter(in, &in->pickle->calls[target.at], &state);
    else if (target.kind != DT2_PICKLE_OBJECT)
        rc = dt2_unpickler_refuse(in, "the state of %s is set", dt2_pickle_kind_name(&target));
    in->count -= rc == 0;
    return rc;
}

/* The items of a tuple of so many, or NULL when it is none. */
static const struct dt2_pickle_value *items_of(const struct dt2_unpickler *in, const struct dt2_pickle_value *tuple,
                                               size_t least, size_t most)
{
    bool fits = tuple->kind == DT2_PICKLE_TUPLE && tuple->count >= least && tuple->count <= most;
    return fits ? in->pickle->items + tuple->at : NULL;
}

/* The part of a storage that is meant, in old files: (key, offset, elements).
 */
static int check_part(struct dt2_unpickler *in, const struct dt2_pickle_value *value,
                      struct dt2_pickle_storage *storage)
{
    const struct dt2_pickle_value *part = items_of(in, value, 3, 3);
    if (!part || part[0].kind != DT2_PICKLE_STRING || part[1].kind != DT2_PICKLE_INT ||
        part[2].kind != DT2_PICKLE_INT || part[1].integer < 0 || part[2].integer < 0 ||
        (uint64_t)part[1].integer > storage->elements ||
        (uint64_t)part[2].integer > storage->elements - (uint64_t)part[1].integer)
        return dt2_unpickler_refuse(in, "a part of a storage that is not inside of it");
    storage->part_key = part[0];
    storage->view_offset = (uint64_t)part[1].integer;
    storage->view_elements = (uint64_t)part[2].integer;
    return 0;
}

/* ('storage', class, key, where it was, elements), and in old files the part.
 */
static int check_storage(struct dt2_unpickler *in, const struct dt2_pickle_value *id,
                         struct dt2_pickle_storage *storage)
{
    const struct dt2_pickle_value *items = items_of(in, id, 5, 6);
    if (!items || !dt2_pickle_is(in->pickle, items, "storage"))
        return dt2_unpickler_refuse(in, "what is stored outside of the pickle is no storage of tensors");
    if (items[1].kind == DT2_PICKLE_GLOBAL && items[1].global->kind == DT2_GLOBAL_UNLOADABLE)
        return dt2_unpickler_refuse(in, "elements of this type cannot be loaded: %s", items[1].global->name);
    if (items[3].kind != DT2_PICKLE_STRING || dt2_pickle_is(in->pickle, &items[3], "meta"))
        return dt2_unpickler_refuse(in, "a storage on %s",
                                    items[3].kind == DT2_PICKLE_STRING ? "the device meta, which has no bytes"
                                                                       : dt2_pickle_kind_name(&items[3]));
    if (items[1].kind != DT2_PICKLE_GLOBAL || items[1].global->kind != DT2_GLOBAL_STORAGE)
        return dt2_unpickler_refuse(in, "the class of a storage is %s", dt2_pickle_kind_name(&items[1]));
    bool negative = items[4].kind == DT2_PICKLE_INT && items[4].integer < 0;
    if (items[2].kind != DT2_PICKLE_STRING || items[4].kind != DT2_PICKLE_INT || negative)
        return dt2_unpickler_refuse(in, "a storage whose key is %s, with %s of elements",
                                    dt2_pickle_kind_name(&items[2]),
                                    negative ? "a negative number" : dt2_pickle_kind_name(&items[4]));
    uint64_t elements = (uint64_t)items[4].integer;
    *storage = (struct dt2_pickle_storage){ .key = items[2],
                                            .type = items[1].global,
                                            .elements = elements,
                                            .view_elements = elements,
                                            .in_parts = id->count == 6,
                                            .offset = in->opcode_at };
    return id->count == 5 || items[5].kind == DT2_PICKLE_NONE ? 0 : check_part(in, &items[5], storage);
}

int dt2_run_persistent_id(struct dt2_unpickler *in, unsigned number)
{
    struct dt2_pickle *pickle = in->pickle;
    struct dt2_pickle_storage storage;
    int rc = dt2_unpickler_need_values(in, number);
    if (rc == 0)
        rc = check_storage(in, &in->stack[in->count - 1], &storage);
    if (rc < 0)
        return rc;
    if (pickle->storage_count >= DT2_PICKLE_NODES)
        return dt2_unpickler_refuse(in, "more than %d storages", DT2_PICKLE_NODES);
    if (!DT2_GROW(pickle->storages, pickle->storage_count, pickle->storage_capacity))
        return dt2_fail_nomem(in->err);
    pickle->storages[pickle->storage_count] = storage;
    in->stack[in->count - 1] = (struct dt2_pickle_value){ .kind = DT2_PICKLE_STORAGE, .at = pickle->storage_count++ };
    return 0;
}
