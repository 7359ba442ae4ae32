/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/progress.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/text.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- Ctrl-C -- */

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void cli_interrupt_start(void)
{
    struct sigaction before, action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
    sigaction(SIGINT, NULL, &before);
    if (before.sa_handler != SIG_IGN) /* a shell's background jobs are not meant by Ctrl-C */
        sigaction(SIGINT, &action, NULL);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}

/* -- bars -- */

#define BAR_LEAST 8
#define BAR_MOST 40

/* What all lines of one drawing have in common. */
struct drawing {
    FILE *out;
    const char *phase;
    size_t width; /* of the terminal, less the column that the cursor needs */
    int label_width;
    uint64_t elapsed_ns;
};

/* Prints as much of a line as the terminal is wide. */
static void put_line(const struct drawing *drawing, const char *text)
{
    fprintf(drawing->out, "%.*s\n", (int)cli_prefix(text, drawing->width), text);
}

/* "0:01", or "-" while nothing can be told. */
static char *time_left(uint64_t done, uint64_t total, uint64_t elapsed_ns, char *out)
{
    if (done && done <= total)
        return cli_clock((uint64_t)((double)elapsed_ns / (double)done * (double)(total - done)), out);
    return strcpy(out, "-");
}

static unsigned percent_of(uint64_t done, uint64_t total)
{
    return total ? (unsigned)((double)done / (double)total * 100) : 100;
}

/* "opencl:0  ████████░░░░   212 MiB of 345 MiB   61 %   2.31 GB/s   0:01 left" */
static void draw_bar(const struct drawing *drawing, const char *label, uint64_t done, uint64_t total)
{
    char done_text[CLI_NUMBER_SIZE], total_text[CLI_NUMBER_SIZE], rate[CLI_NUMBER_SIZE], left[CLI_NUMBER_SIZE];
    char *numbers = cli_format("%9s of %9s %4u %% %10s %7s left", dt2_size_format(done, done_text, sizeof done_text),
                               dt2_size_format(total, total_text, sizeof total_text), percent_of(done, total),
                               cli_rate(cli_gbps(done, drawing->elapsed_ns), rate),
                               time_left(done, total, drawing->elapsed_ns, left));
    size_t taken = 2 + (size_t)drawing->label_width + 2 + cli_columns(numbers);
    size_t room = drawing->width > taken ? drawing->width - taken : 0;
    char *bar = cli_bar(done, total, room < BAR_LEAST ? 0 : room > BAR_MOST ? BAR_MOST : room);
    char *line = cli_format("  %-*s  %s%s", drawing->label_width, label, bar, numbers);
    put_line(drawing, line);
    free(line);
    free(bar);
    free(numbers);
}

/* Returns the number of lines. */
static unsigned draw(const struct drawing *drawing, const struct dt2_progress *now, size_t rows)
{
    char *name = cli_printable(now->model ? now->model : "", false);
    char *title = cli_format("%s %s", drawing->phase, name);
    put_line(drawing, title);
    free(title);
    free(name);
    size_t shown = now->device_count + 3 <= rows ? now->device_count : 0;
    for (size_t i = 0; i < shown; i++)
        draw_bar(drawing, now->devices[i]->device, now->devices[i]->done_bytes, now->devices[i]->total_bytes);
    draw_bar(drawing, "total", now->done_bytes, now->total_bytes);
    return (unsigned)shown + 2;
}

static void show_bars(const char *phase, const struct dt2_progress *now, uint64_t elapsed_ns)
{
    char *text = NULL;
    size_t length, columns, rows;
    struct drawing drawing = {
        .out = open_memstream(&text, &length), .phase = phase, .elapsed_ns = elapsed_ns, .label_width = 5
    };
    if (!drawing.out)
        return;
    cli_term_size(STDERR_FILENO, &columns, &rows);
    drawing.width = columns - 1;
    for (size_t i = 0; i < now->device_count; i++) {
        int width = (int)cli_columns(now->devices[i]->device);
        drawing.label_width = width > drawing.label_width ? width : drawing.label_width;
    }
    unsigned lines = draw(&drawing, now, rows);
    if (fclose(drawing.out) == 0)
        cli_status_show(text, lines);
    free(text);
}

/* -- lines -- */

/* "loading control.safetensors: 212 MiB of 345 MiB, 61 %, 2.31 GB/s, 0:01 left" */
static void show_line(const char *phase, const struct dt2_progress *now, uint64_t elapsed_ns)
{
    char done[CLI_NUMBER_SIZE], total[CLI_NUMBER_SIZE], rate[CLI_NUMBER_SIZE], left[CLI_NUMBER_SIZE];
    char *line = cli_format("%s %s: %s of %s, %u %%, %s, %s left", phase, now->model ? now->model : "",
                            dt2_size_format(now->done_bytes, done, sizeof done),
                            dt2_size_format(now->total_bytes, total, sizeof total),
                            percent_of(now->done_bytes, now->total_bytes),
                            cli_rate(cli_gbps(now->done_bytes, elapsed_ns), rate),
                            time_left(now->done_bytes, now->total_bytes, elapsed_ns, left));
    cli_line(line);
    free(line);
}

/* One object, on a line of its own. */
static void show_json(const char *phase, const struct dt2_progress *now, uint64_t elapsed_ns)
{
    json_t *object = json_object(), *devices = json_array();
    for (size_t i = 0; i < now->device_count; i++) {
        json_t *device = json_object();
        cli_json_set(device, "device", cli_json_text(now->devices[i]->device));
        cli_json_set(device, "done_bytes", cli_json_bytes(now->devices[i]->done_bytes));
        cli_json_set(device, "total_bytes", cli_json_bytes(now->devices[i]->total_bytes));
        cli_json_append(devices, device);
    }
    cli_json_set(object, "phase", cli_json_text(phase));
    cli_json_set(object, "model", cli_json_text(now->model));
    cli_json_set(object, "done_bytes", cli_json_bytes(now->done_bytes));
    cli_json_set(object, "total_bytes", cli_json_bytes(now->total_bytes));
    cli_json_set(object, "seconds", json_real((double)elapsed_ns / 1e9));
    cli_json_set(object, "devices", devices);
    char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    char *shown = cli_json_shown(line ? line : "{}");
    cli_line(shown);
    free(shown);
    free(line);
    json_decref(object);
}

/* -- when -- */

#define REDRAW_NS 100000000u /* ten times a second at most */
#define LINE_NS 5000000000u

uint64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cli_progress_start(struct cli_progress *progress, const struct cli_options *options)
{
    *progress = (struct cli_progress){ .mode = (enum cli_progress_mode)options->progress };
    if (progress->mode == CLI_PROGRESS_AUTO && cli_errors_can_redraw())
        progress->mode = CLI_PROGRESS_BAR;
}

/* Whether to show how far it is; the end of what is shown is shown once. */
static bool is_due(const struct cli_progress *progress, bool first, bool end, uint64_t time)
{
    uint64_t since = time - progress->shown_ns;
    switch (progress->mode) {
    case CLI_PROGRESS_AUTO:
        return since >= LINE_NS;
    case CLI_PROGRESS_LINES:
        return first || (end ? !progress->ended : since >= LINE_NS);
    case CLI_PROGRESS_JSON:
        return first || (end ? !progress->ended : since >= REDRAW_NS);
    case CLI_PROGRESS_BAR:
        return end || since >= REDRAW_NS;
    case CLI_PROGRESS_NONE:
        break;
    }
    return false;
}

int cli_progress_show(struct cli_progress *progress, const char *phase, const struct dt2_progress *now)
{
    uint64_t time = cli_now_ns();
    bool first = progress->phase != phase, end = now->done_bytes == now->total_bytes;
    if (first) {
        progress->phase = phase;
        progress->started_ns = progress->shown_ns = time;
        progress->ended = false;
    }
    if (is_due(progress, first, end, time)) {
        uint64_t elapsed_ns = time - progress->started_ns;
        if (progress->mode == CLI_PROGRESS_BAR)
            show_bars(phase, now, elapsed_ns);
        else if (progress->mode == CLI_PROGRESS_JSON)
            show_json(phase, now, elapsed_ns);
        else
            show_line(phase, now, elapsed_ns);
        progress->shown_ns = time;
        progress->ended = end;
    }
    return cli_interrupted();
}

int cli_progress(void *data, const struct dt2_progress *now)
{
    return cli_progress_show(data, now->waiting ? "waiting" : now->verifying ? "verifying" : "loading", now);
}

/* -- the search for models -- */

#define SCAN_QUIET_NS 500000000u

void cli_scan_start(struct cli_scan *scan, const struct cli_options *options)
{
    *scan = (struct cli_scan){ .shows = cli_errors_can_redraw() && options->progress != CLI_PROGRESS_NONE,
                               .started_ns = cli_now_ns() };
}

int cli_scan_show(void *data, size_t folders, size_t models)
{
    struct cli_scan *scan = data;
    uint64_t time = cli_now_ns();
    if (scan->shows && time - scan->started_ns >= SCAN_QUIET_NS && time - scan->shown_ns >= REDRAW_NS) {
        char *line = cli_format("looking for models: %zu in %zu folders so far\n", models, folders);
        cli_status_show(line, 1);
        free(line);
        scan->shown_ns = time;
        scan->shown = true;
    }
    return cli_interrupted();
}

void cli_scan_end(struct cli_scan *scan)
{
    if (scan->shown)
        cli_status_hide();
}
