/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/size.h"
#include "base/checked.h"
#include "base/decimal.h"
#include "base/error.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    char spellings[3][4];
    unsigned shift;
} units[] = {
    { { "b", "", "" }, 0 },       { { "k", "kb", "kib" }, 10 }, { { "m", "mb", "mib" }, 20 },
    { { "g", "gb", "gib" }, 30 }, { { "t", "tb", "tib" }, 40 },
};

uint64_t dt2_unit_bytes(const char *unit, size_t length)
{
    for (size_t i = 0; i < DT2_COUNT(units); i++)
        for (size_t j = 0; j < DT2_COUNT(units[i].spellings); j++) {
            const char *spelling = units[i].spellings[j];
            if (length && strlen(spelling) == length && strncasecmp(spelling, unit, length) == 0)
                return (uint64_t)1 << units[i].shift;
        }
    return 0;
}

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\n\r\f\v");
}

int dt2_size_parse(const char *text, uint64_t *bytes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_decimal one = dt2_decimal_of(1);
    struct dt2_decimal number;
    const char *start = skip_space(text);
    size_t taken = dt2_decimal_parse(start, &number);
    const char *unit = skip_space(start + taken);
    size_t letters = 0;
    while ((unit[letters] | 32) >= 'a' && (unit[letters] | 32) <= 'z')
        letters++;
    uint64_t scale = dt2_unit_bytes(unit, letters);
    if (taken && scale && *skip_space(unit + letters) == '\0') {
        if (dt2_decimal_scale(&number, scale, &one, false, bytes))
            return 0;
        return dt2_fail(err, DT2_EUSAGE, "'%s' is 2^63 bytes or more", text);
    }
    dt2_fail(err, DT2_EUSAGE, "'%s' is not a size", text);
    if (taken && !letters && *unit == '\0')
        dt2_suggest(err, "add a unit, such as %.*smb or %.*sgb", (int)taken, start, (int)taken, start);
    else
        dt2_suggest(err, "a size is a number and a unit (" DT2_UNITS "), such as 512mb or 1.5gb");
    return DT2_EUSAGE;
}

int dt2_gib_parse(const char *text, uint64_t *bytes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_decimal one = dt2_decimal_of(1);
    const struct dt2_decimal most = dt2_decimal_of(128);
    struct dt2_decimal number;
    const char *start = skip_space(text);
    size_t taken = dt2_decimal_parse(start, &number);
    if (taken && *skip_space(start + taken) == '\0' && dt2_decimal_compare(&number, &most) <= 0 &&
        dt2_decimal_scale(&number, (uint64_t)1 << 30, &one, true, bytes))
        return 0;
    dt2_fail(err, DT2_EUSAGE, "'%s' is not a number of GiB from 0.0 to 128.0", text);
    dt2_suggest(err, "write a plain decimal number such as 4 or 0.5");
    return DT2_EUSAGE;
}

char *dt2_size_format(uint64_t bytes, char *out, size_t size)
{
    static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes == DT2_UNKNOWN) {
        snprintf(out, size, "unknown");
        return out;
    }
    if (bytes < 1024) {
        snprintf(out, size, "%u B", (unsigned)bytes);
        return out;
    }
    size_t unit = 0;
    double value = (double)bytes / 1024;
    while (value >= 999.5 && unit + 1 < DT2_COUNT(names)) { /* 1000 MiB would be four digits */
        value /= 1024;
        unit++;
    }
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(out, size, "%.*f %s", decimals, value, names[unit]);
    return out;
}
