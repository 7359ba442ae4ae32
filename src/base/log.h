/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: one line at a time to whoever listens, nobody by default. */
#ifndef DT2_BASE_LOG_H
#define DT2_BASE_LOG_H

#include <distorch2/context.h>

struct dt2_log {
    dt2_log_fn *function; /* NULL: nobody listens */
    void *data;
};

/* `log` may be NULL. */
void dt2_log_line(const struct dt2_log *log, enum dt2_log_level level, const char *format, ...) DT2_PRINTF(3, 4);

#endif
