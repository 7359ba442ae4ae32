/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that a pickle of tensors may speak of. A name that is not in the table refuses the file. */
#ifndef DT2_FORMATS_PICKLE_GLOBALS_H
#define DT2_FORMATS_PICKLE_GLOBALS_H

#include <stddef.h>

enum dt2_global_kind {
    DT2_GLOBAL_ORDERED_DICT,
    DT2_GLOBAL_SIZE,
    DT2_GLOBAL_PARAMETER,         /* (tensor, ...) */
    DT2_GLOBAL_REBUILD_PARAMETER, /* (tensor, requires_grad, hooks) */
    DT2_GLOBAL_REBUILD_TENSOR,    /* (storage, offset, size, stride) */
    DT2_GLOBAL_REBUILD_TENSOR_V2, /* and requires_grad, hooks, perhaps metadata */
    DT2_GLOBAL_REBUILD_TENSOR_V3, /* as V2, with the dtype before the metadata */
    DT2_GLOBAL_STORAGE,           /* a class of storages, of one dtype */
    DT2_GLOBAL_DTYPE,
    DT2_GLOBAL_QUANTISED,  /* speaks of quantised tensors, which are refused */
    DT2_GLOBAL_UNLOADABLE, /* a dtype that no other format has */
};

struct dt2_global {
    const char *name; /* "torch.HalfStorage" */
    enum dt2_global_kind kind;
    const char *dtype; /* of a storage or dtype: as in dtype.h */
};

/* NULL when the name is not in the table. */
const struct dt2_global *dt2_global_find(const char *module, const char *name);

#endif
