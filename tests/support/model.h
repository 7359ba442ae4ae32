/* SPDX-License-Identifier: BSD-3-Clause */
/* Sparse model files of a published layout: the header is real, the data are holes. */
#ifndef DT2_TESTS_MODEL_H
#define DT2_TESTS_MODEL_H

#include "support/layout.h"
#include <fcntl.h>
#include <unistd.h>

/* A path in the source tree, in static storage. */
__attribute__((unused)) static const char *source_path(const char *relative)
{
    static char path[4096];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/%s", top ? top : ".", relative);
    return path;
}

/* Writes a sparse file of a layout in tests/data/layouts to `path`. Problems end the program. */
__attribute__((unused)) static void sparse_model(const char *layout_name, const char *path)
{
    char relative[256];
    snprintf(relative, sizeof relative, "tests/data/layouts/%s.tsv", layout_name);
    char *text;
    struct layout layout = layout_read(source_path(relative), &text);
    size_t size;
    char *header = layout_header(&layout, &size);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, header, size) != (ssize_t)size || ftruncate(fd, (off_t)(size + layout.bytes)) < 0)
        layout_die("%s: %s", path, strerror(errno));
    close(fd);
    free(header);
    free(layout.tensors);
    free(text);
}

#endif
