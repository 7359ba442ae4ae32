/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for a test's files, removed at its end; and where the committed data are. */
#ifndef DT2_TESTS_SCRATCH_H
#define DT2_TESTS_SCRATCH_H

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[PATH_MAX];
static pid_t scratch_owner;

static void scratch_remove(void)
{
    if (getpid() != scratch_owner)
        return;
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", scratch_folder);
}

/* The path of a file in the folder, in memory that the next calls but seven use again. */
__attribute__((unused)) static const char *scratch(const char *name)
{
    static char paths[8][PATH_MAX + 256];
    static unsigned turn;
    if (!scratch_owner) {
        const char *where = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%s/distorch2-test-XXXXXX", where && *where ? where : "/tmp");
        if (!mkdtemp(scratch_folder)) {
            perror(scratch_folder);
            exit(1);
        }
        scratch_owner = getpid();
        atexit(scratch_remove);
    }
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

/* Writes a file of `size` bytes, followed by `zeros` bytes of 0 (a hole, so that large ones cost nothing). */
__attribute__((unused)) static const char *scratch_file(const char *name, const void *bytes, size_t size,
                                                        uint64_t zeros)
{
    const char *path = scratch(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || ftruncate(fd, (off_t)(size + zeros)) < 0 ||
        close(fd) < 0) {
        perror(path);
        exit(1);
    }
    return path;
}

/* A file of safetensors: the length, `header`, and `data_bytes` bytes of 0. */
__attribute__((unused)) static const char *scratch_safetensors(const char *name, const char *header, size_t length,
                                                               uint64_t data_bytes)
{
    char *bytes = malloc(length + 8);
    if (!bytes)
        exit(1);
    memcpy(bytes, &(uint64_t){ length }, 8);
    memcpy(bytes + 8, header, length);
    const char *path = scratch_file(name, bytes, length + 8, data_bytes);
    free(bytes);
    return path;
}

/* The path of a file under tests/data. */
__attribute__((unused)) static const char *data_path(const char *name)
{
    static char path[PATH_MAX];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/tests/data/%s", top ? top : access("tests/data", F_OK) == 0 ? "." : "..", name);
    return path;
}

#endif
