/* SPDX-License-Identifier: BSD-3-Clause */
/* What `inspect` tells of a model beyond what the library does. */
#include "cli/inspect.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

size_t cli_count_dtypes(const struct dt2_file *file, struct cli_dtype *dtypes)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        size_t at = 0;
        while (at < count && strcmp(dtypes[at].name, tensor->dtype) != 0)
            at++;
        if (at == CLI_DTYPES_MAX)
            continue;
        if (at == count)
            dtypes[count++] = (struct cli_dtype){ tensor->dtype, 0, 0 };
        dtypes[at].tensors++;
        dtypes[at].bytes += tensor->bytes;
    }
    return count;
}

struct cli_part *cli_count_parts(const struct dt2_file *file, size_t *count)
{
    struct cli_part *parts = cli_alloc(1, sizeof *parts);
    *count = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        if (*count == 0 || strcmp(parts[*count - 1].path, tensor->file) != 0) { /* tensors of one file are neighbours */
            parts = cli_grow(parts, *count + 1, sizeof *parts);
            parts[(*count)++] = (struct cli_part){ tensor->file, 0, 0 };
        }
        parts[*count - 1].tensors++;
        parts[*count - 1].bytes += tensor->bytes;
    }
    return parts;
}

/* -- the network in words -- */

struct word {
    const char *name, *meaning;
};

static const struct word families[] = {
    { "sd1", "Stable Diffusion 1.x" }, { "sd2", "Stable Diffusion 2.x" }, { "sdxl", "SDXL" },
    { "sd3", "Stable Diffusion 3" },   { "sd35", "Stable Diffusion 3.5" }, { "flux", "Flux.1" },
    { "qwen-image", "Qwen-Image" },    { "hunyuandit", "HunyuanDiT" },     { "stable-cascade", "Stable Cascade" },
    { "z-image", "Z-Image" },          { "flux2", "Flux.2" },              { "wan", "Wan" },
    { "sana", "Sana" },                { "anima", "Anima" },               { "cosmos", "Cosmos" },
};
/* By how the variant begins; the first that fits. */
static const struct word kinds[] = {
    { "control-lora", "Control-LoRA" },
    { "t2i-adapter", "T2I-Adapter" },
    { "diffusers-union", "union ControlNet" },
    { "instantx-union", "union ControlNet" },
    { "fun-union", "union ControlNet" },
    { "control-lllite", "ControlNet-LLLite" },
    { "fun-control", "model with control" },
    { "vace", "VACE model" },
    { "sparsectrl", "SparseCtrl" },
    { "uni3c", "Uni3C ControlNet" },
    { "", "ControlNet" },
};

static const char *kind_of(const char *variant)
{
    const struct word *kind = kinds;
    while (strncmp(variant, kind->name, strlen(kind->name)) != 0)
        kind++;
    return kind->meaning;
}

static const char *family_of(const char *family)
{
    for (size_t i = 0; family && i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].name, family) == 0)
            return families[i].meaning;
    return family ? family : "an unknown base model";
}

char *cli_describe(const struct dt2_blocks *blocks)
{
    const char *variant = dt2_blocks_variant(blocks);
    if (!variant)
        return NULL;
    const struct dt2_traits *traits = dt2_blocks_traits(blocks);
    char *types = traits->union_types ? cli_format(", %ju kinds of hints", (uintmax_t)traits->union_types) : NULL;
    char *text = cli_format("%s for %s%s%s%s", kind_of(variant), family_of(dt2_blocks_family(blocks)),
                            types ? types : "", traits->inpaint ? ", inpainting" : "",
                            traits->differences ? ", as differences from its weights" : "");
    free(types);
    return text;
}
