/* SPDX-License-Identifier: BSD-3-Clause */
/* What PyTorch's two layouts of files share: from the pickle's value to the table of tensors. */
#ifndef DT2_FORMATS_PYTORCH_H
#define DT2_FORMATS_PYTORCH_H

#include "formats/format.h"
#include "formats/pytorch/pickle.h"

/*
 * How many times the bytes of its file the tensors of a model may have, and what they may have in any file: views may
 * repeat the bytes of their storage, and a file of a few bytes must not ask for all memory.
 */
#define DT2_PYTORCH_REPEATS 16
#define DT2_PYTORCH_SPARE ((uint64_t)64 << 20)

/* Bytes of one element of a storage class. */
uint64_t dt2_pytorch_element_bytes(const struct dt2_global *type);

/*
 * Fills the file with the tensors of the pickle's state dict, whose storages were found before. `big_endian`: how their
 * elements are stored. Takes the pickle's text over. Errors: DT2_EFAILED naming path, tensor and rule; DT2_ENOMEM.
 */
int dt2_pytorch_fill(struct dt2_file *file, struct dt2_pickle *pickle, bool big_endian, struct dt2_error *err);

#endif
