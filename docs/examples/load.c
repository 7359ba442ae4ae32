/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads a model over the memories of several devices, says where each share and one of its tensors
 * lie, and reads that tensor back. This takes all three tiers of distorch2.
 *
 *     cc load.c $(pkg-config --cflags --libs distorch2) -o load
 *     ./load MODEL.safetensors 'opencl:0,50%;cpu,*' TENSOR
 */
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The library never prints. What it has to say besides errors comes here, from any thread. */
static void say(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_WARNING)
        fprintf(stderr, "%s\n", line);
}

/* A sum by which we know bytes again when we meet them (FNV-1a): read.c prints the same one. */
static uint64_t sum_of(const unsigned char *bytes, uint64_t count)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return sum;
}

/* Asks for shares, and loads. `verify` has every tensor read back and compared with the file. */
static int load(struct dt2_context *context, const struct dt2_file *file, const char *allocations,
                struct dt2_model **model, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.virtual_vram_bytes = 0;
    request.expert_mode_allocations = allocations;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    options.verify = true;

    /* What is placed are blocks: the file's tensors, grouped, in the order in which they are used. */
    struct dt2_blocks *blocks;
    int rc = dt2_blocks_make(file, &blocks, err);
    if (rc < 0)
        return rc;
    rc = dt2_model_load(context, file, blocks, &request, &options, model, err);
    dt2_blocks_free(blocks);
    return rc;
}

static void print_shares(const struct dt2_model *model)
{
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    for (size_t i = 0; i < stats->device_count; i++)
        printf("%-9s %12" PRIu64 " bytes\n", stats->devices[i]->device, stats->devices[i]->bytes);
}

/* Copies a tensor from wherever it lies into host memory. */
static int read_back(struct dt2_model *model, size_t index, struct dt2_error *err)
{
    uint64_t size = dt2_model_tensor(model, index)->bytes;
    unsigned char *memory = malloc(size ? size : 1);
    if (!memory) {
        snprintf(err->text, sizeof err->text, "no memory for %" PRIu64 " bytes", size);
        err->suggestion[0] = '\0';
        return DT2_ENOMEM;
    }
    int rc = dt2_model_read(model, index, memory, size, err);
    if (rc == 0)
        printf("%016" PRIx64 "\n", sum_of(memory, size));
    free(memory);
    return rc;
}

/*
 * Says where a tensor lies, in the terms of its device's own runtime: an address, or a cl_mem and an
 * offset in it. Both are good while the model stays loaded, which a borrow makes sure of.
 */
static int show_tensor(struct dt2_model *model, const char *name, struct dt2_error *err)
{
    size_t index;
    struct dt2_native native = DT2_NATIVE_INIT;
    int rc = dt2_model_find(model, name, &index, err);
    if (rc == 0)
        rc = dt2_model_borrow(model, err); /* from here to dt2_model_return() nobody ejects it */
    if (rc < 0)
        return rc;
    rc = dt2_model_native(model, index, &native, err);
    if (rc == 0)
        printf("%s lies on %s at %p + %" PRIu64 "\n", name, native.device, native.handle, native.offset);
    if (rc == 0)
        rc = read_back(model, index, err);
    dt2_model_return(model);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL ALLOCATIONS TENSOR\n", argv[0]);
        return dt2_exit_status(DT2_EUSAGE);
    }
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    options.log = say;

    struct dt2_error err;
    struct dt2_context *context = NULL;
    struct dt2_file *file = NULL;
    struct dt2_model *model = NULL;
    int rc = dt2_context_create(&options, &context, &err);
    if (rc == 0)
        rc = dt2_file_open(argv[1], &file, &err);
    if (rc == 0)
        rc = load(context, file, argv[2], &model, &err);
    if (rc == 0)
        print_shares(model);
    if (rc == 0)
        rc = show_tensor(model, argv[3], &err);
    if (rc < 0)
        fprintf(stderr, "%s%s%s\n", err.text, err.suggestion[0] ? "\nhint: " : "", err.suggestion);

    /* Our reference goes. The model stays loaded until it is ejected or unloaded, or the context ends. */
    dt2_model_unref(model);
    dt2_context_destroy(context);
    dt2_file_free(file);
    return dt2_exit_status(rc);
}
