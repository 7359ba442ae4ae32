/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/plan_bars.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WIDTH_MOST 100
#define WIDTH_LEAST 24 /* of a terminal in which there is anything to see */
#define NAME_MOST 16
#define TEXT_WIDTH 34 /* right of the bar, where there is room */
#define BAR_LEAST 10

enum { IN_USE, PLANNED, RESERVED }; /* how they are filled; what is free is not */

/* The width that may be used; 0: too little. */
static size_t width_of(void)
{
    size_t width, rows;
    cli_term_size(STDOUT_FILENO, &width, &rows);
    return width < WIDTH_LEAST ? 0 : width > WIDTH_MOST ? WIDTH_MOST : width;
}

/* Columns that so many bytes are wide: one at least where there are any. */
static size_t columns_of(uint64_t bytes, uint64_t total, size_t width)
{
    size_t columns = (size_t)((double)bytes / (double)total * (double)width + 0.5);
    columns = bytes && !columns ? 1 : columns;
    return columns < width ? columns : width;
}

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

/* In use and planned from the left, reserved from the right; the quota's end is a line in what is neither. */
static void print_bar(const struct dt2_share *share, const struct dt2_device *device, size_t width)
{
    uint64_t total = device->total_bytes, used = device->free_bytes < total ? total - device->free_bytes : 0;
    uint64_t room = total - used, cost = share->cost_bytes < room ? share->cost_bytes : room;
    size_t in_use = columns_of(used, total, width), planned = columns_of(cost, total, width), reserved = columns_of(share->reserve_bytes, total, width);
    planned = planned < width - in_use ? planned : width - in_use;
    reserved = reserved < width - in_use - planned ? reserved : width - in_use - planned;
    bool bounded = share->quota_bytes != DT2_UNKNOWN && share->quota_bytes < room;
    size_t quota = bounded ? in_use + less(columns_of(share->quota_bytes, total, width), 1) : width;
    for (size_t i = 0; i < width; i++)
        fputs(i < in_use                       ? cli_fill(IN_USE)
              : i == quota && share->quota_bytes ? "|"
              : i < in_use + planned            ? cli_fill(PLANNED)
              : i >= width - reserved           ? cli_fill(RESERVED)
                                                : cli_unfilled(),
              stdout);
}

static const struct dt2_device *device_of(const struct dt2_devices *devices, const char *name)
{
    size_t index;
    return dt2_devices_find(devices, name, &index, NULL) == 0 ? dt2_devices_get(devices, index) : NULL;
}

static void print_row(const struct dt2_share *share, const struct dt2_device *device, size_t names, size_t width)
{
    char planned[CLI_NUMBER_SIZE], total[CLI_NUMBER_SIZE];
    bool texts = width >= names + 4 + BAR_LEAST + TEXT_WIDTH;
    char *name = cli_shortened(share->device, names);
    printf("  %-*s  ", (int)names, name);
    print_bar(share, device, less(width, names + 4 + (texts ? TEXT_WIDTH : 0)));
    if (texts)
        printf("  %s of %s", dt2_size_format(share->cost_bytes, planned, sizeof planned), dt2_size_format(device->total_bytes, total, sizeof total));
    putchar('\n');
    free(name);
}

void cli_plan_bars(const struct dt2_plan *plan, const struct dt2_devices *devices)
{
    size_t width = width_of(), names = 5, rows = 0;
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        size_t columns = cli_columns(dt2_plan_share(plan, i)->device);
        names = columns > names ? columns : names;
    }
    names = names < NAME_MOST ? names : NAME_MOST;
    for (size_t i = 0; width && i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        const struct dt2_device *device = device_of(devices, share->device);
        if (!device || device->total_bytes == DT2_UNKNOWN || device->total_bytes == 0 || less(width, names + 4) < BAR_LEAST)
            continue;
        fputs(rows++ ? "" : "\n", stdout);
        print_row(share, device, names, width);
    }
    if (rows)
        printf("  %s in use  %s planned  %s free  %s reserved\n", cli_fill(IN_USE), cli_fill(PLANNED), cli_unfilled(), cli_fill(RESERVED));
}

void cli_plan_strip(const struct dt2_plan *plan, const struct dt2_blocks *list, uint64_t total)
{
    size_t width = width_of(), count = dt2_blocks_count(list), line = 2;
    const struct dt2_block *blocks = dt2_blocks_array(list);
    size_t block = 0;
    uint64_t end = count ? blocks[0].bytes : 0; /* of `block`, from the model's first byte */
    if (!total || !width)
        return;
    fputs("\n  ", stdout);
    for (size_t i = 0; i < width - 4; i++) {
        double position = ((double)i + 0.5) / (double)(width - 4) * (double)total;
        while (block + 1 < count && (double)end <= position)
            end += blocks[++block].bytes;
        fputs(cli_fill(dt2_plan_block_share(plan, block)), stdout);
    }
    fputs("\n ", stdout);
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const char *name = dt2_plan_share(plan, i)->device;
        line += cli_columns(name) + 4;
        if (i > 0 && line > width) {
            fputs("\n ", stdout);
            line = cli_columns(name) + 6;
        }
        printf(" %s %s%s", cli_fill(i), name, i + 1 < dt2_plan_share_count(plan) ? " " : "\n");
    }
}
