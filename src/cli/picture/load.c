/* SPDX-License-Identifier: BSD-3-Clause */
/* What a load did: for each device what was read, waited for and copied, over the time that it took. */
#include "cli/picture/picture.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_HEIGHT 58.0
#define DOINGS 3
#define LANE_HEIGHT 22.0
#define DEVICE_HEIGHT (DOINGS * LANE_HEIGHT + 30)
#define DEVICES_MOST 32
#define LEFT (CLI_PICTURE_MARGIN + 84) /* of the time */
#define WIDTH (CLI_PICTURE_WIDTH - CLI_PICTURE_MARGIN - LEFT)
#define TICKS 10

static const char *const doing_names[DOINGS] = { "reading", "waiting", "copying" };
static const uint32_t doing_colours[DOINGS] = { 0x0072B2, 0xD55E00, 0x009E73 };

static const uint64_t *done_of(const struct dt2_device_stats *device, size_t doing)
{
    const uint64_t *const done[DOINGS] = { device->reading_ns, device->waiting_ns, device->copying_ns };
    return done[doing];
}

/* The time that is drawn: to the last byte of all. */
static uint64_t span_of(const struct dt2_model_stats *stats)
{
    uint64_t most = 1;
    for (size_t i = 0; i < stats->device_count; i++) {
        const struct dt2_device_stats *device = stats->devices[i];
        uint64_t acted = device->interval_ns * device->interval_count;
        most = device->ns > most ? device->ns : most;
        most = acted > most ? acted : most;
    }
    return most;
}

/* How many are at it at once, at most: as high as a lane is. */
static double most_at_once(const struct dt2_model_stats *stats)
{
    double most = 1;
    for (size_t i = 0; i < stats->device_count; i++)
        for (size_t j = 0; j < DOINGS * stats->devices[i]->interval_count; j++) {
            const struct dt2_device_stats *device = stats->devices[i];
            double now = (double)done_of(device, j % DOINGS)[j / DOINGS] / (double)device->interval_ns;
            most = now > most ? now : most;
        }
    return most;
}

static void draw_lane(struct cli_canvas *canvas, const struct dt2_device_stats *device, size_t doing, double span, double most, double top)
{
    const uint64_t *done = done_of(device, doing);
    const double scale = WIDTH / span, height = LANE_HEIGHT - 4, bottom = top + height;
    double all = 0;
    for (size_t i = 0; i < device->interval_count; i++) {
        double part = (double)done[i] / (double)device->interval_ns / most * height;
        all += (double)done[i];
        cli_canvas_rectangle(canvas, LEFT + (double)(i * device->interval_ns) * scale, bottom - part, (double)device->interval_ns * scale, part,
                             (struct cli_paint){ doing_colours[doing], CLI_NO_COLOUR, 0, false });
    }
    cli_canvas_line(canvas, LEFT, bottom, LEFT + WIDTH, bottom, CLI_PICTURE_LINE, 0.5);
    struct cli_letters letters = { 9, CLI_PICTURE_FAINT, false, CLI_ALIGN_RIGHT };
    char seconds[CLI_NUMBER_SIZE];
    cli_canvas_text(canvas, LEFT - 6, bottom - 3, LEFT - CLI_PICTURE_MARGIN, letters, "%s %s", doing_names[doing],
                    cli_seconds((uint64_t)all, seconds));
}

static void draw_device(struct cli_canvas *canvas, const struct dt2_device_stats *device, size_t share, double span, double most, double top)
{
    char size[CLI_NUMBER_SIZE], seconds[CLI_NUMBER_SIZE], rate[CLI_NUMBER_SIZE];
    cli_canvas_rectangle(canvas, CLI_PICTURE_MARGIN, top + 4, 11, 11, cli_share_paint(share));
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN + 17, top + 14, CLI_PICTURE_INNER - 20, cli_letters(12, CLI_PICTURE_INK, true),
                    device->bytes ? "%s  %s in %s, %s" : "%s  %s", device->device, dt2_size_format(device->bytes, size, sizeof size),
                    cli_seconds(device->ns, seconds), cli_rate(cli_gbps(device->bytes, device->ns), rate));
    for (size_t i = 0; i < DOINGS; i++)
        draw_lane(canvas, device, i, span, most, top + 20 + (double)i * LANE_HEIGHT);
    if (device->bytes) {
        double end = LEFT + (double)device->ns / span * WIDTH;
        cli_canvas_line(canvas, end, top + 18, end, top + 20 + DOINGS * LANE_HEIGHT, CLI_PICTURE_INK, 1);
    }
}

/* Tenths of the time. */
static void draw_axis(struct cli_canvas *canvas, uint64_t span, double top)
{
    for (uint64_t i = 0; i <= TICKS; i++) {
        double x = LEFT + WIDTH * (double)i / TICKS;
        struct cli_letters letters = { 9, CLI_PICTURE_FAINT, false, i == 0 ? CLI_ALIGN_LEFT : i == TICKS ? CLI_ALIGN_RIGHT : CLI_ALIGN_MIDDLE };
        char seconds[CLI_NUMBER_SIZE];
        cli_canvas_line(canvas, x, top, x, top + 5, CLI_PICTURE_LINE, 1);
        cli_canvas_text(canvas, x, top + 15, WIDTH / TICKS, letters, "%s", cli_seconds(span / TICKS * i, seconds));
    }
    cli_canvas_line(canvas, LEFT, top, LEFT + WIDTH, top, CLI_PICTURE_LINE, 1);
}

static void draw_title(struct cli_canvas *canvas, const char *name, const struct dt2_model_stats *stats, double most, double top)
{
    char size[CLI_NUMBER_SIZE], seconds[CLI_NUMBER_SIZE], staging[CLI_NUMBER_SIZE];
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 20, CLI_PICTURE_INNER, cli_letters(18, CLI_PICTURE_INK, true), "%s", name);
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 40, CLI_PICTURE_INNER, cli_letters(11, CLI_PICTURE_FAINT, false),
                    "loaded %s in %s, allocation included; %s past the page cache, %u reads at once by %s, %s of staging",
                    dt2_size_format(stats->bytes, size, sizeof size), cli_seconds(stats->ns, seconds),
                    stats->direct_bytes == 0              ? "nothing"
                    : stats->direct_bytes < stats->bytes ? "a part"
                                                          : "all",
                    stats->queue_depth, stats->engine, dt2_size_format(stats->staging_bytes, staging, sizeof staging));
    cli_canvas_text(canvas, CLI_PICTURE_MARGIN, top + 55, CLI_PICTURE_INNER, cli_letters(9.5, CLI_PICTURE_FAINT, false),
                    "As high as a lane is, %.0f are at it at once; the line is a device's last byte. Waiting: for memory.", most);
}

int cli_picture_of_load(const struct cli_picture *picture, const char *name, const struct dt2_model_stats *stats, struct dt2_error *err)
{
    struct cli_canvas canvas;
    size_t count = stats->device_count < DEVICES_MOST ? stats->device_count : DEVICES_MOST;
    double top = CLI_PICTURE_MARGIN - 8, below = top + TITLE_HEIGHT + 14, axis = below + (double)count * DEVICE_HEIGHT;
    double height = axis + 34 + CLI_PICTURE_MARGIN, most = most_at_once(stats);
    uint64_t span = span_of(stats);
    char *title = cli_format("%s, loaded by distorch2", name);
    int rc = cli_canvas_begin(&canvas, picture, CLI_PICTURE_WIDTH, height, title, err);
    free(title);
    if (rc < 0)
        return rc;
    cli_canvas_rectangle(&canvas, 0, 0, CLI_PICTURE_WIDTH, height, (struct cli_paint){ 0xFFFFFF, CLI_NO_COLOUR, 0, false });
    draw_title(&canvas, name, stats, most, top);
    for (size_t i = 0; i < count; i++)
        draw_device(&canvas, stats->devices[i], i, (double)span, most, below + (double)i * DEVICE_HEIGHT);
    draw_axis(&canvas, span, axis);
    if (count < stats->device_count)
        cli_canvas_text(&canvas, CLI_PICTURE_MARGIN, axis + 32, CLI_PICTURE_INNER, cli_letters(9.5, CLI_PICTURE_FAINT, false),
                        "and %zu more shares", stats->device_count - count);
    return cli_canvas_end(&canvas, err);
}
