/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sized.h"
#include "base/checked.h"
#include "base/error.h"
#include <string.h>

#define MOST 65536 /* bytes that a struct of any version has: above that, struct_size was never set */

static size_t size_of(const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    return size;
}

int dt2_result_check(const struct dt2_sized *sized, const void *out, struct dt2_error *err)
{
    if (size_of(out) >= sized->first_size)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "%s struct_size is %zu; start from %s", sized->what, size_of(out), sized->init);
}

int dt2_options_read(const struct dt2_sized *sized, const void *given, void *into, struct dt2_error *err)
{
    if (!given)
        return 0;
    size_t size = size_of(given);
    const unsigned char *bytes = given;
    if (size < sized->first_size)
        return dt2_result_check(sized, given, err);
    for (size_t i = sized->size; i < size; i++)
        if (size > MOST || bytes[i])
            return dt2_fail(err, DT2_EUSAGE,
                            "%s struct_size is %zu: they ask for something that this version of the library, %s, does not "
                            "know; it knows %zu bytes",
                            sized->what, size, dt2_version(), sized->size);
    memcpy(into, given, dt2_min(size, sized->size));
    memcpy(into, &sized->size, sizeof sized->size);
    return 0;
}

void dt2_result_write(const struct dt2_sized *sized, const void *made, void *out)
{
    size_t size = size_of(out), known = dt2_min(size, sized->size);
    memcpy((char *)out + sizeof size, (const char *)made + sizeof size, known - sizeof size);
    memset((char *)out + known, 0, size - known);
}
