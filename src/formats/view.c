/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked for is a range of elements in the tensor's order. It is cut into boxes (whole ranges of indices on each
 * axis), and each box is copied in the order of the file: a transposed matrix is read front to back, once.
 */
#include "formats/view.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <string.h>

#define WINDOW_BYTES ((uint64_t)256 * 1024)
#define NEAR_BYTES ((uint64_t)32 * 1024) /* a gap that is read over rather than skipped: a call costs about as much */
#define ELEMENT_MOST 16

/* One axis of a box: where its steps lead in the file, and where in the destination. */
struct step {
    uint64_t count;
    uint64_t from_bytes;
    uint64_t to_bytes;
};

struct gather {
    const struct dt2_view *view;
    const struct dt2_source *source;
    struct dt2_error *err;
    uint64_t inner[DT2_VIEW_AXES]; /* elements below one index of each axis */
    uint64_t end;                  /* of the view's last element in the file */
    char *window;                  /* bytes of the file, from window_at on */
    uint64_t window_at;
    uint64_t window_bytes;
};

size_t dt2_axes_join(struct dt2_axis *axes, size_t count, uint64_t element_bytes)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t walk;
        struct dt2_axis *outer = kept ? &axes[kept - 1] : NULL;
        if (axes[i].count == 1)
            continue;
        bool one_walk =
            outer && !dt2_mul_overflows(axes[i].count, axes[i].stride_bytes, &walk) && outer->stride_bytes == walk;
        if (one_walk)
            *outer = (struct dt2_axis){ outer->count * axes[i].count, axes[i].stride_bytes };
        else
            axes[kept++] = axes[i];
    }
    if (kept == 0)
        axes[kept++] = (struct dt2_axis){ 1, element_bytes };
    return kept;
}

/* The file's bytes at `at`: `need` of them, and up to `want` for later when they must be read anyway. */
static int look_at(struct gather *gather, uint64_t at, uint64_t need, uint64_t want, const char **bytes)
{
    if (at < gather->window_at || at + need > gather->window_at + gather->window_bytes) {
        gather->window_bytes = 0;
        uint64_t size = dt2_min(dt2_max(need, want), gather->end - at);
        int rc = dt2_source_pread(gather->source, gather->window, size, at, gather->err);
        if (rc < 0)
            return rc;
        gather->window_at = at;
        gather->window_bytes = size;
    }
    *bytes = gather->window + (at - gather->window_at);
    return 0;
}

static void copy_elements(char *to, const char *from, const struct step *step, uint64_t count, size_t element_bytes)
{
    if (step->from_bytes == element_bytes && step->to_bytes == element_bytes) {
        memcpy(to, from, count * element_bytes);
        return;
    }
    for (uint64_t i = 0; i < count; i++, to += step->to_bytes, from += step->from_bytes)
        switch (element_bytes) { /* sizes that the compiler knows are single moves */
        case 1:
            *to = *from;
            break;
        case 2:
            memcpy(to, from, 2);
            break;
        case 4:
            memcpy(to, from, 4);
            break;
        case 8:
            memcpy(to, from, 8);
            break;
        default:
            memcpy(to, from, element_bytes);
        }
}

/* Copies the elements of the innermost step. `want`: how far it pays to read ahead. */
static int copy_run(struct gather *gather, const struct step *step, uint64_t at, char *to, uint64_t want)
{
    size_t element_bytes = gather->view->element_bytes;
    for (uint64_t done = 0, part; done < step->count; done += part) {
        const char *bytes;
        part = step->count - done;
        if (step->from_bytes > NEAR_BYTES)
            part = 1;
        else if (step->from_bytes > 0)
            part = dt2_min(part, (WINDOW_BYTES - element_bytes) / step->from_bytes + 1);
        uint64_t need = (part - 1) * step->from_bytes + element_bytes;
        int rc = look_at(gather, at + done * step->from_bytes, need, want, &bytes);
        if (rc < 0)
            return rc;
        copy_elements(to + done * step->to_bytes, bytes, step, part, element_bytes);
    }
    return 0;
}

/* Long steps first; there are few. */
static void sort_steps(struct step *steps, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && steps[j - 1].from_bytes < steps[j].from_bytes; j--) {
            struct step moved = steps[j];
            steps[j] = steps[j - 1];
            steps[j - 1] = moved;
        }
}

/* Copies a box of `count` (at least 1) steps, the first element of which is at `at`. */
static int copy_box(struct gather *gather, struct step *steps, size_t count, uint64_t at, char *to)
{
    uint64_t index[DT2_VIEW_AXES] = { 0 };
    sort_steps(steps, count);
    size_t last = count - 1;
    uint64_t want = last > 0 && steps[last - 1].from_bytes <= NEAR_BYTES ? WINDOW_BYTES : 0;
    for (;;) {
        int rc = copy_run(gather, &steps[last], at, to, want);
        if (rc < 0)
            return rc;
        size_t axis = last;
        while (axis > 0 && ++index[axis - 1] == steps[axis - 1].count) { /* back to the axis' beginning */
            axis--;
            index[axis] = 0;
            at -= (steps[axis].count - 1) * steps[axis].from_bytes;
            to -= (steps[axis].count - 1) * steps[axis].to_bytes;
        }
        if (axis == 0)
            return 0;
        at += steps[axis - 1].from_bytes;
        to += steps[axis - 1].to_bytes;
    }
}

/* Copies `count` whole indices of axis `level`, with all that is below them. */
static int copy_whole(struct gather *gather, size_t level, uint64_t count, uint64_t at, char *to)
{
    const struct dt2_view *view = gather->view;
    struct step steps[DT2_VIEW_AXES];
    for (size_t i = level; i < view->axis_count; i++)
        steps[i - level] = (struct step){ i == level ? count : view->axes[i].count, view->axes[i].stride_bytes,
                                          gather->inner[i] * view->element_bytes };
    return copy_box(gather, steps, view->axis_count - level, at, to);
}

/* Copies the elements [first, end) of the axes from `level` on: a broken index, whole ones, a broken one. */
static int copy_range(struct gather *gather, size_t level, uint64_t first, uint64_t end, uint64_t at, char *to)
{
    uint64_t inner = gather->inner[level], stride = gather->view->axes[level].stride_bytes;
    uint64_t index = first / inner;
    int rc = 0;
    if (first % inner) {
        uint64_t stop = dt2_min(end, (index + 1) * inner);
        rc = copy_range(gather, level + 1, first % inner, stop - index * inner, at + index * stride, to);
        to += (stop - first) * gather->view->element_bytes;
        first = stop;
        index++;
    }
    uint64_t whole = (end - first) / inner;
    if (rc == 0 && whole > 0)
        rc = copy_whole(gather, level, whole, at + index * stride, to);
    first += whole * inner;
    to += whole * inner * gather->view->element_bytes;
    if (rc == 0 && first < end)
        rc = copy_range(gather, level + 1, 0, end - first, at + (index + whole) * stride, to);
    return rc;
}

static void swap(char *bytes, uint64_t size, size_t group)
{
    for (char *end = bytes + size; group > 1 && bytes < end; bytes += group)
        for (size_t i = 0; i < group / 2; i++) {
            char moved = bytes[i];
            bytes[i] = bytes[group - 1 - i];
            bytes[group - 1 - i] = moved;
        }
}

/* The elements [first, end). */
static int copy_elements_of(struct gather *gather, uint64_t first, uint64_t end, char *to)
{
    const struct dt2_view *view = gather->view;
    if (first == end)
        return 0;
    int rc = copy_range(gather, 0, first, end, view->offset, to);
    if (rc == 0)
        swap(to, (end - first) * view->element_bytes, view->swap_bytes);
    return rc;
}

/* The bytes [begin, end) of one element. */
static int copy_part(struct gather *gather, uint64_t element, uint64_t begin, uint64_t end, char *to)
{
    char bytes[ELEMENT_MOST];
    int rc = copy_elements_of(gather, element, element + 1, bytes);
    if (rc == 0)
        memcpy(to, bytes + begin, end - begin);
    return rc;
}

/* A request may begin and end inside of elements. */
static int copy_bytes(struct gather *gather, char *to, uint64_t size, uint64_t offset)
{
    uint64_t element_bytes = gather->view->element_bytes;
    uint64_t element = offset / element_bytes, skipped = offset % element_bytes;
    if (skipped > 0) {
        uint64_t end = dt2_min(element_bytes, skipped + size);
        int rc = copy_part(gather, element++, skipped, end, to);
        if (rc < 0)
            return rc;
        to += end - skipped;
        size -= end - skipped;
    }
    uint64_t whole = size / element_bytes, rest = size % element_bytes;
    int rc = copy_elements_of(gather, element, element + whole, to);
    if (rc == 0 && rest > 0)
        rc = copy_part(gather, element + whole, 0, rest, to + whole * element_bytes);
    return rc;
}

int dt2_view_read(const struct dt2_view *view, const struct dt2_source *source, void *destination, uint64_t size,
                  uint64_t offset, struct dt2_error *err)
{
    if (size == 0)
        return 0;
    struct gather gather = { .view = view, .source = source, .err = err, .end = view->offset + view->element_bytes };
    uint64_t inner = 1;
    for (size_t i = view->axis_count; i-- > 0; inner *= view->axes[i].count) {
        gather.inner[i] = inner;
        gather.end += (view->axes[i].count - 1) * view->axes[i].stride_bytes;
    }
    DT2_AUTO char *window = dt2_alloc(WINDOW_BYTES, 1);
    if (!window)
        return dt2_fail_nomem(err);
    gather.window = window;
    return copy_bytes(&gather, destination, size, offset);
}
