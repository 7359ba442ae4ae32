/* SPDX-License-Identifier: BSD-3-Clause */
/* Each allocation fails, alone and with all after it: the answer is DT2_ENOMEM or right, and nothing leaks. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t calls;                  /* allocations so far */
static uint64_t failing = UINT64_MAX;   /* the one that fails */
static bool failing_on;                 /* and all after it */
static int64_t live;                    /* allocations that were not freed */

static bool fails(void)
{
    uint64_t call = calls++;
    return call == failing || (failing_on && call > failing);
}

static void *failing_calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : calloc(count, size);
    live += memory != NULL;
    return memory;
}

static void *failing_realloc(void *memory, size_t size)
{
    void *grown = fails() ? NULL : realloc(memory, size);
    live += grown && !memory;
    return grown;
}

static void counted_free(void *memory)
{
    live -= memory != NULL;
    free(memory);
}

/* This program's own copy of the seam, in place of the library's. */
#define calloc failing_calloc
#define realloc failing_realloc
#define free counted_free
#include "base/alloc.c"
#undef calloc
#undef realloc
#undef free

#include "support/tap.h"
#include "support/scratch.h"
#include <distorch2/catalog.h>

static void make_tree(void)
{
    scratch_text("models/controlnet/a.pt", "");
    scratch_text("models/controlnet/sub/b.pt", "");
    scratch_link("models/controlnet/gone.pt", "nowhere");
    scratch_text("models/t2i_adapter/a.pt", "");
    scratch_text("more/c.pt", "");
    scratch_text("hub/models--u--n/refs/main", "c0ffee");
    scratch_text("hub/models--u--n/snapshots/c0ffee/a.pt", "");
    scratch_text("extra_model_paths.yaml",
              "a: &a\n  base_path: $HOME/${DT2_TEST_MORE}\n  is_default: yes\n  controlnet: c\n"
              "b:\n  <<: [*a, {loras: l}]\n  controlnet: |\n    ./\n    d\n    d\n    e\n    f\n"
              "c:\n  base_path: ~/more\n  <<: *a\n  controlnet: [x, *a]\nd: [\n");
}

/* Opens, changes the tree, refreshes and resolves; the first failure ends it. Receives what was found in the end. */
static int use_catalog(char *found, size_t size)
{
    struct dt2_catalog *catalog = NULL;
    struct dt2_catalog_options options = DT2_CATALOG_OPTIONS_INIT;
    options.comfyui = scratch_root;
    char *path = NULL;
    int rc = dt2_catalog_open(&options, NULL, NULL, &catalog, NULL);
    if (rc == 0)
        rc = dt2_catalog_refresh(catalog, NULL, NULL);
    if (rc == 0)
        rc = dt2_catalog_resolve(catalog, "sub/../sub/b.pt", &path, NULL);
    if (rc == 0) {
        dt2_text_free(path);
        path = NULL;
        rc = dt2_catalog_resolve(catalog, "u/n", &path, NULL);
    }
    found[0] = '\0';
    for (size_t i = 0; rc == 0 && i < dt2_catalog_folder_count(catalog); i++)
        snprintf(found + strlen(found), size - strlen(found), "%s\n", dt2_catalog_folder(catalog, i));
    for (size_t i = 0; rc == 0 && i < dt2_catalog_count(catalog); i++)
        snprintf(found + strlen(found), size - strlen(found), "%s\n", dt2_catalog_get(catalog, i)->path);
    dt2_text_free(path);
    dt2_catalog_free(catalog);
    return rc;
}

int main(void)
{
    static char right[65536], found[65536];
    scratch_begin();
    make_tree();
    setenv("HOME", scratch_root, 1);
    setenv("DT2_TEST_MORE", "more", 1);
    char hub[PATH_MAX + 8];
    snprintf(hub, sizeof hub, "%s/hub", scratch_root);
    setenv("HF_HUB_CACHE", hub, 1);
    is_int(use_catalog(right, sizeof right), 0, "with memory all goes well");
    ok(strstr(right, "/more/c.pt\n"), "and finds what is there");
    uint64_t all = calls;
    diag("%" PRIu64 " allocations", all);
    is_int(live, 0, "nothing is left");
    bool good = true;
    for (int on = 0; on < 2; on++) {
        failing_on = on;
        for (failing = 0; failing < all; failing++) {
            calls = 0;
            int rc = use_catalog(found, sizeof found);
            if (good && ((rc != DT2_ENOMEM && (rc != 0 || strcmp(found, right) != 0)) || live != 0))
                diag("allocation %" PRIu64 ": %d, %" PRId64 " left, found\n%s", failing, rc, live, found);
            good &= (rc == DT2_ENOMEM || (rc == 0 && strcmp(found, right) == 0)) && live == 0;
        }
    }
    ok(good, "each failure is told or harmless, and leaves nothing");
    failing = UINT64_MAX;
    return done_testing();
}
