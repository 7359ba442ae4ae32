/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/term.h"
#include "cli/text.h"
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    bool output_is_terminal;
    bool errors_can_redraw;
    bool colour;
    bool utf8;
} term;

void cli_term_start(void)
{
    setlocale(LC_CTYPE, "");
    const char *type = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool dumb = !type || strcmp(type, "dumb") == 0;
    term.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    term.output_is_terminal = isatty(STDOUT_FILENO);
    term.errors_can_redraw = isatty(STDERR_FILENO) && !dumb;
    term.colour = term.output_is_terminal && !dumb && !(no_colour && *no_colour);
}

bool cli_output_is_terminal(void)
{
    return term.output_is_terminal;
}

bool cli_errors_can_redraw(void)
{
    return term.errors_can_redraw;
}

void cli_term_size(int fd, size_t *columns, size_t *rows)
{
    struct winsize size = { 0 };
    ioctl(fd, TIOCGWINSZ, &size);
    *columns = size.ws_col ? size.ws_col : 80;
    *rows = size.ws_row ? size.ws_row : 24;
}

size_t cli_table_width(void)
{
    const char *set = getenv("COLUMNS");
    size_t columns, rows;
    if (set && *set && set[strspn(set, "0123456789")] == '\0' && strlen(set) < 7) {
        columns = strtoul(set, NULL, 10);
        return columns ? columns : SIZE_MAX;
    }
    cli_term_size(STDOUT_FILENO, &columns, &rows);
    return columns;
}

const char *cli_bold(void)
{
    return term.colour ? "\033[1m" : "";
}

const char *cli_normal(void)
{
    return term.colour ? "\033[0m" : "";
}

const char *cli_fill(size_t index)
{
    static const char *const ascii[] = { "#", "=", "+", "-", "." };
    static const char *const blocks[] = { "█", "▒", "▓", "░", "·" };
    return (term.utf8 ? blocks : ascii)[index % (sizeof ascii / sizeof *ascii)];
}

const char *cli_unfilled(void)
{
    return term.utf8 ? "░" : ".";
}

char *cli_bar(uint64_t part, uint64_t whole, size_t width)
{
    size_t filled = whole ? (size_t)((double)part / (double)whole * (double)width + 0.5) : 0;
    if (part && !filled)
        filled = 1;
    if (filled > width)
        filled = width;
    char *out = cli_alloc(width + 1, strlen(cli_fill(0)));
    char *end = out;
    for (size_t i = 0; i < width; i++)
        end = stpcpy(end, i < filled ? cli_fill(0) : cli_unfilled());
    return out;
}
