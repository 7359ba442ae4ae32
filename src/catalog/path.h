/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths as text, by the rules of Python's os.path: they decide what ComfyUI finds, so they decide what we find.
 * Functions that return text return new text, NULL without memory.
 */
#ifndef DT2_CATALOG_PATH_H
#define DT2_CATALOG_PATH_H

#include "base/shown.h"
#include <distorch2/error.h>

/* `b` when it is absolute, else `a`/`b`. */
char *dt2_path_join(const char *a, const char *b);
/* Without "//", "." and, where there is something to go up from, "..". "" becomes "."; "//a" keeps both slashes. */
char *dt2_path_normal(const char *path);
/* Joined to the working directory and normalised. Errors: DT2_EFAILED when that cannot be told; DT2_ENOMEM. */
int dt2_path_absolute(const char *path, char **absolute, struct dt2_error *err);
/* The folder of an absolute, normalised path. */
char *dt2_path_folder(const char *path);
/* A leading `~` or `~user` becomes the home directory; who is not known stays as written. */
char *dt2_path_expand_home(const char *path);
/* `$NAME` and `${NAME}` become the environment's values; what is not set stays as written. */
char *dt2_path_expand_variables(const char *path);

#endif
