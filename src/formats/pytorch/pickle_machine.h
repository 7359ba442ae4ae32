/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the parts of the unpickler. Nothing recurses, and nothing is called. */
#ifndef DT2_FORMATS_PICKLE_MACHINE_H
#define DT2_FORMATS_PICKLE_MACHINE_H

#include "formats/pytorch/pickle.h"
#include "formats/pytorch/pickle_input.h"

struct dt2_unpickler {
    struct dt2_pickle *pickle;
    struct dt2_error *err;
    struct dt2_pickle_value *stack;
    size_t count, capacity;
    struct dt2_pickle_value *memo; /* kind NOTHING: not set */
    size_t memo_capacity, memo_used;
    size_t marks[DT2_PICKLE_MARKS]; /* how many values were below each */
    size_t mark_count;
    unsigned char opcode;
    uint64_t opcode_at; /* in the file */
    struct dt2_pickle_input input;
};

struct dt2_opcode {
    const char *name; /* NULL: there is no such opcode */
    /* Returns 0, or 1 at the pickle's end, or an error. NULL: the opcode is refused. */
    int (*run)(struct dt2_unpickler *in, unsigned number);
    unsigned number; /* of bytes of its argument or of the argument's length, or of values that it takes; or a kind */
};
extern const struct dt2_opcode dt2_opcodes[256];

/* Refuses the file: what is wrong, to which path and place are added. */
int dt2_unpickler_refuse(struct dt2_unpickler *in, const char *format, ...) DT2_PRINTF(2, 3);
/* Refuses what would run code, and nothing less. */
int dt2_unpickler_refuse_code(struct dt2_unpickler *in, const char *name);
/* Adds to a refusal what would work; returns DT2_EFAILED. */
int dt2_unpickler_suggest(struct dt2_unpickler *in);

/* Whether so many bytes are left. */
int dt2_unpickler_need(struct dt2_unpickler *in, uint64_t size);
int dt2_unpickler_take(struct dt2_unpickler *in, void *to, size_t size);
/* A little-endian number of at most 8 bytes. */
int dt2_unpickler_take_number(struct dt2_unpickler *in, size_t size, uint64_t *number);

/* How many values are below the last mark, out of reach. */
static inline size_t dt2_unpickler_base(const struct dt2_unpickler *in)
{
    return in->mark_count ? in->marks[in->mark_count - 1] : 0;
}
/* Whether so many values are above the last mark. */
int dt2_unpickler_need_values(struct dt2_unpickler *in, size_t count);
int dt2_unpickler_push(struct dt2_unpickler *in, struct dt2_pickle_value value);
/* A new list or dict; `pairs`: see the struct. */
int dt2_unpickler_push_container(struct dt2_unpickler *in, enum dt2_pickle_kind kind, size_t pairs);

/* The opcodes of pickle_calls.c. */
int dt2_run_global(struct dt2_unpickler *in, unsigned number);
int dt2_run_inst(struct dt2_unpickler *in, unsigned number);
int dt2_run_stack_global(struct dt2_unpickler *in, unsigned number);
int dt2_run_reduce(struct dt2_unpickler *in, unsigned number);
int dt2_run_build(struct dt2_unpickler *in, unsigned number);
int dt2_run_persistent_id(struct dt2_unpickler *in, unsigned number);

#endif
