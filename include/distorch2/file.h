/* SPDX-License-Identifier: BSD-3-Clause */
/* Tier 1: a model file as a flat table of tensors. Nothing here knows of devices or plans. */
#ifndef DISTORCH2_FILE_H
#define DISTORCH2_FILE_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

struct dt2_file; /* opaque: an open model, its table read and checked; immutable */

/*
 * One tensor. Shapes are outermost first; a scalar has rank 0. All of it belongs to the file, or to the model
 * that has it.
 */
struct dt2_tensor {
    const char *name;
    const char *dtype; /* the safetensors name: "F16", "BF16", "F8_E4M3", ... */
    const uint64_t *shape;
    size_t rank;
    uint64_t bytes;   /* may be 0 */
    const char *file; /* the path of the file that holds it */
    uint64_t offset;  /* of its first element there; those of views in PyTorch files do not follow one another */
};

/*
 * Opens a model and reads its table: of a file; of a folder of the diffusers library; of an index of several files; and of
 * all parts of a model when `path` is one of them and the others lie beside it. The data stay where they are, and the file open until
 * dt2_file_free(). What the file is, its content decides, never its name. Every number in it is checked against
 * the size of the open file before it is used.
 * Errors: DT2_ENOENT when there is no such file; DT2_EFAILED when it is no regular file, cannot be read, breaks a
 * rule of its format, is a part of a model whose others are not there, or of a download that is not finished: the text
 * names the file, the tensor and the rule.
 */
DT2_PUBLIC int dt2_file_open(const char *path, struct dt2_file **file, struct dt2_error *err);

/*
 * Opens one of a model's files for a program that has the bytes elsewhere than at its path: in memory of memfd_create(2), say. Returns a
 * descriptor that can be read, of a regular file or of memory, which belongs to the model from then on; or a negative enum dt2_code,
 * with the error filled. It is called on the thread that opens the model, once or more for each file, and calls no function of this
 * library's on that model. The files that a model has are still looked for beside `path`; what stands there is not opened.
 */
typedef int dt2_open_fn(void *data, const char *path, struct dt2_error *err);

/* How a file is opened; zero or NULL means the default. */
struct dt2_file_options {
    size_t struct_size;
    /*
     * Of a PyTorch file with several dicts of tensors ("model", "ema", "optimizer") the key of the one that is meant. NULL: the
     * only one that has tensors, or whose network is known.
     */
    const char *key;
    dt2_open_fn *open; /* NULL: the file at the path is opened */
    void *open_data;
};
#define DT2_FILE_OPTIONS_INIT { sizeof(struct dt2_file_options), NULL, NULL, NULL }
/* As dt2_file_open(). Errors: also what `open` says; DT2_EUSAGE for a key of a file that can have none, or a struct_size below the first. */
DT2_PUBLIC int dt2_file_open_with(const char *path, const struct dt2_file_options *options, struct dt2_file **file,
                                  struct dt2_error *err);
/* Closes the file; what was asked of it, tensors and names, is gone. NULL is fine. */
DT2_PUBLIC void dt2_file_free(struct dt2_file *file);

/* The path as it was given. */
DT2_PUBLIC const char *dt2_file_path(const struct dt2_file *file);
/* What is to be said of how it was opened: that the path was one of a model's files, say; NULL: nothing. */
DT2_PUBLIC const char *dt2_file_note(const struct dt2_file *file);
/* "safetensors", "safetensors-sharded", "diffusers-folder", "gguf", "gguf-split", "pytorch-zip", "pytorch-legacy",
 * "pytorch-sharded"; further formats get further names. */
DT2_PUBLIC const char *dt2_file_format(const struct dt2_file *file);
/* The sum of all tensors' bytes; those that are one tensor under several names count once, and are loaded once. */
DT2_PUBLIC uint64_t dt2_file_total_bytes(const struct dt2_file *file);
/*
 * 32 hexadecimal digits that change when the table of tensors (names, dtypes, shapes, places) does, not when
 * the data do.
 */
DT2_PUBLIC const char *dt2_file_fingerprint(const struct dt2_file *file);

/* Tensors in the order of their data in the file. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_file_tensor_count(const struct dt2_file *file);
DT2_PUBLIC const struct dt2_tensor *dt2_file_tensor(const struct dt2_file *file, size_t index);
/* Finds a tensor by its name. Errors: DT2_ENOENT with the nearest names. */
DT2_PUBLIC int dt2_file_find(const struct dt2_file *file, const char *name, size_t *index, struct dt2_error *err);

/* The format's free-form metadata: pairs of key and value, which belong to the file. Both NULL for a wrong index. */
DT2_PUBLIC size_t dt2_file_metadata_count(const struct dt2_file *file);
DT2_PUBLIC void dt2_file_metadata(const struct dt2_file *file, size_t index, const char **key, const char **value);

/*
 * Reads one tensor into memory of the caller's: `size` must be its exact number of bytes. Safe from several
 * threads.
 * Errors: DT2_EUSAGE for a wrong index or size; DT2_EFAILED when the file is shorter than it was, or the read
 * fails: part of `destination` may have been written then.
 */
DT2_PUBLIC int dt2_file_read(const struct dt2_file *file, size_t index, void *destination, uint64_t size,
                             struct dt2_error *err);

/*
 * Returns 0 while the file on disk is still the one that was opened: its path leads to it, and it has the size and the
 * modification time that it had. Errors: DT2_EFAILED, saying what changed.
 */
DT2_PUBLIC int dt2_file_unchanged(const struct dt2_file *file, struct dt2_error *err);

/* -- stored otherwise than in the file ------------------------------------------------------------------------------ */

/*
 * The dtype in which a tensor is to be stored: "F16", "BF16" or "F32", in any case; "keep": the file's own; NULL: what the
 * struct's `dtype` says. Called for each tensor, on the caller's thread, in the order of the table.
 */
typedef const char *dt2_dtype_fn(void *data, const struct dt2_tensor *tensor);

/*
 * Tensors that lie side by side wherever they are loaded to: in one block, in this order, without a gap. They become one
 * tensor more, of all their elements: of the rows of all where their shapes differ in the first dimension at most, else in one dimension.
 */
struct dt2_gang {
    const char *name;      /* of that tensor; NULL: the members' names, joined by '+' */
    const size_t *tensors; /* of one dtype as stored; each in one gang at most */
    size_t count;          /* 2 or more */
};

/* How a file's tensors are to be stored. Start from DT2_STORING_INIT, which leaves all as it is. */
struct dt2_storing {
    size_t struct_size;
    const char *dtype;       /* NULL: "keep" */
    dt2_dtype_fn *dtype_of;  /* NULL: `dtype` for all */
    void *dtype_data;        /* its first argument */
    const struct dt2_gang *gangs;
    size_t gang_count;
};
#define DT2_STORING_INIT { sizeof(struct dt2_storing), NULL, NULL, NULL, NULL, 0 }

/*
 * The same model as it will be stored, as an open file of its own: tensors keep their indices and have the dtype and the bytes
 * that they will have on their devices; gangs follow them. Blocks, plans, budgets, loads, sessions and dt2_file_read() speak of
 * these; what is read is converted on its way. `file` may be freed before *stored, which shares its open files.
 *
 * Tensors of F64, F32, F16 and BF16 are converted, rounded to nearest even, with what is too large made infinite and NaNs kept,
 * as PyTorch's Tensor.to() does; ggml's quantised blocks (Q4_0 to Q8_0, Q2_K to Q6_K) become what the gguf package's dequantize() makes
 * of them. Integers, booleans, complex numbers and floating-point numbers of 8 bits and fewer stay as they are.
 * Errors: DT2_EUSAGE for a dtype that is none of these, a quantised tensor that cannot be converted (named), and for a gang
 * whose tensors do not go together; DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_file_stored(const struct dt2_file *file, const struct dt2_storing *how, struct dt2_file **stored,
                               struct dt2_error *err);
/* The dtype in which its tensors are stored: "keep" for a file as it was opened, "F16", "BF16", "F32"; "mixed" where a
 * function chose. */
DT2_PUBLIC const char *dt2_file_dtype(const struct dt2_file *file);

DT2_END_DECLS
#endif
