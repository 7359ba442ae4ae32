/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From libyaml's events to a tree. Nothing recurses and an alias copies nothing, so that neither deep nesting nor a
 * bomb of aliases costs more than the file's own size; what merge keys may multiply is bounded.
 */
#include "catalog/yaml_tree.h"
#include "base/alloc.h"
#include "base/error.h"
#include "catalog/path.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define NESTING_MAX 256    /* collections within one another; the format needs 3 */
#define ANCHORS_MAX 256    /* in one file; each alias is looked up among them */
#define MERGED_MAX 100000  /* pairs that merge keys may bring into all maps together */

struct composer {
    struct dt2_yaml *yaml;
    const char *file;
    const struct dt2_log *log;
    struct dt2_error *err;
    struct {
        struct dt2_yaml_node *node;
        const struct dt2_yaml_node *key; /* of a map: the key whose value comes next */
    } stack[NESTING_MAX];
    size_t depth;
    struct {
        char *name;
        const struct dt2_yaml_node *node;
    } anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t merged; /* pairs that merge keys brought so far */
};

#define WARN(composer, line, format, ...)                                                                              \
    dt2_log_line((composer)->log, DT2_LOG_WARNING, "%s:%zu: " format, (composer)->file, (line), __VA_ARGS__)

/* -- nodes -- */

static struct dt2_yaml_node *add_node(struct composer *c, enum dt2_yaml_type type, const yaml_mark_t *mark)
{
    struct dt2_yaml *yaml = c->yaml;
    struct dt2_yaml_node *node = dt2_alloc(1, sizeof *node);
    if (!node || !DT2_GROW(yaml->nodes, yaml->count, yaml->capacity)) {
        dt2_release(node);
        dt2_fail_nomem(c->err);
        return NULL;
    }
    node->type = type;
    node->line = mark->line + 1;
    yaml->nodes[yaml->count++] = node;
    return node;
}

static int add_pair(struct composer *c, struct dt2_yaml_node *node, struct dt2_yaml_pair pair)
{
    if (!DT2_GROW(node->pairs, node->count, node->capacity))
        return dt2_fail_nomem(c->err);
    node->pairs[node->count++] = pair;
    return 0;
}

void dt2_yaml_clear(struct dt2_yaml *yaml)
{
    for (size_t i = 0; i < yaml->count; i++) {
        dt2_release(yaml->nodes[i]->text);
        dt2_release(yaml->nodes[i]->pairs);
        dt2_release(yaml->nodes[i]);
    }
    dt2_release(yaml->nodes);
    *yaml = (struct dt2_yaml){ 0 };
}

/* -- maps as Python's dicts: the last value of a key counts, in the place where the key first stood -- */

static bool is_scalar(const struct dt2_yaml_node *node)
{
    return node->type != DT2_YAML_LIST && node->type != DT2_YAML_MAP && node->text;
}

static int compare_keys(const struct dt2_yaml_node *a, const struct dt2_yaml_node *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->type == DT2_YAML_NULL)
        return 0;
    if (a->type == DT2_YAML_BOOL)
        return dt2_yaml_truth(a) - dt2_yaml_truth(b);
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->text, b->text, a->length);
}

/* A pair and its place among the others. */
struct placed {
    struct dt2_yaml_pair pair;
    size_t place;
};

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int by_key(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = compare_keys(x->pair.key, y->pair.key);
    return order ? order : by_place(a, b);
}

static int remove_duplicates(struct composer *c, struct dt2_yaml_node *map)
{
    DT2_AUTO struct placed *placed = dt2_alloc(map->count, sizeof *placed);
    if (!placed)
        return dt2_fail_nomem(c->err);
    for (size_t i = 0; i < map->count; i++)
        placed[i] = (struct placed){ map->pairs[i], i };
    qsort(placed, map->count, sizeof *placed, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (kept > 0 && compare_keys(placed[kept - 1].pair.key, placed[i].pair.key) == 0)
            placed[kept - 1].pair = placed[i].pair;
        else
            placed[kept++] = placed[i];
    }
    qsort(placed, kept, sizeof *placed, by_place);
    for (size_t i = 0; i < kept; i++)
        map->pairs[i] = placed[i].pair;
    map->count = kept;
    return 0;
}

/* Adds to `into` what `<<: source` brings, where `source` is one map. */
static int merge_map(struct composer *c, struct dt2_yaml_node *into, const struct dt2_yaml_node *source, size_t line)
{
    if (source->type != DT2_YAML_MAP || source->open) {
        WARN(c, line, "<< brings in %s; expected a map or a list of maps",
             source->open ? "what it stands in" : dt2_yaml_type_name(source->type));
        return 0;
    }
    if (source->count > MERGED_MAX - c->merged) {
        WARN(c, line, "<< brings in too much: at most %d entries in one file", MERGED_MAX);
        return 0;
    }
    c->merged += source->count;
    int rc = 0;
    for (size_t i = 0; i < source->count && rc == 0; i++)
        rc = add_pair(c, into, source->pairs[i]);
    return rc;
}

/* Of a list of maps the first that has a key counts, so they are added from the last. */
static int merge(struct composer *c, struct dt2_yaml_node *into, const struct dt2_yaml_node *source, size_t line)
{
    if (source->type != DT2_YAML_LIST || source->open)
        return merge_map(c, into, source, line);
    int rc = 0;
    for (size_t i = source->count; i > 0 && rc == 0; i--)
        rc = merge_map(c, into, source->pairs[i - 1].value, line);
    return rc;
}

/* Makes a map of its pairs as they stand in the file: merged ones first, keys that Python cannot hash left out. */
static int finish_map(struct composer *c, struct dt2_yaml_node *map)
{
    struct dt2_yaml_node whole = { 0 };
    int rc = 0;
    for (size_t i = 0; i < map->count && rc == 0; i++)
        if (map->pairs[i].key->type == DT2_YAML_MERGE)
            rc = merge(c, &whole, map->pairs[i].value, map->pairs[i].key->line);
    for (size_t i = 0; i < map->count && rc == 0; i++) {
        const struct dt2_yaml_node *key = map->pairs[i].key;
        if (key->type == DT2_YAML_MERGE)
            continue;
        if (is_scalar(key))
            rc = add_pair(c, &whole, map->pairs[i]);
        else
            WARN(c, key->line, "a key is %s; expected a name", dt2_yaml_type_name(key->type));
    }
    dt2_release(map->pairs);
    map->pairs = whole.pairs;
    map->count = whole.count;
    map->capacity = whole.capacity;
    return rc == 0 ? remove_duplicates(c, map) : rc;
}

/* -- events -- */

/* Puts a finished node where the document has come to. */
static int place(struct composer *c, const struct dt2_yaml_node *node)
{
    if (c->depth == 0) {
        c->yaml->root = node;
        return 0;
    }
    struct dt2_yaml_node *parent = c->stack[c->depth - 1].node;
    const struct dt2_yaml_node **key = &c->stack[c->depth - 1].key;
    if (parent->type == DT2_YAML_MAP && !*key) {
        *key = node;
        return 0;
    }
    int rc = add_pair(c, parent, (struct dt2_yaml_pair){ *key, node });
    *key = NULL;
    return rc;
}

static int add_anchor(struct composer *c, const yaml_char_t *name, const struct dt2_yaml_node *node)
{
    if (!name)
        return 0;
    if (c->anchor_count == ANCHORS_MAX) {
        WARN(c, node->line, "more than %d anchors, this one is ignored", ANCHORS_MAX);
        return 0;
    }
    char *copy = dt2_strdup((const char *)name);
    if (!copy)
        return dt2_fail_nomem(c->err);
    c->anchors[c->anchor_count].name = copy;
    c->anchors[c->anchor_count++].node = node;
    return 0;
}

/* The latest anchor of that name counts. */
static int on_alias(struct composer *c, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = c->anchor_count; i > 0; i--)
        if (strcmp(c->anchors[i - 1].name, name) == 0)
            return place(c, c->anchors[i - 1].node);
    char shown[DT2_SHOWN_PATH];
    WARN(c, event->start_mark.line + 1, "*%s names nothing; expected an anchor &%s before it",
         dt2_show(name, shown, sizeof shown), shown);
    const struct dt2_yaml_node *node = add_node(c, DT2_YAML_OTHER, &event->start_mark);
    return node ? place(c, node) : DT2_ENOMEM;
}

/* What follows "tag:yaml.org,2002:"; "" for a tag of another kind, which has no constructor. */
static const char *standard_tag(const yaml_char_t *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    return strncmp((const char *)tag, prefix, sizeof prefix - 1) == 0 ? (const char *)tag + sizeof prefix - 1 : "";
}

static int on_scalar(struct composer *c, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    const yaml_char_t *tag = event->data.scalar.tag;
    bool untagged = !tag || strcmp((const char *)tag, "!") == 0; /* the lone "!" makes a quoted one plain (sic) */
    enum dt2_yaml_type type = DT2_YAML_STRING;
    if (!untagged)
        type = dt2_yaml_resolve_tagged(standard_tag(tag), text, length);
    else if (tag || event->data.scalar.plain_implicit)
        type = dt2_yaml_resolve(text, length);
    struct dt2_yaml_node *node = add_node(c, type, &event->start_mark);
    if (!node)
        return DT2_ENOMEM;
    node->length = length;
    node->text = dt2_strndup(text, length);
    if (!node->text)
        return dt2_fail_nomem(c->err);
    int rc = add_anchor(c, event->data.scalar.anchor, node);
    return rc == 0 ? place(c, node) : rc;
}

static int begin_collection(struct composer *c, enum dt2_yaml_type type, const yaml_char_t *tag, const char *usual_tag,
                            const yaml_char_t *anchor, const yaml_mark_t *mark)
{
    struct dt2_yaml_node *node = add_node(c, type, mark);
    if (!node)
        return DT2_ENOMEM;
    node->open = true;
    if (tag && strcmp((const char *)tag, "!") != 0 && strcmp(standard_tag(tag), usual_tag) != 0)
        WARN(c, node->line, "a tag other than %s is ignored", usual_tag);
    c->stack[c->depth].node = node;
    c->stack[c->depth++].key = NULL;
    return add_anchor(c, anchor, node);
}

static int end_collection(struct composer *c)
{
    struct dt2_yaml_node *node = c->stack[--c->depth].node;
    int rc = node->type == DT2_YAML_MAP ? finish_map(c, node) : 0;
    node->open = false;
    return rc == 0 ? place(c, node) : rc;
}

static int on_event(struct composer *c, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return on_alias(c, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(c, event);
    case YAML_SEQUENCE_START_EVENT:
        return begin_collection(c, DT2_YAML_LIST, event->data.sequence_start.tag, "seq",
                                event->data.sequence_start.anchor, &event->start_mark);
    case YAML_MAPPING_START_EVENT:
        return begin_collection(c, DT2_YAML_MAP, event->data.mapping_start.tag, "map",
                                event->data.mapping_start.anchor, &event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end_collection(c);
    default:
        return 0;
    }
}

/* -- the document -- */

/* The first tab among the blanks that line `line`, counted from 0, begins with; NULL: there is none. */
static const char *find_tab(const char *data, size_t length, size_t line)
{
    size_t at = 0;
    for (; line > 0 && at < length; at++)
        line -= data[at] == '\n';
    while (at < length && data[at] == ' ')
        at++;
    return at < length && data[at] == '\t' ? data + at : NULL;
}

/* What libyaml found wrong. What is not UTF-8 has an offset and no line. */
static int report_syntax(struct composer *c, const yaml_parser_t *parser, const char *data, size_t length)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return dt2_fail_nomem(c->err);
    c->yaml->cut = true;
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < length && i < parser->problem_offset; i++)
            line += data[i] == '\n';
    }
    const char *tab = find_tab(data, length, parser->problem_mark.line);
    if (tab && parser->error == YAML_SCANNER_ERROR) {
        const char *begin = tab;
        while (begin > data && begin[-1] != '\n')
            begin--;
        WARN(c, line, "column %zu: a tab stands where YAML takes spaces alone; the rest is not read",
             (size_t)(tab - begin) + 1);
        return 0;
    }
    WARN(c, line, "%s%s%s; expected YAML, the rest is not read", parser->problem ? parser->problem : "malformed",
         parser->context ? " " : "", parser->context ? parser->context : "");
    return 0;
}

/* Whether reading has come to its end: of the first document, or of what we are willing to read. */
static bool is_last(struct composer *c, const yaml_event_t *event)
{
    bool begins = event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    size_t line = event->start_mark.line + 1;
    if (begins && c->depth == NESTING_MAX) {
        WARN(c, line, "more than %d lists and maps in one another, the rest is not read", NESTING_MAX);
        return true;
    }
    if (event->type == YAML_DOCUMENT_START_EVENT && c->yaml->count > 0) {
        WARN(c, line, "%s", "a second document begins; expected one, the rest is not read");
        return true;
    }
    return event->type == YAML_STREAM_END_EVENT;
}

static int compose(struct composer *c, yaml_parser_t *parser, const char *data, size_t length)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return report_syntax(c, parser, data, length);
        bool last = is_last(c, &event);
        int rc = last ? 0 : on_event(c, &event);
        yaml_event_delete(&event);
        if (last || rc < 0)
            return rc;
    }
}

/* A root map that was cut off keeps the sections that are whole. */
static int rescue_root(struct composer *c)
{
    if (c->depth == 0)
        return 0;
    c->depth = 1;
    return end_collection(c);
}

int dt2_yaml_read(struct dt2_yaml *yaml, const char *file, const char *data, size_t length, const struct dt2_log *log,
                  struct dt2_error *err)
{
    struct composer c = { .yaml = yaml, .file = file, .log = log, .err = err };
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return dt2_fail_nomem(err);
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, length);
    int rc = compose(&c, &parser, data, length);
    if (rc == 0)
        rc = rescue_root(&c);
    yaml_parser_delete(&parser);
    for (size_t i = 0; i < c.anchor_count; i++)
        dt2_release(c.anchors[i].name);
    return rc;
}

bool dt2_yaml_is(const struct dt2_yaml_node *node, const char *string)
{
    return node->type == DT2_YAML_STRING && node->length == strlen(string) &&
           memcmp(node->text, string, node->length) == 0;
}

const struct dt2_yaml_pair *dt2_yaml_get(const struct dt2_yaml_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (dt2_yaml_is(map->pairs[i].key, key))
            return &map->pairs[i];
    return NULL;
}
