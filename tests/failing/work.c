/* SPDX-License-Identifier: BSD-3-Clause */
#include "work.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <sys/stat.h>

enum { TENSORS = 20 };

void work_file_make(struct work_file *file, const char *name)
{
    static char names[TENSORS][24], shapes[TENSORS][24];
    struct layout layout = { 0 };
    for (int i = 0; i < TENSORS; i++) {
        /* a block each; three or four of them go through four staging slots, of 64 KiB each, more than once */
        snprintf(names[i], sizeof names[i], "block%d.weight", i);
        snprintf(shapes[i], sizeof shapes[i], "%" PRIu64, i % 7 ? 80000 + random_below(70000) : 1 + random_below(500));
        layout_add(&layout, names[i], "U8", shapes[i]);
    }
    size_t header_size;
    char *header = layout_header(&layout, &header_size);
    file->size = header_size + layout.bytes;
    file->bytes = layout_memory(file->size);
    memcpy(file->bytes, header, header_size);
    for (size_t i = header_size; i < file->size; i++)
        file->bytes[i] = (unsigned char)random_u64();
    snprintf(file->path, sizeof file->path, "%s", scratch_file(name, file->bytes, file->size, 0));
    free(header);
    free(layout.tensors);
}

void work_file_clear(struct work_file *file)
{
    free(file->bytes);
}

static int cut_file(void *path, const struct dt2_progress *progress)
{
    struct stat st;
    return progress->done_bytes == 0 && (stat(path, &st) < 0 || truncate(path, st.st_size / 2) < 0);
}

int work_load(struct dt2_context *context, const struct work_file *file, const struct work_places *places,
              struct dt2_model **model, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_file *opened;
    struct dt2_blocks *blocks = NULL;
    request.compute_device = places->compute;
    request.expert_mode_allocations = places->allocations;
    options.verify = true;
    options.threads = 2;
    options.staging_bytes = 1; /* the least: every slot is used several times */
    options.progress = places->cut ? cut_file : NULL;
    options.progress_data = (void *)(uintptr_t)file->path;
    *model = NULL;
    int rc = dt2_file_open(file->path, &opened, err);
    if (rc < 0)
        return rc;
    rc = dt2_blocks_make(opened, &blocks, err);
    if (rc == 0)
        rc = dt2_model_load(context, opened, blocks, &request, &options, model, err);
    dt2_blocks_free(blocks);
    dt2_file_free(opened);
    return rc;
}

bool work_is_right(const struct work_file *file, struct dt2_model *model, struct dt2_error *err)
{
    bool right = true;
    for (size_t i = 0; right && i < dt2_model_tensor_count(model); i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(model, i);
        unsigned char *copy = layout_memory(tensor->bytes);
        int rc = dt2_model_read(model, i, copy, tensor->bytes, err);
        if (rc == 0 && memcmp(copy, file->bytes + tensor->offset, tensor->bytes) != 0)
            snprintf(err->text, sizeof err->text, "%s on %s has wrong bytes", tensor->name, dt2_model_device(model, i));
        right = rc == 0 && memcmp(copy, file->bytes + tensor->offset, tensor->bytes) == 0;
        free(copy);
    }
    return right;
}

void work_unload(struct dt2_model *model)
{
    if (model)
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
}
