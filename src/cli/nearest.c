/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/nearest.h"
#include <ctype.h>
#include <string.h>

#define NAME_MAX_LENGTH 63 /* of options and commands; longer words are near to none */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t edits(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            rows[i][j] = least(rows[i - 1][j - 1] + (x != y), least(rows[i - 1][j], rows[i][j - 1]) + 1);
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2]))
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
        }
    }
    return rows[n][m];
}

void cli_nearest_offer(struct cli_nearest *nearest, const char *name)
{
    const char *wanted = nearest->wanted;
    size_t n = strlen(wanted), m = strlen(name);
    if (n == 0 || n > NAME_MAX_LENGTH || m > NAME_MAX_LENGTH)
        return;
    size_t limit = least(n, m) / 3 + 1;
    size_t distance = edits(wanted, n, name, m);
    if (distance > limit || distance >= least(n, m)) {
        if (n < 3 || !strcasestr(name, wanted))
            return;
        distance = limit + 1;
    }
    if (!nearest->name || distance < nearest->distance) {
        nearest->name = name;
        nearest->distance = distance;
    }
}
