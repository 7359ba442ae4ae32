/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of folders: the cases that ComfyUI's own code answered, the base directory, categories. */
#include "base/checked.h"
#include "base/text.h"
#include "support/lines.h"
#include "support/tap.h"
#include "support/scratch.h"
#include <distorch2/catalog.h>
#include <jansson.h>

/* `text` with @BASE@, @YAMLDIR@ and @YAMLPARENT@ filled in; to be freed. */
static char *fill_in(const char *text, const char *yaml_folder)
{
    struct dt2_text out = { 0 };
    char base[4200], parent[4200];
    snprintf(base, sizeof base, "%s", scratch("base"));
    snprintf(parent, sizeof parent, "%s", yaml_folder);
    *strrchr(parent, '/') = '\0';
    const char *const names[][2] = { { "@BASE@", base }, { "@YAMLDIR@", yaml_folder }, { "@YAMLPARENT@", parent } };
    while (*text) {
        size_t i = 0;
        while (i < DT2_COUNT(names) && strncmp(text, names[i][0], strlen(names[i][0])) != 0)
            i++;
        const char *piece = i < DT2_COUNT(names) ? names[i][1] : text;
        dt2_text_add(&out, piece, i < DT2_COUNT(names) ? strlen(piece) : 1);
        text += i < DT2_COUNT(names) ? strlen(names[i][0]) : 1;
    }
    return dt2_text_take(&out);
}

static struct dt2_catalog *open_with(const char *comfyui, const char *const *files, size_t count, const char *category,
                                     struct lines *lines)
{
    struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
    options.comfyui = comfyui;
    options.extra_model_paths = files;
    options.extra_model_path_count = count;
    options.category = category;
    struct dt2_catalog *catalog = NULL;
    struct dt2_error err;
    if (!ok(dt2_catalog_open(&options, lines_add, lines, &catalog, &err) == 0, "the catalogue opens"))
        diag("%s", err.text);
    return catalog;
}

static void check_folders(const struct dt2_catalog *catalog, const json_t *expected, const char *yaml_folder,
                          const char *name)
{
    is_u64(dt2_catalog_folder_count(catalog), json_array_size(expected), "%s: how many folders", name);
    for (size_t i = 0; i < json_array_size(expected); i++) {
        char *folder = fill_in(json_string_value(json_array_get(expected, i)), yaml_folder);
        is_str(dt2_catalog_folder(catalog, i), folder, "%s: folder %zu", name, i);
        dt2_text_free(folder);
    }
}

/* Where ComfyUI ends with an exception, the line is named, and a section behind it is kept. */
static void check_refused(const struct dt2_catalog *catalog, const struct lines *lines, const char *file,
                          const char *name)
{
    static const struct {
        const char *name;
        unsigned line;
    } known[] = {
        { "empty-file", 1 }, { "null-value", 3 }, { "list-value", 3 }, { "number-value", 3 }, { "scalar-section", 1 }
    };
    for (size_t i = 0; i < DT2_COUNT(known); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        char where[8500];
        snprintf(where, sizeof where, "%s:%u: ", file, known[i].line);
        ok(lines_have(lines, where), "%s: the warning names file and line", name);
        ok(lines_have(lines, "expected a "), "%s: and what was expected", name);
        bool empty = strcmp(name, "empty-file") == 0;
        is_str(dt2_catalog_folder(catalog, 2), empty ? NULL : "/kept/cn", "%s: the other section stands", name);
        return;
    }
    ok(false, "%s: a case that this test does not know", name);
}

/* One case, its files in `folder` (of the tree): all named by the caller, or the first found in the base directory. */
static void check_case(const json_t *test, const char *folder, bool first_in_base)
{
    const char *name = json_string_value(json_object_get(test, "name"));
    const json_t *yaml = json_object_get(test, "yaml");
    bool refused = json_object_get(test, "error");
    char yaml_folder[4200], files[2][8400];
    const char *paths[2] = { files[0], files[1] };
    snprintf(yaml_folder, sizeof yaml_folder, "%s", scratch("%s", folder));
    for (size_t i = 0; i < json_array_size(yaml); i++) {
        char inside[4200];
        snprintf(inside, sizeof inside, i == 0 ? "%s/extra_model_paths.yaml" : "%s/more.yaml", folder);
        char *text = fill_in(json_string_value(json_array_get(yaml, i)), yaml_folder);
        struct dt2_text whole = { 0 };
        dt2_text_addf(&whole, "%s%s", text,
                      refused && text[0] != '\n' ? "kept:\n  base_path: /kept\n  controlnet: cn\n" : "");
        scratch_text(inside, whole.data);
        snprintf(files[i], sizeof files[i], "%s", scratch("%s", inside));
        dt2_text_clear(&whole);
        dt2_text_free(text);
    }
    size_t skipped = first_in_base;
    struct lines lines = { 0 };
    struct dt2_catalog *catalog =
        open_with(scratch("base"), paths + skipped, json_array_size(yaml) - skipped, NULL, &lines);
    if (refused) {
        check_refused(catalog, &lines, files[0], name);
    } else {
        check_folders(catalog, json_object_get(test, "expect"), yaml_folder, name);
        is_str(lines.text, "", "%s: no warning", name);
    }
    dt2_catalog_free(catalog);
}

static void test_cases(void)
{
    const char *top = getenv("top_srcdir");
    char path[4200];
    snprintf(path, sizeof path, "%s/tests/data/catalog/extra_model_paths.cases.json", top ? top : ".");
    json_error_t error;
    json_t *cases = json_load_file(path, 0, &error);
    if (!ok(json_array_size(cases) > 0, "%s is read", path)) {
        diag("%s", error.text);
        return;
    }
    setenv("HOME", "/home/u", 1);
    size_t i;
    const json_t *test, *value;
    json_array_foreach (cases, i, test) {
        const char *name;
        json_t *env = json_object_get(test, "env");
        json_object_foreach (env, name, value)
            setenv(name, json_string_value(value), 1);
        scratch_folder("base");
        check_case(test, "yaml/sub", false);
        check_case(test, "base", true);
        scratch_remove("base");
        json_object_foreach (env, name, value)
            unsetenv(name);
    }
    json_decref(cases);
}

static void test_categories(void)
{
    static const struct {
        const char *category, *folders[4];
    } cases[] = {
        { NULL, { "models/controlnet", "models/t2i_adapter", "cn" } },
        { "controlnet", { "models/controlnet", "models/t2i_adapter", "cn" } },
        { "loras", { "models/loras", "lo" } },
        { "vae", { "models/vae" } },
        { "unet", { "models/unet", "models/diffusion_models", "un", "di" } },
        { "diffusion_models", { "models/unet", "models/diffusion_models", "un", "di" } },
        { "clip", { "models/text_encoders", "models/clip", "te", "cl" } },
        { "text_encoders", { "models/text_encoders", "models/clip", "te", "cl" } },
        { "custom_nodes", { "custom_nodes" } },
        { "anything else", { "models/anything else" } },
    };
    scratch_text("c/extra_model_paths.yaml",
              "a:\n  controlnet: cn\n  loras: lo\n  text_encoders: te\n  clip: cl\n  unet: un\n"
              "  diffusion_models: di\n");
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct lines lines = { 0 };
        struct dt2_catalog *catalog = open_with(scratch("c"), NULL, 0, cases[i].category, &lines);
        for (size_t j = 0; j < 4; j++)
            is_str(dt2_catalog_folder(catalog, j), cases[i].folders[j] ? scratch("c/%s", cases[i].folders[j]) : NULL,
                   "category %s: folder %zu", cases[i].category ? cases[i].category : "(none)", j);
        dt2_catalog_free(catalog);
    }
    static const char *const wrong[] = { "", ".", "..", "../x", "a/b" };
    for (size_t i = 0; i < DT2_COUNT(wrong); i++) {
        struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
        options.category = wrong[i];
        struct dt2_catalog *catalog = NULL;
        is_int(dt2_catalog_open(&options, NULL, NULL, &catalog, NULL), DT2_EUSAGE, "category '%s' is refused",
               wrong[i]);
    }
}

/* The first folder that is searched, less the tree's root; NULL when there is none. */
static const char *first_folder(const char *comfyui)
{
    static char first[4200];
    struct lines lines = { 0 };
    struct dt2_catalog *catalog = open_with(comfyui, NULL, 0, NULL, &lines);
    const char *folder = dt2_catalog_folder(catalog, 0);
    snprintf(first, sizeof first, "%s", folder ? folder : "");
    dt2_catalog_free(catalog);
    size_t root = strlen(scratch_root);
    return !folder ? NULL : strncmp(first, scratch_root, root) == 0 ? first + root : first;
}

static void test_base(void)
{
    scratch_folder("option/models");
    scratch_folder("env/models");
    scratch_folder("here/models");
    scratch_folder("home/ComfyUI");
    scratch_folder("empty");
    scratch_need(chdir(scratch("here")) == 0, "here");
    setenv("HOME", scratch("home"), 1);
    setenv("COMFYUI_PATH", scratch("env"), 1);
    is_str(first_folder(scratch("option")), "/option/models/controlnet", "the option comes first");
    is_str(first_folder("../option/./"), "/option/models/controlnet",
           "a relative one is relative to the working directory");
    is_str(first_folder(NULL), "/env/models/controlnet", "then the environment");
    setenv("COMFYUI_PATH", "", 1);
    is_str(first_folder(NULL), "/here/models/controlnet", "then the working directory, with models/ in it");
    unsetenv("COMFYUI_PATH");
    is_str(first_folder(NULL), "/here/models/controlnet", "an empty variable counts as unset");
    scratch_need(chdir(scratch("empty")) == 0, "empty");
    is_str(first_folder(NULL), "/home/ComfyUI/models/controlnet", "then ~/ComfyUI");
    setenv("HOME", "/dev/null", 1);
    is_str(first_folder(NULL), NULL, "else none");

    struct lines lines = { 0 };
    struct dt2_catalog *catalog = open_with(scratch("no-such"), NULL, 0, NULL, &lines);
    ok(lines_have(&lines, "no-such: no such folder"), "a base directory that does not exist is warned of");
    is_u64(dt2_catalog_count(catalog), 0, "and gives nothing");
    dt2_catalog_free(catalog);
}

static void test_files(void)
{
    scratch_folder("files/extra_model_paths.yaml");
    struct lines lines = { 0 };
    struct dt2_catalog *catalog = open_with(scratch("files"), NULL, 0, NULL, &lines);
    is_str(lines.text, "", "a folder of that name in the base directory is no file");
    dt2_catalog_free(catalog);

    const char *const files[] = { scratch("files/no-such.yaml") };
    struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
    options.comfyui = scratch("files");
    options.extra_model_paths = files;
    options.extra_model_path_count = 1;
    struct dt2_error err;
    catalog = NULL;
    is_int(dt2_catalog_open(&options, NULL, NULL, &catalog, &err), DT2_EFAILED, "a file that was named must exist");
    ok(strstr(err.text, files[0]), "the error names it");
    options.struct_size = 0;
    is_int(dt2_catalog_open(&options, NULL, NULL, &catalog, &err), DT2_EUSAGE, "a struct_size of 0 is refused");
    is_int(dt2_catalog_open(NULL, NULL, NULL, &catalog, &err), 0, "no options are fine");
    dt2_catalog_free(catalog);
    dt2_catalog_free(NULL);
}

int main(void)
{
    unsetenv("COMFYUI_PATH");
    scratch_begin();
    test_cases();
    test_categories();
    test_base();
    test_files();
    scratch_need(chdir("/") == 0, "/");
    return done_testing();
}
