/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A picture in a file: rectangles, lines and text, in points from the upper left corner. SVG is written here, and its text stays
 * text; PNG and PDF are cairo's. Text is of anybody's making: it is made printable, and cut to the room that it has.
 */
#ifndef CLI_PICTURE_CANVAS_H
#define CLI_PICTURE_CANVAS_H

#include <distorch2.h>
#include <stdio.h>

enum cli_picture_kind {
    CLI_PICTURE_SVG,
    CLI_PICTURE_PNG,
    CLI_PICTURE_PDF,
};

/* The file, until it is complete one beside it. */
struct cli_picture {
    enum cli_picture_kind kind;
    char *path, *partial;
    FILE *file;
};

/*
 * By its suffix. Nothing is where `path` is until the picture is kept. Errors: DT2_EUSAGE for another suffix, or one that this
 * build cannot write; DT2_EFAILED when the file cannot be made.
 */
int cli_picture_open(const char *path, struct cli_picture *picture, struct dt2_error *err);
/* Puts it where it belongs. Errors: DT2_EFAILED. */
int cli_picture_keep(struct cli_picture *picture, struct dt2_error *err);
/* Removes what was not kept; fine for a picture that is all zeros. */
void cli_picture_drop(struct cli_picture *picture);

#define CLI_NO_COLOUR UINT32_MAX

/* 0xRRGGBB each. */
struct cli_paint {
    uint32_t fill, line; /* CLI_NO_COLOUR: none */
    double width;        /* of the line */
    bool hatched;
};

enum cli_align {
    CLI_ALIGN_LEFT,
    CLI_ALIGN_MIDDLE,
    CLI_ALIGN_RIGHT,
};

struct cli_letters {
    double size;
    uint32_t colour;
    bool bold;
    enum cli_align align;
};

struct cli_canvas;
/* What a kind of file does; each gets what the functions below have made of their arguments. */
struct cli_canvas_ops {
    int (*begin)(struct cli_canvas *canvas, const char *title, struct dt2_error *err);
    void (*rectangle)(struct cli_canvas *canvas, double x, double y, double width, double height, const struct cli_paint *paint);
    void (*line)(struct cli_canvas *canvas, double x1, double y1, double x2, double y2, uint32_t colour, double width);
    void (*triangle)(struct cli_canvas *canvas, const double points[6], uint32_t colour);
    void (*text)(struct cli_canvas *canvas, double x, double y, const struct cli_letters *letters, const char *text);
    int (*end)(struct cli_canvas *canvas, struct dt2_error *err);
};

struct cli_canvas {
    const struct cli_picture *picture;
    const struct cli_canvas_ops *ops;
    double width, height;
    void *cairo; /* its cairo_t */
};

extern const struct cli_canvas_ops cli_canvas_svg;
/* Of PNG and PDF; NULL in a build without cairo. */
extern const struct cli_canvas_ops *const cli_canvas_cairo;

int cli_canvas_begin(struct cli_canvas *canvas, const struct cli_picture *picture, double width, double height, const char *title,
                     struct dt2_error *err);
void cli_canvas_rectangle(struct cli_canvas *canvas, double x, double y, double width, double height, struct cli_paint paint);
void cli_canvas_line(struct cli_canvas *canvas, double x1, double y1, double x2, double y2, uint32_t colour, double width);
/* To the right, `thickness` high; the head is beyond that. */
void cli_canvas_arrow(struct cli_canvas *canvas, double x1, double x2, double y, uint32_t colour, double thickness);
/* One line, on the base line `y`, from, about or up to x as it is aligned; its middle is left out where it is wider than `room`. */
void cli_canvas_text(struct cli_canvas *canvas, double x, double y, double room, struct cli_letters letters, const char *format, ...)
    DT2_PRINTF(6, 7);
/* Whether so much text has that room, by the widths that text is cut by. */
bool cli_canvas_fits(const char *text, double size, double room);
/* Errors: DT2_EFAILED when not all could be written. */
int cli_canvas_end(struct cli_canvas *canvas, struct dt2_error *err);

/* The colours of shares, which people tell apart who see fewer; after eight they come again, hatched. */
struct cli_paint cli_share_paint(size_t share);
/* Black or white: what can be read on it. */
uint32_t cli_ink_on(uint32_t colour);

#endif
