/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs that begin with struct_size, across versions. A program that is older than the library has less of them: what it
 * does not have stays as the defaults are, and is not written. One that is newer has more: that must be 0 in options, since
 * nobody here knows what it asks for, and becomes 0 in results. New members are only added at the end, never into padding.
 */
#ifndef DT2_BASE_SIZED_H
#define DT2_BASE_SIZED_H

#include <distorch2/error.h>

/* One struct. */
struct dt2_sized {
    const char *what;  /* in words */
    const char *init;  /* the macro that sets struct_size */
    size_t first_size; /* of the first version, to the end of its last member */
    size_t size;
};

/* `last` is the last member that the first version had. */
#define DT2_SIZED(type, last, what, init)                                                                              \
    {                                                                                                                  \
        what, init, offsetof(type, last) + sizeof(((type *)0)->last), sizeof(type)                                     \
    }

/* Copies what the caller has of the options over the defaults in `into`. `given` NULL: the defaults. Errors: DT2_EUSAGE. */
int dt2_options_read(const struct dt2_sized *sized, const void *given, void *into, struct dt2_error *err);

/* Whether a result can be written to `out`. Errors: DT2_EUSAGE for a struct_size below that of the first version. */
int dt2_result_check(const struct dt2_sized *sized, const void *out, struct dt2_error *err);
/* Copies of `made` what the caller has room for; struct_size stays the caller's. */
void dt2_result_write(const struct dt2_sized *sized, const void *made, void *out);

#endif
