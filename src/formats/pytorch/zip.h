/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directory of a zip archive of stored files, read strictly: nobody may read another archive out of the same bytes.
 * Central and local headers agree; entries do not overlap; names differ; nothing is encrypted, spread or appended.
 */
#ifndef DT2_FORMATS_ZIP_H
#define DT2_FORMATS_ZIP_H

#include "formats/names.h"
#include "formats/source.h"

struct dt2_zip_entry {
    const char *name; /* without a NUL behind it */
    uint32_t name_length;
    uint32_t crc;
    uint16_t flags;
    uint64_t header; /* where its local header begins in the file */
    uint64_t data;   /* and its bytes */
    uint64_t bytes;
};

struct dt2_zip {
    struct dt2_zip_entry *entries; /* in the order of the file */
    size_t count;
    struct dt2_name *names; /* sorted */
    char *directory;        /* what the names point into */
};

/* Errors: DT2_EFAILED naming path, entry and rule. *zip is zeroed before, and to be cleared whatever comes. */
int dt2_zip_read(struct dt2_zip *zip, const struct dt2_source *source, struct dt2_error *err);
/* The first entry of that name or of one that differs in the case of ASCII letters only, or NULL. */
const struct dt2_zip_entry *dt2_zip_find_any_case(const struct dt2_zip *zip, const char *name, size_t length);
/* The entry that the directory begins with; there is one. */
const struct dt2_zip_entry *dt2_zip_first(const struct dt2_zip *zip);
void dt2_zip_clear(struct dt2_zip *zip);
/* NULL when there is none. */
const struct dt2_zip_entry *dt2_zip_find(const struct dt2_zip *zip, const char *name, size_t length);

#endif
