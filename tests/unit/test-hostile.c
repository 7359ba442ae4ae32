/* SPDX-License-Identifier: BSD-3-Clause */
/* Every file of tests/data/hostile is refused, for the reason that its list gives, in words that name it. */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static void check(const char *kind, const char *model, const char *reason)
{
    char path[PATH_MAX];
    struct dt2_file *file;
    struct dt2_error err;
    snprintf(path, sizeof path, "hostile/%s/%s", kind, model);
    snprintf(path, sizeof path, "%s", data_path(path));
    int rc = dt2_file_open(path, &file, &err);
    if (rc == 0)
        dt2_file_free(file);
    bool good = ok(rc == DT2_EFAILED && strstr(err.text, reason), "%s/%s is refused: %s", kind, model, reason);
    if (!good)
        diag("%s", rc == 0 ? "it was accepted" : err.text);
    if (rc == 0)
        return;
    char *slash = strrchr(path, '/'); /* of a model of several files the one that is bad, beside it, is named */
    ok(strncmp(err.text, path, (size_t)(slash - path)) == 0, "%s/%s is named", kind, model);
    ok(!strchr(err.text, '\n'), "%s/%s: one line", kind, model);
}

int main(void)
{
    static const char *const kinds[] = { "gguf", "index" };
    for (size_t i = 0; i < DT2_COUNT(kinds); i++) {
        char list[64], line[512];
        snprintf(list, sizeof list, "hostile/%s.tsv", kinds[i]);
        FILE *stream = fopen(data_path(list), "re");
        if (!ok(stream, "%s is there", list))
            continue;
        while (fgets(line, sizeof line, stream)) {
            line[strcspn(line, "\n")] = '\0';
            char *tab = strchr(line, '\t');
            *tab = '\0';
            check(kinds[i], line, tab + 1);
        }
        fclose(stream);
    }
    return done_testing();
}
