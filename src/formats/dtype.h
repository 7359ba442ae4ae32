/* SPDX-License-Identifier: BSD-3-Clause */
/* The types of elements, by their names in safetensors, which all formats share. */
#ifndef DT2_FORMATS_DTYPE_H
#define DT2_FORMATS_DTYPE_H

#include <distorch2/error.h>

struct dt2_dtype {
    const char *name;
    unsigned bits; /* of one element; not always whole bytes */
};

/* The dtype spelt by `length` characters; NULL when there is none. */
const struct dt2_dtype *dt2_dtype_find(const char *name, size_t length);
/* Sets the suggestion of *err to the dtypes nearest to `name`; none when nothing is near. */
void dt2_dtype_suggest(const char *name, struct dt2_error *err);

#endif
