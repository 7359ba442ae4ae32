/* SPDX-License-Identifier: BSD-3-Clause */
/* The types of YAML 1.1 scalars, as PyYAML resolves them, and Python's truth of their values. */
#include "base/checked.h"
#include "catalog/yaml_tree.h"
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"
#define DIGITS_ DIGITS "_"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_sign(char c)
{
    return c == '+' || c == '-';
}

/* Whether `text` is one or more of the characters of `set`, to its end. */
static bool is_all_of(const char *text, const char *set)
{
    size_t n = strspn(text, set);
    return n > 0 && text[n] == '\0';
}

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(text, ...)                                                                                           \
    is_one_of((text), (const char *const[]){ __VA_ARGS__ }, DT2_COUNT(((const char *const[]){ __VA_ARGS__ })))

/* The end of `(:[0-5]?[0-9])+`, the minutes and seconds of base 60; `text` itself when there are none. */
static const char *skip_sixties(const char *text)
{
    while (text[0] == ':' && is_digit(text[1]))
        text += text[1] <= '5' && is_digit(text[2]) ? 3 : 2;
    return text;
}

static bool is_int(const char *text)
{
    text += is_sign(*text);
    if (text[0] == '0' && text[1] == 'b')
        return is_all_of(text + 2, "01_");
    if (text[0] == '0' && text[1] == 'x')
        return is_all_of(text + 2, DIGITS_ "abcdefABCDEF");
    if (text[0] == '0')
        return text[1] == '\0' || is_all_of(text + 1, "01234567_");
    if (!is_digit(*text))
        return false;
    return *skip_sixties(text + strspn(text, DIGITS_)) == '\0';
}

static bool is_exponent_or_end(const char *text)
{
    if (*text == '\0')
        return true;
    return (*text == 'e' || *text == 'E') && is_sign(text[1]) && is_all_of(text + 2, DIGITS);
}

static bool is_float(const char *text)
{
    if (IS_ONE_OF(text, ".nan", ".NaN", ".NAN"))
        return true;
    bool has_sign = is_sign(*text);
    text += has_sign;
    if (IS_ONE_OF(text, ".inf", ".Inf", ".INF"))
        return true;
    if (*text == '.' && (has_sign || !is_digit(text[1])))
        return false;
    if (*text != '.' && !is_digit(*text))
        return false;
    text += strspn(text, DIGITS_);
    const char *fraction = skip_sixties(text);
    if (*fraction != '.')
        return false;
    const char *end = fraction + 1 + strspn(fraction + 1, DIGITS_);
    return fraction > text ? *end == '\0' : is_exponent_or_end(end);
}

/* Takes `least` to `most` digits off *text; false when there are fewer. */
static bool take_digits(const char **text, size_t least, size_t most)
{
    size_t n = 0;
    while (n < most && is_digit((*text)[n]))
        n++;
    *text += n;
    return n >= least;
}

static bool take(const char **text, char c)
{
    return **text == c && (*text)++;
}

static bool is_zone_or_end(const char *text)
{
    if (*text == '\0')
        return true;
    text += strspn(text, " \t");
    if (strcmp(text, "Z") == 0)
        return true;
    if (!is_sign(*text++) || !take_digits(&text, 1, 2))
        return false;
    return *text == '\0' || (take(&text, ':') && take_digits(&text, 2, 2) && *text == '\0');
}

/* 2001-12-14, or 2001-12-14t21:59:43.10-05:00 and its variants. */
static bool is_date(const char *text)
{
    const char *start = text;
    if (!take_digits(&text, 4, 4) || !take(&text, '-') || !take_digits(&text, 1, 2) || !take(&text, '-') ||
        !take_digits(&text, 1, 2))
        return false;
    if (*text == '\0')
        return text - start == 10;
    size_t gap = *text == 'T' || *text == 't' ? 1 : strspn(text, " \t");
    text += gap;
    if (gap == 0 || !take_digits(&text, 1, 2) || !take(&text, ':') || !take_digits(&text, 2, 2) ||
        !take(&text, ':') || !take_digits(&text, 2, 2))
        return false;
    if (take(&text, '.'))
        text += strspn(text, DIGITS);
    return is_zone_or_end(text);
}

enum dt2_yaml_type dt2_yaml_resolve(const char *text, size_t length)
{
    if (strlen(text) != length)
        return DT2_YAML_STRING;
    if (IS_ONE_OF(text, "yes", "Yes", "YES", "no", "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE", "on",
                  "On", "ON", "off", "Off", "OFF"))
        return DT2_YAML_BOOL;
    if (IS_ONE_OF(text, "", "~", "null", "Null", "NULL"))
        return DT2_YAML_NULL;
    if (is_float(text))
        return DT2_YAML_FLOAT;
    if (is_int(text))
        return DT2_YAML_INT;
    if (is_date(text))
        return DT2_YAML_DATE;
    if (strcmp(text, "<<") == 0)
        return DT2_YAML_MERGE;
    return strcmp(text, "=") == 0 ? DT2_YAML_OTHER : DT2_YAML_STRING;
}

static bool is_true_word(const char *text)
{
    return strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0 || strcasecmp(text, "on") == 0;
}

static bool is_false_word(const char *text)
{
    return strcasecmp(text, "no") == 0 || strcasecmp(text, "false") == 0 || strcasecmp(text, "off") == 0;
}

enum dt2_yaml_type dt2_yaml_resolve_tagged(const char *tag, const char *text, size_t length)
{
    if (strcmp(tag, "str") == 0)
        return DT2_YAML_STRING;
    if (strcmp(tag, "null") == 0)
        return DT2_YAML_NULL;
    if (strcmp(tag, "merge") == 0)
        return DT2_YAML_MERGE;
    if (strcmp(tag, "binary") == 0)
        return DT2_YAML_BYTES;
    if (strcmp(tag, "bool") == 0)
        return is_true_word(text) || is_false_word(text) ? DT2_YAML_BOOL : DT2_YAML_OTHER;
    enum dt2_yaml_type type = dt2_yaml_resolve(text, length);
    bool constructed = (type == DT2_YAML_INT && (strcmp(tag, "int") == 0 || strcmp(tag, "float") == 0)) ||
                       (type == DT2_YAML_FLOAT && strcmp(tag, "float") == 0) ||
                       (type == DT2_YAML_DATE && strcmp(tag, "timestamp") == 0);
    return constructed ? type : DT2_YAML_OTHER;
}

/* Whether a number has a digit other than 0. */
static bool is_not_zero(const char *text)
{
    text += is_sign(*text);
    if (text[0] == '0' && text[1] == 'x')
        return strpbrk(text + 2, "123456789abcdefABCDEF");
    if (text[0] == '.' && !is_digit(text[1]))
        return true; /* .inf and .nan */
    return strcspn(text, "123456789") < strcspn(text, "eE");
}

bool dt2_yaml_truth(const struct dt2_yaml_node *node)
{
    switch (node->type) {
    case DT2_YAML_STRING:
    case DT2_YAML_BYTES:
        return node->length > 0;
    case DT2_YAML_BOOL:
        return is_true_word(node->text);
    case DT2_YAML_INT:
    case DT2_YAML_FLOAT:
        return is_not_zero(node->text);
    case DT2_YAML_LIST:
    case DT2_YAML_MAP:
        return node->count > 0;
    case DT2_YAML_DATE:
        return true;
    default:
        return false;
    }
}

const char *dt2_yaml_type_name(enum dt2_yaml_type type)
{
    static const char *const names[] = {
        [DT2_YAML_STRING] = "a string", [DT2_YAML_NULL] = "null",         [DT2_YAML_BOOL] = "true or false",
        [DT2_YAML_INT] = "a number",    [DT2_YAML_FLOAT] = "a number",    [DT2_YAML_DATE] = "a date",
        [DT2_YAML_BYTES] = "bytes",     [DT2_YAML_MERGE] = "<<",          [DT2_YAML_LIST] = "a list",
        [DT2_YAML_MAP] = "a map",       [DT2_YAML_OTHER] = "of an unknown type",
    };
    return names[type];
}
