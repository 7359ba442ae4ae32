/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a GGUF file. */
#include "fuzz/model.h"

extern const struct dt2_format dt2_format_gguf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_model(&dt2_format_gguf, data, size);
    return 0;
}
