/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A YAML document as PyYAML's SafeLoader would construct it: scalars have YAML 1.1 types, maps are ordered as Python's
 * dicts, merge keys are merged, aliases lead to the node they name. What is wrong is logged with file and line, and
 * what can be kept is kept.
 */
#ifndef DT2_CATALOG_YAML_TREE_H
#define DT2_CATALOG_YAML_TREE_H

#include "base/log.h"

enum dt2_yaml_type {
    DT2_YAML_STRING,
    DT2_YAML_NULL,
    DT2_YAML_BOOL,
    DT2_YAML_INT,
    DT2_YAML_FLOAT,
    DT2_YAML_DATE,
    DT2_YAML_BYTES, /* !!binary */
    DT2_YAML_MERGE, /* << */
    DT2_YAML_LIST,
    DT2_YAML_MAP,
    DT2_YAML_OTHER, /* what SafeLoader has no constructor for, or could not construct */
};

struct dt2_yaml_pair {
    const struct dt2_yaml_node *key; /* NULL in a list */
    const struct dt2_yaml_node *value;
};

struct dt2_yaml_node {
    enum dt2_yaml_type type;
    size_t line; /* from 1 */
    bool open;   /* a collection whose end has not been read */
    char *text;  /* of a scalar; NUL-terminated, and may hold NULs */
    size_t length;
    struct dt2_yaml_pair *pairs; /* of a list or map */
    size_t count;
    size_t capacity;
};

/* A document and all its nodes. Starts zeroed. */
struct dt2_yaml {
    const struct dt2_yaml_node *root; /* NULL: there is none */
    bool cut;                         /* an error in the syntax, already logged, ended the reading */
    struct dt2_yaml_node **nodes;
    size_t count;
    size_t capacity;
};

/*
 * Reads `length` bytes; `file` is named in what is logged. At an error in the syntax, what the root holds before it
 * stands. Returns 0 or DT2_ENOMEM.
 */
int dt2_yaml_read(struct dt2_yaml *yaml, const char *file, const char *data, size_t length, const struct dt2_log *log,
                  struct dt2_error *err);
void dt2_yaml_clear(struct dt2_yaml *yaml);

/* The pair of the string `key` in a map; NULL when there is none. */
const struct dt2_yaml_pair *dt2_yaml_get(const struct dt2_yaml_node *map, const char *key);
bool dt2_yaml_is(const struct dt2_yaml_node *node, const char *string);
/* Python's truth of the value. */
bool dt2_yaml_truth(const struct dt2_yaml_node *node);
/* "a list", "null", ... for messages. */
const char *dt2_yaml_type_name(enum dt2_yaml_type type);

/* The type of a plain scalar, and of one with the tag "tag:yaml.org,2002:" `tag`. */
enum dt2_yaml_type dt2_yaml_resolve(const char *text, size_t length);
enum dt2_yaml_type dt2_yaml_resolve_tagged(const char *tag, const char *text, size_t length);

#endif
