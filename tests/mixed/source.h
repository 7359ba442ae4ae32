/* SPDX-License-Identifier: BSD-3-Clause */
/* A small random model: a file, what is in it, and its blocks. Problems end the program. */
#ifndef DT2_TESTS_SOURCE_H
#define DT2_TESTS_SOURCE_H

#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

#define TENSORS_MOST 48

struct source {
    char path[PATH_MAX];
    unsigned char *bytes;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

/* Of `count` tensors of fewer than `most` bytes each. */
__attribute__((unused)) static void source_make(struct source *source, const char *name, size_t count, uint64_t most)
{
    static char names[TENSORS_MOST][32], shapes[TENSORS_MOST][24];
    struct layout layout = { 0 };
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "block%zu.%s", i / 2, i % 2 ? "bias" : "weight");
        snprintf(shapes[i], sizeof shapes[i], "%" PRIu64, random_below(i % 2 ? 300 : most));
        layout_add(&layout, names[i], "U8", shapes[i]);
    }
    size_t header_size, size;
    char *header = layout_header(&layout, &header_size);
    size = header_size + layout.bytes;
    source->bytes = layout_memory(size);
    memcpy(source->bytes, header, header_size);
    for (size_t i = header_size; i < size; i++)
        source->bytes[i] = (unsigned char)(i % 8 ? source->bytes[i - 1] * 167u + 13 : random_u64());
    snprintf(source->path, sizeof source->path, "%s", scratch_file(name, source->bytes, size, 0));
    struct dt2_error err;
    if (dt2_file_open(source->path, &source->file, &err) || dt2_blocks_make(source->file, &source->blocks, &err))
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);
}

__attribute__((unused)) static void source_free(struct source *source)
{
    dt2_blocks_free(source->blocks);
    dt2_file_free(source->file);
    free(source->bytes);
}

/* Whether every tensor reads back as the file has it. */
__attribute__((unused)) static bool source_is(const struct source *source, struct dt2_model *model)
{
    bool same = true;
    for (size_t i = 0; i < dt2_model_tensor_count(model); i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(model, i);
        unsigned char *copy = layout_memory(tensor->bytes);
        struct dt2_error err = { 0 };
        if (dt2_model_read(model, i, copy, tensor->bytes, &err)) {
            diag("%s: %s", tensor->name, err.text);
            same = false;
        } else if (memcmp(copy, source->bytes + tensor->offset, tensor->bytes) != 0) {
            diag("%s on %s differs", tensor->name, dt2_model_device(model, i));
            same = false;
        }
        free(copy);
    }
    return same;
}

#endif
