/* SPDX-License-Identifier: BSD-3-Clause */
/* Documents that the tool wrote, read again: from a file, or from standard input, which "-" names. */
#ifndef CLI_SAVED_H
#define CLI_SAVED_H

#include <distorch2.h>

/* What to call it in a message. */
const char *cli_saved_name(const char *path);
/* Reads all of it. `option` names it in errors, and `writer` is the command that writes such. *text is to be freed. */
int cli_read_saved(const char *path, const char *option, const char *writer, char **text, size_t *length,
                   struct dt2_error *err);

#endif
