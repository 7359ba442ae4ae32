/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target: any bytes as a model file. They are opened through a memfd, so that the whole way of a real file is
 * taken; what is accepted must hold together, and its blocks are made. Build with clang
 * -fsanitize=fuzzer,address,undefined.
 */
#include <distorch2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert, whatever NDEBUG says. */
static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Tensors lie inside the file, are found by name, and read as the bytes that are there. */
static void check_tensors(const struct dt2_file *file, const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        must(tensor->offset <= size && tensor->bytes <= size - tensor->offset);
        size_t index;
        must(dt2_file_find(file, tensor->name, &index, NULL) == 0 && index == i);
        sum += tensor->bytes;
        char bytes[256];
        if (tensor->bytes > sizeof bytes)
            continue;
        must(dt2_file_read(file, i, bytes, tensor->bytes, NULL) == 0);
        must(memcmp(bytes, data + tensor->offset, tensor->bytes) == 0);
    }
    must(sum == dt2_file_total_bytes(file));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("model", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open(path, &file, &err);
    if (rc == 0) {
        check_tensors(file, data, size);
        check_blocks(file);
        must(dt2_file_unchanged(file, &err) == 0);
        dt2_file_free(file);
    } else {
        must(rc == DT2_EFAILED && strstr(err.text, path));
    }
    close(fd);
    return 0;
}
