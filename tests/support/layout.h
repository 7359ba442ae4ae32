/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts of models as files of tests/data/layouts have them (lines of name, dtype, shape with commas, separated by
 * tabs), and the safetensors header that a file of that layout has. Problems end the program: this is for tests and
 * mkmodel.
 */
#ifndef DT2_TESTS_LAYOUT_H
#define DT2_TESTS_LAYOUT_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layout_tensor {
    char *name;
    const char *dtype;
    const char *shape; /* as written: "320,4,3,3" */
    uint64_t bytes;
};

struct layout {
    struct layout_tensor *tensors;
    size_t count;
    uint64_t bytes;
};

__attribute__((noreturn, format(printf, 1, 2))) static void layout_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void *layout_memory(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory)
        layout_die("out of memory");
    return memory;
}

static unsigned layout_bits(const char *dtype)
{
    static const struct {
        const char *name;
        unsigned bits;
    } bits[] = {
        { "F4", 4 },    { "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "BOOL", 8 },    { "U8", 8 },
        { "I8", 8 },    { "F8_E4M3", 8 }, { "F8_E5M2", 8 }, { "F8_E8M0", 8 }, { "F16", 16 },
        { "BF16", 16 }, { "I16", 16 },    { "U16", 16 },    { "F32", 32 },    { "I32", 32 },
        { "U32", 32 },  { "F64", 64 },    { "I64", 64 },    { "U64", 64 },    { "C64", 64 },
    };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (strcmp(bits[i].name, dtype) == 0)
            return bits[i].bits;
    layout_die("no dtype '%s'", dtype);
}

/* Adds a tensor; the strings stay the caller's. */
static void layout_add(struct layout *layout, char *name, const char *dtype, const char *shape)
{
    uint64_t bits = layout_bits(dtype);
    for (const char *at = shape; *at; at += strcspn(at, ","), at += *at == ',')
        bits *= strtoull(at, NULL, 10);
    if ((layout->count & (layout->count - 1)) == 0) {
        size_t capacity = layout->count ? layout->count * 2 : 1;
        layout->tensors = realloc(layout->tensors, capacity * sizeof *layout->tensors);
        if (!layout->tensors)
            layout_die("out of memory");
    }
    layout->tensors[layout->count++] = (struct layout_tensor){ name, dtype, shape, bits / 8 };
    layout->bytes += bits / 8;
}

/* The layout's strings live until the program ends, in `*text`. */
__attribute__((unused)) static struct layout layout_read(const char *path, char **text)
{
    FILE *stream = fopen(path, "re");
    if (!stream || fseek(stream, 0, SEEK_END) < 0)
        layout_die("%s: %s", path, strerror(errno));
    size_t size = (size_t)ftell(stream);
    *text = layout_memory(size + 1);
    rewind(stream);
    if (fread(*text, 1, size, stream) != size)
        layout_die("%s: cannot read", path);
    fclose(stream);
    (*text)[size] = '\0';
    struct layout layout = { 0 };
    for (char *line = strtok(*text, "\n"); line; line = strtok(NULL, "\n")) {
        char *dtype = strchr(line, '\t'), *shape = dtype ? strchr(dtype + 1, '\t') : NULL;
        if (!shape)
            layout_die("%s: no tabs in '%s'", path, line);
        *dtype++ = *shape++ = '\0';
        layout_add(&layout, line, dtype, shape);
    }
    return layout;
}

/* Length and header of a file with these tensors in this order, padded to 8 bytes as the reference does. To free. */
__attribute__((unused)) static char *layout_header(const struct layout *layout, size_t *size)
{
    size_t room = 128;
    for (size_t i = 0; i < layout->count; i++)
        room += strlen(layout->tensors[i].name) + strlen(layout->tensors[i].shape) + 128;
    char *header = layout_memory(room);
    char *at = header + 8;
    at += sprintf(at, "{\"__metadata__\":{\"format\":\"pt\"}");
    uint64_t offset = 0;
    for (size_t i = 0; i < layout->count; i++) {
        const struct layout_tensor *t = &layout->tensors[i];
        at += sprintf(at, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                      t->name, t->dtype, t->shape, offset, offset + t->bytes);
        offset += t->bytes;
    }
    *at++ = '}';
    while ((at - header) % 8)
        *at++ = ' ';
    uint64_t length = (uint64_t)(at - header) - 8;
    memcpy(header, &length, 8);
    *size = (size_t)(at - header);
    return header;
}

#endif
