/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that is a part of something: of a model of several files, or of a download. */
#ifndef DT2_FORMATS_PARTS_H
#define DT2_FORMATS_PARTS_H

#include "formats/format.h"

/* The whole that a file is a part of: an index beside it that names it, or all parts by their names; or none of both. */
struct dt2_whole {
    char *index;
    char **paths;
    size_t count;
};

/* Refuses what is called after a download that is still to be finished. Errors: DT2_EFAILED. */
int dt2_part_check_name(const char *path, struct dt2_error *err);
/*
 * Finds the whole of the file at `path`, or of what that is a link to; to be cleared. Errors: DT2_EFAILED when a name says that
 * it is one of several and not all are there, naming those that are missing.
 */
int dt2_whole_find(const char *path, struct dt2_whole *whole, struct dt2_error *err);
void dt2_whole_clear(struct dt2_whole *whole);
/*
 * Whether the model has all parts of which its files themselves speak, as those of GGUF do. Errors: DT2_EFAILED, naming
 * the file.
 */
int dt2_whole_check(const struct dt2_file *file, struct dt2_error *err);
/* The same of one part, as it was read: that it is the one that its name says. */
int dt2_whole_check_part(const struct dt2_file *part, size_t number, size_t count, struct dt2_error *err);

#endif
