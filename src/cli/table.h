/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables for people: columns as wide as their widest cell, counted in characters; empty columns are left out. What is
 * wider than the output first has its longest texts shortened in their middle, then loses the columns that say least,
 * and at last has texts shortened further. Names of devices and models, and numbers, are never shortened.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <distorch2.h>

struct cli_column {
    const char *title;
    bool right;     /* aligned right, as numbers are */
    unsigned least; /* its texts may be shortened to so many characters before columns are left out; 0: never */
    unsigned drop;  /* which column is left out first, where all are too many: the one with the highest; 0: never */
};

struct cli_table;

/* `columns` stays the caller's and lives as long as the table. */
struct cli_table *cli_table_create(const struct cli_column *columns, size_t count);
void cli_table_destroy(struct cli_table *table);

/* Adds the next cell, row by row; what it holds is made printable. NULL is an empty cell. */
void cli_table_text(struct cli_table *table, const char *text);
void cli_table_add(struct cli_table *table, const char *format, ...) DT2_PRINTF(2, 3);
void cli_table_size(struct cli_table *table, uint64_t bytes);

/* Prints to standard output, each line after `indent` spaces. */
void cli_table_print(const struct cli_table *table, unsigned indent);
/* Prints a paragraph as wide as a table may be, in one line for who reads a pipe. A word that is wider stands alone. */
void cli_print_paragraph(unsigned first, unsigned rest, const char *text);

#endif
