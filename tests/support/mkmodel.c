/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mkmodel LAYOUT.tsv OUT.safetensors [--seed N]
 * Writes a model of a published layout with reproducible bytes, which depend on the seed and the tensor's name alone.
 */
#include "support/layout.h"
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#define CHUNK (4 << 20)

struct output {
    const char *path;
    int fd;
    char *buffer; /* CHUNK bytes */
    size_t used;
};

static void flush(struct output *out)
{
    for (size_t done = 0; done < out->used;) {
        ssize_t n = write(out->fd, out->buffer + done, out->used - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int cause = errno;
            unlink(out->path);
            layout_die("%s: cannot write: %s", out->path, strerror(cause));
        }
        done += (size_t)n;
    }
    out->used = 0;
}

static void put(struct output *out, const char *bytes, size_t size)
{
    while (size) {
        size_t n = CHUNK - out->used < size ? CHUNK - out->used : size;
        memcpy(out->buffer + out->used, bytes, n);
        out->used += n;
        bytes += n;
        size -= n;
        if (out->used == CHUNK)
            flush(out);
    }
}

/* The word number `i` of the stream that `key` names. */
static uint64_t word(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * 0x9E3779B97F4A7C15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return word(seed, hash);
}

static void put_tensor(struct output *out, uint64_t key, uint64_t size)
{
    uint64_t words[512];
    for (uint64_t done = 0, i = 0; done < size;) {
        for (size_t j = 0; j < 512; j++)
            words[j] = word(key, i + j);
        uint64_t n = size - done < sizeof words ? size - done : sizeof words;
        put(out, (const char *)words, n);
        done += n;
        i += 512;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "seed", required_argument, NULL, 's' }, { 0 } };
    uint64_t seed = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 's')
            return 2;
        seed = strtoull(optarg, NULL, 0);
    }
    if (argc - optind != 2)
        layout_die("usage: mkmodel LAYOUT.tsv OUT.safetensors [--seed N]");
    char *text;
    struct layout layout = layout_read(argv[optind], &text);
    struct output out = { .path = argv[optind + 1], .buffer = layout_memory(CHUNK) };
    out.fd = open(out.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out.fd < 0)
        layout_die("%s: cannot create: %s", out.path, strerror(errno));
    size_t size;
    char *header = layout_header(&layout, &size);
    put(&out, header, size);
    for (size_t i = 0; i < layout.count; i++)
        put_tensor(&out, key_of(seed, layout.tensors[i].name), layout.tensors[i].bytes);
    flush(&out);
    if (close(out.fd) < 0)
        layout_die("%s: cannot write: %s", out.path, strerror(errno));
    free(header);
    free(out.buffer);
    free(layout.tensors);
    free(text);
    return 0;
}
