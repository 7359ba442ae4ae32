/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be drawn: a plan, and what a load did. */
#ifndef CLI_PICTURE_PICTURE_H
#define CLI_PICTURE_PICTURE_H

#include "cli/picture/canvas.h"

/* What a picture of a plan shows. */
struct cli_planned {
    const char *name; /* of the model */
    const struct dt2_plan *plan;
    const struct dt2_block *blocks;
    size_t block_count;
    uint64_t bytes;
    const struct dt2_devices *devices; /* it was planned for these */
};
/* The machine with what lies where, what streams in a pass, and the blocks in execution order. Errors: as cli_canvas_end(). */
int cli_picture_of_plan(const struct cli_picture *picture, const struct cli_planned *planned, struct dt2_error *err);

/* For each device what was read, waited for and copied, over time. Errors: as cli_canvas_end(). */
int cli_picture_of_load(const struct cli_picture *picture, const char *name, const struct dt2_model_stats *stats, struct dt2_error *err);

/* -- between the parts of a picture: each is drawn from `top` on -- */

#define CLI_PICTURE_WIDTH 1000.0
#define CLI_PICTURE_MARGIN 24.0
#define CLI_PICTURE_INNER (CLI_PICTURE_WIDTH - 2 * CLI_PICTURE_MARGIN)
#define CLI_PICTURE_INK 0x222222u
#define CLI_PICTURE_FAINT 0x666666u
#define CLI_PICTURE_LINE 0x999999u

/* Left-aligned letters. */
struct cli_letters cli_letters(double size, uint32_t colour, bool bold);
/* Of a part, with its heading. */
void cli_picture_heading(struct cli_canvas *canvas, double top, const char *format, ...) DT2_PRINTF(3, 4);
#define CLI_PICTURE_HEADING 26.0

/* The machine: its memories, and the devices with their links. */
double cli_picture_machine_height(const struct cli_planned *planned);
void cli_picture_machine(struct cli_canvas *canvas, const struct cli_planned *planned, double top);

#endif
