/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"
#include "base/error.h"
#include <stdio.h>

void dt2_log_line(const struct dt2_log *log, enum dt2_log_level level, const char *format, ...)
{
    DT2_KEEP_ERRNO;
    if (!log || !log->function)
        return;
    char line[2048];
    va_list args;
    va_start(args, format);
    dt2_format_into(line, sizeof line, format, args);
    va_end(args);
    log->function(log->data, level, line);
}
