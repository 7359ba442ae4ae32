/* SPDX-License-Identifier: BSD-3-Clause */
/* Several files that are one model: their tables become one. */
#ifndef DT2_FORMATS_MERGE_H
#define DT2_FORMATS_MERGE_H

#include "formats/format.h"

/*
 * Makes one table of those of file->parts, in their order; what they have open goes behind the file's own sources. Errors:
 * DT2_EFAILED for files of several formats, and for a tensor that is in two of them; DT2_ENOMEM.
 */
int dt2_file_merge(struct dt2_file *file, struct dt2_error *err);
/* The source that has the first byte of a tensor, and its name without folders. */
uint32_t dt2_file_source_of(const struct dt2_file *file, size_t entry);
const char *dt2_file_name_of(const struct dt2_file *file, size_t entry);
/* The bytes that are no tensor's, of formats that have a header; 0 for others. */
uint64_t dt2_file_header_bytes(const struct dt2_file *file);

#endif
