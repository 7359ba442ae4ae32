/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pickles of tensors, interpreted by rules and never executed: values are tagged data, calls are remembered and done by
 * nobody, and names that are not in the table of pickle_globals.h refuse the file. Protocols 2 to 5.
 *
 * The caps below bound what any pickle can take. Each of its bytes costs so much memory at most that DT2_MEMORY_FACTOR
 * holds, and the time is in proportion to their number.
 */
#ifndef DT2_FORMATS_PICKLE_H
#define DT2_FORMATS_PICKLE_H

#include "base/text.h"
#include "formats/pytorch/pickle_globals.h"
#include "formats/source.h"
#include <stdbool.h>
#include <stdint.h>

#define DT2_PICKLE_BYTES 100000000 /* of one pickle: as many as of a safetensors header */
#define DT2_PICKLE_STACK (1 << 20) /* values that wait to be used */
#define DT2_PICKLE_MARKS 1000      /* marks open at once */
#define DT2_PICKLE_DEPTH 100       /* containers in one another */
#define DT2_PICKLE_NODES (1 << 24) /* values inside of containers; and as many containers, calls and storages */
#define DT2_PICKLE_NAME 200        /* characters of a global's module, and of its name */

enum dt2_pickle_kind {
    DT2_PICKLE_NOTHING, /* no value at all */
    DT2_PICKLE_NONE,
    DT2_PICKLE_BOOL,
    DT2_PICKLE_INT,
    DT2_PICKLE_LONG, /* beyond 64 bits: its bytes, least first */
    DT2_PICKLE_FLOAT,
    DT2_PICKLE_STRING,
    DT2_PICKLE_BYTES_OBJECT, /* its bytes are not kept */
    DT2_PICKLE_TUPLE,
    DT2_PICKLE_LIST,
    DT2_PICKLE_SET,
    DT2_PICKLE_DICT,
    DT2_PICKLE_GLOBAL,
    DT2_PICKLE_OBJECT, /* what a call made that is neither tensor nor dict: nobody needs more than its class */
    DT2_PICKLE_STORAGE,
    DT2_PICKLE_TENSOR, /* the call that would make one */
};

/* A value; what is large lies in the pickle's tables. */
struct dt2_pickle_value {
    uint8_t kind;
    uint8_t depth;  /* of a tuple: containers in one another */
    uint32_t count; /* characters of a string or long; items of a tuple */
    union {
        int64_t integer; /* of int and bool */
        double real;
        size_t at;                       /* in the text, the items, the containers, the storages or the calls */
        const struct dt2_global *global; /* of global and object */
    };
};

/* A run of items of one container. */
struct dt2_pickle_run {
    size_t first, count;
    size_t next; /* run; none: SIZE_MAX */
};

/* A list, or a dict, whose items are key and value in turn. */
struct dt2_pickle_container {
    size_t first_run, last_run; /* none: SIZE_MAX */
    size_t pairs;               /* of a dict that was made from a list of pairs: that container; else SIZE_MAX */
    uint8_t depth;
    bool has_tensors; /* directly */
    bool ordered;     /* an OrderedDict, which may have attributes */
    bool built;       /* it has them */
    bool fixed;       /* a call took it as it was: what grows afterwards would not be what the call saw */
};

/* What a tensor would be made by. */
struct dt2_pickle_call {
    const struct dt2_global *function;
    struct dt2_pickle_value args; /* a tuple */
    uint64_t offset;              /* of the opcode */
    bool built;                   /* its state was set */
};

/* A storage as the pickle names it. Who reads the pickle finds where it lies. */
struct dt2_pickle_storage {
    struct dt2_pickle_value key; /* a string */
    const struct dt2_global *type;
    uint64_t elements;                   /* of the whole storage */
    uint64_t view_offset, view_elements; /* the part that is meant; all of it most often */
    uint64_t file_offset, bytes;         /* of that part: set by who reads the pickle */
    struct dt2_pickle_value part_key;    /* a string, when only a part is meant */
    bool in_parts;                       /* a part was told, perhaps None: in old files alone */
    uint64_t offset;                     /* of the opcode that names it */
};

struct dt2_pickle {
    const struct dt2_source *source;
    const char *place; /* words behind a byte offset: " of archive/data.pkl"; not ours */
    uint64_t begin;
    uint64_t count_from; /* what offsets in words count from */
    uint64_t end;        /* behind the last opcode */
    struct dt2_pickle_value root;

    struct dt2_text text; /* all strings, each with a NUL behind it */
    struct dt2_pickle_value *items;
    size_t item_count, item_capacity;
    struct dt2_pickle_run *runs;
    size_t run_count, run_capacity;
    struct dt2_pickle_container *containers;
    size_t container_count, container_capacity;
    struct dt2_pickle_call *calls;
    size_t call_count, call_capacity;
    struct dt2_pickle_storage *storages;
    size_t storage_count, storage_capacity;
};

/*
 * Interprets the pickle at [begin, end) of a source, which may go on behind it. `place` and `count_from`: see the
 * struct. *pickle is zeroed before, and to be cleared whatever comes. Errors: DT2_EFAILED naming opcode, global and byte
 * offset.
 */
int dt2_pickle_read(struct dt2_pickle *pickle, const struct dt2_source *source, uint64_t begin, uint64_t end,
                    const char *place, uint64_t count_from, struct dt2_error *err);
void dt2_pickle_clear(struct dt2_pickle *pickle);

const char *dt2_pickle_text(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value);
/* A list, set or dict: what can change after it was made. */
static inline bool dt2_pickle_is_container(const struct dt2_pickle_value *value)
{
    return value->kind == DT2_PICKLE_LIST || value->kind == DT2_PICKLE_SET || value->kind == DT2_PICKLE_DICT;
}
/* "a list", "the number 3", for messages. */
const char *dt2_pickle_kind_name(const struct dt2_pickle_value *value);
bool dt2_pickle_is(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value, const char *string);

/* None, or a dict that holds nothing. */
bool dt2_pickle_is_no_hooks(const struct dt2_pickle *pickle, const struct dt2_pickle_value *value);
/* The two values of a tuple or list of two; false when it is none. */
bool dt2_pickle_pair(const struct dt2_pickle *pickle, const struct dt2_pickle_value *pair, struct dt2_pickle_value *key,
                     struct dt2_pickle_value *value);

/* A walk through the items of a list, or through the entries of a dict. */
struct dt2_pickle_walk {
    size_t run, index;
    size_t pairs_run, pairs_index;
};

struct dt2_pickle_walk dt2_pickle_walk(const struct dt2_pickle *pickle, const struct dt2_pickle_value *container);
/* The next item of a list, or NULL at its end. */
const struct dt2_pickle_value *dt2_pickle_next(const struct dt2_pickle *pickle, struct dt2_pickle_walk *walk);
/* The next entry of a dict; false at its end. A key that is not what it should be is DT2_PICKLE_NOTHING. */
bool dt2_pickle_next_entry(const struct dt2_pickle *pickle, struct dt2_pickle_walk *walk, struct dt2_pickle_value *key,
                           struct dt2_pickle_value *value);

#endif
