/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors: a struct that the caller owns, filled by the function that failed. */
#ifndef DISTORCH2_ERROR_H
#define DISTORCH2_ERROR_H

#include <distorch2/common.h>

DT2_BEGIN_DECLS

/* What kind of failure. Functions return these values; 0 is success. */
enum dt2_code {
    DT2_OK = 0,
    DT2_EFAILED = -1,    /* exists, but cannot be read, is malformed, or failed on the way */
    DT2_EUSAGE = -2,     /* the caller's words: options, ranges, allocation syntax */
    DT2_ENOFIT = -3,     /* does not fit: a budget, an allocation limit, memory itself */
    DT2_ENOENT = -4,     /* no such device or model */
    DT2_ECANCELLED = -5, /* a progress callback asked to stop */
    DT2_EBUSY = -6,      /* in use: a model with borrowers, a stream that captures a graph */
    DT2_ENOMEM = -7,     /* the library's own bookkeeping found no memory */
    DT2_EGONE = -8,      /* the model is not loaded any more, or the program is ending */
    DT2_EFULL = -9,      /* the blocks that are held leave no room in the window */
    DT2_EPARKED = -10,   /* the session is parked */
};

/*
 * One failure in words. `text` names the file, device or character, and the number that was wrong; it
 * may hold several lines (an allocation string with a caret below it). `suggestion` says what would
 * work, or is empty. Both are NUL-terminated UTF-8, cut at a character when longer than the array.
 * No initialisation is needed before a call; the content is meaningful only after a failure.
 */
struct dt2_error {
    int code; /* enum dt2_code */
    char text[2048];
    char suggestion[1024];
}; /* never changes: programs need not say how large theirs is */

/* The name of a code, such as "DT2_ENOFIT"; "unknown" for any other number. Static storage. */
DT2_PUBLIC const char *dt2_code_name(int code);

/*
 * The exit status that the command line tool uses for `code`: 0 done, 2 usage, 3 does not fit, 4 no such
 * device or model, 130 cancelled, 1 for all else. Programs of one's own may use the same.
 */
DT2_PUBLIC int dt2_exit_status(int code);

/* The version of these headers, at compile time. */
#define DT2_VERSION_MAJOR 0
#define DT2_VERSION_MINOR 1
#define DT2_VERSION_PATCH 0
#define DT2_VERSION_NUMBER (DT2_VERSION_MAJOR * 1000000 + DT2_VERSION_MINOR * 1000 + DT2_VERSION_PATCH)

/* The library's version, at run time, "MAJOR.MINOR.PATCH". Static storage. */
DT2_PUBLIC const char *dt2_version(void);

/* Frees text that a function of this library returned as `char *` (NULL is fine). */
DT2_PUBLIC void dt2_text_free(char *text);

DT2_END_DECLS
#endif
