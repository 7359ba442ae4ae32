/* SPDX-License-Identifier: BSD-3-Clause */
/* The unpickler's parts that all opcodes share, and its loop. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"
#include "formats/pytorch/pickle_machine.h"
#include <inttypes.h>
#include <stdio.h>

/* -- refusing -- */

/* The key of the innermost dict that is being filled, as far as the stack
 * tells: of use to people. NULL: none. */
static const struct dt2_pickle_value *key_of(const struct dt2_unpickler *in)
{
    const struct dt2_pickle_value *stack = in->stack;
    size_t end = in->count;
    for (size_t mark = in->mark_count + 1; mark-- > 0;) {
        size_t base = mark ? in->marks[mark - 1] : 0;
        if (mark > 0 && base > 0 && end > base && stack[base - 1].kind == DT2_PICKLE_DICT) {
            size_t key = base + (end - base - 1) / 2 * 2;
            return stack[key].kind == DT2_PICKLE_STRING ? &stack[key] : NULL;
        }
        for (size_t i = end; i > base + 1; i--)
            if (stack[i - 1].kind == DT2_PICKLE_STRING && stack[i - 2].kind == DT2_PICKLE_DICT)
                return &stack[i - 1];
        end = base;
    }
    return NULL;
}

/* What is wrong, behind the path, and before the place. */
int dt2_unpickler_refuse(struct dt2_unpickler *in, const char *format, ...)
{
    const struct dt2_pickle *pickle = in->pickle;
    const struct dt2_pickle_value *key = pickle->text.failed ? NULL : key_of(in);
    char what[512], shown[DT2_SHOWN], name[16];
    va_list args;
    va_start(args, format);
    dt2_format_into(what, sizeof what, format, args);
    va_end(args);
    snprintf(name, sizeof name, "0x%02x", in->opcode);
    if (key)
        dt2_shown(dt2_pickle_text(pickle, key), key->count, shown);
    return dt2_fail(in->err, DT2_EFAILED, "%s: %s (opcode %s at byte %" PRIu64 "%s%s%s%s)", pickle->source->path, what,
                    dt2_opcodes[in->opcode].name ? dt2_opcodes[in->opcode].name : name,
                    in->opcode_at - pickle->count_from, pickle->place, key ? ", for '" : "", key ? shown : "",
                    key ? "'" : "");
}

int dt2_unpickler_refuse_code(struct dt2_unpickler *in, const char *name)
{
    dt2_unpickler_refuse(in, "this file would run code: %s", name);
    return dt2_unpickler_suggest(in);
}

int dt2_unpickler_suggest(struct dt2_unpickler *in)
{
    dt2_suggest(in->err, "only files of tensors are read; in Python, load a file "
                         "that you trust and save its state_dict() "
                         "alone, as safetensors at best");
    return DT2_EFAILED;
}

/* -- the pickle's bytes -- */

int dt2_unpickler_need(struct dt2_unpickler *in, uint64_t size)
{
    if (size <= dt2_pickle_left(&in->input))
        return 0;
    bool capped = in->input.end < in->pickle->source->size && in->input.end - in->pickle->begin == DT2_PICKLE_BYTES;
    if (capped)
        return dt2_unpickler_refuse(in, "a pickle of more than %d bytes", DT2_PICKLE_BYTES);
    return dt2_unpickler_refuse(in, "the pickle ends too early: %" PRIu64 " bytes are wanted, and %" PRIu64 " are left",
                                size, dt2_pickle_left(&in->input));
}

int dt2_unpickler_take(struct dt2_unpickler *in, void *to, size_t size)
{
    int rc = dt2_unpickler_need(in, size);
    return rc < 0 ? rc : dt2_pickle_take(&in->input, to, size, in->err);
}

/* A little-endian number of at most 8 bytes. */
int dt2_unpickler_take_number(struct dt2_unpickler *in, size_t size, uint64_t *number)
{
    unsigned char bytes[8] = { 0 };
    int rc = dt2_unpickler_take(in, bytes, size);
    *number = 0;
    for (size_t i = size; i-- > 0;)
        *number = *number << 8 | bytes[i];
    return rc;
}

/* -- the stack -- */

int dt2_unpickler_push(struct dt2_unpickler *in, struct dt2_pickle_value value)
{
    if (in->count >= DT2_PICKLE_STACK)
        return dt2_unpickler_refuse(in, "more than %d values wait on the stack", DT2_PICKLE_STACK);
    if (!DT2_GROW(in->stack, in->count, in->capacity))
        return dt2_fail_nomem(in->err);
    in->stack[in->count++] = value;
    return 0;
}

int dt2_unpickler_need_values(struct dt2_unpickler *in, size_t count)
{
    return in->count - dt2_unpickler_base(in) >= count
               ? 0
               : dt2_unpickler_refuse(in, "the stack has no value left that it wants");
}

int dt2_unpickler_push_container(struct dt2_unpickler *in, enum dt2_pickle_kind kind, size_t pairs)
{
    struct dt2_pickle *pickle = in->pickle;
    if (pickle->container_count >= DT2_PICKLE_NODES)
        return dt2_unpickler_refuse(in, "more than %d lists and dicts", DT2_PICKLE_NODES);
    if (!DT2_GROW(pickle->containers, pickle->container_count, pickle->container_capacity))
        return dt2_fail_nomem(in->err);
    pickle->containers[pickle->container_count] =
        (struct dt2_pickle_container){ .first_run = SIZE_MAX, .last_run = SIZE_MAX, .pairs = pairs, .depth = 1 };
    return dt2_unpickler_push(in, (struct dt2_pickle_value){ .kind = (uint8_t)kind, .at = pickle->container_count++ });
}

/* -- the loop -- */

static int step(struct dt2_unpickler *in)
{
    in->opcode_at = in->input.at;
    in->opcode = '.'; /* what is missing, when the pickle ends here */
    int rc = dt2_unpickler_take(in, &in->opcode, 1);
    if (rc < 0)
        return rc;
    const struct dt2_opcode *opcode = &dt2_opcodes[in->opcode];
    if (in->opcode_at == in->pickle->begin && in->opcode != 0x80)
        return dt2_unpickler_refuse(in, "not a pickle of protocol 2 or later");
    if (!opcode->name)
        return dt2_unpickler_refuse(in, "there is no such opcode");
    if (!opcode->run)
        return dt2_unpickler_refuse(in, "this opcode has no business in a file of tensors");
    return opcode->run(in, opcode->number);
}

int dt2_pickle_read(struct dt2_pickle *pickle, const struct dt2_source *source, uint64_t begin, uint64_t end,
                    const char *place, uint64_t count_from, struct dt2_error *err)
{
    struct dt2_unpickler *in = dt2_alloc(1, sizeof *in);
    if (!in)
        return dt2_fail_nomem(err);
    *pickle = (struct dt2_pickle){ .source = source, .place = place, .begin = begin, .count_from = count_from };
    in->pickle = pickle;
    in->err = err;
    in->input.source = source;
    in->input.at = begin;
    in->input.end = begin + dt2_min(end - begin, DT2_PICKLE_BYTES);
    bool room = DT2_GROW(pickle->items, pickle->item_count, pickle->item_capacity); /* there even for empty tuples */
    int rc = room ? 0 : dt2_fail_nomem(err);
    while (rc == 0)
        rc = step(in);
    pickle->end = in->input.at;
    dt2_release(in->stack);
    dt2_release(in->memo);
    dt2_release(in);
    return rc < 0 ? rc : 0;
}
