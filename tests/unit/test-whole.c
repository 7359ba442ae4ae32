/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that hold more than a ControlNet, and files whose names begin with what was around it. */
#include "base/checked.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static const char *const layouts[] = {
    "control_v11p_sd15_canny_fp16", "sdxl_controlnet_cldm_fp16", "diffusers_sd15_canny",
    "diffusers_sdxl_canny_fp16", "diffusers_flux_instantx_canny", "diffusers_qwen_instantx_union",
    "diffusers_sd3_instantx_canny", "hunyuandit_canny", "xlabs_flux_canny_v3", "t2iadapter_canny_sd15v2",
};

static struct dt2_blocks *blocks_of(const struct layout *layout, bool all)
{
    size_t size;
    struct dt2_error err;
    struct dt2_blocks *blocks = NULL;
    struct dt2_file *file = NULL;
    char *header = layout_header(layout, &size);
    const char *path = scratch_file("model", header, size, layout->bytes);
    int rc = dt2_file_open(path, &file, &err);
    if (rc == 0)
        rc = all ? dt2_blocks_make_all(file, &blocks, &err) : dt2_blocks_make(file, &blocks, &err);
    if (rc < 0) {
        diag("%s", err.text);
        exit(1);
    }
    dt2_file_free(file);
    free(header);
    return blocks;
}

static struct layout read_layout(const char *name, char **text)
{
    char path[128];
    snprintf(path, sizeof path, "layouts/%s.tsv", name);
    return layout_read(data_path(path), text);
}

static uint64_t sum(const struct dt2_blocks *blocks)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++)
        bytes += dt2_blocks_array(blocks)[i].bytes;
    return bytes;
}

/* Whether `blocks` begin with those of `wanted`, whose names have `prefix` before them here. */
static bool begins_as(const struct dt2_blocks *blocks, const struct dt2_blocks *wanted, const char *prefix)
{
    size_t length = strlen(prefix);
    if (dt2_blocks_count(blocks) < dt2_blocks_count(wanted))
        return false;
    for (size_t i = 0; i < dt2_blocks_count(wanted); i++) {
        const struct dt2_block *x = &dt2_blocks_array(blocks)[i], *y = &dt2_blocks_array(wanted)[i];
        if (strncmp(x->name, prefix, length) != 0 || strcmp(x->name + length, y->name) != 0 || x->bytes != y->bytes)
            return false;
    }
    return true;
}

static bool same_network(const struct dt2_blocks *a, const struct dt2_blocks *b)
{
    const struct dt2_traits *x = dt2_blocks_traits(a), *y = dt2_blocks_traits(b);
    return dt2_blocks_variant(a) == dt2_blocks_variant(b) && dt2_blocks_family(a) == dt2_blocks_family(b) &&
           x->hint_channels == y->hint_channels && x->union_types == y->union_types;
}

/* What stands beside a network in one file: the rest of a pipeline, what training left, copies of averaged weights. */
static char others[][96] = {
    "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.out.2.weight",
    "model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "first_stage_model.decoder.conv_in.weight",
    "cond_stage_model.transformer.text_model.encoder.layers.10.mlp.fc1.weight", "vae.encoder.conv_in.weight",
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", "text_encoder.shared.weight",
    "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight", "unet.conv_in.weight",
    "optimizer.state.0.exp_avg", "optimizer_states.0.state.7.exp_avg_sq", "ema.decay", "ema_model.blocks.0.weight",
    "model_ema.decay", "model_ema.diffusion_modelinput_blocks00weight", "betas", "alphas_cumprod", "logvar",
    "loss.discriminator.0.weight", "lr_schedulers.0.last_epoch", "global_step", "up_blocks.0.resnets.0.conv1.weight",
};

static void test_others(const char *name)
{
    char *text;
    struct layout layout = read_layout(name, &text);
    struct dt2_blocks *alone = blocks_of(&layout, false);
    uint64_t bytes = layout.bytes, left_out_bytes;
    size_t before = dt2_blocks_left_out(alone, &left_out_bytes);
    is_u64(before, 0, "%s: a network loses nothing", name);
    is_u64(left_out_bytes, 0, "%s: no byte", name);
    for (size_t i = 0; i < DT2_COUNT(others); i++)
        layout_add(&layout, others[i], "F16", "3,5");
    struct dt2_blocks *less = blocks_of(&layout, false), *all = blocks_of(&layout, true);
    is_u64(dt2_blocks_left_out(less, &left_out_bytes), DT2_COUNT(others), "%s: others are left out", name);
    is_u64(left_out_bytes, DT2_COUNT(others) * 30, "%s: with their bytes", name);
    is_u64(sum(less), bytes, "%s: the network's bytes remain", name);
    ok(begins_as(less, alone, "") && dt2_blocks_count(less) == dt2_blocks_count(alone), "%s: its blocks too", name);
    ok(same_network(less, alone), "%s: it is the same network", name);
    is_u64(dt2_blocks_left_out(all, NULL), 0, "%s: all can be taken", name);
    is_u64(sum(all), bytes + DT2_COUNT(others) * 30, "%s: with all bytes", name);
    ok(begins_as(all, alone, ""), "%s: others come behind the network", name);
    dt2_blocks_free(alone);
    dt2_blocks_free(less);
    dt2_blocks_free(all);
    free(layout.tensors);
    free(text);
}

/* -- what was around a network ------------------------------------------------------------------------------------ */

static void test_prefix(const char *name, const char *prefix)
{
    char *text;
    struct layout layout = read_layout(name, &text), wrapped = { 0 };
    struct dt2_blocks *plain = blocks_of(&layout, false);
    static char names[1000][160];
    for (size_t i = 0; i < layout.count; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", prefix, layout.tensors[i].name);
        layout_add(&wrapped, names[i], layout.tensors[i].dtype, layout.tensors[i].shape);
    }
    for (size_t i = 0; i < DT2_COUNT(others); i++)
        layout_add(&wrapped, others[i], "F16", "3,5");
    struct dt2_blocks *blocks = blocks_of(&wrapped, false);
    ok(same_network(blocks, plain), "%s%s: the same network", prefix, name);
    ok(begins_as(blocks, plain, prefix) && dt2_blocks_count(blocks) == dt2_blocks_count(plain),
       "%s%s: the same blocks, in the same order", prefix, name);
    is_u64(dt2_blocks_left_out(blocks, NULL), DT2_COUNT(others), "%s%s: nothing of it is left out", prefix, name);
    dt2_blocks_free(plain);
    dt2_blocks_free(blocks);
    free(layout.tensors);
    free(wrapped.tensors);
    free(text);
}

/* A copy of the network under another name, as trainers keep it: the plain one counts. */
static void test_copy(const char *prefix, const char *copy_prefix)
{
    static char names[2][1000][160];
    char *text;
    struct layout layout = read_layout("diffusers_sd15_canny", &text), both = { 0 };
    for (size_t i = 0; i < layout.count; i++) {
        snprintf(names[0][i], sizeof names[0][i], "%s%s", copy_prefix, layout.tensors[i].name);
        snprintf(names[1][i], sizeof names[1][i], "%s%s", prefix, layout.tensors[i].name);
        layout_add(&both, names[0][i], "F16", layout.tensors[i].shape);
        layout_add(&both, names[1][i], "F16", layout.tensors[i].shape);
    }
    struct dt2_blocks *blocks = blocks_of(&both, false);
    is_u64(dt2_blocks_left_out(blocks, NULL), layout.count, "'%s' beside '%s': one is left out", copy_prefix, prefix);
    ok(strncmp(dt2_blocks_array(blocks)[0].name, prefix, strlen(prefix)) == 0 &&
           strncmp(dt2_blocks_array(blocks)[0].name, copy_prefix, strlen(copy_prefix)) != 0,
       "and that is the copy");
    dt2_blocks_free(blocks);
    free(layout.tensors);
    free(both.tensors);
    free(text);
}

/* -- what decides ------------------------------------------------------------------------------------------------- */

static struct dt2_blocks *blocks_of_words(const char *words)
{
    char *copy = strdup(words);
    struct layout layout = { 0 };
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        layout_add(&layout, word, "F16", strchr(word, '=') ? strchr(word, '=') + 1 : "2,2");
    for (size_t i = 0; i < layout.count; i++)
        layout.tensors[i].name[strcspn(layout.tensors[i].name, "=")] = '\0';
    struct dt2_blocks *blocks = blocks_of(&layout, false);
    free(layout.tensors);
    free(copy);
    return blocks;
}

static void test_cases(void)
{
    static const struct {
        const char *tensors, *variant, *family;
        size_t left_out;
    } cases[] = {
        /* The width is the network's own, whatever a base model beside it has. */
        { "control_model.zero_convs.0.0.weight control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight=4,768 "
          "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight=4,2048",
          "cldm", "sd1", 1 },
        { "control_model.zero_convs.0.0.weight difference", "cldm", NULL, 0 },
        { "module.control_model.zero_convs.0.0.weight module.difference difference", "cldm", NULL, 1 },
        { "control_model.zero_convs.0.0.weight control_modelx.y control_model control_model.zero_convsx.w", "cldm",
          NULL, 3 },
        /* What sets all that a file holds reads all. */
        { "lora_controlnet input_blocks.0.0.up some.other.weight", "control-lora", NULL, 0 },
        /* Other networks are not taken for what they begin like. */
        { "conv_in.weight conv_norm_out.weight down_blocks.0.resnets.0.conv1.weight", NULL, NULL, 0 },
        { "nobody.knows.this model.nor.this", NULL, NULL, 0 },
        { "other.zero_convs.0.0.weight", NULL, NULL, 0 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_blocks *blocks = blocks_of_words(cases[i].tensors);
        is_str(dt2_blocks_variant(blocks), cases[i].variant, "%s: variant", cases[i].tensors);
        is_str(dt2_blocks_family(blocks), cases[i].family, "%s: family", cases[i].tensors);
        is_u64(dt2_blocks_left_out(blocks, NULL), cases[i].left_out, "%s: left out", cases[i].tensors);
        dt2_blocks_free(blocks);
    }
}

int main(void)
{
    static const char *const prefixes[] = { "module.", "_orig_mod.", "model.", "controlnet.", "state_dict.",
                                            "module._orig_mod.", "state_dict.module.controlnet." };
    for (size_t i = 0; i < DT2_COUNT(layouts); i++)
        test_others(layouts[i]);
    for (size_t i = 0; i < DT2_COUNT(layouts); i++)
        for (size_t j = 0; j < DT2_COUNT(prefixes); j++)
            test_prefix(layouts[i], prefixes[j]);
    test_copy("", "ema.");
    test_copy("", "module.");
    test_copy("module.", "ema_model.module.");
    test_cases();
    return done_testing();
}
