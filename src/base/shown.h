/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Foreign text made fit to be shown, one rule for all of it: control characters of both sets, marks that reorder or break a
 * line, and bytes that are no UTF-8 are written as escapes (\x1b, \u202e); what is long is cut at a whole character.
 */
#ifndef DT2_BASE_SHOWN_H
#define DT2_BASE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>

/* Room for a name within a sentence, and for a path. */
#define DT2_SHOWN 160
#define DT2_SHOWN_PATH 512

/* Writes `length` bytes of text into an array of `size`, 8 or more; "..." ends what did not fit. Returns `out`. */
char *dt2_show_into(char *out, size_t size, const char *text, size_t length);
/* The same for a name, and for a text that ends with NUL. */
char *dt2_shown(const char *name, size_t length, char out[DT2_SHOWN]);
char *dt2_show(const char *text, char *out, size_t size);
/* Whether the text is shown as it is. */
bool dt2_is_showable(const char *text, size_t length);

#endif
