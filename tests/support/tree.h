/* SPDX-License-Identifier: BSD-3-Clause */
/* Temporary trees of files for tests. A step that fails ends the test program: nothing could be tested then. */
#ifndef DT2_TESTS_TREE_H
#define DT2_TESTS_TREE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char tree_root[4096]; /* without a symbolic link in it */

static void tree_need(bool good, const char *what)
{
    if (good)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

static int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* Removes a file or folder of the tree, with all below it. */
__attribute__((unused)) static void tree_remove(const char *name)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", tree_root, name);
    tree_need(nftw(path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, path);
}

static void tree_end(void)
{
    nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes an empty tree, which is removed when the program ends. */
__attribute__((unused)) static void tree_begin(void)
{
    const char *base = getenv("TMPDIR");
    char name[2048];
    snprintf(name, sizeof name, "%s/dt2-test-XXXXXX", base && base[0] ? base : "/tmp");
    tree_need(mkdtemp(name) && realpath(name, tree_root), name);
    atexit(tree_end);
}

/* The path of a name in the tree; static storage, the last four stay. */
__attribute__((unused, format(printf, 1, 2))) static const char *at(const char *format, ...)
{
    static char paths[4][16384];
    static unsigned next;
    char *path = paths[next++ % 4];
    int used = snprintf(path, sizeof paths[0], "%s/", tree_root);
    va_list args;
    va_start(args, format);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, args);
    va_end(args);
    return path;
}

/* Makes the folders above a path. */
static void tree_make_above(const char *path)
{
    char above[16384];
    snprintf(above, sizeof above, "%s", path);
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        tree_need(mkdir(above, 0700) == 0 || errno == EEXIST, above);
        *slash = '/';
    }
}

__attribute__((unused)) static void tree_folder(const char *name)
{
    const char *path = at("%s/", name);
    tree_make_above(path);
}

/* Writes a file, and the folders above it. */
__attribute__((unused)) static void tree_file(const char *name, const char *content)
{
    const char *path = at("%s", name);
    tree_make_above(path);
    FILE *file = fopen(path, "w");
    tree_need(file && fputs(content, file) >= 0 && fclose(file) == 0, path);
}

__attribute__((unused)) static void tree_link(const char *name, const char *target)
{
    const char *path = at("%s", name);
    tree_make_above(path);
    tree_need(symlink(target, path) == 0, path);
}

/* Sets the times of a file or folder to so many seconds ago. */
__attribute__((unused)) static void tree_age(const char *name, time_t seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec -= seconds;
    tree_need(utimensat(AT_FDCWD, at("%s", name), (struct timespec[]){ now, now }, 0) == 0, name);
}

__attribute__((unused)) static struct timespec tree_time(const char *name)
{
    struct stat st;
    tree_need(stat(at("%s", name), &st) == 0, name);
    return st.st_mtim;
}

__attribute__((unused)) static void tree_set_time(const char *name, struct timespec time)
{
    tree_need(utimensat(AT_FDCWD, at("%s", name), (struct timespec[]){ time, time }, 0) == 0, name);
}

#endif
