/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/json.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>

static void need(bool done)
{
    if (done)
        return;
    fputs("distorch2: out of memory\n", stderr);
    exit(dt2_exit_status(DT2_ENOMEM));
}

void cli_json_set(json_t *object, const char *key, json_t *value)
{
    need(json_object_set_new(object, key, value) == 0);
}

void cli_json_append(json_t *array, json_t *value)
{
    need(json_array_append_new(array, value) == 0);
}

json_t *cli_json_text(const char *text)
{
    if (!text)
        return json_null();
    char *valid = cli_utf8(text);
    json_t *value = json_string(valid);
    free(valid);
    return value;
}

json_t *cli_json_bytes(uint64_t bytes)
{
    return bytes == DT2_UNKNOWN ? json_null() : json_integer((json_int_t)bytes);
}

json_t *cli_json_number(double number)
{
    return number < 0 ? json_null() : json_real(number);
}

json_t *cli_json_parsed(char *document)
{
    json_t *value = document ? json_loads(document, 0, NULL) : NULL;
    dt2_text_free(document);
    need(value != NULL);
    return value;
}

json_t *cli_json_error(const struct dt2_error *err)
{
    json_t *error = json_object();
    cli_json_set(error, "code", json_integer(dt2_exit_status(err->code)));
    cli_json_set(error, "message", cli_json_text(err->text));
    cli_json_set(error, "suggestion", cli_json_text(err->suggestion[0] ? err->suggestion : NULL));
    return error;
}

void cli_json_print_part(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(value);
    need(text != NULL);
    char *shown = cli_json_shown(text);
    fputs(shown, stdout);
    free(shown);
    free(text);
}

void cli_json_print(json_t *document)
{
    cli_json_print_part(document);
    putchar('\n');
}
