/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/text.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

#define REDRAW_NS 100000000u /* ten times a second at most */
#define BAR_LEAST 8
#define BAR_MOST 40

/* What all lines of one drawing have in common. */
struct drawing {
    FILE *out;
    size_t width; /* of the terminal, less the column that the cursor needs */
    int label_width;
    uint64_t elapsed_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Prints as much of a line as the terminal is wide. */
static void put_line(const struct drawing *drawing, const char *text)
{
    fprintf(drawing->out, "%.*s\n", (int)cli_prefix(text, drawing->width), text);
}

/* "opencl:0  ████████░░░░   212 MiB of 345 MiB   61 %   2.31 GB/s   0:01 left" */
static void draw_bar(const struct drawing *drawing, const char *label, uint64_t done, uint64_t total)
{
    char done_text[CLI_NUMBER_SIZE], total_text[CLI_NUMBER_SIZE], rate[CLI_NUMBER_SIZE], left[CLI_NUMBER_SIZE] = "-";
    if (done && done <= total)
        cli_clock((uint64_t)((double)drawing->elapsed_ns / (double)done * (double)(total - done)), left);
    unsigned percent = total ? (unsigned)((double)done / (double)total * 100) : 100;
    char *numbers = cli_format("%9s of %9s %4u %% %10s %7s left", dt2_size_format(done, done_text, sizeof done_text),
                               dt2_size_format(total, total_text, sizeof total_text), percent,
                               cli_rate(cli_gbps(done, drawing->elapsed_ns), rate), left);
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
    char *title = cli_format("%s %s", now->verifying ? "verifying" : "loading", name);
    put_line(drawing, title);
    free(title);
    free(name);
    size_t shown = now->device_count + 3 <= rows ? now->device_count : 0;
    for (size_t i = 0; i < shown; i++)
        draw_bar(drawing, now->devices[i].device, now->devices[i].done_bytes, now->devices[i].total_bytes);
    draw_bar(drawing, "total", now->done_bytes, now->total_bytes);
    return (unsigned)shown + 2;
}

static void show(const struct dt2_progress *now, uint64_t elapsed_ns)
{
    char *text = NULL;
    size_t length, columns, rows;
    struct drawing drawing = { .out = open_memstream(&text, &length), .elapsed_ns = elapsed_ns, .label_width = 5 };
    if (!drawing.out)
        return;
    cli_term_size(STDERR_FILENO, &columns, &rows);
    drawing.width = columns - 1;
    for (size_t i = 0; i < now->device_count; i++) {
        int width = (int)cli_columns(now->devices[i].device);
        drawing.label_width = width > drawing.label_width ? width : drawing.label_width;
    }
    unsigned lines = draw(&drawing, now, rows);
    if (fclose(drawing.out) == 0)
        cli_status_show(text, lines);
    free(text);
}

int cli_progress(void *data, const struct dt2_progress *now)
{
    struct cli_progress *progress = data;
    uint64_t time = now_ns();
    if (!progress->started || progress->verifying != now->verifying) {
        progress->started = true;
        progress->verifying = now->verifying;
        progress->started_ns = time;
        progress->drawn_ns = 0;
    }
    bool due = time - progress->drawn_ns >= REDRAW_NS || now->done_bytes == now->total_bytes;
    if (cli_errors_can_redraw() && due) {
        show(now, time - progress->started_ns);
        progress->drawn_ns = time;
    }
    return cli_interrupted();
}
