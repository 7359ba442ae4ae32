/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A folder for a test's files, removed at its end, and trees of files in it; and where the committed data are. A step that
 * fails ends the test program: nothing could be tested then.
 */
#ifndef DT2_TESTS_SCRATCH_H
#define DT2_TESTS_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char scratch_root[PATH_MAX]; /* without a symbolic link in it; empty before scratch_begin() */
static pid_t scratch_owner;         /* a forked process leaves the folder alone */

__attribute__((unused)) static void scratch_need(bool good, const char *what)
{
    if (good)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

static int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void scratch_end(void)
{
    if (*scratch_root && getpid() == scratch_owner)
        nftw(scratch_root, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *scratch_root = '\0';
}

/* Begins with an empty folder, whose path is returned. What was in the one before is gone. */
__attribute__((unused)) static const char *scratch_begin(void)
{
    const char *where = getenv("TMPDIR");
    char name[PATH_MAX];
    scratch_end();
    snprintf(name, sizeof name, "%.2000s/distorch2-test-XXXXXX", where && *where ? where : "/tmp");
    scratch_need(mkdtemp(name) && realpath(name, scratch_root), name);
    if (!scratch_owner)
        atexit(scratch_end);
    scratch_owner = getpid();
    return scratch_root;
}

/* The path of a file in the folder, which is begun if need be, in memory that the next calls but seven use again. */
__attribute__((unused, format(printf, 1, 2))) static const char *scratch(const char *format, ...)
{
    static char paths[8][16384];
    static unsigned turn;
    if (!*scratch_root)
        scratch_begin();
    char *path = paths[turn++ % 8];
    int used = snprintf(path, sizeof paths[0], "%s/", scratch_root);
    va_list args;
    va_start(args, format);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, args);
    va_end(args);
    return path;
}

/* Removes a file or folder, with all below it. */
__attribute__((unused)) static void scratch_remove(const char *name)
{
    const char *path = scratch("%s", name);
    scratch_need(nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, path);
}

/* Makes the folders above a path. */
static void scratch_make_above(const char *path)
{
    char above[16384];
    snprintf(above, sizeof above, "%s", path);
    for (char *slash = strchr(above + strlen(scratch_root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        scratch_need(mkdir(above, 0755) == 0 || errno == EEXIST, above);
        *slash = '/';
    }
}

__attribute__((unused)) static void scratch_folder(const char *name)
{
    scratch_make_above(scratch("%s/", name));
}

/* Writes a file of `size` bytes, followed by `zeros` bytes of 0 (a hole, so that large ones cost nothing). */
__attribute__((unused)) static const char *scratch_file(const char *name, const void *bytes, size_t size,
                                                        uint64_t zeros)
{
    const char *path = scratch("%s", name);
    scratch_make_above(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    scratch_need(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && ftruncate(fd, (off_t)(size + zeros)) == 0 &&
                     close(fd) == 0,
                 path);
    return path;
}

__attribute__((unused)) static const char *scratch_text(const char *name, const char *text)
{
    return scratch_file(name, text, strlen(text), 0);
}

/* A file of safetensors: the length, `header`, and `data_bytes` bytes of 0. */
__attribute__((unused)) static const char *scratch_safetensors(const char *name, const char *header, size_t length,
                                                               uint64_t data_bytes)
{
    char *bytes = malloc(length + 8);
    scratch_need(bytes, name);
    memcpy(bytes, &(uint64_t){ length }, 8);
    memcpy(bytes + 8, header, length);
    const char *path = scratch_file(name, bytes, length + 8, data_bytes);
    free(bytes);
    return path;
}

__attribute__((unused)) static void scratch_link(const char *name, const char *target)
{
    const char *path = scratch("%s", name);
    scratch_make_above(path);
    scratch_need(symlink(target, path) == 0, path);
}

__attribute__((unused)) static struct timespec scratch_time(const char *name)
{
    struct stat st;
    scratch_need(stat(scratch("%s", name), &st) == 0, name);
    return st.st_mtim;
}

__attribute__((unused)) static void scratch_set_time(const char *name, struct timespec time)
{
    scratch_need(utimensat(AT_FDCWD, scratch("%s", name), (struct timespec[]){ time, time }, 0) == 0, name);
}

/* Sets the times of a file or folder to so many seconds ago. */
__attribute__((unused)) static void scratch_age(const char *name, time_t seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec -= seconds;
    scratch_set_time(name, now);
}

/* The path of a file under tests/data. */
__attribute__((unused)) static const char *data_path(const char *name)
{
    static char path[2 * PATH_MAX];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/tests/data/%s", top ? top : access("tests/data", F_OK) == 0 ? "." : "..", name);
    return path;
}

#endif
