/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder of files that a test makes and that is gone afterwards: a /proc, /sys or /dev of another machine. */
#ifndef DT2_TESTS_FOLDER_H
#define DT2_TESTS_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree_root[128];

static int tree_remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* Empties what an earlier tree left, and begins a new one. */
__attribute__((unused)) static const char *tree_begin(void)
{
    const char *tmp = getenv("TMPDIR");
    if (*tree_root)
        nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    snprintf(tree_root, sizeof tree_root, "%.80s/dt2-tree-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(tree_root)) {
        perror(tree_root);
        exit(1);
    }
    return tree_root;
}

__attribute__((unused)) static void tree_end(void)
{
    nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *tree_root = '\0';
}

/* Writes a file, with the folders above it. */
__attribute__((unused)) static void tree_file(const char *path, const char *content)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", tree_root, path);
    for (char *slash = whole + strlen(tree_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    if (!file || fputs(content, file) < 0 || fclose(file) != 0) {
        perror(whole);
        exit(1);
    }
}

#endif
