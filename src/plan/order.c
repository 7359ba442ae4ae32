/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key of a block: its stage, its place in the stage (a rank, or the index of the layer and whether it is the layer
 * or its tap), then the rest of its name, component by component: numbers by value, words as the table ranks them.
 */
#include "plan/order.h"
#include "base/checked.h"
#include <stdint.h>
#include <string.h>

/* The stages of a ControlNet's run. */
enum stage { PREAMBLE, LAYERS, SINGLE_LAYERS, MIDDLE, MIDDLE_OUT };

/* By the first component of the name. */
static const struct place {
    const char *component;
    enum stage stage;
    unsigned rank; /* in the preamble: its turn; in layers: 0 the layer, 1 the tap that follows it */
    bool indexed;  /* the second component is the index of the layer */
} places[] = {
    { "time_embed", PREAMBLE, 0, false },
    { "control_add_embedding", PREAMBLE, 1, false },
    { "input_hint_block", PREAMBLE, 2, false },
    { "input_cond_block", PREAMBLE, 2, false },
    { "task_embedding", PREAMBLE, 3, false },
    { "transformer_layes", PREAMBLE, 4, false }, /* spelt so in the published files */
    { "spatial_ch_projs", PREAMBLE, 5, false },
    { "label_emb", PREAMBLE, 6, false },
    { "input_blocks", LAYERS, 0, true },
    { "zero_convs", LAYERS, 1, true },
    { "middle_block", MIDDLE, 0, false },
    { "middle_block_out", MIDDLE_OUT, 0, false },
};
static const struct place elsewhere = { "", PREAMBLE, 99, false };

/* Words inside a layer, in the order of their use. Others follow these, by spelling. */
static const char *const words[] = {
    "in_layers", "emb_layers", "out_layers", "skip_connection",  /* a residual block */
    "norm", "proj_in", "transformer_blocks", "proj_out",         /* a spatial transformer */
    "norm1", "attn1", "norm2", "attn2", "norm3", "ff",           /* a transformer block */
    "to_q", "to_k", "to_v", "to_out",                            /* an attention */
};

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

/* The number that the component is; false for a word, and for numbers that no network needs. */
static bool number_of(const struct component *component, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < component->length; i++) {
        char c = component->text[i];
        if (c < '0' || c > '9' || dt2_mul_overflows(value, 10, &value) ||
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

static void put_component(struct dt2_text *keys, const struct component *component)
{
    uint64_t number;
    if (number_of(component, &number)) {
        put_byte(keys, KEY_NUMBER);
        put_number(keys, number);
        return;
    }
    for (unsigned i = 0; i < DT2_COUNT(words); i++)
        if (is(component, words[i])) {
            put_byte(keys, KEY_RANKED);
            put_byte(keys, i);
            return;
        }
    put_byte(keys, KEY_OTHER);
    dt2_text_add(keys, component->text, component->length);
    put_byte(keys, 0);
}

static const struct place *place_of(const struct component *first)
{
    for (size_t i = 0; i < DT2_COUNT(places); i++)
        if (is(first, places[i].component))
            return &places[i];
    return &elsewhere;
}

void dt2_order_key(struct dt2_text *keys, const char *name, size_t length)
{
    static const char prefix[] = "control_model.";
    struct component rest = { name, length }, component, first;
    if (length >= sizeof prefix - 1 && memcmp(name, prefix, sizeof prefix - 1) == 0)
        rest = (struct component){ name + sizeof prefix - 1, length - (sizeof prefix - 1) };
    struct component whole = rest, second;
    take(&rest, &first);
    const struct place *place = place_of(&first);
    uint64_t index = 0;
    if (place->indexed && !(take(&rest, &second) && number_of(&second, &index)))
        place = &elsewhere;
    if (place == &elsewhere)
        rest = whole;
    put_byte(keys, place->stage);
    put_number(keys, index);
    put_byte(keys, place->rank);
    while (take(&rest, &component))
        put_component(keys, &component);
    put_byte(keys, 0);
}
