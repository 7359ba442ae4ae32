/* SPDX-License-Identifier: BSD-3-Clause */
/* What is listed, what a refresh sees and costs, and what names resolve to. */
#include "base/checked.h"
#include "support/lines.h"
#include "support/tap.h"
#include "support/scratch.h"
#include <distorch2/catalog.h>

static struct lines lines; /* of the catalogue that is open */

static struct dt2_catalog *open_base(const char *base, const char *file)
{
    struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
    options.comfyui = scratch("%s", base);
    options.extra_model_paths = &file;
    options.extra_model_path_count = file ? 1 : 0;
    struct dt2_catalog *catalog = NULL;
    struct dt2_error err;
    lines = (struct lines){ 0 };
    if (!ok(dt2_catalog_open(&options, lines_add, &lines, &catalog, &err) == 0, "%s opens", base))
        diag("%s", err.text);
    return catalog;
}

/* Holds the names, each ended by '|', against `expected`. */
static void check_names(const struct dt2_catalog *catalog, const char *expected, const char *what)
{
    static char got[65536];
    got[0] = '\0';
    for (size_t i = 0; i < dt2_catalog_count(catalog); i++) {
        strcat(got, dt2_catalog_get(catalog, i)->name);
        strcat(got, "|");
    }
    is_str(got, expected, "%s", what);
}

static void test_suffixes(void)
{
    static const char *const listed[] = { "a.ckpt",        "a.pt",  "a.pt2", "a.bin",  "a.pth",
                                          "a.safetensors", "a.pkl", "a.sft", "a.gguf", "A.SafeTensors",
                                          "a.b.PT",        ".a.pt", "a..pt", "a b.pt", "\xC3\xA4.pt" };
    static const char *const others[] = { ".safetensors", "..pt", "...pt", "safetensors", "a.safetensors.tmp", "a.pt ",
                                          "a.ptx", "a.txt", "a.pt.", "a", "a.onnx", "a.safetensors.index.json" };
    for (size_t i = 0; i < DT2_COUNT(listed); i++) {
        char name[128];
        snprintf(name, sizeof name, "suffix/models/controlnet/%s", listed[i]);
        scratch_text(name, "");
    }
    for (size_t i = 0; i < DT2_COUNT(others); i++) {
        char name[128];
        snprintf(name, sizeof name, "suffix/models/controlnet/%s", others[i]);
        scratch_text(name, "");
    }
    struct dt2_catalog *catalog = open_base("suffix", NULL);
    check_names(catalog,
                ".a.pt|A.SafeTensors|a b.pt|a..pt|a.b.PT|a.bin|a.ckpt|a.gguf|a.pkl|a.pt|a.pt2|a.pth|a.safetensors|"
                "a.sft|\xC3\xA4.pt|",
                "the last suffix alone decides, in any case; names are in the order of their code points");
    is_str(lines.text, "", "nothing is warned of");
    dt2_catalog_free(catalog);
}

static void test_tree(void)
{
    scratch_text("t/models/controlnet/sd15/deep/er/canny.pth", "1234");
    scratch_text("t/models/controlnet/both.pt", "first");
    scratch_text("t/models/t2i_adapter/both.pt", "second");
    scratch_text("t/models/t2i_adapter/only.pt", "");
    scratch_folder("t/models/controlnet/dir.pt");
    scratch_text("t/models/t2i_adapter/dir.pt", "a folder of this name is no model");
    scratch_text("t/models/controlnet/.git/x.pt", "");
    scratch_text("t/models/controlnet/sd15/.git/x.pt", "");
    scratch_text("t/models/controlnet/.hidden/x.pt", "");
    scratch_text("t/models/controlnet/a\nb/c\nd.pt", "");
    scratch_need(mkfifo(scratch("t/models/controlnet/pipe.pt"), 0600) == 0, "pipe.pt");
    struct dt2_catalog *catalog = open_base("t", NULL);
    check_names(catalog, ".hidden/x.pt|a\nb/c\nd.pt|both.pt|dir.pt|only.pt|sd15/deep/er/canny.pth|",
                "any depth, one of each name");
    is_str(lines.text, "", "nothing is warned of");
    const struct dt2_catalog_entry *entry = dt2_catalog_get(catalog, 2);
    is_str(entry->path, scratch("t/models/controlnet/both.pt"), "the first folder wins");
    is_str(entry->folder, scratch("t/models/controlnet"), "which is named");
    is_str(dt2_catalog_get(catalog, 3)->folder, scratch("t/models/t2i_adapter"), "but for what is no file there");
    is_u64(dt2_catalog_bytes(dt2_catalog_get(catalog, 5)), 4, "bytes are asked when they are wanted");
    scratch_text("t/models/controlnet/sd15/deep/er/canny.pth", "123456");
    is_u64(dt2_catalog_bytes(dt2_catalog_get(catalog, 5)), 6, "so that they are those of now");
    scratch_remove("t/models/controlnet/sd15/deep/er/canny.pth");
    is_u64(dt2_catalog_bytes(dt2_catalog_get(catalog, 5)), DT2_UNKNOWN, "unknown when the file is gone");
    is_str(dt2_catalog_get(catalog, 6) ? "an entry" : NULL, NULL, "there is no entry behind the last");
    dt2_catalog_free(catalog);
}

static void test_links(void)
{
    scratch_text("l/models/controlnet/real/x.pt", "");
    scratch_text("l/models/controlnet/real/sub/y.pt", "");
    scratch_link("l/models/controlnet/again", "real");
    scratch_link("l/models/controlnet/real/loop", "..");
    scratch_link("l/models/controlnet/real/sub/self", ".");
    scratch_link("l/models/controlnet/gone.pt", "nowhere/x.pt");
    scratch_link("l/models/controlnet/gone", "nowhere");
    scratch_link("l/models/controlnet/round", "round");
    scratch_text("l/store/blob", "");
    scratch_link("l/models/controlnet/blob.safetensors", "../../store/blob");
    scratch_link("l/models/controlnet/file.txt", "../../store/blob");
    scratch_text("l/store/t2i/z.pt", "");
    scratch_link("l/models/t2i_adapter", "../store/t2i");
    struct dt2_catalog *catalog = open_base("l", NULL);
    check_names(catalog, "blob.safetensors|real/sub/y.pt|real/x.pt|z.pt|",
                "links are followed; each folder is listed once, where it lies");
    is_u64(lines.count, 3, "three links lead nowhere");
    ok(lines_have(&lines, "l/models/controlnet/gone.pt: a link that leads nowhere"), "the file");
    ok(lines_have(&lines, "l/models/controlnet/gone: a link that leads nowhere"), "the folder");
    ok(lines_have(&lines, "l/models/controlnet/round: a link that leads nowhere"), "the link to itself");
    char *by_link = NULL;
    is_int(dt2_catalog_resolve(catalog, "again/sub/y.pt", &by_link, NULL), 0, "a name through a link is known");
    is_str(by_link, scratch("l/models/controlnet/again/sub/y.pt"), "as its path");
    dt2_text_free(by_link);
    dt2_catalog_free(catalog);

    /* Two that lead into each other. */
    scratch_text("m/models/controlnet/a/x.pt", "");
    scratch_text("m/models/controlnet/b/y.pt", "");
    scratch_link("m/models/controlnet/a/b", "../b");
    scratch_link("m/models/controlnet/b/a", "../a");
    catalog = open_base("m", NULL);
    check_names(catalog, "a/x.pt|b/y.pt|", "two directories that lead into each other");
    dt2_catalog_free(catalog);
}

/* Two links a level to the next one: 2^24 paths, and a model at the end of each. */
static void test_many_paths(void)
{
    char path[64];
    for (int i = 0; i < 24; i++) {
        snprintf(path, sizeof path, "n/store/%d", i);
        scratch_folder(path);
        char target[16];
        snprintf(target, sizeof target, "../%d", i + 1);
        snprintf(path, sizeof path, "n/store/%d/a", i);
        scratch_link(path, target);
        snprintf(path, sizeof path, "n/store/%d/b", i);
        scratch_link(path, target);
    }
    scratch_text("n/store/24/x.pt", "");
    scratch_folder("n/models");
    scratch_link("n/models/controlnet", "../store/0");
    struct dt2_catalog *catalog = open_base("n", NULL);
    check_names(catalog, "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/x.pt|", "one path of very many");
    dt2_catalog_free(catalog);
}

static void test_kernels_own(void)
{
    scratch_text("k/models/controlnet/x.pt", "");
    scratch_link("k/models/controlnet/p", "/proc");
    scratch_link("k/models/controlnet/s", "/sys/class");
    struct dt2_catalog *catalog = open_base("k", NULL);
    check_names(catalog, "x.pt|", "what the kernel tells of itself is no model");
    dt2_catalog_free(catalog);
}

/* A link to very much: cut, with one warning. */
static void test_cap(void)
{
    char path[64];
    for (int i = 0; i < 33000; i++) {
        snprintf(path, sizeof path, "c/models/controlnet/%d", i);
        scratch_folder(path);
    }
    struct dt2_catalog *catalog = open_base("c", NULL);
    is_u64(lines.count, 1, "one warning");
    ok(lines_have(&lines, "the catalogue is cut at 32768 folders"), "of the cut");
    dt2_catalog_free(catalog);
}

static int stop_at(void *data, size_t folders, size_t models)
{
    (void)models;
    return folders >= *(size_t *)data;
}

static void test_interrupted(void)
{
    struct dt2_catalog_options where = DT2_CATALOG_OPTIONS_INIT;
    struct dt2_catalog *catalog = NULL;
    struct dt2_error err;
    size_t most = 2;
    where.comfyui = scratch("t");
    where.progress = stop_at;
    where.progress_data = &most;
    is_int(dt2_catalog_open(&where, NULL, NULL, &catalog, &err), DT2_ECANCELLED, "a scan is ended");
    ok(!catalog && strstr(err.text, "interrupted"), "and says so");
    most = 1000;
    is_int(dt2_catalog_open(&where, NULL, NULL, &catalog, &err), 0, "or let go on");
    dt2_catalog_free(catalog);
}

static void test_odd_names(void)
{
    scratch_folder("o/models/controlnet");
    if (mkdir(scratch("o/models/controlnet/\xFF"), 0700) < 0) {
        skip(4, "the file system takes no names that are not UTF-8");
        return;
    }
    scratch_text("o/models/controlnet/\xFF/x.pt", "");
    scratch_text("o/models/controlnet/\xC3.pt", "");
    scratch_text("o/models/controlnet/\xFE.txt", "");
    scratch_text("o/models/controlnet/ok.pt", "");
    struct dt2_catalog *catalog = open_base("o", NULL);
    check_names(catalog, "ok.pt|", "names that are not UTF-8 are skipped");
    is_u64(lines.count, 2, "those that would be models, with a warning");
    ok(lines_have(&lines, "\\xff: the name is not UTF-8") && lines_have(&lines, "\\xc3.pt: "), "which shows them");
    dt2_catalog_free(catalog);
}

static void test_deep(void)
{
    char name[4096] = "p/models/controlnet", expected[4096];
    for (int i = 0; i < 150; i++)
        strcat(name, "/0123456789");
    strcat(name, "/x.pt");
    scratch_text(name, "");
    struct dt2_catalog *catalog = open_base("p", NULL);
    snprintf(expected, sizeof expected, "%s|", name + strlen("p/models/controlnet/"));
    check_names(catalog, expected, "150 folders deep");
    dt2_catalog_free(catalog);
}

static void check_refresh(struct dt2_catalog *catalog, size_t added, size_t removed, const char *names,
                          const char *what)
{
    struct dt2_catalog_changes changes = { sizeof changes, 99, 99 };
    struct dt2_error err;
    if (!ok(dt2_catalog_refresh(catalog, &changes, &err) == 0, "%s: refreshed", what))
        diag("%s", err.text);
    is_u64(changes.added, added, "%s: added", what);
    is_u64(changes.removed, removed, "%s: removed", what);
    check_names(catalog, names, what);
}

static void test_refresh(void)
{
    scratch_text("r/models/controlnet/a.pt", "");
    scratch_text("r/models/controlnet/sub/b.pt", "");
    scratch_age("r/models/controlnet", 100);
    scratch_age("r/models/controlnet/sub", 100);
    struct dt2_catalog *catalog = open_base("r", NULL);
    check_refresh(catalog, 0, 0, "a.pt|sub/b.pt|", "nothing happened");
    scratch_text("r/models/controlnet/sub/c.pt", "");
    check_refresh(catalog, 1, 0, "a.pt|sub/b.pt|sub/c.pt|", "a file more");
    scratch_text("r/models/controlnet/sub/d.pt", "");
    check_refresh(catalog, 1, 0, "a.pt|sub/b.pt|sub/c.pt|sub/d.pt|", "and one more at once");
    scratch_remove("r/models/controlnet/sub");
    check_refresh(catalog, 0, 3, "a.pt|", "a folder less");
    scratch_text("r/models/t2i_adapter/new/x.pt", "");
    check_refresh(catalog, 1, 0, "a.pt|new/x.pt|", "a folder that was missing");
    scratch_text("r/models/t2i_adapter/a.pt", "");
    check_refresh(catalog, 0, 0, "a.pt|new/x.pt|", "one more that is hidden by the first folder's");
    scratch_remove("r/models/controlnet/a.pt");
    check_refresh(catalog, 1, 1, "a.pt|new/x.pt|", "which shows when that goes");
    is_str(dt2_catalog_get(catalog, 0)->path, scratch("r/models/t2i_adapter/a.pt"), "under the same name");
    scratch_link("r/models/controlnet/link", "../../../l/store");
    check_refresh(catalog, 1, 0, "a.pt|link/t2i/z.pt|new/x.pt|", "a link to a folder");
    is_int(dt2_catalog_refresh(catalog, NULL, NULL), 0, "nobody has to ask what changed");
    dt2_catalog_free(catalog);
}

/* A directory is read again when its time differs, or was too near to tell: what is added unseen shows which. */
static void test_refresh_cost(void)
{
    scratch_text("q/models/controlnet/a.pt", "");
    scratch_age("q/models/controlnet", 100);
    struct timespec then = scratch_time("q/models/controlnet");
    struct dt2_catalog *catalog = open_base("q", NULL);
    scratch_text("q/models/controlnet/b.pt", "");
    scratch_set_time("q/models/controlnet", then);
    struct stat st;
    scratch_need(stat(scratch("q/models/controlnet"), &st) == 0, "q/models/controlnet");
    check_refresh(catalog, 0, 0, "a.pt|", "an old directory that looks the same is not read");
    scratch_age("q/models/controlnet", 90);
    check_refresh(catalog, 1, 0, "a.pt|b.pt|", "one whose time changed is");
    dt2_catalog_free(catalog);

    scratch_age("q/models/controlnet", 0);
    then = scratch_time("q/models/controlnet");
    catalog = open_base("q", NULL);
    scratch_text("q/models/controlnet/c.pt", "");
    scratch_set_time("q/models/controlnet", then);
    check_refresh(catalog, 1, 0, "a.pt|b.pt|c.pt|", "one that had just changed is read again");
    dt2_catalog_free(catalog);

    scratch_age("q/models/controlnet", -1000);
    then = scratch_time("q/models/controlnet");
    catalog = open_base("q", NULL);
    scratch_remove("q/models/controlnet/c.pt");
    scratch_set_time("q/models/controlnet", then);
    check_refresh(catalog, 0, 1, "a.pt|b.pt|", "one of the future is read again");
    dt2_catalog_free(catalog);
}

static void test_refresh_yaml(void)
{
    scratch_text("y/models/controlnet/a.pt", "");
    scratch_text("y/one/x.pt", "");
    scratch_text("y/two/y.pt", "");
    scratch_text("y/named.yaml", "a: {controlnet: one}\n");
    char named[4200];
    snprintf(named, sizeof named, "%s", scratch("y/named.yaml"));
    struct dt2_catalog *catalog = open_base("y", named);
    check_names(catalog, "a.pt|x.pt|", "a file that was named");
    scratch_text("y/named.yaml", "a: {controlnet: two}\n");
    check_refresh(catalog, 1, 1, "a.pt|y.pt|", "it changed");
    scratch_text("y/extra_model_paths.yaml", "a: {is_default: yes, controlnet: one}\n");
    check_refresh(catalog, 1, 0, "a.pt|x.pt|y.pt|", "the base directory's own came");
    is_str(dt2_catalog_folder(catalog, 0), scratch("y/one"), "with a default folder");
    scratch_remove("y/named.yaml");
    struct dt2_error err;
    is_int(dt2_catalog_refresh(catalog, NULL, &err), DT2_EFAILED, "what was named may not go");
    ok(strstr(err.text, named), "the error names it");
    check_names(catalog, "a.pt|x.pt|y.pt|", "the catalogue stays as it was");
    is_u64(dt2_catalog_folder_count(catalog), 4, "with its folders");
    dt2_catalog_free(catalog);
}

/* Any sequence of changes and refreshes ends where a catalogue that is opened afresh begins. */
static void test_refresh_random(void)
{
    static const char *const folders[] = { "z/models/controlnet/", "z/models/controlnet/a/", "z/models/controlnet/a/b/",
                                           "z/models/t2i_adapter/", "z/models/t2i_adapter/a/" };
    seed_random(20261124);
    scratch_folder("z/models");
    struct dt2_catalog *catalog = open_base("z", NULL);
    bool same = true;
    for (int i = 0; i < 200; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%c.pt", folders[random_below(DT2_COUNT(folders))],
                 (char)('a' + random_below(4)));
        if (random_below(8) == 0)
            name[strlen(name) - 4] = '\0'; /* the folder itself */
        struct stat st;
        if (lstat(scratch("%s", name), &st) == 0)
            scratch_remove(name);
        else if (name[strlen(name) - 1] == '/')
            scratch_folder(name);
        else
            scratch_text(name, "");
        if (random_below(3) == 0)
            continue;
        struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
        options.comfyui = scratch("z");
        struct dt2_catalog *fresh = NULL;
        same &= dt2_catalog_refresh(catalog, NULL, NULL) == 0 &&
                dt2_catalog_open(&options, NULL, NULL, &fresh, NULL) == 0 &&
                dt2_catalog_count(catalog) == dt2_catalog_count(fresh);
        for (size_t j = 0; same && j < dt2_catalog_count(fresh); j++)
            same &= strcmp(dt2_catalog_get(catalog, j)->path, dt2_catalog_get(fresh, j)->path) == 0;
        dt2_catalog_free(fresh);
    }
    ok(same, "200 random changes: refreshing gives what opening gives");
    dt2_catalog_free(catalog);
}

static void test_resolve(void)
{
    scratch_text("v/models/controlnet/sd15/canny.safetensors", "");
    scratch_text("v/models/controlnet/depth.safetensors", "");
    scratch_text("v/models/secret.safetensors", "");
    scratch_text("v/cwd/depth.safetensors", "a name of the catalogue comes before a path");
    scratch_text("v/cwd/local/own.safetensors", "");
    scratch_text("v/cwd/local/notes.txt", "");
    scratch_link("v/models/controlnet/out", "../loras");
    scratch_folder("v/models/loras");
    scratch_need(chdir(scratch("v/cwd")) == 0, "v/cwd");
    struct dt2_catalog *catalog = open_base("v", NULL);
    static const struct {
        const char *model, *path; /* below the tree's root when it begins with '@'; NULL: refused */
        int code;
    } cases[] = {
        { "depth.safetensors", "@v/models/controlnet/depth.safetensors", 0 },
        { "sd15/canny.safetensors", "@v/models/controlnet/sd15/canny.safetensors", 0 },
        { "sd15//canny.safetensors", "@v/models/controlnet/sd15/canny.safetensors", 0 },
        { "sd15/../depth.safetensors", "@v/models/controlnet/depth.safetensors", 0 },
        { "./depth.safetensors", "./depth.safetensors", 0 },
        { "../cwd/depth.safetensors", "../cwd/depth.safetensors", 0 },
        { "local/own.safetensors", "local/own.safetensors", 0 },
        { "local/notes.txt", "local/notes.txt", 0 },
        { "local", "local", 0 },
        { "./local", "./local", 0 },
        { ".", ".", 0 },
        { "/", "/", 0 },
        { "canny.safetensors", NULL, DT2_ENOENT },
        { "sd15", NULL, DT2_ENOENT },
        { "../secret.safetensors", NULL, DT2_ENOENT },
        { "sd15/../../secret.safetensors", NULL, DT2_ENOENT },
        { "local/../../cwd/depth.safetensors", NULL, DT2_ENOENT },
        { "out/../secret.safetensors", NULL, DT2_ENOENT },
        { "/dev/null/x.pt", NULL, DT2_ENOENT },
        { "./no.pt", NULL, DT2_ENOENT },
        { "depth.safetensors/x", NULL, DT2_ENOENT },
        { "", NULL, DT2_ENOENT },
        { "\xFF", NULL, DT2_ENOENT },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        const char *expected = cases[i].path;
        if (expected && expected[0] == '@')
            expected = scratch("%s", expected + 1);
        char *path = NULL;
        is_int(dt2_catalog_resolve(catalog, cases[i].model, &path, NULL), cases[i].code, "'%s': verdict",
               cases[i].model);
        is_str(path, expected, "'%s': path", cases[i].model);
        dt2_text_free(path);
    }
    struct dt2_error err;
    char *path = NULL;
    dt2_catalog_resolve(catalog, "dept.safetensors", &path, &err);
    is_str(err.suggestion, "did you mean depth.safetensors?", "a name that is near is suggested");
    dt2_catalog_resolve(catalog, "canny", &path, &err);
    is_str(err.suggestion, "did you mean sd15/canny.safetensors?", "so is one that holds the word");
    dt2_catalog_resolve(catalog, "a/../../b\n", &path, &err);
    is_str(err.suggestion, "a path begins with '/', './' or '../': ./a/../../b\\x0a", "how to write a path");
    dt2_catalog_free(catalog);
    catalog = open_base("none", NULL);
    dt2_catalog_resolve(catalog, "depth", &path, &err);
    ok(strstr(err.suggestion, "the catalogue is empty"), "an empty catalogue says so");
    dt2_catalog_free(catalog);
    scratch_need(chdir("/") == 0, "/");
}

int main(void)
{
    unsetenv("COMFYUI_PATH");
    scratch_begin();
    test_suffixes();
    test_tree();
    test_links();
    test_many_paths();
    test_kernels_own();
    test_cap();
    test_interrupted();
    test_odd_names();
    test_deep();
    test_refresh();
    test_refresh_cost();
    test_refresh_yaml();
    test_refresh_random();
    test_resolve();
    return done_testing();
}
