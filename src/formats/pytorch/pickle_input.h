/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a pickle, read from the file as they are needed. */
#ifndef DT2_FORMATS_PICKLE_INPUT_H
#define DT2_FORMATS_PICKLE_INPUT_H

#include "formats/source.h"

struct dt2_pickle_input {
    const struct dt2_source *source;
    uint64_t at;  /* of the next byte in the file */
    uint64_t end; /* of what may be read */
    size_t used, filled;
    unsigned char buffer[64 * 1024];
};

/* How many bytes there are. */
uint64_t dt2_pickle_left(const struct dt2_pickle_input *input);
/* Takes `size` bytes, no more than there are. Errors: those of dt2_source_pread(). */
int dt2_pickle_take(struct dt2_pickle_input *input, void *to, size_t size, struct dt2_error *err);
/* Passes over `size` bytes, no more than there are. */
void dt2_pickle_pass(struct dt2_pickle_input *input, uint64_t size);

#endif
