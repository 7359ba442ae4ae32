/* SPDX-License-Identifier: BSD-3-Clause */
/* Every dtype becomes floats, and floats become the dtype that is wanted; where one of both is floats already, that step is none. */
#include "formats/convert/convert.h"
#include "base/checked.h"
#include "formats/convert/ggml.h"
#include "formats/convert/halves.h"
#include <fenv.h>
#include <string.h>
#include <strings.h>

#define FLOATS 2048 /* between the steps: they stay in the nearest cache */

#define QUANTISED(type, elements, bytes)                                                                               \
    { #type, elements, bytes, dt2_ggml_decode_##type, dt2_ggml_element_##type, 0, 0 },

static const struct dt2_decoder decoders[] = {
    { "F32", 1, 4, NULL, NULL, 8, 23 },
    { "F16", 1, 2, dt2_halves_decode, NULL, 5, 10 },
    { "BF16", 1, 2, dt2_bfloats_decode, NULL, 8, 7 },
    { "F64", 1, 8, dt2_doubles_decode, NULL, 11, 52 },
    DT2_GGML_TYPES(QUANTISED)
};

static const struct dt2_encoder encoders[] = {
    { "F16", 2, dt2_halves_encode, 5, 10 },
    { "BF16", 2, dt2_bfloats_encode_indirect, 8, 7 },
    { "F32", 4, NULL, 8, 23 },
};
static const struct dt2_encoder bfloats_of_wider = { "BF16", 2, dt2_bfloats_encode, 8, 7 };

static const struct dt2_decoder *find_decoder(const char *dtype)
{
    for (size_t i = 0; i < DT2_COUNT(decoders); i++)
        if (strcmp(decoders[i].dtype, dtype) == 0)
            return &decoders[i];
    return NULL;
}

const char *dt2_conversion_target(const char *dtype)
{
    for (size_t i = 0; i < DT2_COUNT(encoders); i++)
        if (strcasecmp(encoders[i].dtype, dtype) == 0)
            return encoders[i].dtype;
    return NULL;
}

bool dt2_conversion_find(const char *from, const char *to, struct dt2_conversion *conversion)
{
    const struct dt2_decoder *decoder = find_decoder(from);
    const struct dt2_encoder *encoder = NULL;
    for (size_t i = 0; i < DT2_COUNT(encoders); i++)
        if (strcmp(encoders[i].dtype, to) == 0)
            encoder = &encoders[i];
    if (!decoder || !encoder)
        return false;
    if (decoder->mantissa_bits >= 23 && encoder->mantissa_bits == 7)
        encoder = &bfloats_of_wider;
    *conversion = (struct dt2_conversion){ decoder, encoder, decoder->elements, decoder->bytes, encoder->bytes };
    return true;
}

static bool is_aligned(const void *at)
{
    return (uintptr_t)at % sizeof(float) == 0;
}

/* At most FLOATS elements. The floats between the steps stay where they are or are wanted, if they can be reached there. */
static void convert_some(const struct dt2_conversion *conversion, const unsigned char *from, unsigned char *to, size_t blocks)
{
    const struct dt2_decoder *decoder = conversion->decoder;
    const struct dt2_encoder *encoder = conversion->encoder;
    _Alignas(64) float between[FLOATS];
    size_t count = blocks * decoder->elements;
    const float *floats = between;
    if (!decoder->decode && is_aligned(from))
        floats = (const float *)(const void *)from;
    else if (!decoder->decode)
        memcpy(between, from, count * sizeof *between);
    else if (!encoder->encode && is_aligned(to)) {
        decoder->decode(from, (float *)(void *)to, blocks);
        return;
    } else
        decoder->decode(from, between, blocks);
    if (encoder->encode)
        encoder->encode(floats, to, count);
    else
        memcpy(to, floats, count * sizeof *floats);
}

void dt2_convert(const struct dt2_conversion *conversion, const void *from, void *to, size_t blocks)
{
    /* Whatever the thread's rounding and traps are: those of the standard, and its own again afterwards. */
    fenv_t own;
    fegetenv(&own);
    fesetenv(FE_DFL_ENV);
    const unsigned char *in = from;
    unsigned char *out = to;
    for (size_t most = FLOATS / conversion->block_elements, some; blocks > 0; blocks -= some) {
        some = dt2_min(blocks, most);
        convert_some(conversion, in, out, some);
        in += some * conversion->block_bytes;
        out += some * conversion->block_elements * conversion->element_bytes;
    }
    fesetenv(&own);
}
