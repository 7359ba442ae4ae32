/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rewrite IN OUT [IN OUT]...: writes each model as safetensors, whatever its format: what another program can compare.
 * A file that is refused leaves OUT with "refused:" and the error's text.
 */
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void put_string(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
            fprintf(out, "\\u%04x", (unsigned char)*text);
        else
            putc(*text, out);
    putc('"', out);
}

static void put_header(FILE *out, const struct dt2_file *file)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        putc(i ? ',' : '{', out);
        put_string(out, tensor->name);
        fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[", tensor->dtype);
        for (size_t j = 0; j < tensor->rank; j++)
            fprintf(out, "%s%" PRIu64, j ? "," : "", tensor->shape[j]);
        fprintf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + tensor->bytes);
        offset += tensor->bytes;
    }
    putc('}', out);
}

static void put_data(FILE *out, const struct dt2_file *file)
{
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        uint64_t bytes = dt2_file_tensor(file, i)->bytes;
        struct dt2_error err = { 0 };
        char *data = malloc(bytes ? bytes : 1);
        check(data, "malloc");
        if (dt2_file_read(file, i, data, bytes, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        check(fwrite(data, 1, bytes, out) == bytes, "write");
        free(data);
    }
}

static void rewrite(const char *from, const char *to)
{
    struct dt2_error err;
    struct dt2_file *file;
    char *header = NULL;
    size_t size = 0;
    FILE *out = fopen(to, "wb");
    check(out, to);
    if (dt2_file_open(from, &file, &err) < 0) {
        fprintf(out, "refused:%s", err.text);
    } else {
        FILE *memory = open_memstream(&header, &size);
        check(memory, "open_memstream");
        put_header(memory, file);
        check(fclose(memory) == 0, "write");
        uint64_t length = size;
        check(fwrite(&length, sizeof length, 1, out) == 1 && fwrite(header, 1, size, out) == size, to);
        put_data(out, file);
        free(header);
        dt2_file_free(file);
    }
    check(fclose(out) == 0, to);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc % 2 == 0) {
        fprintf(stderr, "usage: rewrite IN OUT.safetensors [IN OUT.safetensors]...\n");
        return 2;
    }
    for (int i = 1; i < argc; i += 2)
        rewrite(argv[i], argv[i + 1]);
    return 0;
}
