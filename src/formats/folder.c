/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/folder.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/format.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEM "diffusion_pytorch_model"
#define NAMES_SHOWN 8

/* The formats of weights, the one that is taken first first; each is looked for by its index, then by a file. */
static const struct kind {
    const char *suffix, *index, *variant_index, *plain;
} kinds[] = {
    { ".safetensors", STEM ".safetensors.index.json", STEM ".safetensors.index.", STEM ".safetensors" },
    { ".bin", STEM ".bin.index.json", STEM ".bin.index.", STEM ".bin" },
};

struct names {
    char **items;
    size_t count, capacity;
};

bool dt2_folder_is(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        dt2_release(names->items[i]);
    dt2_release(names->items);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), n = strlen(suffix);
    return length >= n && strcmp(name + length - n, suffix) == 0;
}

/* The folder's names that begin with the stem. */
static int list(const char *folder, struct names *names, struct dt2_error *err)
{
    DIR *stream = opendir(folder);
    if (!stream)
        return dt2_fail(err, DT2_EFAILED, "%s: cannot open the folder: %s", folder, strerror(errno));
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (errno = 0, entry = readdir(stream))) {
        if (strncmp(entry->d_name, STEM, strlen(STEM)) != 0)
            continue;
        char *name = DT2_GROW(names->items, names->count, names->capacity) ? dt2_strdup(entry->d_name) : NULL;
        if (name)
            names->items[names->count++] = name;
        else
            rc = dt2_fail_nomem(err);
    }
    if (rc == 0 && errno != 0)
        rc = dt2_fail(err, DT2_EFAILED, "%s: cannot read the folder: %s", folder, strerror(errno));
    closedir(stream);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_weights(const char *name, const struct kind *kind)
{
    return ends_with(name, kind->suffix);
}

/* An index of a variant, such as STEM.safetensors.index.fp16.json. */
static bool is_variant_index(const char *name, const struct kind *kind)
{
    return strncmp(name, kind->variant_index, strlen(kind->variant_index)) == 0 && ends_with(name, ".json") &&
           strcmp(name, kind->index) != 0;
}

/* One part of a model that the names of its files tell; the others belong to the first. */
static bool is_later_part(const char *name)
{
    const char *of = strstr(name, "-of-");
    size_t digits = 0;
    while (of && of - name > (ptrdiff_t)digits && of[-1 - (ptrdiff_t)digits] >= '0' && of[-1 - (ptrdiff_t)digits] <= '9')
        digits++;
    return digits > 0 && strtoul(of - digits, NULL, 10) > 1;
}

/* Puts those that `fits` first, in order; returns how many they are. */
static size_t select_names(struct names *names, bool (*fits)(const char *, const struct kind *), const struct kind *kind)
{
    size_t count = 0;
    for (size_t i = 0; i < names->count; i++)
        if (!fits || (fits(names->items[i], kind) && !is_later_part(names->items[i]))) {
            char *moved = names->items[i];
            names->items[i] = names->items[count];
            names->items[count++] = moved;
        }
    if (count > 1)
        qsort(names->items, count, sizeof *names->items, compare_names);
    return count;
}

/* "a, b, c and 5 more"; to be released, NULL without memory. */
static char *enumerate(const struct names *names, size_t count)
{
    struct dt2_text text = { 0 };
    char shown[DT2_SHOWN];
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++)
        dt2_text_addf(&text, "%s%s", i ? ", " : "", dt2_shown(names->items[i], strlen(names->items[i]), shown));
    if (count > NAMES_SHOWN)
        dt2_text_addf(&text, " and %zu more", count - NAMES_SHOWN);
    return dt2_text_take(&text);
}

static int refuse_none(const char *folder, struct names *names, struct dt2_error *err)
{
    dt2_fail(err, DT2_EFAILED,
             "%s: no model in the folder: neither " STEM ".safetensors.index.json nor " STEM "*.safetensors, and none in .bin",
             folder);
    if (names->count == 0)
        return DT2_EFAILED;
    select_names(names, NULL, NULL);
    DT2_AUTO char *others = enumerate(names, names->count);
    if (others)
        dt2_suggest(err, "a file can be given by its path; the folder has %s", others);
    return DT2_EFAILED;
}

static int refuse_several(const char *folder, const struct names *names, size_t count, const struct kind *kind,
                          struct dt2_error *err)
{
    DT2_AUTO char *all = enumerate(names, count);
    if (!all)
        return dt2_fail_nomem(err);
    bool indices = is_variant_index(names->items[0], kind);
    dt2_fail(err, DT2_EFAILED, "%s: the folder has %zu %s, and no %s among them: %s", folder, count,
             indices ? "indices" : "files of weights", indices ? kind->index : kind->plain, all);
    dt2_suggest(err, "give the path of the one that is meant");
    return DT2_EFAILED;
}

static bool has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* The model among weights of one kind; *chosen stays NULL where there are none. */
static int choose_of(const char *folder, struct names *names, const struct kind *kind, const char **chosen,
                     struct dt2_error *err)
{
    if (has(names, kind->index) || has(names, kind->plain)) {
        *chosen = has(names, kind->index) ? kind->index : kind->plain;
        return 0;
    }
    size_t count = select_names(names, is_variant_index, kind);
    count = count ? count : select_names(names, is_weights, kind);
    if (count > 1)
        return refuse_several(folder, names, count, kind, err);
    *chosen = count ? names->items[0] : NULL;
    return 0;
}

static int choose(const char *folder, struct names *names, const char **chosen, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && !*chosen && i < DT2_COUNT(kinds); i++)
        rc = choose_of(folder, names, &kinds[i], chosen, err);
    return rc == 0 && !*chosen ? refuse_none(folder, names, err) : rc;
}

int dt2_folder_model(const char *folder, char **model, struct dt2_error *err)
{
    struct names names = { 0 };
    const char *chosen = NULL;
    int rc = list(folder, &names, err);
    if (rc == 0)
        rc = choose(folder, &names, &chosen, err);
    if (rc == 0) {
        *model = dt2_printf("%s%s%s", folder, ends_with(folder, "/") ? "" : "/", chosen);
        if (!*model)
            rc = dt2_fail_nomem(err);
    }
    clear(&names);
    return rc;
}
