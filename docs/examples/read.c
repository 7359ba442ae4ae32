/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads all tensors of a model file into memory of our own. Only the first tier of distorch2 is
 * needed for that, <distorch2/file.h>: no devices, no plans, no drivers.
 *
 *     cc read.c $(pkg-config --cflags --libs distorch2) -o read
 *     ./read MODEL.safetensors
 */
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A sum by which we know bytes again when we meet them (FNV-1a): load.c prints the same one. */
static uint64_t sum_of(const unsigned char *bytes, uint64_t count)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return sum;
}

/* A tensor belongs to the file that we ask for it, and lives as long: nothing here is to be freed. */
static void print_tensor(const struct dt2_tensor *tensor, const unsigned char *bytes)
{
    printf("%016" PRIx64 "  %-6s", sum_of(bytes, tensor->bytes), tensor->dtype);
    for (size_t i = 0; i < tensor->rank; i++)
        printf("%s%" PRIu64, i ? "x" : " ", tensor->shape[i]);
    printf("  %s\n", tensor->name);
}

/*
 * Reads tensor after tensor to its place in `memory`, which has room for all of them. dt2_file_read()
 * may be called from several threads at once; a program in a hurry would.
 */
static int read_all(const struct dt2_file *file, unsigned char *memory, struct dt2_error *err)
{
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        int rc = dt2_file_read(file, i, memory, tensor->bytes, err);
        if (rc < 0)
            return rc;
        print_tensor(tensor, memory);
        memory += tensor->bytes;
    }
    /* Somebody may have written to the file while we read: then this fails, and says what changed. */
    return dt2_file_unchanged(file, err);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return dt2_exit_status(DT2_EUSAGE);
    }

    /* Every function that can fail returns 0 or a negative code, and fills an error that is ours. */
    struct dt2_error err;
    struct dt2_file *file = NULL;
    int rc = dt2_file_open(argv[1], &file, &err);
    if (rc == 0) {
        uint64_t total = dt2_file_total_bytes(file);
        unsigned char *memory = malloc(total ? total : 1);
        printf("%s: %s, %zu tensors, %" PRIu64 " bytes\n", dt2_file_path(file), dt2_file_format(file),
               dt2_file_tensor_count(file), total);
        if (memory) {
            rc = read_all(file, memory, &err);
        } else {
            rc = DT2_ENOMEM;
            snprintf(err.text, sizeof err.text, "no memory for %" PRIu64 " bytes", total);
            err.suggestion[0] = '\0';
        }
        free(memory);
    }
    if (rc < 0)
        fprintf(stderr, "%s%s%s\n", err.text, err.suggestion[0] ? "\nhint: " : "", err.suggestion);
    dt2_file_free(file); /* as free(): NULL is fine */
    return dt2_exit_status(rc);
}
