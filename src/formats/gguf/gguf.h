/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sources of the GGUF reader share: a cursor over the file, keys and values, the table of ggml's types. */
#ifndef DT2_FORMATS_GGUF_H
#define DT2_FORMATS_GGUF_H

#include "base/text.h"
#include "formats/format.h"

/* Reads forward through a window; every length is held against the bytes that are left before it is used. */
struct dt2_gguf_cursor {
    const struct dt2_source *source;
    struct dt2_error *err;
    uint64_t at;           /* of the next byte in the file */
    uint64_t window_begin; /* what the window holds of the file */
    size_t window_length;
    unsigned char *window;
    struct dt2_text text; /* names and values, each with its NUL; it moves while it grows */
    /* What is being read, for errors: */
    const char *item; /* "tensor", "key"; NULL: none yet */
    uint64_t item_number;
    size_t item_name; /* where in the text; SIZE_MAX: not known yet */
};

/* Errors: DT2_ENOMEM. To be cleared. */
int dt2_gguf_begin(struct dt2_gguf_cursor *cursor, const struct dt2_source *source, struct dt2_error *err);
void dt2_gguf_clear(struct dt2_gguf_cursor *cursor);
/* "PATH: GGUF: tensor 'NAME': " and the words; returns DT2_EFAILED. */
int dt2_gguf_refuse(const struct dt2_gguf_cursor *cursor, const char *format, ...) DT2_PRINTF(2, 3);
uint64_t dt2_gguf_left(const struct dt2_gguf_cursor *cursor);
/* The next bytes: into memory, at the end of the text, or read over. Errors: DT2_EFAILED, also when fewer are left. */
int dt2_gguf_take(struct dt2_gguf_cursor *cursor, void *to, size_t size);
int dt2_gguf_copy(struct dt2_gguf_cursor *cursor, uint64_t size);
int dt2_gguf_skip(struct dt2_gguf_cursor *cursor, uint64_t size);
/* Begins an item with its name, a string of UTF-8 without NUL; *at is where that is in the text. */
int dt2_gguf_name(struct dt2_gguf_cursor *cursor, const char *item, uint64_t number, size_t *at);

/* The keys and their values, in words: where in the text they are. */
struct dt2_gguf_pairs {
    struct dt2_gguf_pair {
        size_t key_at, value_at;
    } *items;
    size_t count, capacity;
    uint32_t alignment; /* of the data: what a key says, else the format's own */
};
int dt2_gguf_read_pairs(struct dt2_gguf_cursor *cursor, uint64_t count, struct dt2_gguf_pairs *pairs);

/* How ggml stores elements: `block_elements` neighbours of a row in `block_bytes` bytes. */
struct dt2_gguf_type {
    const char *name;           /* that of safetensors where there is one */
    uint16_t block_elements;    /* 0: ggml has given the type up */
    uint16_t block_bytes;
    uint16_t other_block_bytes; /* where writers differ, what the others take; 0: they do not */
};

/* The type with that number; NULL when ggml has none. */
const struct dt2_gguf_type *dt2_gguf_type(uint32_t number);

#endif
