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
#define SUFFIX ".safetensors"
#define NAMES_SHOWN 8

/* The files of a folder that are the model if they are there, before all others. */
static const char *const plain_names[] = { STEM SUFFIX ".index.json", STEM SUFFIX };

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

/* Puts those that end in `suffix` first, in order; returns how many they are. */
static size_t select_names(struct names *names, const char *suffix)
{
    size_t count = 0;
    for (size_t i = 0; i < names->count; i++)
        if (ends_with(names->items[i], suffix)) {
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
    dt2_fail(err, DT2_EFAILED, "%s: no model in the folder: neither " STEM SUFFIX ".index.json nor " STEM "*" SUFFIX,
             folder);
    if (names->count == 0)
        return DT2_EFAILED;
    select_names(names, "");
    DT2_AUTO char *others = enumerate(names, names->count);
    if (others)
        dt2_suggest(err, "a file can be given by its path; the folder has %s", others);
    return DT2_EFAILED;
}

static int refuse_several(const char *folder, const struct names *names, size_t count, struct dt2_error *err)
{
    DT2_AUTO char *all = enumerate(names, count);
    if (!all)
        return dt2_fail_nomem(err);
    dt2_fail(err, DT2_EFAILED, "%s: the folder has %zu files of weights, and no " STEM SUFFIX " among them: %s", folder,
             count, all);
    dt2_suggest(err, "give the path of the one that is meant");
    return DT2_EFAILED;
}

static int choose(const char *folder, struct names *names, const char **chosen, struct dt2_error *err)
{
    for (size_t i = 0; i < DT2_COUNT(plain_names); i++)
        for (size_t j = 0; j < names->count; j++)
            if (strcmp(names->items[j], plain_names[i]) == 0) {
                *chosen = plain_names[i];
                return 0;
            }
    size_t count = select_names(names, SUFFIX);
    if (count == 0)
        return refuse_none(folder, names, err);
    if (count > 1)
        return refuse_several(folder, names, count, err);
    *chosen = names->items[0];
    return 0;
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
