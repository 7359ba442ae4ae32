/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcodes that would find and call something: what may be named, and what becomes of calls. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"
#include "formats/pytorch/pickle_machine.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
    if (global && global->kind == DT2_GLOBAL_QUANTISED)
        return dt2_unpickler_refuse(in, "quantised tensors of PyTorch cannot be loaded: %s", global->name);
    if (global && global->kind == DT2_GLOBAL_UNLOADABLE)
        return dt2_unpickler_refuse(in, "elements of this type cannot be loaded: %s", global->name);
    if (global)
        return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_GLOBAL, .global = global });
    int length = snprintf(whole, sizeof whole, "%s.%s", module, name);
    return dt2_unpickler_refuse_code(in, dt2_shown(whole, (size_t)length, shown));
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
    pickle->calls[pickle->call_count] = (struct dt2_pickle_call){ function, *args, in->opcode_at };
    return dt2_unpickler_push(
        in, (struct dt2_pickle_value){ .kind = DT2_PICKLE_TENSOR, .depth = args->depth, .at = pickle->call_count++ });
}

/* Python 2 hands a list of pairs over. */
static int call_ordered_dict(struct dt2_unpickler *in, const struct dt2_pickle_value *args)
{
    const struct dt2_pickle_value *first = &in->pickle->items[args->at];
    if (args->count == 0)
        return dt2_unpickler_push_container(in, DT2_PICKLE_DICT, SIZE_MAX);
    if (args->count == 1 && first->kind == DT2_PICKLE_LIST)
        return dt2_unpickler_push_container(in, DT2_PICKLE_DICT, first->at);
    return dt2_unpickler_refuse_code(in, "collections.OrderedDict, with other than a list");
}

static int call(struct dt2_unpickler *in, const struct dt2_global *function, const struct dt2_pickle_value *args)
{
    char name[DT2_SHOWN];
    switch (function->kind) {
    case DT2_GLOBAL_ORDERED_DICT:
        return call_ordered_dict(in, args);
    case DT2_GLOBAL_SIZE:
        if (args->count == 1 && in->pickle->items[args->at].kind == DT2_PICKLE_TUPLE)
            return dt2_unpickler_push(in, in->pickle->items[args->at]);
        break;
    case DT2_GLOBAL_PARAMETER:
        return push_call(in, function, args);
    case DT2_GLOBAL_REBUILD_PARAMETER:
    case DT2_GLOBAL_REBUILD_TENSOR:
    case DT2_GLOBAL_REBUILD_TENSOR_V2:
    case DT2_GLOBAL_REBUILD_TENSOR_V3:
        if (in->opcode == 'R') /* they are functions */
            return push_call(in, function, args);
        break;
    default:
        break;
    }
    snprintf(name, sizeof name, "a call of %s", function->name);
    return dt2_unpickler_refuse_code(in, name);
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
        return dt2_unpickler_refuse(in, "%s is called with %s", function.global->name, dt2_pickle_kind_name(&args));
    return call(in, function.global, &args);
}

/* Attributes: an OrderedDict of PyTorch has versions in them, and old Parameters have hooks. Nothing that is needed. */
int dt2_run_build(struct dt2_unpickler *in, unsigned number)
{
    int rc = dt2_unpickler_need_values(in, number);
    if (rc < 0)
        return rc;
    const struct dt2_pickle_value *target = &in->stack[in->count - 2];
    bool parameter =
        target->kind == DT2_PICKLE_TENSOR && in->pickle->calls[target->at].function->kind == DT2_GLOBAL_PARAMETER;
    if (target->kind != DT2_PICKLE_DICT && !parameter)
        return dt2_unpickler_refuse_code(in, "the state of an object is set");
    in->count--;
    return 0;
}

/* The items of a tuple of so many, or NULL when it is none. */
static const struct dt2_pickle_value *items_of(const struct dt2_unpickler *in, const struct dt2_pickle_value *tuple,
                                               size_t least, size_t most)
{
    bool fits = tuple->kind == DT2_PICKLE_TUPLE && tuple->count >= least && tuple->count <= most;
    return fits ? in->pickle->items + tuple->at : NULL;
}

/* The part of a storage that is meant, in old files: (key, offset, elements). */
static int check_part(struct dt2_unpickler *in, const struct dt2_pickle_value *value,
                      struct dt2_pickle_storage *storage)
{
    const struct dt2_pickle_value *part = items_of(in, value, 3, 3);
    if (!part || part[1].kind != DT2_PICKLE_INT || part[2].kind != DT2_PICKLE_INT || part[1].integer < 0 ||
        part[2].integer < 0 || (uint64_t)part[1].integer > storage->elements ||
        (uint64_t)part[2].integer > storage->elements - (uint64_t)part[1].integer)
        return dt2_unpickler_refuse(in, "a part of a storage that is not inside of it");
    storage->view_offset = (uint64_t)part[1].integer;
    storage->view_elements = (uint64_t)part[2].integer;
    return 0;
}

/* ('storage', class, key, where it was, elements), and in old files the part. */
static int check_storage(struct dt2_unpickler *in, const struct dt2_pickle_value *id,
                         struct dt2_pickle_storage *storage)
{
    const struct dt2_pickle_value *items = items_of(in, id, 5, 6);
    if (!items || !dt2_pickle_is(in->pickle, items, "storage"))
        return dt2_unpickler_refuse(in, "what is stored outside of the pickle is no storage of tensors");
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
