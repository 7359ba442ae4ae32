/* SPDX-License-Identifier: BSD-3-Clause */
/* Text for people: what may be printed of foreign text, how wide it is, numbers in words. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <distorch2.h>

/* Room for any number in words that the functions below write. */
#define CLI_NUMBER_SIZE 48

/* Memory of the tool itself; without any there is nothing left to do, so these end the program. */
void *cli_alloc(size_t count, size_t size);
void *cli_grow(void *memory, size_t count, size_t size);
char *cli_format(const char *format, ...) DT2_PRINTF(1, 2);

/*
 * The text as it may go to a terminal: control characters, bytes that are no UTF-8 and marks that reorder a line are
 * written as escapes (\x1b, \u202e). Newlines stay when `lines` is set. To be freed.
 */
char *cli_printable(const char *text, bool lines);
/* A JSON document of well-formed UTF-8 as it may go to a terminal: the same characters in strings as \u009b. To be freed. */
char *cli_json_shown(const char *document);
/* The text as well-formed UTF-8, with U+FFFD for each byte that is none; nothing else changes. To be freed. */
char *cli_utf8(const char *text);
/* How many characters a printable text has. */
size_t cli_columns(const char *text);
/* How many of its bytes make up its first `columns` characters. */
size_t cli_prefix(const char *text, size_t columns);
/* The text with its middle left out, so that it has `columns` characters at most, 5 or more. To be freed. */
char *cli_shortened(const char *text, size_t columns);

/* "3 days ago", of seconds since 1970; "" below 0. To be freed. */
char *cli_age(int64_t when);

/* These write into `out`, an array of CLI_NUMBER_SIZE, and return it. */
char *cli_grouped(uint64_t number, char *out);                   /* "722,558,240" */
char *cli_share(uint64_t part, uint64_t whole, char *out);       /* "49.6 %"; "-" of nothing */
char *cli_rate(double gbps, char *out);                          /* "2.31 GB/s", "850 MB/s"; "-" below 0 */
char *cli_seconds(uint64_t ns, char *out);                       /* "0.312 s" */
char *cli_clock(uint64_t ns, char *out);                         /* "0:07", "1:02:33" */

/* 10^9 bytes a second; below 0 when there is nothing to divide. */
double cli_gbps(uint64_t bytes, uint64_t ns);

#endif
