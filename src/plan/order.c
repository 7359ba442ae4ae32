/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key of a block: its stage, the index of its layer, its rank there (the turn in the preamble; the layer or the tap
 * that follows it), its part of the layer, then the rest of its name, component by component: numbers by value, words
 * as the table ranks them.
 */
#include "plan/order.h"
#include "base/checked.h"
#include <stdint.h>
#include <string.h>

/* The stages of a ControlNet's run; what is no part of it comes behind. */
enum stage { PREAMBLE, LAYERS, SINGLE_LAYERS, MIDDLE, MIDDLE_OUT, BESIDE };

#define NUMBERS_MAX 2

/*
 * By the beginning of the name, where '#' stands for a number; the first that fits. The index of the layer is
 * base + the numbers times their factors.
 */
static const struct place {
    const char *pattern;
    enum stage stage;
    unsigned rank;
    unsigned part;
    unsigned base, factors[NUMBERS_MAX];
    bool streams; /* layers in which several streams meet in the attention: PHASES tell more than the names' order */
} places[] = {
    { "time_embed", PREAMBLE, .rank = 0 },
    { "control_add_embedding", PREAMBLE, .rank = 1 },
    { "input_hint_block", PREAMBLE, .rank = 2 },
    { "input_cond_block", PREAMBLE, .rank = 2 },
    { "task_embedding", PREAMBLE, .rank = 3 },
    { "transformer_layes", PREAMBLE, .rank = 4 }, /* spelt so in the published files */
    { "spatial_ch_projs", PREAMBLE, .rank = 5 },
    { "label_emb", PREAMBLE, .rank = 6 },
    { "img_in", PREAMBLE, .rank = 7 },
    { "x_embedder", PREAMBLE, .rank = 7 },
    { "pos_embed", PREAMBLE, .rank = 7 },
    { "pos_embed_input", PREAMBLE, .rank = 8 },
    { "controlnet_x_embedder", PREAMBLE, .rank = 8 },
    { "before_proj", PREAMBLE, .rank = 8 },
    { "style_embedding", PREAMBLE, .rank = 0 },
    { "ln_pre", PREAMBLE, .rank = 1 },
    { "control_encoder", PREAMBLE, .rank = 2 },
    { "control_adapter", PREAMBLE, .rank = 2 },
    { "control_img_in", PREAMBLE, .rank = 8 },
    { "control_all_x_embedder", PREAMBLE, .rank = 8 },
    { "patch_embed", PREAMBLE, .rank = 7 },
    { "patch_embedding", PREAMBLE, .rank = 7 },
    { "vace_patch_embedding", PREAMBLE, .rank = 8 },
    { "controlnet_patch_embedding", PREAMBLE, .rank = 7 },
    { "controlnet_mask_embedding", PREAMBLE, .rank = 8 },
    { "proj_in", PREAMBLE, .rank = 98 },
    { "vace_blocks.#", PREAMBLE, .base = 1, .factors = { 1 } }, /* all of them run before the model's own */

    { "input_blocks.#", LAYERS, .factors = { 1 } },
    { "double_blocks.#", LAYERS, .factors = { 1 }, .streams = true },
    { "joint_blocks.#", LAYERS, .factors = { 1 }, .streams = true },
    { "transformer_blocks.#", LAYERS, .factors = { 1 }, .streams = true },
    { "blocks.#", LAYERS, .factors = { 1 } },
    { "control_blocks.#", LAYERS, .factors = { 1 }, .streams = true },
    { "control_transformer_blocks.#", LAYERS, .factors = { 1 }, .streams = true },
    { "control_noise_refiner.#", LAYERS, .factors = { 1 } },
    { "body.#", LAYERS, .factors = { 1 } },
    { "backbone.#", LAYERS, .factors = { 1 } },
    { "zero_convs.#", LAYERS, .rank = 1, .factors = { 1 } },
    { "controlnet_blocks.#", LAYERS, .rank = 1, .factors = { 1 } },
    { "after_proj_list.#", LAYERS, .rank = 1, .factors = { 1 } },
    { "proj_out.#", LAYERS, .rank = 2, .factors = { 1 } },

    { "control_layers.#", SINGLE_LAYERS, .factors = { 1 } },
    { "projections.#", SINGLE_LAYERS, .factors = { 1 } },
    { "single_blocks.#", SINGLE_LAYERS, .factors = { 1 } },
    { "single_transformer_blocks.#", SINGLE_LAYERS, .factors = { 1 } },
    { "controlnet_single_blocks.#", SINGLE_LAYERS, .rank = 1, .factors = { 1 } },
    { "single_controlnet_blocks.#", SINGLE_LAYERS, .rank = 1, .factors = { 1 } },

    { "middle_block.#", MIDDLE, .factors = { 1 } },
    { "middle_block_out", MIDDLE_OUT, .rank = 0 },
    { "ln_post", MIDDLE_OUT, .rank = 0 },
    { "proj", MIDDLE_OUT, .rank = 1 },
    { "head", MIDDLE_OUT, .rank = 0 },
    { "norm_out", MIDDLE_OUT, .rank = 0 },
    { "proj_out", MIDDLE_OUT, .rank = 2 },
};

/* The same for UNet ControlNets in diffusers' spelling: where each part stands in cldm, with two blocks a level. */
static const struct place diffusers_places[] = {
    { "time_embedding", PREAMBLE, .rank = 0 },
    { "control_add_embedding", PREAMBLE, .rank = 1 },
    { "controlnet_cond_embedding.conv_in", PREAMBLE, .rank = 2, .part = 0 },
    { "controlnet_cond_embedding.blocks", PREAMBLE, .rank = 2, .part = 1 },
    { "controlnet_cond_embedding.conv_out", PREAMBLE, .rank = 2, .part = 2 },
    { "task_embedding", PREAMBLE, .rank = 3 },
    { "transformer_layes", PREAMBLE, .rank = 4 },
    { "spatial_ch_projs", PREAMBLE, .rank = 5 },
    { "add_embedding", PREAMBLE, .rank = 6 },
    { "conv_in", LAYERS, .rank = 0 },
    { "down_blocks.#.resnets.#", LAYERS, .part = 0, .base = 1, .factors = { 3, 1 } },
    { "down_blocks.#.attentions.#", LAYERS, .part = 1, .base = 1, .factors = { 3, 1 } },
    { "down_blocks.#.motion_modules.#", LAYERS, .part = 2, .base = 1, .factors = { 3, 1 } },
    { "down_blocks.#.downsamplers", LAYERS, .base = 3, .factors = { 3 } },
    { "controlnet_down_blocks.#", LAYERS, .rank = 1, .factors = { 1 } },
    { "mid_block.resnets.#", MIDDLE, .factors = { 2 } },
    { "mid_block.attentions.#", MIDDLE, .base = 1, .factors = { 2 } },
    { "controlnet_mid_block", MIDDLE_OUT, .rank = 0 },
};
static const struct place elsewhere = { "", PREAMBLE, .rank = 99 }, beside = { "", BESIDE, .rank = 0 };

/*
 * Words inside a layer, in the order of their use. Others follow these, by spelling. With "LAYER:" before it a word
 * stands so in layers of that name alone.
 */
static const char *const words[] = {
    "before_proj",
    /* what modulates */
    "default_modulation", "modulation", "img_mod", "txt_mod", "adaLN_modulation", "attention_norm1",
    /* residual blocks, adapters */
    "in_conv", "body", "in_layers", "emb_layers", "out_layers", "skip_connection",
    /* queries, keys and values, and their norms */
    "linear1", "Wqkv", "qkv", "q", "k", "v", "q_proj", "k_proj", "v_proj", "kv_proj", "to_q", "to_k", "to_v",
    "add_q_proj", "add_k_proj", "add_v_proj",
    "linear", "norm", "query_norm", "key_norm", "q_norm", "k_norm", "norm_q", "norm_k", "norm_added_q", "norm_added_k",
    /* spatial transformers */
    "proj_in", "transformer_blocks", "proj_mlp",
    /* transformer blocks, and diffusers' residual blocks; HunyuanDiT counts its norms otherwise */
    "x_rms", "y_rms", "input_proj", "output_proj", "ln_1",
    "norm1", "norm1_context", "self_attn", "conv1", "time_emb_proj", "pos_embed", "attn1", "blocks:norm3", "norm2",
    "norm2_context", "conv2", "attn2", "blocks:norm2", "conv_shortcut", "norm3", "cross_attn",
    /* what follows the attention */
    "attention", "attention_norm2", "ffn_norm1", "w1", "w3", "w2", "feed_forward", "ffn_norm2", "ffn",
    "conv_inverted", "conv_depth", "conv_point",
    "attn", "out_proj", "proj", "o", "to_out", "to_add_out",
    "transformer_blocks:attn2", "ln_2", "linear2", "mlp", "ff", "ff_context", "proj_out",
    "out_conv",
};

/* Where streams meet: what runs for all of them first, and what runs after the attention. All else is in between. */
static const struct {
    const char *word;
    unsigned phase;
} phases[] = {
    { "before_proj", 0 },
    { "img_mod", 0 }, { "txt_mod", 0 },    { "norm1", 0 },      { "norm1_context", 0 }, { "proj", 2 },
    { "to_out", 2 },  { "to_add_out", 2 }, { "mlp", 2 },        { "img_mlp", 2 },       { "txt_mlp", 2 },
    { "ff", 2 },      { "ff_context", 2 }, { "after_proj", 3 }, { "attn2", 2 },         { "qkv", 1 },
};
#define PHASE_BETWEEN 1

/* One component of a name, up to its dot. */
struct component {
    const char *text;
    size_t length;
};

/* Takes the first component off `rest`; false when nothing is left. */
static bool take(struct component *rest, struct component *taken)
{
    if (!rest->text)
        return false;
    const char *dot = memchr(rest->text, '.', rest->length);
    size_t length = dot ? (size_t)(dot - rest->text) : rest->length;
    *taken = (struct component){ rest->text, length };
    *rest = dot ? (struct component){ dot + 1, rest->length - length - 1 } : (struct component){ NULL, 0 };
    return true;
}

static bool is(const struct component *component, const char *word)
{
    return strlen(word) == component->length && memcmp(word, component->text, component->length) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number that the component is; false for a word, and for numbers that no network needs. */
static bool number_of(const struct component *component, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < component->length; i++) {
        char c = component->text[i];
        if (!is_digit(c) || dt2_mul_overflows(value, 10, &value) ||
            dt2_add_overflows(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    *number = value;
    return component->length > 0;
}

static void put_byte(struct dt2_text *keys, unsigned byte)
{
    dt2_text_add(keys, &(char){ (char)byte }, 1);
}

/* How many bytes it takes, then those, the highest first: so that bytes compare as numbers do. */
static void put_number(struct dt2_text *keys, uint64_t number)
{
    unsigned size = 0;
    while (size < 8 && number >> (8 * size))
        size++;
    put_byte(keys, size);
    while (size-- > 0)
        put_byte(keys, (unsigned)(number >> (8 * size)) & 0xFF);
}

/* What a component's part of the key begins with; the end of a name, 0, is before all. */
enum { KEY_NUMBER = 1, KEY_RANKED, KEY_OTHER };

/* The rank of a word in layers whose name begins with `layer`; DT2_COUNT(words) for one that has none. */
static unsigned rank_of(const struct component *component, const struct component *layer)
{
    unsigned general = DT2_COUNT(words);
    for (unsigned i = 0; i < DT2_COUNT(words); i++) {
        const char *colon = strchr(words[i], ':');
        if (!is(component, colon ? colon + 1 : words[i]))
            continue;
        if (!colon)
            general = i;
        else if (layer->length == (size_t)(colon - words[i]) && memcmp(layer->text, words[i], layer->length) == 0)
            return i;
    }
    return general;
}

/* Digits, however many: how many count, then those. */
static void put_digits(struct dt2_text *keys, struct component digits)
{
    while (digits.length > 1 && digits.text[0] == '0')
        digits = (struct component){ digits.text + 1, digits.length - 1 };
    put_number(keys, digits.length);
    dt2_text_add(keys, digits.text, digits.length);
}

/* A word in which numbers compare as numbers: "down9" before "down10". */
static void put_word(struct dt2_text *keys, const struct component *word)
{
    for (size_t begin = 0, end; begin < word->length; begin = end) {
        bool digits = is_digit(word->text[begin]);
        for (end = begin + 1; end < word->length && is_digit(word->text[end]) == digits;)
            end++;
        put_byte(keys, digits ? KEY_NUMBER : KEY_OTHER);
        if (digits)
            put_digits(keys, (struct component){ word->text + begin, end - begin });
        else
            dt2_text_add(keys, word->text + begin, end - begin);
        put_byte(keys, 0);
    }
    put_byte(keys, 0);
}

/* `layer`: see rank_of(); NULL: words have no ranks. */
static void put_component(struct dt2_text *keys, const struct component *component, const struct component *layer)
{
    uint64_t number;
    unsigned rank;
    if (number_of(component, &number)) {
        put_byte(keys, KEY_NUMBER);
        put_number(keys, number);
    } else if (layer && (rank = rank_of(component, layer)) < DT2_COUNT(words)) {
        put_byte(keys, KEY_RANKED);
        put_byte(keys, rank);
    } else {
        put_byte(keys, KEY_OTHER);
        put_word(keys, component);
    }
}

static unsigned phase_of(struct component rest)
{
    struct component component;
    unsigned phase = PHASE_BETWEEN;
    while (take(&rest, &component))
        for (size_t i = 0; i < DT2_COUNT(phases); i++)
            if (is(&component, phases[i].word))
                phase = phases[i].phase;
    return phase;
}

/* Whether the name begins as the place's pattern says; then *rest is what follows, and *index that of the layer. */
static bool fits(const struct place *place, struct component name, struct component *rest, uint64_t *index)
{
    struct component pattern = { place->pattern, strlen(place->pattern) }, wanted, got;
    size_t numbers = 0;
    *index = place->base;
    while (take(&pattern, &wanted)) {
        uint64_t number;
        if (!take(&name, &got))
            return false;
        if (wanted.text[0] != '#') {
            if (wanted.length != got.length || memcmp(wanted.text, got.text, got.length) != 0)
                return false;
            continue;
        }
        if (!number_of(&got, &number) || dt2_mul_overflows(number, place->factors[numbers++], &number) ||
            dt2_add_overflows(*index, number, index))
            return false;
    }
    *rest = name;
    return true;
}

static const struct place *place_of(enum dt2_ordering ordering, struct component name, struct component *rest,
                                    uint64_t *index)
{
    bool diffusers = ordering == DT2_ORDER_DIFFUSERS;
    const struct place *table = diffusers ? diffusers_places : places;
    size_t count = diffusers ? DT2_COUNT(diffusers_places) : DT2_COUNT(places);
    count = ordering == DT2_ORDER_BESIDE || ordering == DT2_ORDER_LLLITE ? 0 : count;
    for (size_t i = 0; i < count; i++)
        if (fits(&table[i], name, rest, index))
            return &table[i];
    *rest = name;
    *index = 0;
    return ordering == DT2_ORDER_BESIDE ? &beside : &elsewhere;
}

/* "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q": part by part, as if a dot were between them. */
static void put_spelt(struct dt2_text *keys, struct component name)
{
    static const struct component no_layer = { "", 0 };
    for (const char *end; name.length > 0;) {
        end = memchr(name.text, '_', name.length);
        if (name.length > 3 && memcmp(name.text, "to_", 3) == 0) /* the words know to_q, to_k, to_v */
            end = memchr(name.text + 3, '_', name.length - 3);
        size_t length = end ? (size_t)(end - name.text) : name.length;
        put_component(keys, &(struct component){ name.text, length }, &no_layer);
        length += end != NULL;
        name = (struct component){ name.text + length, name.length - length };
    }
    put_byte(keys, 0);
}

void dt2_order_key(struct dt2_text *keys, enum dt2_ordering ordering, const char *name, size_t length)
{
    struct component whole = { name, length }, rest, layer, component;
    uint64_t index;
    const struct place *place = place_of(ordering, whole, &rest, &index);
    take(&whole, &layer);
    if (ordering == DT2_ORDER_PLAIN)
        layer = (struct component){ "", 0 }; /* as none that the words know */
    put_byte(keys, place->stage);
    put_number(keys, index);
    put_byte(keys, place->rank);
    put_byte(keys, place->part);
    put_byte(keys, place->streams && ordering != DT2_ORDER_PLAIN ? phase_of(rest) : 0);
    if (ordering == DT2_ORDER_LLLITE && take(&rest, &component))
        put_spelt(keys, component);
    while (take(&rest, &component))
        put_component(keys, &component, ordering == DT2_ORDER_BESIDE ? NULL : &layer);
    put_byte(keys, 0);
}
