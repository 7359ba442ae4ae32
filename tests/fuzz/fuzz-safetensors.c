/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a file of safetensors. */
#include "fuzz/model.h"

extern const struct dt2_format dt2_format_safetensors;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_model(&dt2_format_safetensors, data, size);
    return 0;
}
