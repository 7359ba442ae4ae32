/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes behind the first three pickles of PyTorch's legacy layout; and as they are. */
#include "fuzz/model.h"

#define INPUT_MOST (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char begin[] = "\x80\2\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}.";
    static unsigned char file[sizeof begin + INPUT_MOST];
    fuzz_model(NULL, data, size);
    if (size > INPUT_MOST)
        return 0;
    memcpy(file, begin, sizeof begin - 1);
    memcpy(file + sizeof begin - 1, data, size);
    fuzz_model(NULL, file, sizeof begin - 1 + size);
    return 0;
}
