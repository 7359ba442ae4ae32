/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/saved.h"
#include "cli/report.h"
#include "cli/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SAVED_MAX_BYTES ((size_t)64 << 20)

static int read_all(FILE *stream, const char *name, char **text, size_t *length, struct dt2_error *err)
{
    size_t capacity = 0;
    do {
        if (*length == SAVED_MAX_BYTES)
            return cli_fail(err, DT2_EFAILED, "%s: longer than %zu bytes: nothing that was saved", name, *length);
        if (*length == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            *text = cli_grow(*text, capacity, 1);
        }
        *length += fread(*text + *length, 1, capacity - *length, stream);
    } while (!feof(stream) && !ferror(stream));
    return ferror(stream) ? cli_fail(err, DT2_EFAILED, "%s: %s", name, strerror(errno)) : 0;
}

const char *cli_saved_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

int cli_read_saved(const char *path, const char *option, const char *writer, char **text, size_t *length,
                   struct dt2_error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *stream = standard_input ? stdin : fopen(path, "re");
    *text = NULL;
    *length = 0;
    if (!stream) {
        cli_fail(err, DT2_EFAILED, "%s: %s", path, strerror(errno));
        return cli_suggest(err, "%s takes a file that `%s` wrote", option, writer);
    }
    int rc = read_all(stream, cli_saved_name(path), text, length, err);
    if (!standard_input)
        fclose(stream);
    return rc;
}
