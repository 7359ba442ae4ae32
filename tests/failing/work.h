/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads of small models, and whether their bytes are right: what the tests that break things break. */
#ifndef DT2_TESTS_WORK_H
#define DT2_TESTS_WORK_H

#include <distorch2.h>
#include <limits.h>

/* A model file with its bytes. */
struct work_file {
    char path[PATH_MAX];
    unsigned char *bytes;
    size_t size;
};
/* Twenty tensors of random bytes, in the scratch folder. Problems end the program. */
void work_file_make(struct work_file *file, const char *name);
void work_file_clear(struct work_file *file);

/* Where models go: a compute device and an allocation string. */
struct work_places {
    const char *compute;
    const char *allocations;
    bool cut; /* the file loses its second half when reading begins: the load fails in the middle */
};

/* Opens the file and loads it, with models on the compute device ejected, and verified; staging memory is scarce. */
int work_load(struct dt2_context *context, const struct work_file *file, const struct work_places *places,
              struct dt2_model **model, struct dt2_error *err);
/* Every tensor read back equals the bytes of the file; else *err says which does not, or could not be read. */
bool work_is_right(const struct work_file *file, struct dt2_model *model, struct dt2_error *err);
/* Unloads a model, which may be NULL, and lets go of it. */
void work_unload(struct dt2_model *model);

#endif
