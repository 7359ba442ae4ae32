/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the steps from a pickle's value to the table: the dict that is meant, its tensors, the table's order. */
#ifndef DT2_FORMATS_PYTORCH_READER_H
#define DT2_FORMATS_PYTORCH_READER_H

#include "formats/dtype.h"
#include "formats/pytorch/pytorch.h"

#define RANK_MAX 64

/* One tensor, as it is found. Texts and tables still grow: places in them are
 * indices. */
struct dt2_pytorch_record {
    size_t name_at;
    uint32_t name_length;
    const struct dt2_dtype *dtype;
    size_t shape_at;
    size_t axes_at; /* of a view */
    uint8_t rank;
    uint8_t axis_count; /* 0: no view, the bytes lie as they are wanted */
    uint8_t swap_bytes;
    uint64_t offset; /* of the first element in the file */
    uint64_t bytes;
};

/* Key and value of what is no tensor. */
struct dt2_pytorch_metadata {
    size_t key_at, value_at;
};

struct dt2_pytorch_reader {
    struct dt2_file *file;
    struct dt2_pickle *pickle;
    const char *path;
    struct dt2_error *err;
    bool big_endian;
    struct dt2_pytorch_record *records;
    size_t record_count, record_capacity;
    struct dt2_pytorch_metadata *metadata;
    size_t metadata_count, metadata_capacity;
    size_t shape_count, shape_capacity;
    size_t axis_count, axis_capacity;
    const struct dt2_pickle_value *key; /* of the tensor at hand */
    char shown[DT2_SHOWN];
};

/* "PATH: tensor 'NAME': " and the words; returns DT2_EFAILED. */
int dt2_pytorch_refuse(struct dt2_pytorch_reader *reader, const char *format, ...) DT2_PRINTF(2, 3);
/* Adds the record of one tensor. */
int dt2_pytorch_add_tensor(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *key,
                           const struct dt2_pickle_value *tensor);
/*
 * Of the dicts in `dict` that have tensors, the one that is a network which is known. Errors: DT2_EFAILED with a list of
 * them, when none is, or several are.
 */
int dt2_pytorch_choose_dict(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict,
                            struct dt2_pickle_value *chosen);
/* Suggests the dicts in `dict` that have tensors, for an error that was filled before; returns DT2_EFAILED. */
int dt2_pytorch_suggest_dicts(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict);
/* Finds the dict of tensors and adds what is in it. */
int dt2_pytorch_read_state_dict(struct dt2_pytorch_reader *reader);

#endif
