/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as an extra_model_paths.yaml file: no crash, no leak, only folders that a catalogue may have. */
#include "base/text.h"
#include "catalog/search.h"
#include <stdlib.h>
#include <string.h>

/* Not static: libFuzzer looks for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data, (void)level;
    if (strchr(line, '\n') || (!strstr(line, "/y/x.yaml") && !strstr(line, "4096 folders")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dt2_log log = { check_line, NULL };
    struct dt2_search search = { 0 };
    if (dt2_search_read(&search, "controlnet", "/y/x.yaml", (const char *)data, size, &log, NULL) != 0)
        abort();
    for (size_t i = 0; i < search.count; i++) {
        const char *folder = search.folders[i];
        if (folder[0] != '/' || !dt2_utf8_valid(folder, strlen(folder)))
            abort();
        for (size_t j = 0; j < i; j++)
            if (strcmp(search.folders[j], folder) == 0)
                abort();
    }
    dt2_search_clear(&search);
    return 0;
}
