/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder as diffusers saves a model: which of its files is the model. */
#ifndef DT2_FORMATS_FOLDER_H
#define DT2_FORMATS_FOLDER_H

#include <distorch2/error.h>
#include <stdbool.h>

/* The name of the format. */
#define DT2_FOLDER_FORMAT "diffusers-folder"

bool dt2_folder_is(const char *path);
/*
 * Sets *model to the path, to be released, of the folder's index; else of the file with the plain name; else of its only
 * index of a variant; else of its only file of weights: of safetensors, and where there are none of PyTorch.
 * Errors: DT2_EFAILED with the names that are there, when it has none, or several of which none has the plain name.
 */
int dt2_folder_model(const char *folder, char **model, struct dt2_error *err);

#endif
