/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets of single files share: any bytes as a file of one format. They are opened through a memfd, so
 * that the whole way of a real file is taken; what is accepted must hold together, and its blocks are made.
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

/* Every tensor is found by its name, and they sum to the file. */
static void check_names(const struct dt2_file *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        size_t index;
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        must(dt2_file_find(file, tensor->name, &index, NULL) == 0 && index == i);
        sum += tensor->bytes;
    }
    must(sum == dt2_file_total_bytes(file));
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        must(strlen(key) < SIZE_MAX && strlen(value) < SIZE_MAX);
    }
}

/* Every tensor is in one block, and blocks sum to the file. */
static void check_blocks(const struct dt2_file *file)
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

/* Tensors lie inside the file, and read as the bytes that are there. */
__attribute__((unused)) static void check_bytes(const struct dt2_file *file, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        must(tensor->offset <= size && tensor->bytes <= size - tensor->offset);
        char bytes[256];
        if (tensor->bytes > sizeof bytes)
            continue;
        must(dt2_file_read(file, i, bytes, tensor->bytes, NULL) == 0);
        must(memcmp(bytes, data + tensor->offset, tensor->bytes) == 0);
    }
}

__attribute__((unused)) static int fuzz_file(const struct dt2_format *format, const uint8_t *data, size_t size)
{
    int fd = memfd_create("model", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open_as(path, format, &file, &err);
    if (rc == 0) {
        check_names(file);
        check_bytes(file, data, size);
        check_blocks(file);
        must(dt2_file_unchanged(file, &err) == 0);
        dt2_file_free(file);
    } else {
        must(rc == DT2_EFAILED && strstr(err.text, path));
    }
    close(fd);
    return 0;
}

#endif
