/* SPDX-License-Identifier: BSD-3-Clause */
/* PNG and PDF. The only source that sees cairo. */
#include "cli/picture/canvas.h"

#ifdef HAVE_CAIRO
#include "cli/report.h"
#include <cairo-pdf.h>
#include <cairo.h>

#define PNG_SCALE 2.0 /* pixels a point */

static cairo_status_t write_part(void *closure, const unsigned char *data, unsigned length)
{
    return fwrite(data, 1, length, closure) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static int fail(const struct cli_canvas *canvas, cairo_status_t status, struct dt2_error *err)
{
    return cli_fail(err, status == CAIRO_STATUS_NO_MEMORY ? DT2_ENOMEM : DT2_EFAILED, "--picture %s: %s", canvas->picture->path,
                    cairo_status_to_string(status));
}

static void set_colour(cairo_t *cr, uint32_t colour)
{
    cairo_set_source_rgb(cr, (colour >> 16 & 255) / 255.0, (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0);
}

static int begin(struct cli_canvas *canvas, const char *title, struct dt2_error *err)
{
    bool png = canvas->picture->kind == CLI_PICTURE_PNG;
    cairo_surface_t *surface =
        png ? cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(canvas->width * PNG_SCALE), (int)(canvas->height * PNG_SCALE))
            : cairo_pdf_surface_create_for_stream(write_part, canvas->picture->file, canvas->width, canvas->height);
    if (!png)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, title);
    cairo_t *cr = cairo_create(surface);
    cairo_surface_destroy(surface); /* `cr` holds it */
    canvas->cairo = cr;
    if (cairo_status(cr) != CAIRO_STATUS_SUCCESS) {
        int rc = fail(canvas, cairo_status(cr), err);
        cairo_destroy(cr);
        return rc;
    }
    if (png)
        cairo_scale(cr, PNG_SCALE, PNG_SCALE);
    return 0;
}

static void hatch(cairo_t *cr, double x, double y, double width, double height)
{
    cairo_save(cr);
    cairo_rectangle(cr, x, y, width, height);
    cairo_clip(cr);
    cairo_set_source_rgba(cr, 1, 1, 1, 0.6);
    cairo_set_line_width(cr, 2);
    for (double at = x - height; at < x + width; at += 8) {
        cairo_move_to(cr, at, y + height);
        cairo_line_to(cr, at + height, y);
    }
    cairo_stroke(cr);
    cairo_restore(cr);
}

static void rectangle(struct cli_canvas *canvas, double x, double y, double width, double height, const struct cli_paint *paint)
{
    cairo_t *cr = canvas->cairo;
    cairo_rectangle(cr, x, y, width, height);
    if (paint->fill != CLI_NO_COLOUR) {
        set_colour(cr, paint->fill);
        cairo_fill_preserve(cr);
    }
    if (paint->line != CLI_NO_COLOUR) {
        set_colour(cr, paint->line);
        cairo_set_line_width(cr, paint->width);
        cairo_stroke_preserve(cr);
    }
    cairo_new_path(cr);
    if (paint->hatched)
        hatch(cr, x, y, width, height);
}

static void line(struct cli_canvas *canvas, double x1, double y1, double x2, double y2, uint32_t colour, double width)
{
    cairo_t *cr = canvas->cairo;
    set_colour(cr, colour);
    cairo_set_line_width(cr, width);
    cairo_move_to(cr, x1, y1);
    cairo_line_to(cr, x2, y2);
    cairo_stroke(cr);
}

static void triangle(struct cli_canvas *canvas, const double points[6], uint32_t colour)
{
    cairo_t *cr = canvas->cairo;
    set_colour(cr, colour);
    for (size_t i = 0; i < 6; i += 2)
        cairo_line_to(cr, points[i], points[i + 1]);
    cairo_close_path(cr);
    cairo_fill(cr);
}

static void text(struct cli_canvas *canvas, double x, double y, const struct cli_letters *letters, const char *text)
{
    cairo_t *cr = canvas->cairo;
    cairo_text_extents_t extents;
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           letters->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, letters->size);
    cairo_text_extents(cr, text, &extents);
    set_colour(cr, letters->colour);
    cairo_move_to(cr, x - extents.x_advance * (double)letters->align / 2, y);
    cairo_show_text(cr, text);
}

static int end(struct cli_canvas *canvas, struct dt2_error *err)
{
    cairo_t *cr = canvas->cairo;
    cairo_surface_t *surface = cairo_get_target(cr);
    cairo_status_t status = cairo_status(cr);
    if (status == CAIRO_STATUS_SUCCESS && canvas->picture->kind == CLI_PICTURE_PNG) {
        status = cairo_surface_write_to_png_stream(surface, write_part, canvas->picture->file);
    } else if (status == CAIRO_STATUS_SUCCESS) {
        cairo_surface_finish(surface);
        status = cairo_surface_status(surface);
    }
    cairo_destroy(cr);
    return status == CAIRO_STATUS_SUCCESS ? 0 : fail(canvas, status, err);
}

static const struct cli_canvas_ops ops = { begin, rectangle, line, triangle, text, end };
const struct cli_canvas_ops *const cli_canvas_cairo = &ops;
#else
const struct cli_canvas_ops *const cli_canvas_cairo = NULL;
#endif
