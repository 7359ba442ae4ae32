/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects the lines of a log. */
#ifndef DT2_TESTS_LINES_H
#define DT2_TESTS_LINES_H

#include <distorch2/context.h>
#include <stdio.h>
#include <string.h>

struct lines {
    unsigned count;
    char text[16384]; /* each ended by a newline */
};

__attribute__((unused)) static void lines_add(void *data, enum dt2_log_level level, const char *line)
{
    struct lines *lines = data;
    size_t used = strlen(lines->text);
    if (level <= DT2_LOG_WARNING)
        lines->count++;
    snprintf(lines->text + used, sizeof lines->text - used, "%s\n", line);
}

__attribute__((unused)) static bool lines_have(const struct lines *lines, const char *part)
{
    return strstr(lines->text, part) != NULL;
}

#endif
