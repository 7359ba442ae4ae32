/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: any bytes behind the first three pickles of PyTorch's legacy layout; and as they are.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -include config.h -Iinclude -Isrc -Itests \
 *       tests/fuzz/fuzz-legacy.c THE-LIBRARY-BUILT-LIKEWISE -o fuzz-legacy
 *   ./fuzz-legacy -dict=tests/fuzz/pickle.dict CORPUS tests/data/pytorch tests/data/hostile/pytorch
 */
#include "fuzz/any_model.h"

#define INPUT_MOST (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char begin[] = "\x80\2\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}.";
    static unsigned char file[sizeof begin + INPUT_MOST];
    fuzz_model(data, size);
    if (size > INPUT_MOST)
        return 0;
    memcpy(file, begin, sizeof begin - 1);
    memcpy(file + sizeof begin - 1, data, size);
    fuzz_model(file, sizeof begin - 1 + size);
    return 0;
}
