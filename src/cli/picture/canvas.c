/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/picture/canvas.h"
#include "cli/report.h"
#include "cli/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Of a character, in sizes of the letters: a little more than the mean of wide sans-serif faces, so that what fits here fits there. */
#define COLUMN 0.6
#define BOLD_COLUMN 0.67
#define SIDE_MOST 8000.0 /* points: what is drawn is bounded, whatever there is to draw */

/* -- drawing: what all kinds have in common */

int cli_canvas_begin(struct cli_canvas *canvas, const struct cli_picture *picture, double width, double height, const char *title,
                     struct dt2_error *err)
{
    *canvas = (struct cli_canvas){ .picture = picture,
                                   .ops = picture->kind == CLI_PICTURE_SVG ? &cli_canvas_svg : cli_canvas_cairo,
                                   .width = width,
                                   .height = height < SIDE_MOST ? height : SIDE_MOST };
    char *shown = cli_printable(title, false);
    int rc = canvas->ops->begin(canvas, shown, err);
    free(shown);
    return rc;
}

void cli_canvas_rectangle(struct cli_canvas *canvas, double x, double y, double width, double height, struct cli_paint paint)
{
    if (width > 0 && height > 0)
        canvas->ops->rectangle(canvas, x, y, width, height, &paint);
}

void cli_canvas_line(struct cli_canvas *canvas, double x1, double y1, double x2, double y2, uint32_t colour, double width)
{
    canvas->ops->line(canvas, x1, y1, x2, y2, colour, width);
}

void cli_canvas_arrow(struct cli_canvas *canvas, double x1, double x2, double y, uint32_t colour, double thickness)
{
    double head = 5 + thickness;
    canvas->ops->line(canvas, x1, y, x2 - head, y, colour, thickness);
    canvas->ops->triangle(canvas, (const double[]){ x2, y, x2 - head, y - head * 0.6, x2 - head, y + head * 0.6 }, colour);
}

/* How many characters have that room. */
static size_t columns_in(double room, double size, bool bold)
{
    double columns = room / (size * (bold ? BOLD_COLUMN : COLUMN));
    return columns > 0 ? (size_t)columns : 0;
}

bool cli_canvas_fits(const char *text, double size, double room)
{
    return cli_columns(text) <= columns_in(room, size, false);
}

void cli_canvas_text(struct cli_canvas *canvas, double x, double y, double room, struct cli_letters letters, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    size_t columns = columns_in(room, letters.size, letters.bold);
    if (n >= 0 && columns >= 5) {
        char *shown = cli_printable(text, false), *cut = cli_shortened(shown, columns);
        canvas->ops->text(canvas, x, y, &letters, cut);
        free(shown);
        free(cut);
    }
    free(n < 0 ? NULL : text);
}

int cli_canvas_end(struct cli_canvas *canvas, struct dt2_error *err)
{
    return canvas->ops->end(canvas, err);
}

/* -- colours: those of Okabe and Ito, the darker ones first */

struct cli_paint cli_share_paint(size_t share)
{
    static const uint32_t colours[] = { 0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0x56B4E9, 0xD55E00, 0xF0E442, 0x6B6B6B };
    size_t count = sizeof colours / sizeof *colours;
    return (struct cli_paint){ colours[share % count], CLI_NO_COLOUR, 0, share / count % 2 == 1 };
}

uint32_t cli_ink_on(uint32_t colour)
{
    double red = colour >> 16 & 255, green = colour >> 8 & 255, blue = colour & 255;
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? 0x000000 : 0xFFFFFF;
}

/* -- SVG. Numbers are written by hand: a locale may have printf() write commas. */

static void put_value(FILE *file, double value)
{
    long hundredths = (long)(value * 100 + (value < 0 ? -0.5 : 0.5));
    fprintf(file, "%s%ld.%02ld", hundredths < 0 ? "-" : "", labs(hundredths) / 100, labs(hundredths) % 100);
}

static void put_number(FILE *file, const char *name, double value)
{
    fprintf(file, " %s=\"", name);
    put_value(file, value);
    putc('"', file);
}

static void put_colour(FILE *file, const char *name, uint32_t colour)
{
    if (colour == CLI_NO_COLOUR)
        fprintf(file, " %s=\"none\"", name);
    else
        fprintf(file, " %s=\"#%06x\"", name, (unsigned)colour);
}

/* Of printable text, which has no character that XML does not know. */
static void put_text(FILE *file, const char *text)
{
    for (const char *c = text; *c; c++)
        switch (*c) {
        case '&':
            fputs("&amp;", file);
            break;
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            putc(*c, file);
        }
}

static int svg_begin(struct cli_canvas *canvas, const char *title, struct dt2_error *err)
{
    FILE *file = canvas->picture->file;
    (void)err;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"", file);
    put_number(file, "width", canvas->width);
    put_number(file, "height", canvas->height);
    fputs(" viewBox=\"0 0 ", file);
    put_value(file, canvas->width);
    putc(' ', file);
    put_value(file, canvas->height);
    fputs("\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>", file);
    put_text(file, title);
    fputs("</title>\n<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"6\" fill=\"#ffffff\" fill-opacity=\"0.6\"/></pattern></defs>\n",
          file);
    return 0;
}

static void put_rectangle(FILE *file, double x, double y, double width, double height)
{
    fputs("<rect", file);
    put_number(file, "x", x);
    put_number(file, "y", y);
    put_number(file, "width", width);
    put_number(file, "height", height);
}

static void svg_rectangle(struct cli_canvas *canvas, double x, double y, double width, double height, const struct cli_paint *paint)
{
    FILE *file = canvas->picture->file;
    put_rectangle(file, x, y, width, height);
    put_colour(file, "fill", paint->fill);
    if (paint->line != CLI_NO_COLOUR) {
        put_colour(file, "stroke", paint->line);
        put_number(file, "stroke-width", paint->width);
    }
    fputs("/>\n", file);
    if (paint->hatched) {
        put_rectangle(file, x, y, width, height);
        fputs(" fill=\"url(#hatch)\"/>\n", file);
    }
}

static void svg_line(struct cli_canvas *canvas, double x1, double y1, double x2, double y2, uint32_t colour, double width)
{
    FILE *file = canvas->picture->file;
    fputs("<line", file);
    put_number(file, "x1", x1);
    put_number(file, "y1", y1);
    put_number(file, "x2", x2);
    put_number(file, "y2", y2);
    put_colour(file, "stroke", colour);
    put_number(file, "stroke-width", width);
    fputs("/>\n", file);
}

static void svg_triangle(struct cli_canvas *canvas, const double points[6], uint32_t colour)
{
    FILE *file = canvas->picture->file;
    fputs("<polygon points=\"", file);
    for (size_t i = 0; i < 6; i++) {
        if (i > 0)
            putc(' ', file);
        put_value(file, points[i]);
    }
    putc('"', file);
    put_colour(file, "fill", colour);
    fputs("/>\n", file);
}

static void svg_text(struct cli_canvas *canvas, double x, double y, const struct cli_letters *letters, const char *text)
{
    static const char *const anchors[] = { "start", "middle", "end" };
    FILE *file = canvas->picture->file;
    fputs("<text", file);
    put_number(file, "x", x);
    put_number(file, "y", y);
    put_number(file, "font-size", letters->size);
    put_colour(file, "fill", letters->colour);
    fprintf(file, "%s text-anchor=\"%s\" xml:space=\"preserve\">", letters->bold ? " font-weight=\"bold\"" : "",
            anchors[letters->align]);
    put_text(file, text);
    fputs("</text>\n", file);
}

static int svg_end(struct cli_canvas *canvas, struct dt2_error *err)
{
    fputs("</svg>\n", canvas->picture->file);
    return ferror(canvas->picture->file) ? cli_fail(err, DT2_EFAILED, "--picture %s: %s", canvas->picture->path, strerror(errno)) : 0;
}

const struct cli_canvas_ops cli_canvas_svg = { svg_begin, svg_rectangle, svg_line, svg_triangle, svg_text, svg_end };
