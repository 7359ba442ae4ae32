/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/recognise.h"
#include "base/checked.h"
#include <string.h>

/* Families that shapes tell, not names. */
#define BY_WIDTH "by the width of the cross-attention"
#define BY_HINT "by the channels of the hint"
#define NAMES_MAX 3

/*
 * The first rule whose names are all present wins. A name that ends in '*' stands for all that begin so.
 * `hint` is the tensor that takes the hint in: its second dimension counts the hint's channels, and when that is
 * `inpaint`, a mask is among them. `types` has a row for each kind of hint that a union model takes. The weights of a
 * file with the key `differences` are to be added to those of the base model.
 */
static const struct rule {
    const char *present[NAMES_MAX];
    const char *variant, *family;
    const char *hint;
    unsigned inpaint;
    const char *types, *differences;
    bool needs_base;
    enum dt2_ordering ordering;
} rules[] = {
    { { "after_proj_list.18.bias" }, "native", "hunyuandit", .ordering = DT2_ORDER_NAMES },
    { { "lora_controlnet" },
      "control-lora", BY_WIDTH, .hint = "input_hint_block.0.weight", .needs_base = true, .ordering = DT2_ORDER_NAMES },
    { { "controlnet_cond_embedding.conv_in.weight", "control_add_embedding.linear_1.bias" },
      "diffusers-union", BY_WIDTH, .hint = "controlnet_cond_embedding.conv_in.weight", .types = "task_embedding",
      .ordering = DT2_ORDER_DIFFUSERS },
    { { "controlnet_cond_embedding.conv_in.weight" },
      "diffusers", BY_WIDTH, .hint = "controlnet_cond_embedding.conv_in.weight", .ordering = DT2_ORDER_DIFFUSERS },
    { { "controlnet_blocks.0.weight", "double_blocks.0.img_attn.norm.key_norm.scale" },
      "xlabs", "flux", .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias" },
      "native", "sd35", .hint = "pos_embed_input.proj.weight", .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.weight", "pos_embed_input.proj.weight" },
      "native", "sd3", .hint = "pos_embed_input.proj.weight", .inpaint = 17, .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.weight", "transformer_blocks.0.img_mlp.net.0.proj.weight" },
      "instantx", "qwen-image", .hint = "controlnet_x_embedder.weight", .inpaint = 68, .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight", "controlnet_mode_embedder.weight" },
      "instantx-union", "flux", .hint = "controlnet_x_embedder.weight", .inpaint = 68,
      .types = "controlnet_mode_embedder.weight", .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.weight", "controlnet_x_embedder.weight" },
      "instantx", "flux", .hint = "controlnet_x_embedder.weight", .inpaint = 68, .ordering = DT2_ORDER_NAMES },
    { { "control_blocks.0.after_proj.weight", "control_img_in.weight" },
      "fun", "qwen-image", .hint = "control_img_in.weight", .ordering = DT2_ORDER_NAMES },
    { { "controlnet_blocks.0.linear.weight" },
      "mistoline", "flux", .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES },
    { { "control_model.zero_convs.0.0.weight" },
      "cldm", BY_WIDTH, .hint = "control_model.input_hint_block.0.weight", .differences = "difference",
      .ordering = DT2_ORDER_NAMES },
    { { "zero_convs.0.0.weight" },
      "cldm", BY_WIDTH, .hint = "input_hint_block.0.weight", .ordering = DT2_ORDER_NAMES },
    { { "body.0.in_conv.weight" },
      "t2i-adapter-light", BY_HINT, .hint = "body.0.in_conv.weight", .ordering = DT2_ORDER_NAMES },
    { { "conv_in.weight" }, "t2i-adapter-full", BY_HINT, .hint = "conv_in.weight", .ordering = DT2_ORDER_NAMES },
    { { "adapter.*" },
      "t2i-adapter-diffusers", BY_HINT, .hint = "adapter.conv_in.weight", .ordering = DT2_ORDER_NAMES },
    { { "backbone.0.0.weight" },
      "native", "stable-cascade", .hint = "backbone.0.0.weight", .ordering = DT2_ORDER_NAMES },
    { { "backbone.10.blocks.0.weight" }, "native", "stable-cascade", .ordering = DT2_ORDER_NAMES },
};

/* The width of the text that the cross-attention reads: the last dimension of the matrix that makes its keys. */
static const char *const width_suffixes[] = { ".attn2.to_k.weight", ".attn2.to_k.down" /* Control-LoRA */ };

struct sign {
    uint64_t number;
    const char *family;
};
static const struct sign widths[] = { { 768, "sd1" }, { 1024, "sd2" }, { 2048, "sdxl" } };
/* Adapters shuffle the pixels of a hint of one or three channels into blocks: 8 by 8 for SD1.x, 16 by 16 for SDXL. */
static const struct sign hints[] = { { 64, "sd1" }, { 192, "sd1" }, { 256, "sdxl" }, { 768, "sdxl" } };

static const char *family_of(const struct sign *signs, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (signs[i].number == number)
            return signs[i].family;
    return NULL;
}

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
    return family_of(widths, DT2_COUNT(widths), width);
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

/* A dimension of the tensor of that name; 0 when there is no such. */
static uint64_t dimension(const struct dt2_file *file, const char *name, size_t index)
{
    size_t at;
    if (!name || dt2_file_find(file, name, &at, NULL) < 0)
        return 0;
    const struct dt2_tensor *tensor = dt2_file_tensor(file, at);
    return index < tensor->rank ? tensor->shape[index] : 0;
}

static struct dt2_traits traits_of(const struct dt2_file *file, const struct rule *rule)
{
    struct dt2_traits traits = { .hint_channels = dimension(file, rule->hint, 1),
                                 .union_types = dimension(file, rule->types, 0),
                                 .differences = rule->differences && has(file, rule->differences) };
    traits.inpaint = rule->inpaint && traits.hint_channels == rule->inpaint;
    traits.needs_base = rule->needs_base || traits.differences;
    return traits;
}

static const char *resolve_family(const struct dt2_file *file, const char *family, const struct dt2_traits *traits)
{
    if (strcmp(family, BY_WIDTH) == 0)
        return family_by_width(file);
    if (strcmp(family, BY_HINT) == 0)
        return family_of(hints, DT2_COUNT(hints), traits->hint_channels);
    return family;
}

struct dt2_network dt2_recognise(const struct dt2_file *file)
{
    for (size_t i = 0; i < DT2_COUNT(rules); i++) {
        const struct rule *rule = &rules[i];
        if (!matches(file, rule))
            continue;
        struct dt2_traits traits = traits_of(file, rule);
        const char *family = resolve_family(file, rule->family, &traits);
        return (struct dt2_network){ rule->variant, family, rule->ordering, traits };
    }
    return (struct dt2_network){ .ordering = DT2_ORDER_FILE };
}
