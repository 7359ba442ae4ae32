/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks of networks that nobody knows: in file order, or, where the file was sorted as text, by name. */
#include "base/checked.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static struct dt2_file *open_file(const char *path)
{
    struct dt2_file *file = NULL;
    struct dt2_error err;
    if (dt2_file_open(path, &file, &err) < 0)
        layout_die("%s", err.text);
    return file;
}

/* A file of tensors "NAME" or "NAME=DTYPE", in this order, that has three elements each. */
static const char *write_file(const char *name, const char *words)
{
    static const char *const dtypes[] = { "F32", "F16", "BF16" };
    char *copy = strdup(words);
    struct layout layout = { 0 };
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        char *wanted = strchr(word, '=');
        const char *dtype = dtypes[0];
        for (size_t i = 0; wanted && i < DT2_COUNT(dtypes); i++)
            dtype = strcmp(wanted + 1, dtypes[i]) == 0 ? dtypes[i] : dtype;
        if (wanted)
            *wanted = '\0';
        layout_add(&layout, word, dtype, "3");
    }
    size_t size;
    char *header = layout_header(&layout, &size);
    const char *path = scratch_file(name, header, size, layout.bytes);
    free(header);
    free(layout.tensors);
    free(copy);
    return path;
}

/* The names of all blocks. */
static const char *order_of(const struct dt2_file *file)
{
    static char text[1024];
    struct dt2_blocks *blocks;
    struct dt2_error err;
    size_t used = 0;
    if (dt2_blocks_make(file, &blocks, &err) < 0)
        layout_die("%s", err.text);
    ok(!dt2_blocks_variant(blocks) && !dt2_blocks_family(blocks) && !dt2_blocks_needs_base(blocks), "it is not known");
    text[0] = '\0';
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", dt2_blocks_array(blocks)[i].name);
    dt2_blocks_free(blocks);
    return text;
}

/* As it is written, stored in each dtype, and with its first and its third tensor side by side. */
static void check_order(const char *path, const char *expected, const char *ganged)
{
    static const char *const dtypes[] = { NULL, "keep", "F16", "BF16", "F32" };
    struct dt2_file *file = open_file(path), *stored;
    struct dt2_error err;
    is_str(order_of(file), expected, "as it is written");
    for (size_t i = 0; i < DT2_COUNT(dtypes); i++) {
        struct dt2_storing how = DT2_STORING_INIT;
        how.dtype = dtypes[i];
        for (how.gang_count = 0; how.gang_count < (ganged ? 2u : 1u); how.gang_count++) {
            const size_t members[] = { 0, 2 };
            const struct dt2_gang gang = { "gang", members, 2 };
            how.gangs = &gang;
            if (!ok(dt2_file_stored(file, &how, &stored, &err) == 0, "stored as %s", dtypes[i] ? dtypes[i] : "it is")) {
                diag("%s", err.text);
                continue;
            }
            is_str(order_of(stored), how.gang_count ? ganged : expected, "%zu gangs", how.gang_count);
            dt2_file_free(stored);
        }
    }
    dt2_file_free(file);
}

/* By the place of the first tensor of each block. */
static void test_file_order(void)
{
    char words[1024] = "", expected[512] = "";
    for (size_t i = 0; i < 50; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "layer%zu.%s ", (i * 7) % 25,
                 i < 25 ? "weight" : "bias");
    for (size_t i = 0; i < 25; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%slayer%zu", i ? " " : "", (i * 7) % 25);
    check_order(write_file("model", words), expected, NULL);
    check_order(write_file("model", "b.2.w a.10.w=F16 c.1.w b.1.w=F16"), "b.2 a.10 c.1 b.1", NULL);
    check_order(write_file("model", "m.9.w m.8.w m.7.w"), "m.9 m.8 m.7", "m.9 m.8");
}

/* Sorted by their text, as writers do, for each dtype anew: numbers count as numbers then, and inside of words too. */
static void test_sorted(void)
{
    check_order(write_file("model", "layers.0.w layers.1.w layers.10.w layers.11.w layers.2.w layers.9.w up10_x.w up2_x.w"),
                "layers.0 layers.1 layers.2 layers.9 layers.10 layers.11 up2_x up10_x",
                "layers.0 layers.1 layers.2 layers.9 layers.11 up2_x up10_x");
    check_order(write_file("model", "n.1.w n.10.w n.2.w n.1.scale=F16 n.10.scale=F16 n.3.scale=F16"), "n.1 n.2 n.3 n.10", NULL);
    check_order(write_file("model", "n.1.w=F16 n.10.w=F16 n.2.w=F16 n.1.scale=BF16 n.3.scale=BF16"), "n.1 n.2 n.3 n.10", NULL);
}

/* Who writes a model in parts sorts each of them. */
static void test_shards(void)
{
    write_file("m-1", "n.10.w n.11.w n.9.w");
    write_file("m-2", "n.0.w n.1.w n.12.w n.2.w");
    const char *index = scratch_text("m.safetensors.index.json",
                                     "{\"weight_map\":{\"n.9.w\":\"m-1\",\"n.10.w\":\"m-1\",\"n.11.w\":\"m-1\","
                                     "\"n.0.w\":\"m-2\",\"n.1.w\":\"m-2\",\"n.2.w\":\"m-2\",\"n.12.w\":\"m-2\"}}");
    check_order(index, "n.0 n.1 n.2 n.9 n.10 n.11 n.12", NULL);
}

int main(void)
{
    test_file_order();
    test_sorted();
    test_shards();
    return done_testing();
}
