/* SPDX-License-Identifier: BSD-3-Clause */
/* For fuzz targets of model files: bytes are opened as a real file, and what is accepted must hold together. */
#ifndef DT2_FUZZ_ANY_MODEL_H
#define DT2_FUZZ_ANY_MODEL_H

#include "formats/file.h"
#include <distorch2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Like assert, whatever NDEBUG says. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

/* A file of these bytes; one file is used again and again. */
static int fuzz_file(const void *data, size_t size)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("model", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return fd;
}

/* Tensors are found by name, and read in one go or in parts as the same bytes: those of the file, views aside. */
static void fuzz_check_tensor(const struct dt2_file *file, size_t i, const char *data, size_t size)
{
    const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
    size_t index, count;
    must(tensor->offset <= size && dt2_file_find(file, tensor->name, &index, NULL) == 0 && index == i);
    must(dt2_file_same_as(file, i) <= i);
    const struct dt2_piece *pieces = dt2_file_pieces(file, i, &count);
    uint64_t sum = 0;
    for (size_t j = 0; j < count; j++) {
        must((pieces[j].file & DT2_IN_VIEW) ||
             (pieces[j].offset <= size && pieces[j].bytes <= size - pieces[j].offset));
        sum += pieces[j].bytes;
    }
    must(sum == tensor->bytes);
    if (tensor->bytes > 4096 || i > 32)
        return;
    char whole[4096], parts[4096];
    must(dt2_file_read(file, i, whole, tensor->bytes, NULL) == 0);
    for (uint64_t at = 0; count == 1 && at < tensor->bytes;) {
        struct iovec iov = { parts + at, tensor->bytes - at < 7 ? tensor->bytes - at : 7 };
        must(dt2_file_pread(file, pieces->file, &iov, 1, pieces->offset + at, NULL) == 0);
        at += iov.iov_len;
    }
    must(count != 1 || memcmp(whole, parts, tensor->bytes) == 0);
    must(count != 1 || pieces->file & DT2_IN_VIEW || memcmp(whole, data + pieces->offset, tensor->bytes) == 0);
}

/* Every tensor is in one block, and blocks sum to the file. */
static void fuzz_check_blocks(const struct dt2_file *file)
{
    struct dt2_blocks *blocks;
    must(dt2_blocks_make(file, &blocks, NULL) == 0);
    uint64_t bytes = 0;
    size_t tensors = 0;
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++) {
        bytes += dt2_blocks_array(blocks)[i].bytes;
        tensors += dt2_blocks_array(blocks)[i].tensor_count;
    }
    must(bytes == dt2_file_total_bytes(file) && tensors == dt2_file_tensor_count(file));
    dt2_blocks_free(blocks);
}

/* Opens the bytes as a model; a refusal names the file. */
static void fuzz_model(const void *data, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fuzz_file(data, size));
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open(path, &file, &err);
    if (rc < 0) {
        must(rc == DT2_EFAILED && strstr(err.text, path));
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        fuzz_check_tensor(file, i, data, size);
        sum += dt2_file_own_bytes(file, i);
    }
    must(sum == dt2_file_total_bytes(file));
    fuzz_check_blocks(file);
    dt2_file_free(file);
}

#endif
