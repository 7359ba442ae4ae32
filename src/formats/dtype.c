/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/dtype.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include <string.h>

/* The commonest first: the table is searched for every tensor. */
static const struct dt2_dtype dtypes[] = {
    { "F16", 16 },    { "BF16", 16 },       { "F32", 32 }, { "F8_E4M3", 8 },     { "F8_E5M2", 8 }, { "U8", 8 },
    { "I8", 8 },      { "I64", 64 },        { "I32", 32 }, { "BOOL", 8 },        { "F64", 64 },    { "I16", 16 },
    { "U16", 16 },    { "U32", 32 },        { "U64", 64 }, { "F8_E8M0", 8 },     { "F4", 4 },      { "F6_E2M3", 6 },
    { "F6_E3M2", 6 }, { "F8_E4M3FNUZ", 8 }, { "C64", 64 }, { "F8_E5M2FNUZ", 8 },
};

const struct dt2_dtype *dt2_dtype_find(const char *name, size_t length)
{
    for (size_t i = 0; i < DT2_COUNT(dtypes); i++)
        if (strlen(dtypes[i].name) == length && memcmp(dtypes[i].name, name, length) == 0)
            return &dtypes[i];
    return NULL;
}

void dt2_dtype_suggest(const char *name, struct dt2_error *err)
{
    struct dt2_nearest nearest = { .wanted = name };
    for (size_t i = 0; i < DT2_COUNT(dtypes); i++)
        dt2_nearest_offer(&nearest, dtypes[i].name);
    dt2_nearest_suggest(&nearest, err);
}
