/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets of model files share: bytes are opened as a real file, through a memfd, so that the whole way
 * of one is taken. What is accepted must hold together, and can be read.
 */
#ifndef DT2_TESTS_FUZZ_MODEL_H
#define DT2_TESTS_FUZZ_MODEL_H

#include "formats/format.h"
#include <distorch2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Not static: libFuzzer looks for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert, whatever NDEBUG says. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The path of a file of these bytes; one file is used again and again. */
__attribute__((unused)) static const char *fuzz_path(const void *data, size_t size)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("model", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    must(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

/* Pieces sum to their tensor; those of one file, whose bytes are given, lie inside it. */
static void check_pieces(const struct dt2_file *file, size_t i, const uint8_t *data, size_t size)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, i, &count);
    uint64_t sum = 0;
    for (size_t j = 0; j < count; j++) {
        must((pieces[j].file & DT2_IN_VIEW) || !data ||
             (pieces[j].offset <= size && pieces[j].bytes <= size - pieces[j].offset));
        sum += pieces[j].bytes;
    }
    must(sum == dt2_file_tensor(file, i)->bytes);
}

/* Tensors are read in one go or in parts as the same bytes: those of the file, views aside. Small ones, a few of them. */
static void check_bytes(const struct dt2_file *file, size_t i, const uint8_t *data)
{
    char whole[4096], parts[4096];
    uint64_t bytes = dt2_file_tensor(file, i)->bytes;
    if (bytes > sizeof whole || i > 32)
        return;
    must(dt2_file_read(file, i, whole, bytes, NULL) == 0);
    size_t count;
    const struct dt2_piece *piece = dt2_file_pieces(file, i, &count);
    if (count != 1)
        return;
    for (uint64_t at = 0; at < bytes;) {
        struct iovec iov = { parts + at, bytes - at < 7 ? bytes - at : 7 };
        must(dt2_file_pread(file, piece->file, &iov, 1, piece->offset + at, NULL) == 0);
        at += iov.iov_len;
    }
    must(memcmp(whole, parts, bytes) == 0);
    must(!data || piece->file & DT2_IN_VIEW || memcmp(whole, data + piece->offset, bytes) == 0);
}

/* Every tensor is found by its name, and they sum to the file. */
static void check_tensors(const struct dt2_file *file, const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        size_t index;
        must(dt2_file_find(file, dt2_file_tensor(file, i)->name, &index, NULL) == 0 && index == i);
        must(dt2_file_home(file, i, NULL) <= i);
        check_pieces(file, i, data, size);
        check_bytes(file, i, data);
        sum += dt2_file_own_bytes(file, i);
    }
    must(sum == dt2_file_total_bytes(file));
}

static void check_metadata(const struct dt2_file *file)
{
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        must(strlen(key) < SIZE_MAX && strlen(value) < SIZE_MAX); /* the sanitizer looks at each of their bytes */
    }
}

typedef int make_blocks(const struct dt2_file *file, struct dt2_blocks **blocks, struct dt2_error *err);

/* Every tensor is in one block or left out, and both sum to the file. */
static void check_blocks(const struct dt2_file *file, make_blocks *make)
{
    struct dt2_blocks *blocks;
    must(make(file, &blocks, NULL) == 0);
    uint64_t bytes;
    size_t tensors = dt2_blocks_left_out(blocks, &bytes);
    must(make != dt2_blocks_make_all || tensors == 0);
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++) {
        bytes += dt2_blocks_array(blocks)[i].bytes;
        tensors += dt2_blocks_array(blocks)[i].tensor_count;
    }
    must(bytes == dt2_file_total_bytes(file) && tensors == dt2_file_tensor_count(file));
    dt2_blocks_free(blocks);
}

/* Checks a file that was accepted, and closes it. `data`: the bytes of its only file, or NULL when it has several. */
static void check_and_free(struct dt2_file *file, const uint8_t *data, size_t size)
{
    check_tensors(file, data, size);
    check_metadata(file);
    check_blocks(file, dt2_blocks_make);
    check_blocks(file, dt2_blocks_make_all);
    must(dt2_file_unchanged(file, NULL) == 0);
    dt2_file_free(file);
}

/* Opens bytes as a model of a format, or with NULL of whatever format they are; a refusal names the file. */
__attribute__((unused)) static void fuzz_model(const struct dt2_format *format, const uint8_t *data, size_t size)
{
    const char *path = fuzz_path(data, size);
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open_as(path, format, NULL, &file, &err);
    if (rc == 0)
        check_and_free(file, data, size);
    else
        must(rc == DT2_EFAILED && strstr(err.text, path) && !strchr(err.text, '\n'));
}

#endif
