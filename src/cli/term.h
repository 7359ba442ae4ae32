/* SPDX-License-Identifier: BSD-3-Clause */
/* What the terminal can show. Bars, pictures and colour are for terminals alone. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks at the streams and the environment; once, before anything else here. */
void cli_term_start(void);

bool cli_output_is_terminal(void);
/* Whether lines on standard error can be redrawn in place. */
bool cli_errors_can_redraw(void);
/* The width and height of the terminal of a stream now; 80 by 24 when it does not tell. */
void cli_term_size(int fd, size_t *columns, size_t *rows);
/* How wide a table on standard output may be: what COLUMNS says, where 0 is any width; else the terminal; else 80. */
size_t cli_table_width(void);

/* Wraps headings on standard output: empty without a terminal, or under NO_COLOR. */
const char *cli_bold(void);
const char *cli_normal(void);

/* What fills a picture: `index` counts kinds of filling. One column, of UTF-8 where the locale is that. */
const char *cli_fill(size_t index);
const char *cli_unfilled(void);
/* A bar of `width` columns, part of which is filled: at least one column when there is anything. To be freed. */
char *cli_bar(uint64_t part, uint64_t whole, size_t width);

#endif
