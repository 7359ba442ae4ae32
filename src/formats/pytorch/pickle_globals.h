/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that a pickle of tensors may speak of. A name that is not in the table refuses the file. */
#ifndef DT2_FORMATS_PICKLE_GLOBALS_H
#define DT2_FORMATS_PICKLE_GLOBALS_H

#include <stdbool.h>
#include <stddef.h>

enum dt2_global_kind {
    DT2_GLOBAL_ORDERED_DICT,
    DT2_GLOBAL_DEFAULT_DICT, /* (factory) */
    DT2_GLOBAL_SIZE,
    DT2_GLOBAL_PARAMETER,                    /* (tensor, requires_grad) */
    DT2_GLOBAL_REBUILD_PARAMETER,            /* (tensor, requires_grad, hooks) */
    DT2_GLOBAL_REBUILD_PARAMETER_WITH_STATE, /* and attributes */
    DT2_GLOBAL_REBUILD_TENSOR,               /* (storage, offset, size, stride) */
    DT2_GLOBAL_REBUILD_TENSOR_V2,            /* and requires_grad, hooks, perhaps metadata */
    DT2_GLOBAL_REBUILD_TENSOR_V3,            /* as V2, with the dtype before the metadata */
    DT2_GLOBAL_REBUILD_FROM_TYPE,            /* (one of the above, class, its arguments, attributes) */
    DT2_GLOBAL_TENSOR_CLASS,
    DT2_GLOBAL_STORAGE, /* a class of storages, of one dtype */
    DT2_GLOBAL_DTYPE,
    DT2_GLOBAL_UNLOADABLE, /* a dtype that no other format has, or its storage: may be named, and no tensor has it */
    DT2_GLOBAL_DATA,       /* what it makes when it is called is no tensor, and has a part in none */
    DT2_GLOBAL_NAME,       /* may be named, and is not called */
    DT2_GLOBAL_REFUSED,    /* see `why` */
};

struct dt2_global {
    const char *name; /* "torch.HalfStorage" */
    enum dt2_global_kind kind;
    const char *dtype;  /* of a storage or dtype: as in dtype.h */
    const char *why;    /* of what is refused */
    const char *source; /* whose list has it */
};

/* NULL when the name is not in the table. */
const struct dt2_global *dt2_global_find(const char *module, const char *name);
/* Of a name that is not in the table: whether it is known to run what it is given. */
bool dt2_global_runs_code(const char *module, const char *name);

#endif
