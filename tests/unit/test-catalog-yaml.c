/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML as PyYAML's SafeLoader takes it: types, truth, dicts, merge keys, aliases; and what is not YAML. */
#include "base/checked.h"
#include "catalog/search.h"
#include "catalog/yaml_tree.h"
#include "support/lines.h"
#include "support/tap.h"

#define S DT2_YAML_STRING
#define N DT2_YAML_NULL
#define B DT2_YAML_BOOL
#define I DT2_YAML_INT
#define F DT2_YAML_FLOAT
#define D DT2_YAML_DATE

static void test_scalars(void)
{
    static const struct {
        const char *text;
        enum dt2_yaml_type type;
        bool truth;
    } cases[] = {
        { "true", B, true },     { "True", B, true },      { "TRUE", B, true },      { "tRue", S, true },
        { "yes", B, true },      { "Yes", B, true },       { "on", B, true },        { "ON", B, true },
        { "y", S, true },        { "Y", S, true },         { "n", S, true },         { "false", B, false },
        { "False", B, false },   { "no", B, false },       { "NO", B, false },       { "off", B, false },
        { "Off", B, false },     { "oFF", S, true },       { "", N, false },         { "~", N, false },
        { "null", N, false },    { "Null", N, false },     { "NULL", N, false },     { "nUll", S, true },
        { "none", S, true },     { "0", I, false },        { "1", I, true },         { "-0", I, false },
        { "+0", I, false },      { "-1", I, true },        { "00", I, false },       { "07", I, true },
        { "08", S, true },       { "0o7", S, true },       { "0x0", I, false },      { "0xe", I, true },
        { "0xg", S, true },      { "0x", S, true },        { "0b0", I, false },      { "0b1", I, true },
        { "0b2", S, true },      { "1_000", I, true },     { "0_0", I, false },      { "_1", S, true },
        { "1:30", I, true },     { "0:30", S, true },      { "1:60", S, true },      { "1:5", I, true },
        { "1:30:59", I, true },  { "1:", S, true },        { "0.0", F, false },      { "0.", F, false },
        { ".0", F, false },      { "-0.0", F, false },     { "0.0e+5", F, false },   { "1.5", F, true },
        { "1.", F, true },       { ".5", F, true },        { "-.5", S, true },       { "+1.5", F, true },
        { "1e5", S, true },      { "1.0e5", S, true },     { "1.0e+5", F, true },    { "1.5E-3", F, true },
        { ".inf", F, true },     { "-.Inf", F, true },     { "+.INF", F, true },     { ".nan", F, true },
        { "-.nan", S, true },    { "inf", S, true },       { "1:30.5", F, true },    { "0:00.0", F, false },
        { "1:30.5e+1", S, true }, { ".", S, true },        { "..", S, true },        { "-", S, true },
        { "+", S, true },        { "1.2.3", S, true },     { "1a", S, true },        { "._5", S, true },
        { "2024-01-31", D, true }, { "2024-1-31", S, true }, { "2024-1-31 1:02:03", D, true },
        { "2001-12-14t21:59:43.10-05:00", D, true },       { "2001-12-14 21:59:43.10 -5", D, true },
        { "2001-12-14T21:59:43Z", D, true },               { "2001-12-14  21:59:43  Z", D, true },
        { "2001-12-14t21:59", S, true },                   { "2001-12-14 ", S, true },
        { "/m/cn", S, true },    { "cn 1", S, true },      { "C:\\x", S, true },     { "=x", S, true },
        { "<<x", S, true },      { "models", S, true },    { "1.5gb", S, true },     { "4_", I, true },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        const char *text = cases[i].text;
        enum dt2_yaml_type type = dt2_yaml_resolve(text, strlen(text));
        is_str(dt2_yaml_type_name(type), dt2_yaml_type_name(cases[i].type), "'%s': type", text);
        char copy[64];
        snprintf(copy, sizeof copy, "%s", text);
        struct dt2_yaml_node node = { .type = type, .text = copy, .length = strlen(text) };
        ok(dt2_yaml_truth(&node) == cases[i].truth, "'%s' is %s", text, cases[i].truth ? "true" : "false");
    }
}

/* Reads `text` as the file /y/x.yaml and holds the folders, each ended by a space, against `expected`. */
static void check(const char *text, size_t length, const char *expected, const char *log, const char *name)
{
    struct dt2_search search = { 0 };
    struct lines lines = { 0 };
    const struct dt2_log logger = { lines_add, &lines };
    is_int(dt2_search_read(&search, "controlnet", "/y/x.yaml", text, length, &logger, NULL), 0, "%s: is read", name);
    char got[4096] = "";
    for (size_t i = 0; i < search.count; i++) {
        strncat(got, search.folders[i], sizeof got - strlen(got) - 1);
        strncat(got, " ", sizeof got - strlen(got) - 1);
    }
    is_str(got, expected, "%s: folders", name);
    if (!log)
        is_str(lines.text, "", "%s: no warning", name);
    else if (!ok(lines_have(&lines, log), "%s: warning", name))
        diag("expected: %s\nlogged: %s", log, lines.text);
    dt2_search_clear(&search);
}

static void test_documents(void)
{
    static const struct {
        const char *name, *text, *folders, *log; /* log NULL: nothing may be logged */
    } cases[] = {
        { "quoted number", "a: {controlnet: '15'}", "/y/15 ", NULL },
        { "tagged number", "a: {controlnet: !!str 15}", "/y/15 ", NULL },
        { "last of two keys", "a:\n  controlnet: x\n  controlnet: y\n", "/y/y ", NULL },
        { "last of two sections, in the place of the first",
          "a: {controlnet: x}\nb: {controlnet: y}\na: {controlnet: z}\n", "/y/z /y/y ", NULL },
        { "scalar alias", "a:\n  base_path: &m /m\n  controlnet: x\nb:\n  base_path: *m\n  controlnet: y\n",
          "/m/x /m/y ", NULL },
        { "section alias", "a: &a\n  base_path: /m\n  controlnet: x\nb: *a\n", "/m/x ", NULL },
        { "merge", "a: &a\n  base_path: /m\n  is_default: true\n  controlnet: x\nb:\n  <<: *a\n  controlnet: y\n",
          "/m/y /m/x ", NULL },
        { "merge: own keys count wherever they stand", "a: &a {controlnet: x}\nb: {controlnet: y, <<: *a}\n",
          "/y/x /y/y ", NULL },
        { "merge of a list: the first counts",
          "a: &a {controlnet: x}\nb: &b {controlnet: y, base_path: /m}\nc:\n  <<: [*a, *b]\n", "/y/x /m/y /m/x ",
          NULL },
        { "merge of a merge", "a: &a {base_path: /m}\nb: &b {<<: *a, loras: l}\nc: {<<: *b, controlnet: x}\n", "/m/x ",
          NULL },
        { "merge of sections", "x: &x {a: 1}\ny: {controlnet: y}\n<<: {z: {controlnet: z}, y: {controlnet: w}}\n",
          "/y/z /y/y ", "x.yaml:1: section 'x': a is a number" },
        { "quoted << is a name", "a: {'<<': x, controlnet: y}", "/y/y ", NULL },
        { "merge of a string", "a:\n  <<: x\n  controlnet: y\n", "/y/y ", "x.yaml:2: << brings in a string" },
        { "merge of itself", "a: &a\n  <<: *a\n  controlnet: y\n", "/y/y ",
          "x.yaml:2: << brings in what it stands in" },
        { "a cycle", "a: &a\n  controlnet: *a\nb: {controlnet: y}\n", "/y/y ",
          "x.yaml:2: section 'a': controlnet is a map" },
        { "root in itself", "&r\na: *r\nb: {controlnet: y}\n", "/y/y ", "section 'a': a is a map" },
        { "unknown alias", "a: {controlnet: *no}\nb: {controlnet: y}\n", "/y/y ", "x.yaml:1: *no names nothing" },
        { "anchor set again", "a: {controlnet: &p x}\nb: {loras: &p y}\nc: {controlnet: *p}\n", "/y/x /y/y ", NULL },
        { "map as a key", "? {a: b}\n: c\nb: {controlnet: y}\n", "/y/y ", "x.yaml:1: a key is a map" },
        { "list as a key", "b:\n  [a]: c\n  controlnet: y\n", "/y/y ", "x.yaml:2: a key is a list" },
        { "category that is a number", "b: {15: x, controlnet: y}", "/y/y ", NULL },
        { "unknown tag", "b: {controlnet: !foo y, loras: z}", "", "controlnet is of an unknown type" },
        { "base_path null", "a:\n  base_path:\n  controlnet: x\nb: {controlnet: y}\n", "/y/y ",
          "x.yaml:2: section 'a': base_path is null; expected a string" },
        { "base_path list", "a: {base_path: [x], controlnet: x}\nb: {controlnet: y}\n", "/y/y ",
          "base_path is a list" },
        { "bad category beside a good one", "a:\n  loras:\n  - l\n  controlnet: x\n", "/y/x ",
          "x.yaml:2: section 'a': loras is a list; expected a string" },
        { "bad category of another name", "a:\n  loras: 1.5\n  controlnet: x\n", "/y/x ", "x.yaml:2:" },
        { "section that is a list", "a: [x]\nb: {controlnet: y}\n", "/y/y ", "x.yaml:1: section 'a': is a list" },
        { "section that is a number", "a: 5\nb: {controlnet: y}\n", "/y/y ", "x.yaml:1: section 'a': is a number" },
        { "root list", "- a\n", "", "x.yaml:1: the file holds a list; expected a map of sections" },
        { "root string", "hello\n", "", "x.yaml:1: the file holds a string; expected a map of sections" },
        { "nothing", "", "", "x.yaml:1: the file is empty" },
        { "comments", "# nothing\n\n", "", "x.yaml:1: the file is empty" },
        { "root null", "---\n~\n", "", "the file is empty" },
        { "empty map", "{}\n", "", NULL },
        { "default: list", "a: {controlnet: x}\nb: {is_default: [0], controlnet: y}\n", "/y/y /y/x ", NULL },
        { "default: empty list", "a: {controlnet: x}\nb: {is_default: [], controlnet: y}\n", "/y/x /y/y ", NULL },
        { "default: off", "a: {controlnet: x}\nb: {is_default: off, controlnet: y}\n", "/y/x /y/y ", NULL },
        { "default: empty string", "a: {controlnet: x}\nb: {is_default: '', controlnet: y}\n", "/y/x /y/y ", NULL },
        { "default: null", "a: {controlnet: x}\nb: {is_default: , controlnet: y}\n", "/y/x /y/y ", NULL },
        { "default: 0.0", "a: {controlnet: x}\nb: {is_default: 0.0, controlnet: y}\n", "/y/x /y/y ", NULL },
        { "default: tagged", "a: {controlnet: x}\nb: {is_default: !!bool 'Yes', controlnet: y}\n", "/y/y /y/x ", NULL },
        { "default: bytes", "a: {controlnet: x}\nb: {is_default: !!binary aGk=, controlnet: y}\n", "/y/y /y/x ", NULL },
        { "default: of no type", "b: {is_default: =, controlnet: y}\n", "/y/y ", "is_default is of an unknown type" },
        { "a lone ! makes a quoted scalar plain", "a: {controlnet: ! 'x'}\nb: {controlnet: ! '15'}\n", "/y/x ",
          "x.yaml:2: section 'b': controlnet is a number" },
        { "default: tagged false", "a: {controlnet: x}\nb: {is_default: !!int '0', controlnet: y}\n", "/y/x /y/y ",
          NULL },
        { "broken syntax: what is before it stands", "a: {controlnet: x}\nb: [\nc: {controlnet: z}\n", "/y/x ",
          "x.yaml:4: did not find expected" },
        { "broken indentation", "a:\n  controlnet: x\nb:\n  base_path: /m\n controlnet: y\n", "/y/x ", "x.yaml:5: " },
        { "tab", "a:\n  controlnet: x\nb:\n\tcontrolnet: y\n", "/y/x ", "x.yaml:4: column 1: a tab stands where YAML takes spaces" },
        { "not UTF-8", "a:\n  controlnet: x\nb: \xFF\n", "", "x.yaml:3: " },
        { "second document", "a: {controlnet: x}\n---\nb: {controlnet: y}\n", "/y/x ", "x.yaml:2: a second document" },
        { "byte order mark", "\357\273\277a: {controlnet: x}\n", "/y/x ", NULL },
        { "carriage returns", "a:\r\n  controlnet: |\r\n    x\r\n    y\r\n", "/y/x /y/y ", NULL },
        { "spaces", "a: {controlnet: ' my models '}", "/y/ my models  ", NULL },
        { "escapes", "a: {controlnet: \"x\\ny\"}", "/y/x /y/y ", NULL },
        { "NUL character", "a:\n  controlnet: \"x\\0y\"\n", "",
          "x.yaml:2: section 'a': controlnet is a string with a NUL" },
        { "NUL in a name", "a: {\"controlnet\\0\": x}", "", NULL },
        { "control character in a name", "\"a\\n\\x07\": 5", "", "x.yaml:1: section 'a\\x0a\\x07': is a number" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++)
        check(cases[i].text, strlen(cases[i].text), cases[i].folders, cases[i].log, cases[i].name);
}

static void test_bombs(void)
{
    static char text[1 << 20];
    size_t used = (size_t)sprintf(text, "a0: &a0 {k: v, l: w}\n");
    for (int i = 1; i < 40; i++) {
        used += (size_t)sprintf(text + used, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            used += (size_t)sprintf(text + used, "*a%d,", i - 1);
        used += (size_t)sprintf(text + used, "]\n");
    }
    sprintf(text + used, "z: {controlnet: x}\n");
    check(text, strlen(text), "/y/x ", "x.yaml:2: section 'a1': is a list", "10^39 aliases");

    used = (size_t)sprintf(text, "a0: &a0 {k: v, l: w}\n");
    for (int i = 1; i < 40; i++) {
        used += (size_t)sprintf(text + used, "a%d: &a%d {<<: [", i, i);
        for (int j = 0; j < 10; j++)
            used += (size_t)sprintf(text + used, "*a%d,", i - 1);
        used += (size_t)sprintf(text + used, "]}\n");
    }
    sprintf(text + used, "z: {controlnet: x}\n");
    check(text, strlen(text), "/y/x ", NULL, "10^39 merges");

    used = (size_t)sprintf(text, "a: &a {");
    for (int i = 0; i < 20000; i++)
        used += (size_t)sprintf(text + used, "k%d: v,", i);
    used += (size_t)sprintf(text + used, "}\nb: {<<: [");
    for (int i = 0; i < 20000; i++)
        used += (size_t)sprintf(text + used, "*a,");
    sprintf(text + used, "]}\nz: {controlnet: x}\n");
    check(text, strlen(text), "/y/x ", "x.yaml:2: << brings in too much", "20,000 merges of 20,000 entries");

    memset(text, '[', 100000);
    text[100000] = '\0';
    memcpy(text, "a: {controlnet: x}\nb: ", 22);
    check(text, strlen(text), "/y/x ", "x.yaml:2: more than 256 lists and maps", "100,000 lists in one another");
}

static void test_limits(void)
{
    static char text[1 << 20];
    size_t used = (size_t)sprintf(text, "a:\n  base_path: ");
    memset(text + used, 'x', 5000);
    sprintf(text + used + 5000, "\n  controlnet: x\nb: {controlnet: y}\n");
    check(text, strlen(text), "/y/y ", "x.yaml:2: section 'a': base_path has 5003 bytes; expected less than 4096",
          "a base_path that no path can begin with");

    used = (size_t)sprintf(text, "a:\n  controlnet: |\n");
    for (int i = 0; i < 100000; i++)
        used += (size_t)sprintf(text + used, "    %d\n", i);
    struct dt2_search search = { 0 };
    struct lines lines = { 0 };
    const struct dt2_log logger = { lines_add, &lines };
    is_int(dt2_search_read(&search, "controlnet", "/y/x.yaml", text, used, &logger, NULL), 0,
           "100,000 folders are read");
    is_u64(search.count, 4096, "as many as are searched");
    is_str(lines.text, "more than 4096 folders to search, the others are skipped\n", "the rest is said once");
    dt2_search_clear(&search);
}

/* Cut anywhere, a file gives the folders of its first sections, in their order. */
static void test_cuts(void)
{
    static const char text[] =
        "a:\n  base_path: /m\n  controlnet: x\nb: &b {controlnet: \"y\"}\nc:\n  <<: *b\n  loras: |\n"
        "    l\n  base_path: /n\nd: {controlnet: 'z'}\n";
    static const char *const folders[] = { "/m/x", "/y/y", "/n/y", "/y/z" };
    bool good = true;
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct dt2_search search = { 0 };
        good &= dt2_search_read(&search, "controlnet", "/y/x.yaml", text, cut, NULL, NULL) == 0;
        for (size_t i = 0, at = 0; i < search.count; i++) {
            while (at < 4 && strcmp(folders[at], search.folders[i]) != 0)
                at++;
            good &= at < 4 || i + 1 == search.count; /* the last one may be cut in itself */
        }
        dt2_search_clear(&search);
    }
    ok(good, "a file cut at each of its bytes");
}

int main(void)
{
    test_scalars();
    test_documents();
    test_bombs();
    test_limits();
    test_cuts();
    return done_testing();
}
