/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks: how tensors are grouped, what network they are of, and in which order it uses them. */
#include "base/checked.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static struct dt2_blocks *blocks_of(const struct layout *layout, struct dt2_file **file)
{
    size_t size;
    struct dt2_error err;
    struct dt2_blocks *blocks = NULL;
    char *header = layout_header(layout, &size);
    const char *path = scratch_file("model", header, size, layout->bytes);
    if (dt2_file_open(path, file, &err) < 0 || dt2_blocks_make(*file, &blocks, &err) < 0) {
        diag("%s", err.text);
        exit(1);
    }
    free(header);
    return blocks;
}

static struct layout read_layout(const char *name, char **text)
{
    char path[128];
    snprintf(path, sizeof path, "layouts/%s.tsv", name);
    return layout_read(data_path(path), text);
}

static uint64_t prefix_bytes(const struct dt2_blocks *blocks, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += dt2_blocks_array(blocks)[i].bytes;
    return sum;
}

/* -- grouping -- */

/* "name:bytes name:bytes ..." of all blocks, and the tensors of each in brackets. */
static const char *describe(const struct dt2_blocks *blocks)
{
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++) {
        const struct dt2_block *block = &dt2_blocks_array(blocks)[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%" PRIu64 "[", i ? " " : "", block->name,
                                 block->bytes);
        for (size_t j = 0; j < block->tensor_count; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu=%" PRIu64, j ? "," : "", block->tensors[j],
                                     block->tensor_bytes[j]);
        used += (size_t)snprintf(text + used, sizeof text - used, "]");
    }
    return text;
}

static void test_grouping(void)
{
    static const struct {
        const char *tensors; /* name:bytes, in file order */
        const char *blocks;
    } cases[] = {
        { "a.weight:4 a.bias:2 b.weight:3", "a:6[0=4,1=2] b:3[2=3]" },
        { "a.weight:4 b.weight:3 a.bias:2", "a:6[0=4,2=2] b:3[1=3]" },
        { "z:1 y.w:2 x:3", "z:1[0=1] y:2[1=2] x:3[2=3]" },
        { "a:1 a.w:2 a.w.w:3", "a:1[0=1] a:2[1=2] a.w:3[2=3]" }, /* a name without dot is a block by itself */
        { "a.b.c:1 a.b.d:2 a.c:3", "a.b:3[0=1,1=2] a:3[2=3]" },
        { "a.:1 a.x:2 .x:3 :4", "a:3[0=1,1=2] :3[2=3] :4[3=4]" },
        { "a.w:4 b.w:0 c.w:2", "a:4[0=4,1=0] c:2[2=2]" }, /* without bytes: with the one before */
        { "a.w:0 b.w:4 c.w:2", "b:4[0=0,1=4] c:2[2=2]" }, /* the first ones: with the one after */
        { "a.w:0 b.w:0 c.w:2 d.w:0 e.w:0", "c:2[0=0,1=0,2=2,3=0,4=0]" },
        { "a.w:0 b.w:0", "a:0[0=0,1=0]" },
        { "a.w:4 b.w:0 c.w:1 b.v:0 a.v:1", "a:5[0=4,1=0,3=0,4=1] c:1[2=1]" },
        { "a.w:4 b.w:0 b.v:2", "a:4[0=4] b:2[1=0,2=2]" },
        { "", "" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *copy = strdup(cases[i].tensors);
        struct layout layout = { 0 };
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
            char *bytes = strrchr(word, ':');
            *bytes++ = '\0';
            layout_add(&layout, word, "U8", bytes);
        }
        struct dt2_file *file;
        struct dt2_blocks *blocks = blocks_of(&layout, &file);
        dt2_file_free(file); /* blocks outlive it */
        is_str(describe(blocks), cases[i].blocks, "'%s'", cases[i].tensors);
        dt2_blocks_free(blocks);
        free(layout.tensors);
        free(copy);
    }
    dt2_blocks_free(NULL);
}

/* -- the order of execution -- */

/* The blocks of a list of parameters, in the order of their first use. */
static void test_recorded_order(const char *layout_name, const char *order_name)
{
    char *text, path[128], line[512], last[512] = "";
    struct layout layout = read_layout(layout_name, &text);
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&layout, &file);
    snprintf(path, sizeof path, "execution_order/%s.tsv", order_name);
    FILE *stream = fopen(data_path(path), "re");
    size_t n = 0, wrong = 0;
    while (stream && fgets(line, sizeof line, stream)) {
        *strrchr(line, '.') = '\0';
        if (strcmp(line, last) == 0)
            continue;
        strcpy(last, line);
        const char *got = n < dt2_blocks_count(blocks) ? dt2_blocks_array(blocks)[n].name : "(nothing)";
        if (strcmp(got, line) != 0 && wrong++ < 3)
            diag("block %zu is %s, and the network used %s", n, got, line);
        n++;
    }
    is_u64(wrong, 0, "%s: the order is the one that was recorded", order_name);
    is_u64(dt2_blocks_count(blocks), n, "%s: as many blocks", order_name);
    if (stream)
        fclose(stream);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(layout.tensors);
    free(text);
}

static void shuffle(struct layout *layout)
{
    for (size_t i = layout->count; i > 1; i--) {
        size_t j = random_below(i);
        struct layout_tensor moved = layout->tensors[i - 1];
        layout->tensors[i - 1] = layout->tensors[j];
        layout->tensors[j] = moved;
    }
}

/* Where the block called `name` stands. */
static size_t position(const struct dt2_blocks *blocks, const char *name)
{
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++)
        if (strcmp(dt2_blocks_array(blocks)[i].name, name) == 0)
            return i;
    diag("no block %s", name);
    return SIZE_MAX;
}

/*
 * Networks of which only the order of their parameters was recorded: made of those names, shuffled. Layers and taps
 * must come out as they were used; the preamble, in an order of our own, before them.
 */
static void test_recorded_layers(const char *order_name, const char *first_layer)
{
    char path[128], line[256];
    static char names[1200][128];
    struct layout layout = { 0 };
    snprintf(path, sizeof path, "execution_order/%s.tsv", order_name);
    FILE *stream = fopen(data_path(path), "re");
    while (stream && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(names[layout.count], sizeof names[0], "%.127s", line);
        layout_add(&layout, names[layout.count], "F16", "2,2");
    }
    if (stream)
        fclose(stream);
    struct layout shuffled = { 0 };
    for (size_t i = 0; i < layout.count; i++)
        layout_add(&shuffled, names[i], "F16", "2,2");
    shuffle(&shuffled);
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&shuffled, &file);
    size_t at = position(blocks, first_layer), wrong = at == SIZE_MAX;
    bool began = false;
    for (size_t i = 0; i < layout.count && !wrong; i++) {
        char *dot = strrchr(names[i], '.');
        if (!dot)
            continue; /* a parameter of the whole network, which is in the preamble */
        *dot = '\0';
        began |= strcmp(names[i], first_layer) == 0;
        if (!began || (i > 0 && strcmp(names[i], names[i - 1]) == 0))
            continue;
        const char *got = at < dt2_blocks_count(blocks) ? dt2_blocks_array(blocks)[at++].name : "(nothing)";
        wrong += strcmp(got, names[i]) != 0;
        if (wrong)
            diag("%s stands where %s was used", got, names[i]);
    }
    is_u64(wrong, 0, "%s: layers and taps come as they were recorded", order_name);
    is_u64(at, dt2_blocks_count(blocks), "%s: nothing follows them", order_name);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(layout.tensors);
    free(shuffled.tensors);
}

/* The order in which the published classes run these parts: what stands first is used first. */
static void test_orders_of_2026(void)
{
    static const char *const cases[] = {
        /* Z-Image, Fun */
        "control_all_x_embedder.2-1 control_noise_refiner.0.before_proj control_noise_refiner.0.adaLN_modulation.0 "
        "control_noise_refiner.0.attention_norm1 control_noise_refiner.0.attention.to_q "
        "control_noise_refiner.0.attention.to_k control_noise_refiner.0.attention.to_v "
        "control_noise_refiner.0.attention.norm_q control_noise_refiner.0.attention.norm_k "
        "control_noise_refiner.0.attention.to_out.0 control_noise_refiner.0.attention_norm2 "
        "control_noise_refiner.0.ffn_norm1 control_noise_refiner.0.feed_forward.w1 "
        "control_noise_refiner.0.feed_forward.w3 control_noise_refiner.0.feed_forward.w2 "
        "control_noise_refiner.0.ffn_norm2 control_noise_refiner.0.after_proj control_noise_refiner.1.attention_norm1 "
        "control_layers.0.before_proj control_layers.0.attention.to_q control_layers.0.after_proj "
        "control_layers.2.attention_norm1 control_layers.2.after_proj control_layers.10.attention_norm1",
        /* Flux.2, Fun */
        "control_img_in control_transformer_blocks.0.before_proj control_transformer_blocks.0.attn.to_q "
        "control_transformer_blocks.0.attn.to_out.0 control_transformer_blocks.0.ff.linear_in "
        "control_transformer_blocks.0.after_proj control_transformer_blocks.2.attn.to_q "
        "control_transformer_blocks.10.attn.to_q",
        /* Qwen-Image, Fun */
        "control_img_in control_blocks.0.before_proj control_blocks.0.img_mod.1 control_blocks.0.attn.to_q "
        "control_blocks.0.img_mlp.net.2 control_blocks.0.after_proj control_blocks.1.img_mod.1",
        /* Qwen-Image, blockwise */
        "img_in controlnet_blocks.0.x_rms controlnet_blocks.0.y_rms controlnet_blocks.0.input_proj "
        "controlnet_blocks.0.output_proj controlnet_blocks.2.x_rms controlnet_blocks.10.x_rms",
        /* Wan, VACE */
        "vace_patch_embedding vace_blocks.0.before_proj vace_blocks.0.self_attn.q vace_blocks.0.after_proj "
        "vace_blocks.2.self_attn.q vace_blocks.10.self_attn.q",
        /* Wan, Uni3C */
        "controlnet_patch_embedding controlnet_mask_embedding.mask_proj.0 proj_in controlnet_blocks.0.norm1.linear "
        "controlnet_blocks.0.norm1.norm controlnet_blocks.0.self_attn.to_q controlnet_blocks.0.self_attn.to_k "
        "controlnet_blocks.0.self_attn.norm_q controlnet_blocks.0.self_attn.to_out.0 controlnet_blocks.0.norm2.linear "
        "controlnet_blocks.0.ffn.0 controlnet_blocks.0.ffn.2 proj_out.0 controlnet_blocks.1.norm1.linear proj_out.1 "
        "controlnet_blocks.2.norm1.linear proj_out.2 controlnet_blocks.10.norm1.linear proj_out.10",
        /* Wan, Fun: as the model's own classes name its parts, and a whole model behind the control */
        "patch_embedding ref_conv blocks.0.self_attn.q blocks.0.self_attn.k blocks.0.self_attn.v blocks.0.self_attn.norm_q "
        "blocks.0.self_attn.norm_k blocks.0.self_attn.o blocks.0.norm3 blocks.0.cross_attn.q blocks.0.cross_attn.o "
        "blocks.0.ffn.0 blocks.0.ffn.2 blocks.2.self_attn.q blocks.10.self_attn.q head.head",
        "vace_patch_embedding vace_blocks.0.before_proj vace_blocks.0.after_proj vace_blocks.7.self_attn.q "
        "vace_blocks.7.after_proj blocks.0.self_attn.q blocks.39.ffn.2 head.head",
        /* Z-Image, Fun, as ComfyUI has it: Lumina's classes */
        "control_all_x_embedder.2-1 control_noise_refiner.0.adaLN_modulation.0 control_noise_refiner.0.attention_norm1 "
        "control_noise_refiner.0.attention.qkv control_noise_refiner.0.attention.q_norm "
        "control_noise_refiner.0.attention.k_norm control_noise_refiner.0.attention.out "
        "control_noise_refiner.0.attention_norm2 control_layers.0.before_proj control_layers.0.attention.qkv "
        "control_layers.0.after_proj control_layers.1.attention.qkv control_layers.10.attention.qkv",
        /* SDXL, LLLite: numbers inside of names */
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.conditioning1.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.mid.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.up.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.down.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_v.down.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_q.down.0 "
        "lllite_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.down.0 "
        "lllite_unet_input_blocks_7_1_transformer_blocks_9_attn1_to_q.down.0 "
        "lllite_unet_input_blocks_7_1_transformer_blocks_10_attn1_to_q.down.0 "
        "lllite_unet_middle_block_1_transformer_blocks_0_attn1_to_q.down.0",
        /* T2I style */
        "style_embedding ln_pre transformer_layes.0.ln_1 transformer_layes.0.attn.out_proj transformer_layes.0.ln_2 "
        "transformer_layes.0.mlp.c_fc transformer_layes.0.mlp.c_proj transformer_layes.1.ln_1 ln_post proj",
        /* Stable Cascade: projections read what the whole backbone gave */
        "backbone.0.0 backbone.2.1 backbone.10.0 projections.0.0 projections.0.2 projections.1.0",
    };
    static const char *const marks[DT2_COUNT(cases)] = { "control_noise_refiner.0.after_proj.weight", "",
                                                         "control_blocks.0.after_proj.weight",
                                                         "controlnet_blocks.0.y_rms.weight", "",
                                                         "controlnet_blocks.0.ffn.0.bias", "", "", "", "",
                                                         "transformer_layes.0.attn.in_proj_weight", "" };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *copy = strdup(cases[i]), *names[64], text[64][128];
        size_t count = 0, wrong = 0;
        struct layout layout = { 0 };
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
            bool bare = strcmp(word, "style_embedding") == 0 || strcmp(word, "proj") == 0;
            snprintf(text[count], sizeof text[0], "%s%s", word, bare ? "" : ".weight");
            layout_add(&layout, text[count], "F16", "2,2");
            names[count++] = word;
        }
        char mark[128];
        snprintf(mark, sizeof mark, "%s", marks[i]);
        bool there = !*mark;
        for (size_t j = 0; j < count; j++)
            there |= strcmp(text[j], mark) == 0;
        if (!there)
            layout_add(&layout, mark, "F16", "0");
        shuffle(&layout);
        struct dt2_file *file;
        struct dt2_blocks *blocks = blocks_of(&layout, &file);
        ok(dt2_blocks_variant(blocks) != NULL, "case %zu is recognised: %s", i, dt2_blocks_variant(blocks));
        is_u64(dt2_blocks_left_out(blocks, NULL), 0, "case %zu: nothing is left out", i);
        for (size_t j = 1; j < count; j++)
            if (position(blocks, names[j - 1]) >= position(blocks, names[j]) && wrong++ == 0)
                diag("%s does not come before %s", names[j - 1], names[j]);
        is_u64(wrong, 0, "case %zu: in the order of their use", i);
        dt2_blocks_free(blocks);
        dt2_file_free(file);
        free(layout.tensors);
        free(copy);
    }
}

static void test_sd15(void)
{
    char *text;
    struct layout layout = read_layout("control_v11p_sd15_canny_fp16", &text);
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&layout, &file);
    is_u64(dt2_file_total_bytes(file), 722558240, "SD1.5: bytes");
    is_u64(dt2_blocks_count(blocks), 191, "SD1.5: blocks");
    is_u64(prefix_bytes(blocks, 191), 722558240, "SD1.5: blocks sum to the model");
    is_u64(prefix_bytes(blocks, 134), 288520480, "SD1.5: the first 134");
    is_u64(prefix_bytes(blocks, 149), 358037280, "SD1.5: the first 149");
    is_u64(prefix_bytes(blocks, 150), 361316640, "SD1.5: the first 150");
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(layout.tensors);
    free(text);
}

static void test_sdxl(void)
{
    static const char *const ascending[] = {
        "time_embed.0", "time_embed.2", "input_hint_block.0", "input_hint_block.14", "label_emb.0.0", "label_emb.0.2",
        "input_blocks.0.0", "zero_convs.0.0", "input_blocks.1.0.in_layers.0", "zero_convs.1.0", "input_blocks.3.0.op",
        "zero_convs.3.0", "input_blocks.4.0.skip_connection", "input_blocks.4.1.norm",
        "input_blocks.4.1.transformer_blocks.0.norm1", "input_blocks.4.1.transformer_blocks.1.ff.net.2",
        "input_blocks.4.1.proj_out", "zero_convs.4.0", "input_blocks.7.1.transformer_blocks.2.attn1.to_q",
        "input_blocks.7.1.transformer_blocks.9.attn1.to_q", "input_blocks.8.0.in_layers.0", "zero_convs.8.0",
        "middle_block.0.in_layers.0", "middle_block.1.transformer_blocks.9.ff.net.0.proj",
        "middle_block.2.out_layers.3", "middle_block_out.0",
    };
    char *text;
    struct layout layout = read_layout("sdxl_controlnet_cldm_fp16", &text);
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&layout, &file);
    is_str(dt2_blocks_family(blocks), "sdxl", "SDXL: family");
    is_u64(prefix_bytes(blocks, dt2_blocks_count(blocks)), dt2_file_total_bytes(file), "SDXL: blocks sum to the model");
    for (size_t i = 1; i < DT2_COUNT(ascending); i++)
        ok(position(blocks, ascending[i - 1]) < position(blocks, ascending[i]), "SDXL: %s, then %s", ascending[i - 1],
           ascending[i]);
    for (int i = 0; i < 9; i++) { /* a tap follows the whole of its layer, and nothing stands between */
        char tap[32], layer[32];
        snprintf(tap, sizeof tap, "zero_convs.%d.0", i);
        snprintf(layer, sizeof layer, "input_blocks.%d.", i);
        size_t at = position(blocks, tap);
        ok(strncmp(dt2_blocks_array(blocks)[at - 1].name, layer, strlen(layer)) == 0, "SDXL: %s follows its layer",
           tap);
    }
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(layout.tensors);
    free(text);
}

static bool same_blocks(const struct dt2_blocks *a, const struct dt2_blocks *b)
{
    if (dt2_blocks_count(a) != dt2_blocks_count(b))
        return false;
    for (size_t i = 0; i < dt2_blocks_count(a); i++) {
        const struct dt2_block *x = &dt2_blocks_array(a)[i], *y = &dt2_blocks_array(b)[i];
        if (strcmp(x->name, y->name) != 0 || x->bytes != y->bytes || x->tensor_count != y->tensor_count)
            return false;
    }
    return true;
}

/* However the tensors of a recognised network stand in the file, its blocks are the same, in the same order. */
static void test_permutations(const char *layout_name, const char *extra)
{
    char *text;
    struct layout layout = read_layout(layout_name, &text);
    char *more = strdup(extra);
    for (char *word = strtok(more, " "); word; word = strtok(NULL, " "))
        layout_add(&layout, word, "F16", strchr(word, '0') ? "0" : "5");
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&layout, &file);
    dt2_file_free(file);
    for (int i = 0; i < 20; i++) {
        shuffle(&layout);
        struct dt2_blocks *shuffled = blocks_of(&layout, &file);
        ok(same_blocks(blocks, shuffled) && dt2_blocks_variant(shuffled) == dt2_blocks_variant(blocks) &&
               dt2_blocks_family(shuffled) == dt2_blocks_family(blocks),
           "%s: permutation %d changes nothing", layout_name, i);
        dt2_blocks_free(shuffled);
        dt2_file_free(file);
    }
    dt2_blocks_free(blocks);
    free(layout.tensors);
    free(text);
    free(more);
}

/* -- recognition -- */

static void test_layouts(void)
{
    static const struct {
        const char *layout, *variant, *family;
        uint64_t hint_channels;
    } cases[] = {
        { "control_v11p_sd15_canny_fp16", "cldm", "sd1", 3 },
        { "sdxl_controlnet_cldm_fp16", "cldm", "sdxl", 3 },
        { "diffusers_sd15_canny", "diffusers", "sd1", 3 },
        { "diffusers_sdxl_canny_fp16", "diffusers", "sdxl", 3 },
        { "diffusers_flux_instantx_canny", "instantx", "flux", 64 },
        { "diffusers_qwen_instantx_union", "instantx", "qwen-image", 64 },
        { "diffusers_sd3_instantx_canny", "native", "sd3", 16 },
        { "hunyuandit_canny", "native", "hunyuandit", 0 },
        { "xlabs_flux_canny_v3", "xlabs", "flux", 3 },
        { "t2iadapter_canny_sd15v2", "t2i-adapter-full", "sd1", 64 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *text;
        struct layout layout = read_layout(cases[i].layout, &text);
        struct dt2_file *file;
        struct dt2_blocks *blocks = blocks_of(&layout, &file);
        is_str(dt2_blocks_variant(blocks), cases[i].variant, "%s: variant", cases[i].layout);
        is_str(dt2_blocks_family(blocks), cases[i].family, "%s: family", cases[i].layout);
        ok(!dt2_blocks_needs_base(blocks), "%s: needs no base", cases[i].layout);
        const struct dt2_traits *traits = dt2_blocks_traits(blocks);
        is_u64(traits->hint_channels, cases[i].hint_channels, "%s: channels of the hint", cases[i].layout);
        ok(!traits->inpaint && !traits->differences && !traits->needs_base && traits->union_types == 0,
           "%s: nothing else", cases[i].layout);
        dt2_blocks_free(blocks);
        dt2_file_free(file);
        free(layout.tensors);
        free(text);
    }
}

/* A file of these tensors, "NAME=SHAPE" with "2,2" as the shape where none is said. */
static struct dt2_blocks *blocks_of_words(const char *words)
{
    char *copy = strdup(words);
    struct layout layout = { 0 };
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        char *shape = strchr(word, '=');
        if (shape)
            *shape++ = '\0';
        layout_add(&layout, word, "F16", shape ? shape : "2,2");
    }
    struct dt2_file *file;
    struct dt2_blocks *blocks = blocks_of(&layout, &file);
    dt2_file_free(file);
    free(layout.tensors);
    free(copy);
    return blocks;
}

static void test_rules(void)
{
    static const struct {
        const char *tensors, *variant, *family;
    } cases[] = {
        { "after_proj_list.18.bias controlnet_cond_embedding.conv_in.weight", "native", "hunyuandit" },
        { "after_proj_list.17.bias", NULL, NULL },
        { "zero_convs.0.0.weight", "cldm", NULL },
        { "zero_convs.0.0.weight x.attn2.to_k.weight=320,768", "cldm", "sd1" },
        { "control_model.zero_convs.0.0.weight x.attn2.to_k.weight=320,1024 difference=0", "cldm", "sd2" },
        { "zero_convs.0.0.weight x.attn2.to_k.weight=640,2048", "cldm", "sdxl" },
        { "zero_convs.0.0.weight x.attn2.to_k.weight=768,1280", "cldm", NULL },
        { "zero_convs.0.0.weight x.attn2.to_k.weight=768", "cldm", NULL },
        { "zero_convs.0.0.weight x.attn2.to_k.weight=2,768 y.attn2.to_k.weight=2,2048", "cldm", NULL },
        { "zero_convs.0.0.weight lora_controlnet=0 x.attn2.to_k.down=128,2048", "control-lora", "sdxl" },
        { "controlnet_cond_embedding.conv_in.weight x.attn2.to_k.weight=2,1024", "diffusers", "sd2" },
        { "controlnet_cond_embedding.conv_in.weight conv_in.weight zero_convs.0.0.weight", "diffusers", NULL },
        { "controlnet_cond_embedding.conv_in.weight control_add_embedding.linear_1.bias x.attn2.to_k.weight=2,2048",
          "diffusers-union", "sdxl" },
        { "controlnet_blocks.0.weight", NULL, NULL },
        { "controlnet_blocks.0.weight double_blocks.0.img_attn.norm.key_norm.scale=128", "xlabs", "flux" },
        { "double_blocks.0.img_attn.norm.key_norm.scale=128", NULL, NULL },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight transformer_blocks.0.adaLN_modulation.1.bias",
          "native", "sd35" },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=2,16,2,2", "native", "sd3" },
        { "controlnet_blocks.0.weight transformer_blocks.0.img_mlp.net.0.proj.weight controlnet_x_embedder.weight",
          "instantx", "qwen-image" },
        { "controlnet_blocks.0.weight controlnet_x_embedder.weight", "instantx", "flux" },
        { "controlnet_blocks.0.weight controlnet_x_embedder.weight controlnet_mode_embedder.weight", "instantx-union",
          "flux" },
        { "control_blocks.0.after_proj.weight control_img_in.weight", "fun", "qwen-image" },
        { "control_blocks.0.after_proj.weight", NULL, NULL },
        { "controlnet_blocks.0.linear.weight", "mistoline", "flux" },
        { "body.0.in_conv.weight=2,192,1,1", "t2i-adapter-light", "sd1" },
        { "body.0.in_conv.weight=2,100,1,1", "t2i-adapter-light", NULL },
        { "conv_in.weight=320,64,3,3", "t2i-adapter-full", "sd1" },
        { "conv_in.weight=320,768,3,3", "t2i-adapter-full", "sdxl" },
        { "adapter.body.0.in_conv.weight adapter.conv_in.weight=320,256,3,3", "t2i-adapter-diffusers", "sdxl" },
        { "adapter.body.0.resnets.0.block1.weight", "t2i-adapter-diffusers", NULL },
        { "adapte.body.0.resnets.0.block1.weight", NULL, NULL },
        { "backbone.0.0.weight", "native", "stable-cascade" },
        { "backbone.10.blocks.0.weight", "native", "stable-cascade" },
        { "model.zero_convs.0.0.weight", "cldm", NULL },
        { "controlnet_blocks.0.y_rms.weight img_in.weight=3072,64", "blockwise", "qwen-image" },
        { "controlnet_blocks.0.weight time_extra_emb.pooler.k_proj.weight", "diffusers", "hunyuandit" },
        { "controlnet_blocks.0.weight input_block.weight caption_projection.linear_1.weight", "diffusers", "sana" },
        { "control_all_x_embedder.2-1.weight control_layers.0.after_proj.weight", "fun", "z-image" },
        { "control_all_x_embedder.2-1.weight control_noise_refiner.0.after_proj.weight", "fun-union", "z-image" },
        { "control_img_in.weight control_transformer_blocks.0.after_proj.weight", "fun", "flux2" },
        { "vace_blocks.0.after_proj.weight vace_patch_embedding.weight=5120,96,1,2,2", "vace", "wan" },
        { "ref_conv.weight patch_embedding.weight blocks.0.self_attn.q.weight", "fun-control", "wan" },
        { "controlnet_blocks.0.weight control_encoder.0.0.weight", "native", "wan" },
        { "vace_blocks.0.proj_out.weight vace_patch_embedding.weight=5120,96,1,2,2", "vace", "wan" },
        { "controlnet_patch_embedding.weight=5120,36,1,2,2 controlnet_blocks.0.ffn.0.bias", "uni3c", "wan" },
        { "control_blocks.0.after_proj.weight patch_embed_base.proj.weight", "diffusers", "cosmos" },
        { "controlnet_cond_embedding.conv_in.weight down_blocks.0.motion_modules.0.proj_in.weight", "sparsectrl", NULL },
        { "controlnet_cond_embedding.weight down_blocks.0.motion_modules.0.proj_in.weight x.attn2.to_k.weight=2,768",
          "sparsectrl", "sd1" },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=2,16,2,2 transformer_blocks.0.attn.norm_q.weight "
          "pos_embed.proj.weight transformer_blocks.0.norm1.linear.weight", "native", "sd35" },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=2,16,2,2 transformer_blocks.0.norm1.linear.weight", "native",
          "sd35" },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=2,16,2,2 pos_embed.proj.weight "
          "transformer_blocks.0.norm1.linear.weight", "native", "sd3" },
        { "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight", "control-lllite", "sdxl" },
        { "lllite_conditioning1.conv1.weight lllite_dit_blocks_0_self_attn_q_proj.down.weight", "control-lllite", "anima" },
        { "lllite_dit_blocks_0_self_attn_q_proj.down.weight", "control-lllite", "anima" },
        { "style_embedding transformer_layes.0.attn.in_proj_weight", "t2i-adapter-style", "sd1" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_blocks *blocks = blocks_of_words(cases[i].tensors);
        is_str(dt2_blocks_variant(blocks), cases[i].variant, "%s: variant", cases[i].tensors);
        is_str(dt2_blocks_family(blocks), cases[i].family, "%s: family", cases[i].tensors);
        dt2_blocks_free(blocks);
    }
}

static void test_traits(void)
{
    static const struct {
        const char *tensors;
        struct dt2_traits traits; /* needs_base, differences, inpaint, hint_channels, union_types */
    } cases[] = {
        { "lora_controlnet=0 input_hint_block.0.weight=16,3,3,3", { true, false, false, 3, 0 } },
        { "control_model.zero_convs.0.0.weight control_model.input_hint_block.0.weight=16,3,3,3 difference=0",
          { true, true, false, 3, 0 } },
        { "zero_convs.0.0.weight difference=0", { false, false, false, 0, 0 } },
        { "controlnet_cond_embedding.conv_in.weight=16,3,3,3 control_add_embedding.linear_1.bias task_embedding=6,320",
          { false, false, false, 3, 6 } },
        { "controlnet_cond_embedding.conv_in.weight=16,3,3,3 task_embedding=6,320", { false, false, false, 3, 0 } },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=1536,17,2,2", { false, false, true, 17, 0 } },
        { "controlnet_blocks.0.weight pos_embed_input.proj.weight=1536,16,2,2", { false, false, false, 16, 0 } },
        { "controlnet_blocks.0.weight transformer_blocks.0.img_mlp.net.0.proj.weight controlnet_x_embedder.weight=2,68",
          { false, false, true, 68, 0 } },
        { "controlnet_blocks.0.weight controlnet_x_embedder.weight=3072,68", { false, false, true, 68, 0 } },
        { "controlnet_blocks.0.weight controlnet_x_embedder.weight=3072,64 controlnet_mode_embedder.weight=10,3072",
          { false, false, false, 64, 10 } },
        { "controlnet_blocks.0.weight controlnet_x_embedder.weight=3072", { false, false, false, 0, 0 } },
        { "control_blocks.0.after_proj.weight control_img_in.weight=3072,132", { false, false, false, 132, 0 } },
        { "nothing.known", { false, false, false, 0, 0 } },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_blocks *blocks = blocks_of_words(cases[i].tensors);
        const struct dt2_traits *got = dt2_blocks_traits(blocks), *expected = &cases[i].traits;
        ok(got->needs_base == expected->needs_base && got->differences == expected->differences, "%s: base",
           cases[i].tensors);
        ok(dt2_blocks_needs_base(blocks) == got->needs_base, "%s: said twice alike", cases[i].tensors);
        ok(got->inpaint == expected->inpaint, "%s: inpaint", cases[i].tensors);
        is_u64(got->hint_channels, expected->hint_channels, "%s: channels of the hint", cases[i].tensors);
        is_u64(got->union_types, expected->union_types, "%s: kinds of hints", cases[i].tensors);
        dt2_blocks_free(blocks);
    }
}

int main(void)
{
    seed_random(1511);
    test_grouping();
    test_recorded_order("control_v11p_sd15_canny_fp16", "cldm_sd15");
    test_recorded_order("diffusers_sd15_canny", "diffusers_sd15");
    test_recorded_layers("flux_xlabs", "double_blocks.0.img_mod.lin");
    test_recorded_layers("sd3_native", "joint_blocks.0.context_block.adaLN_modulation.1");
    test_recorded_layers("hunyuandit", "blocks.0.default_modulation.1");
    test_sd15();
    test_sdxl();
    test_orders_of_2026();
    /* Names that no network has, without bytes where they hold a 0: numbers beyond all, leading zeros, doubles. */
    test_permutations("control_v11p_sd15_canny_fp16",
                      "zero_convs.01.0 zero_convs.1.x zero_convs.x.0 input_blocks difference control_model.difference "
                      "input_blocks.99999999999999999999.w middle_block.1.other.w middle_block.0w.w time_embed "
                      "time_embed.w");
    test_permutations("sdxl_controlnet_cldm_fp16", "a b a.w b.w c.0 d.0");
    test_permutations("diffusers_sdxl_canny_fp16", "down_blocks.x.resnets.1.w down_blocks.1 mid_block.w");
    test_permutations("hunyuandit_canny", "blocks.w");
    test_permutations("xlabs_flux_canny_v3", "");
    test_permutations("diffusers_qwen_instantx_union", "");
    test_permutations("t2iadapter_canny_sd15v2", "");
    test_permutations("diffusers_sd15_canny", "");
    test_permutations("diffusers_flux_instantx_canny", "");
    test_permutations("diffusers_sd3_instantx_canny", "");
    test_layouts();
    test_rules();
    test_traits();
    return done_testing();
}
