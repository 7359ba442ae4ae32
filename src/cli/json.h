/* SPDX-License-Identifier: BSD-3-Clause */
/* Composing JSON. Keys keep the order in which they were set; what is unknown is null, and never left out. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <distorch2.h>
#include <jansson.h>

/* Sets `key` of `object` to `value`, which it takes over. */
void cli_json_set(json_t *object, const char *key, json_t *value);
void cli_json_append(json_t *array, json_t *value);

/* New values: NULL, DT2_UNKNOWN and numbers below 0 become null. Bytes that are no UTF-8 become U+FFFD. */
json_t *cli_json_text(const char *text);
json_t *cli_json_bytes(uint64_t bytes);
json_t *cli_json_number(double number);
/* What the library wrote as JSON, which is freed. */
json_t *cli_json_parsed(char *document);
/* {"code": exit status, "message", "suggestion"} */
json_t *cli_json_error(const struct dt2_error *err);

/* Prints a document to standard output, and lets go of it. */
void cli_json_print(json_t *document);
/* The same without the newline: for documents that are too large to be held as one. */
void cli_json_print_part(json_t *value);

#endif
