/* SPDX-License-Identifier: BSD-3-Clause */
/* Views: any part of any view reads as the elements picked one by one. */
#include "base/checked.h"
#include "formats/view.h"
#include "support/scratch.h"
#include "support/tap.h"

#define FILE_BYTES ((size_t)3 << 20)

static unsigned char *content;

/* All bytes of a view, element by element. */
static unsigned char *pick(const struct dt2_view *view, const struct dt2_axis *axes, size_t count, uint64_t elements)
{
    unsigned char *picked = malloc(elements * view->element_bytes + 1);
    for (uint64_t i = 0; i < elements; i++) {
        uint64_t at = view->offset, rest = i;
        for (size_t axis = count; axis-- > 0; rest /= axes[axis].count)
            at += rest % axes[axis].count * axes[axis].stride_bytes;
        for (size_t j = 0; j < view->element_bytes; j++) {
            size_t group = j / view->swap_bytes * view->swap_bytes;
            picked[i * view->element_bytes + j] =
                content[at + group + (view->swap_bytes - 1 - (j - group) % view->swap_bytes)];
        }
        if (view->swap_bytes == 1)
            memcpy(picked + i * view->element_bytes, content + at, view->element_bytes);
    }
    return picked;
}

/* A random view inside of the file; `axes` as they were before they were joined. Returns how many elements it has. */
static uint64_t make_view(struct dt2_view *view, struct dt2_axis *axes, size_t *count)
{
    static const uint8_t sizes[] = { 1, 2, 4, 8 };
    view->element_bytes = sizes[random_below(4)];
    view->swap_bytes = random_below(3) ? 1 : random_below(2) && view->element_bytes == 8 ? 4 : view->element_bytes;
    *count = random_below(6);
    uint64_t elements = 1, span = view->element_bytes;
    for (size_t i = 0; i < *count; i++) {
        axes[i].count = 1 + random_below(random_below(4) ? 9 : 200);
        axes[i].stride_bytes = view->element_bytes * random_below(random_below(3) ? 5 : random_below(30000) + 1);
        if (i > 0 && random_below(3) == 0) /* contiguous with the axis before it, now and then */
            axes[i - 1].stride_bytes = axes[i].count * axes[i].stride_bytes;
        if (elements * axes[i].count > 300000)
            axes[i].count = 1;
        elements *= axes[i].count;
    }
    for (size_t i = 0; i < *count; i++) {
        if ((axes[i].count - 1) * axes[i].stride_bytes > FILE_BYTES / 8)
            axes[i].stride_bytes = 0;
        span += (axes[i].count - 1) * axes[i].stride_bytes;
    }
    view->offset = random_below(FILE_BYTES - span + 1);
    return elements;
}

static bool reads_right(const struct dt2_view *view, const struct dt2_source *source, const unsigned char *wanted,
                        uint64_t offset, uint64_t size)
{
    unsigned char *got = malloc(size + 1);
    got[size] = 0xA5;
    struct dt2_error err;
    bool good = dt2_view_read(view, source, got, size, offset, &err) == 0 && memcmp(got, wanted + offset, size) == 0 &&
                got[size] == 0xA5;
    free(got);
    return good;
}

static void test_random(const struct dt2_source *source)
{
    size_t rounds = getenv("DT2_TEST_SLOW") ? 150 : 1500;
    for (size_t round = 0; round < rounds; round++) {
        struct dt2_axis axes[8], joined[8];
        struct dt2_view view = { .axes = joined };
        size_t count;
        uint64_t elements = make_view(&view, axes, &count), bytes = elements * view.element_bytes;
        memcpy(joined, axes, sizeof joined);
        view.axis_count = (uint8_t)dt2_axes_join(joined, count, view.element_bytes);
        unsigned char *wanted = pick(&view, axes, count, elements);
        bool good = view.axis_count >= 1 && reads_right(&view, source, wanted, 0, bytes);
        for (size_t i = 0; i < 8; i++) {
            uint64_t begin = random_below(bytes + 1);
            good &= reads_right(&view, source, wanted, begin, random_below(bytes - begin + 1));
        }
        free(wanted);
        if (!good && !ok(false, "view %zu of %" PRIu64 " elements of %d bytes", round, elements, view.element_bytes))
            return;
    }
    ok(true, "%zu random views, and nine parts of each", rounds);
}

static void test_join(void)
{
    static const struct {
        struct dt2_axis axes[4];
        size_t count, joined;
        struct dt2_axis first;
    } cases[] = {
        { { { 0 } }, 0, 1, { 1, 4 } },
        { { { 1, 999 } }, 1, 1, { 1, 4 } },
        { { { 2, 12 }, { 3, 4 } }, 2, 1, { 6, 4 } },
        { { { 2, 60 }, { 3, 20 }, { 1, 7 }, { 5, 4 } }, 4, 1, { 30, 4 } },
        { { { 3, 4 }, { 2, 12 } }, 2, 2, { 3, 4 } },
        { { { 2, 16 }, { 3, 4 } }, 2, 2, { 2, 16 } },
        { { { 2, 0 }, { 3, 0 } }, 2, 1, { 6, 0 } },
        { { { 2, 0 }, { 4, UINT64_C(1) << 62 } }, 2, 2, { 2, 0 } },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_axis axes[4];
        memcpy(axes, cases[i].axes, sizeof axes);
        is_u64(dt2_axes_join(axes, cases[i].count, 4), cases[i].joined, "axes %zu join", i);
        ok(axes[0].count == cases[i].first.count && axes[0].stride_bytes == cases[i].first.stride_bytes,
           "axes %zu: the first is right", i);
    }
}

/* A file that shrinks is an error. */
static void test_short(struct dt2_source *source, const char *path)
{
    struct dt2_axis axes[] = { { 1000, 3000 }, { 10, 2 } };
    struct dt2_view view = { .element_bytes = 2, .swap_bytes = 1, .axis_count = 2, .axes = axes };
    char bytes[20000];
    struct dt2_error err = { 0 };
    is_int(dt2_view_read(&view, source, bytes, sizeof bytes, 0, &err), 0, "before the file shrinks");
    ok(truncate(path, 1000000) == 0, "it does");
    is_int(dt2_view_read(&view, source, bytes, sizeof bytes, 0, &err), DT2_EFAILED, "it is an error");
    ok(strstr(err.text, "shorter than it was"), "in words: %s", err.text);
}

int main(void)
{
    seed_random(20);
    content = malloc(FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++)
        content[i] = (unsigned char)random_u64();
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", scratch_file("content", content, FILE_BYTES, 0));
    struct dt2_source source;
    struct dt2_error err;
    if (!ok(dt2_source_open(&source, path, NULL, &err) == 0, "the file opens"))
        return done_testing();
    test_join();
    test_random(&source);
    test_short(&source, path);
    dt2_source_close(&source);
    free(content);
    return done_testing();
}
