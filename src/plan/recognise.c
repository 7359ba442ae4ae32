/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/recognise.h"
#include "base/checked.h"
#include <string.h>

#define BY_WIDTH "by width" /* the family follows from the width of the cross-attention */
#define NAMES_MAX 3

/* The first rule whose names are all present wins. A name that ends in '*' stands for all that begin so. */
static const struct rule {
    const char *present[NAMES_MAX];
    struct dt2_network network;
} rules[] = {
    { { "after_proj_list.18.bias" }, { "native", "hunyuandit", DT2_ORDER_NAMES, false } },
    { { "lora_controlnet" }, { "control-lora", BY_WIDTH, DT2_ORDER_NAMES, true } },
    { { "controlnet_cond_embedding.conv_in.weight", "control_add_embedding.linear_1.bias" },
      { "diffusers-union", BY_WIDTH, DT2_ORDER_DIFFUSERS, false } },
    { { "controlnet_cond_embedding.conv_in.weight" }, { "diffusers", BY_WIDTH, DT2_ORDER_DIFFUSERS, false } },
    { { "controlnet_blocks.0.weight", "double_blocks.0.img_attn.norm.key_norm.scale" },
      { "xlabs", "flux", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias" },
      { "native", "sd35", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight" }, { "native", "sd3", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.weight", "transformer_blocks.0.img_mlp.net.0.proj.weight" },
      { "instantx", "qwen-image", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight", "controlnet_mode_embedder.weight" },
      { "instantx-union", "flux", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight" }, { "instantx", "flux", DT2_ORDER_NAMES, false } },
    { { "control_blocks.0.after_proj.weight", "control_img_in.weight" },
      { "fun", "qwen-image", DT2_ORDER_NAMES, false } },
    { { "controlnet_blocks.0.linear.weight" }, { "mistoline", "flux", DT2_ORDER_NAMES, false } },
    { { "control_model.zero_convs.0.0.weight" }, { "cldm", BY_WIDTH, DT2_ORDER_NAMES, false } },
    { { "zero_convs.0.0.weight" }, { "cldm", BY_WIDTH, DT2_ORDER_NAMES, false } },
    { { "body.0.in_conv.weight" }, { "t2i-adapter-light", NULL, DT2_ORDER_NAMES, false } },
    { { "conv_in.weight" }, { "t2i-adapter-full", NULL, DT2_ORDER_NAMES, false } },
    { { "adapter.*" }, { "t2i-adapter-diffusers", NULL, DT2_ORDER_NAMES, false } },
    { { "backbone.0.0.weight" }, { "native", "stable-cascade", DT2_ORDER_NAMES, false } },
    { { "backbone.10.blocks.0.weight" }, { "native", "stable-cascade", DT2_ORDER_NAMES, false } },
};

/* The width of the text that the cross-attention reads: the last dimension of the matrix that makes its keys. */
static const char *const width_suffixes[] = { ".attn2.to_k.weight", ".attn2.to_k.down" /* Control-LoRA */ };
static const struct {
    uint64_t width;
    const char *family;
} families[] = { { 768, "sd1" }, { 1024, "sd2" }, { 2048, "sdxl" } };

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), n = strlen(suffix);
    return length >= n && memcmp(name + length - n, suffix, n) == 0;
}

static bool is_cross_attention(const struct dt2_tensor *tensor)
{
    for (size_t i = 0; i < DT2_COUNT(width_suffixes); i++)
        if (tensor->rank >= 2 && ends_with(tensor->name, width_suffixes[i]))
            return true;
    return false;
}

/* The family by the width on which all cross-attentions agree; NULL when they do not, or there is none. */
static const char *family_by_width(const struct dt2_file *file)
{
    uint64_t width = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        if (!is_cross_attention(tensor))
            continue;
        if (width && width != tensor->shape[1])
            return NULL;
        width = tensor->shape[1];
    }
    for (size_t i = 0; i < DT2_COUNT(families); i++)
        if (families[i].width == width)
            return families[i].family;
    return NULL;
}

static bool has(const struct dt2_file *file, const char *name)
{
    size_t length = strlen(name), index;
    if (name[length - 1] != '*')
        return dt2_file_find(file, name, &index, NULL) == 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++)
        if (strncmp(dt2_file_tensor(file, i)->name, name, length - 1) == 0)
            return true;
    return false;
}

static bool matches(const struct dt2_file *file, const struct rule *rule)
{
    for (size_t i = 0; i < NAMES_MAX && rule->present[i]; i++)
        if (!has(file, rule->present[i]))
            return false;
    return true;
}

struct dt2_network dt2_recognise(const struct dt2_file *file)
{
    for (size_t i = 0; i < DT2_COUNT(rules); i++) {
        if (!matches(file, &rules[i]))
            continue;
        struct dt2_network network = rules[i].network;
        if (network.family && strcmp(network.family, BY_WIDTH) == 0)
            network.family = family_by_width(file);
        return network;
    }
    return (struct dt2_network){ NULL, NULL, DT2_ORDER_FILE, false };
}
