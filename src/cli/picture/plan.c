/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan: its machine, what streams in a pass, the blocks in execution order, a legend. */
#include "cli/picture/picture.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_HEIGHT 58.0
#define ARROW_HEIGHT 30.0
#define ARROWS_MOST 16
#define STRIP_HEIGHT 40.0
#define GROUP_LEAST 44.0 /* the width of what has its name below the strip */
#define PARTS_MOST 6
#define LEGEND_MOST 24
#define LEGEND_COLUMNS 3
#define LEGEND_HEIGHT 18.0

struct cli_letters cli_letters(double size, uint32_t colour, bool bold)
{
    return (struct cli_letters){ size, colour, bold, CLI_ALIGN_LEFT };
}

void cli_picture_heading(struct cli_canvas *canvas, double top, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n >= 0)
        cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 16, CLI_PICTURE_INNER, cli_letters(13, CLI_PICTURE_INK, true), "%s", text);
    free(n < 0 ? NULL : text);
}

static char *seconds_text(double seconds, char *out)
{
    return cli_seconds((uint64_t)(seconds * 1e9), out);
}

static void draw_title(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    char size[CLI_NUMBER_SIZE], warm[CLI_NUMBER_SIZE], cold[CLI_NUMBER_SIZE];
    const struct dt2_prediction *p = dt2_plan_prediction(planned->plan);
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 20, CLI_PICTURE_INNER, cli_letters(18, CLI_PICTURE_INK, true), "%s",
                    planned->name);
    char *times = p ? cli_format(", loads in %s, from the disk in %s%s", seconds_text(p->load_seconds, warm),
                                 seconds_text(p->load_cold_seconds, cold), p->assumed ? " (speeds are assumed)" : "")
                    : cli_format("%s", "");
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 40, CLI_PICTURE_INNER, cli_letters(11, CLI_PICTURE_FAINT, false),
                    "%s in %zu blocks, computing on %s%s", dt2_size_format(planned->bytes, size, sizeof size), planned->block_count,
                    dt2_plan_compute_device(planned->plan), times);
    free(times);
}

/* -- a pass */

static bool streams(const struct cli_planned *planned, size_t share)
{
    const struct dt2_share *donor = dt2_plan_share(planned->plan, share);
    return dt2_plan_window_bytes(planned->plan) > 0 && donor->bytes > 0 &&
           strcmp(donor->device, dt2_plan_compute_device(planned->plan)) != 0;
}

static size_t arrow_count(const struct cli_planned *planned)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_plan_share_count(planned->plan); i++)
        count += streams(planned, i);
    return count < ARROWS_MOST ? count : ARROWS_MOST;
}

static double pass_height(const struct cli_planned *planned)
{
    size_t arrows = arrow_count(planned);
    return arrows ? CLI_PICTURE_HEADING + (double)arrows * ARROW_HEIGHT + 14 : 0;
}

static void draw_arrow(struct cli_canvas *canvas, const struct cli_planned *planned, size_t share, double y)
{
    const struct dt2_share *donor = dt2_plan_share(planned->plan, share);
    struct cli_paint paint = cli_share_paint(share);
    char size[CLI_NUMBER_SIZE], rate[CLI_NUMBER_SIZE];
    double left = CLI_PICTURE_MARGIN + 150, right = CLI_PICTURE_WIDTH - CLI_PICTURE_MARGIN - 170;
    cli_canvas_rectangle(canvas, CLI_PICTURE_MARGIN, y + 3, 150, ARROW_HEIGHT - 6, paint);
    struct cli_letters name = { 11, cli_ink_on(paint.fill), true, CLI_ALIGN_MIDDLE };
    if (paint.hatched)
        cli_canvas_rectangle(canvas, CLI_PICTURE_MARGIN + 6, y + 8, 138, ARROW_HEIGHT - 15,
                             (struct cli_paint){ paint.fill, CLI_NO_COLOUR, 0, false });
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN + 75, y + 19, 140, name, "%s", donor->device);
    double thickness = 1.5 + 8 * (double)donor->bytes / (double)(planned->bytes ? planned->bytes : 1);
    cli_canvas_arrow(canvas, left, right, y + ARROW_HEIGHT / 2 + 5, paint.fill, thickness);
    struct cli_letters letters = { 10, CLI_PICTURE_INK, false, CLI_ALIGN_MIDDLE };
    cli_canvas_text(canvas, (left + right) / 2, y + 11, right - left, letters, "%s%s%s", dt2_size_format(donor->bytes, size, sizeof size),
                    donor->stream_gbps > 0 ? " at " : "", donor->stream_gbps > 0 ? cli_rate(donor->stream_gbps, rate) : "");
}

static void draw_pass(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    size_t arrows = arrow_count(planned), drawn = 0;
    const struct dt2_prediction *p = dt2_plan_prediction(planned->plan);
    char size[CLI_NUMBER_SIZE], transfer[CLI_NUMBER_SIZE], stall[CLI_NUMBER_SIZE], window[CLI_NUMBER_SIZE];
    if (!arrows)
        return;
    if (p)
        cli_picture_heading(canvas, top, "A pass streams %s in %s, and waits %s for it", dt2_size_format(p->streamed_bytes, size, sizeof size),
                            seconds_text(p->transfer_seconds, transfer), seconds_text(p->stall_seconds, stall));
    else
        cli_picture_heading(canvas, top, "A pass");
    top += CLI_PICTURE_HEADING;
    for (size_t i = 0; i < dt2_plan_share_count(planned->plan) && drawn < arrows; i++)
        if (streams(planned, i))
            draw_arrow(canvas, planned, i, top + (double)drawn++ * ARROW_HEIGHT);
    double x = CLI_PICTURE_WIDTH - CLI_PICTURE_MARGIN - 164, height = (double)arrows * ARROW_HEIGHT;
    cli_canvas_rectangle(canvas, x, top, 164, height, (struct cli_paint){ 0xFFFFFF, 0x000000, 2, false });
    struct cli_letters name = { 12, CLI_PICTURE_INK, true, CLI_ALIGN_MIDDLE }, words = { 9, CLI_PICTURE_FAINT, false, CLI_ALIGN_MIDDLE };
    cli_canvas_text(canvas, x + 82, top + height / 2 - 1, 156, name, "%s", dt2_plan_compute_device(planned->plan));
    cli_canvas_text(canvas, x + 82, top + height / 2 + 11, 156, words, "a window of %s",
                    dt2_size_format(dt2_plan_window_bytes(planned->plan), window, sizeof window));
}

/* -- blocks */

/* Neighbours of one share; those narrower than a point are drawn with what is beside them. */
static void draw_strip(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    const double x = CLI_PICTURE_MARGIN, scale = planned->bytes ? CLI_PICTURE_INNER / (double)planned->bytes : 0;
    uint64_t begin = 0, end = 0;
    for (size_t i = 0, first = 0; i < planned->block_count; i++) {
        end += planned->blocks[i].bytes;
        size_t share = dt2_plan_block_share(planned->plan, first);
        bool last = i + 1 == planned->block_count;
        if (!last && (dt2_plan_block_share(planned->plan, i + 1) == share || (double)(end - begin) * scale < 1))
            continue;
        cli_canvas_rectangle(canvas, x + (double)begin * scale, top, (double)(end - begin) * scale, STRIP_HEIGHT, cli_share_paint(share));
        begin = end;
        first = i + 1;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < planned->block_count; i++) {
        double width = (double)planned->blocks[i].bytes * scale;
        if (at > 0 && width >= 3)
            cli_canvas_line(canvas, x + (double)at * scale, top, x + (double)at * scale, top + STRIP_HEIGHT, 0xFFFFFF, 0.5);
        at += planned->blocks[i].bytes;
    }
    cli_canvas_rectangle(canvas, x, top, CLI_PICTURE_INNER, STRIP_HEIGHT, (struct cli_paint){ CLI_NO_COLOUR, CLI_PICTURE_INK, 0.8, false });
}

/* How long the first `parts` parts of a name are, which dots divide. */
static size_t head_of(const char *name, size_t parts)
{
    const char *end = name;
    for (size_t i = 0; i < parts && *end; i++)
        end += strcspn(end, ".") + (i + 1 < parts && end[strcspn(end, ".")] ? 1 : 0);
    return (size_t)(end - name);
}

static bool same_head(const struct cli_planned *planned, size_t a, size_t b, size_t parts)
{
    const char *first = planned->blocks[a].name, *second = planned->blocks[b].name;
    size_t length = head_of(first, parts);
    return length == head_of(second, parts) && memcmp(first, second, length) == 0;
}

/* Goes through the parts of the network, as its names are divided; counts those that are wide enough for a name. NULL: draws nothing. */
static size_t walk_groups(struct cli_canvas *canvas, const struct cli_planned *planned, size_t parts, double top)
{
    const double scale = planned->bytes ? CLI_PICTURE_INNER / (double)planned->bytes : 0;
    double begin = CLI_PICTURE_MARGIN, end = begin;
    size_t wide = 0;
    for (size_t i = 0, first = 0; i < planned->block_count; i++) {
        end += (double)planned->blocks[i].bytes * scale;
        if (i + 1 < planned->block_count && same_head(planned, i, i + 1, parts))
            continue;
        const char *name = planned->blocks[first].name;
        size_t length = head_of(name, parts), shared = same_head(planned, 0, planned->block_count - 1, 1) ? head_of(name, 1) + 1 : 0;
        bool named = end - begin >= GROUP_LEAST && length > shared;
        struct cli_letters letters = { 8.5, CLI_PICTURE_FAINT, false, CLI_ALIGN_MIDDLE };
        wide += named;
        if (canvas && end - begin >= 3)
            cli_canvas_line(canvas, end, top, end, top + 5, CLI_PICTURE_LINE, 0.8);
        if (canvas && named)
            cli_canvas_text(canvas, (begin + end) / 2, top + 13, end - begin - 2, letters, "%.*s", (int)(length - shared), name + shared);
        begin = end;
        first = i + 1;
    }
    return wide;
}

/* Names below the strip: of as many parts of names as leave the most of them wide enough. */
static void draw_groups(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    size_t best = 1, most = 0;
    for (size_t parts = 1; parts <= PARTS_MOST; parts++) {
        size_t wide = walk_groups(NULL, planned, parts, top);
        if (wide > most) {
            most = wide;
            best = parts;
        }
    }
    walk_groups(canvas, planned, best, top);
}

static size_t legend_count(const struct cli_planned *planned)
{
    size_t count = dt2_plan_share_count(planned->plan);
    return count < LEGEND_MOST ? count : LEGEND_MOST;
}

static double blocks_height(const struct cli_planned *planned)
{
    size_t rows = (legend_count(planned) + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    return CLI_PICTURE_HEADING + STRIP_HEIGHT + 28 + (double)rows * LEGEND_HEIGHT + 12;
}

static void draw_legend(struct cli_canvas *canvas, const struct cli_planned *planned, double top)
{
    size_t count = legend_count(planned), all = dt2_plan_share_count(planned->plan);
    double width = CLI_PICTURE_INNER / LEGEND_COLUMNS;
    for (size_t i = 0; i < count; i++) {
        const struct dt2_share *share = dt2_plan_share(planned->plan, i);
        double x = CLI_PICTURE_MARGIN + (double)(i % LEGEND_COLUMNS) * width;
        double y = top + (double)(i / LEGEND_COLUMNS) * LEGEND_HEIGHT;
        char size[CLI_NUMBER_SIZE], part[CLI_NUMBER_SIZE];
        cli_canvas_rectangle(canvas, x, y, 13, 11, cli_share_paint(i));
        cli_canvas_text(canvas, x + 19, y + 10, width - 26, cli_letters(10, CLI_PICTURE_INK, false), "%s  %s  %s  %zu blocks", share->device,
                        dt2_size_format(share->bytes, size, sizeof size), cli_share(share->bytes, planned->bytes, part),
                        share->block_count);
    }
    if (all > count)
        cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + blocks_height(planned), CLI_PICTURE_INNER,
                        cli_letters(9.5, CLI_PICTURE_FAINT, false), "and %zu more shares", all - count);
}

int cli_picture_of_plan(const struct cli_picture *picture, const struct cli_planned *planned, struct dt2_error *err)
{
    struct cli_canvas canvas;
    double machine = cli_picture_machine_height(planned), pass = pass_height(planned), top = CLI_PICTURE_MARGIN - 8;
    double height = top + TITLE_HEIGHT + machine + pass + blocks_height(planned) + CLI_PICTURE_MARGIN;
    char *title = cli_format("%s, planned by distorch2", planned->name);
    int rc = cli_canvas_begin(&canvas, picture, CLI_PICTURE_WIDTH, height, title, err);
    free(title);
    if (rc < 0)
        return rc;
    cli_canvas_rectangle(&canvas, 0, 0, CLI_PICTURE_WIDTH, height, (struct cli_paint){ 0xFFFFFF, CLI_NO_COLOUR, 0, false });
    draw_title(&canvas, planned, top);
    cli_picture_machine(&canvas, planned, top + TITLE_HEIGHT);
    draw_pass(&canvas, planned, top + TITLE_HEIGHT + machine);
    top += TITLE_HEIGHT + machine + pass;
    cli_picture_heading(&canvas, top, "Blocks in execution order");
    draw_strip(&canvas, planned, top + CLI_PICTURE_HEADING);
    draw_groups(&canvas, planned, top + CLI_PICTURE_HEADING + STRIP_HEIGHT);
    draw_legend(&canvas, planned, top + CLI_PICTURE_HEADING + STRIP_HEIGHT + 28);
    return cli_canvas_end(&canvas, err);
}
